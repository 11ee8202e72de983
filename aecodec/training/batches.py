"""Tiles to batches: crops, flips, transpositions, scaling down, and light noise.

What a batch holds is a function of seed and step alone: all that is random is drawn on the host, as
a few numbers a patch, and sent to the device in one piece. One of several processes draws the same
numbers, and makes the patches of its own part. Pixels are cut and computed with where
the tiles lie, in fixed shapes: on the device, or on the host from a memory map. Both ways give the
same batch.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aecodec.autoencoder.quantization import WHOLE, Part
from aecodec.training.config import TrainConfig
from aecodec.training.data import TILE, Tiles

SCALE_LEAST = 0.6
"""Patches are scaled down by this factor at most."""
NOISE_POOL = 2**20
"""Normal numbers that noise is read from, at random places."""
_NOISE_SEED = 20_240_911
_UPLOAD_TILES = 64

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Cuts:
    """Squares to cut from tiles; each `(N,)`, whole numbers but for the last three, booleans.

    Attributes:
        tile: which.
        top: first row.
        left: first column.
        mirrored: left for right.
        flipped: top for bottom.
        transposed: afterwards, rows for columns.
    """

    tile: Tensor
    top: Tensor
    left: Tensor
    mirrored: Tensor
    flipped: Tensor
    transposed: Tensor


class TileStore(Protocol):
    """Tiles that squares can be cut from."""

    device: torch.device
    """Where `cut` takes its cuts from and gives its squares."""

    def __len__(self) -> int:
        """How many there are."""

    def cut(self, cuts: Cuts, side: int) -> Tensor:
        """Squares of `side` pixels, `(N, 3, side, side)` uint8, channels_last."""


class DeviceTiles:
    """Tiles in the memory of a device, uint8; squares are gathered there in one operation."""

    def __init__(self, tiles: Tiles, device: torch.device) -> None:
        """Copies `(n, TILE, TILE, 3)` to the device, some at a time."""
        self.device = device
        self._tiles = torch.empty(tiles.shape, dtype=torch.uint8, device=device)
        for start in range(0, len(tiles), _UPLOAD_TILES):
            part = np.array(tiles[start : start + _UPLOAD_TILES])
            self._tiles[start : start + len(part)].copy_(torch.from_numpy(part))

    def __len__(self) -> int:
        return len(self._tiles)

    def cut(self, cuts: Cuts, side: int) -> Tensor:
        """See `TileStore`."""
        steps = torch.arange(side, device=self.device)
        backward = side - 1 - steps
        rows = cuts.top[:, None] + torch.where(cuts.flipped[:, None], backward, steps)
        columns = cuts.left[:, None] + torch.where(cuts.mirrored[:, None], backward, steps)
        swap = cuts.transposed[:, None, None]
        row = torch.where(swap, rows[:, None, :], rows[:, :, None])  # (N, side, side)
        column = torch.where(swap, columns[:, :, None], columns[:, None, :])
        return self._tiles[cuts.tile[:, None, None], row, column].permute(0, 3, 1, 2)


class MappedTiles:
    """Tiles that lie in a file, mapped into memory; only what is cut is read."""

    device = torch.device("cpu")

    def __init__(self, tiles: Tiles) -> None:
        """Takes `(n, TILE, TILE, 3)` uint8."""
        self._tiles = tiles

    def __len__(self) -> int:
        return len(self._tiles)

    def cut(self, cuts: Cuts, side: int) -> Tensor:
        """See `TileStore`."""
        columns = [each.tolist() for each in vars(cuts).values()]
        squares = [self._square(side, *place) for place in zip(*columns, strict=True)]
        return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)

    def _square(self, side: int, tile: int, top: int, left: int, *turns: bool) -> Tiles:
        square: Tiles = self._tiles[tile, top : top + side, left : left + side]
        mirrored, flipped, transposed = turns
        if mirrored:
            square = square[:, ::-1]
        if flipped:
            square = square[::-1]
        return square.transpose(1, 0, 2) if transposed else square


def store_tiles(tiles: Tiles, device: torch.device) -> TileStore:
    """Tiles where batches for `device` are best made: there, or mapped for a CPU."""
    return MappedTiles(tiles) if device.type == "cpu" else DeviceTiles(tiles, device)


class Batches:
    """The batches of a run.

    Attributes:
        source_side: side of the squares that patches are scaled down from.
    """

    def __init__(
        self, tiles: TileStore, config: TrainConfig, device: torch.device, part: Part = WHOLE
    ) -> None:
        """Takes tiles, which may lie elsewhere than on the device that gets the batches.

        Args:
            tiles: to cut from.
            config: settings of the run.
            device: that gets the batches.
            part: which patches of each batch to make.
        """
        self._tiles, self._config, self._device = tiles, config, device
        self._scaled = round(config.batch * config.downscale)
        self._rows = slice(part[0], None, part[1])
        self._plain = len(range(config.batch - self._scaled)[self._rows])
        self.source_side = min(TILE, math.ceil(config.crop / SCALE_LEAST))
        self._pool: Tensor | None = None
        if config.noise:
            generator = torch.Generator().manual_seed(_NOISE_SEED)
            self._pool = torch.randn(NOISE_POOL, generator=generator).to(tiles.device)

    def whole(self) -> "Batches":
        """The same with all patches of each batch."""
        return Batches(self._tiles, self._config, self._device)

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Patches and relative qualities of one step.

        Returns:
            `(batch, 3, crop, crop)` float32 in [0, 1], channels_last, and `(batch,)` in [0, 1], one
            from each of `batch` equal strata; of a part, only its rows.
        """
        config = self._config
        numbers = _draw(len(self._tiles), config, step, self._scaled, self.source_side)
        own = np.ascontiguousarray(numbers[:, self._rows])
        drawn = send(torch.from_numpy(own), self._tiles.device)
        plain = self._plain
        parts = []
        if plain:
            parts.append(_unit(self._tiles.cut(_cuts(drawn[:, :plain]), config.crop)))
        if plain < drawn.shape[1]:
            squares = _unit(self._tiles.cut(_cuts(drawn[:, plain:]), self.source_side))
            parts.append(scale_down(squares, drawn[6, plain:], drawn[7:9, plain:], config.crop))
        x = torch.cat(parts)
        if self._pool is not None:
            x = add_noise(x, self._pool, drawn[9].long(), drawn[10] / 255)
        x = x.contiguous(memory_format=torch.channels_last)
        return x.to(self._device), drawn[11].to(self._device)


def scale_down(squares: Tensor, factor: Tensor, offset: Tensor, side: int) -> Tensor:
    """Antialiased scaling by a factor of its own for each square, in two products of matrices.

    Args:
        squares: `(N, 3, W, W)` in [0, 1].
        factor: `(N,)` in [side / W, 1].
        offset: `(2, N)`, first row and column of what is scaled, in pixels.
        side: of what comes out.

    Returns:
        `(N, 3, side, side)` in [0, 1].
    """
    rows, columns = (_resampling(factor, each, side, squares.shape[2])[:, None] for each in offset)
    with torch.autocast(squares.device.type, enabled=False):
        return (rows @ squares @ columns.mT).clamp(0.0, 1.0)


def _resampling(factor: Tensor, offset: Tensor, side: int, source: int) -> Tensor:
    """`(N, side, source)`: weights of a cubic that is as wide as the pixels that come out.

    Source: Keys, "Cubic Convolution Interpolation for Digital Image Processing", with a = -0.5, as
    Pillow has it.
    """
    scale = factor[:, None, None]
    out = torch.arange(side, device=factor.device)[:, None] + 0.5
    centre = offset[:, None, None] + out / scale  # (N, side, 1)
    place = torch.arange(source, device=factor.device) + 0.5
    distance = ((place - centre) * scale).abs()
    near = (1.5 * distance - 2.5) * distance.square() + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    weights = torch.where(distance < 1.0, near, torch.where(distance < 2.0, far, 0.0))
    return weights / weights.sum(2, keepdim=True)


def add_noise(x: Tensor, pool: Tensor, place: Tensor, deviation: Tensor) -> Tensor:
    """Adds noise that is read from `pool` from `place` on; both last are `(N,)`.

    It is the same on every device, which generators of random numbers are not.
    """
    count = x[0].numel()
    index = (place[:, None] + torch.arange(count, device=x.device)) % len(pool)
    noise = pool[index].view(x.shape) * deviation[:, None, None, None]
    return (x + noise).clamp(0.0, 1.0)


def send(numbers: Tensor, device: torch.device) -> Tensor:
    """Sends a tensor of the host to a device without waiting for what the device is doing."""
    if device.type == "cuda":
        return numbers.pin_memory().to(device, non_blocking=True)
    return numbers.to(device)


def _draw(tiles: int, config: TrainConfig, step: int, scaled: int, source: int) -> Floats:
    """All that is random in a batch, as float32, in which these whole numbers are exact.

    Returns:
        `(12, batch)`: what `Cuts` holds, factor, offsets, place and deviation of noise, quality.
    """
    rng = np.random.default_rng([config.seed, step])
    count = config.batch
    u = rng.random((10, count))
    side = np.full(count, config.crop)
    side[count - scaled :] = source
    least = config.crop / side
    factor = least + (1 - least) * u[3]
    slack = side - config.crop / factor
    free = TILE - side + 1
    quality = (rng.permutation(count) + u[9]) / count
    rows = [
        rng.integers(tiles, size=count), np.floor(u[0] * free), np.floor(u[1] * free),
        *(rng.random((3, count)) < 0.5),
        factor, slack * u[4], slack * u[5],
        np.floor(u[6] * NOISE_POOL), config.noise * np.maximum(0.0, 2 * u[7] - 1), quality,
    ]  # fmt: skip
    return np.stack(rows).astype(np.float32)


def _cuts(drawn: Tensor) -> Cuts:
    return Cuts(*drawn[:3].long(), *drawn[3:6].bool())


def _unit(squares: Tensor) -> Tensor:
    return squares.float().div(255)
