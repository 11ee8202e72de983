"""Latents to words and back: hyper-latents first, then the four passes.

This text is normative for `.aec` version 1, as far as the content of a TILE goes.

**Sizes.** A tile of `H` by `W` pixels (its own part of the picture, without surroundings) has
`h = H / 16` rows and `w = W / 16` columns of latents, rounded up, with M channels each, and
`h / 4` by `w / 4` hyper-latents, rounded up, with Z channels each; M (a multiple of 4) and Z are
the model's. The networks see h and w padded to multiples of 4, to the right and below. Latents in
the padding are never coded and have symbol 0, to which their means are added like to any other
(so the networks of later passes read them), and they are cut off at the end. Arrays here have the
order `(h, w, C)`.

**Order of the symbols.** Five groups, each coded as `aecodec/entropy.py` says:

- hyper-latents: in the order row, column, channel; the table number is the channel. Each must lie
  in [-512, 511], which a decoder checks before it goes on;
- passes k = 1 to 4: in the order channel quarter g, row of 2x2 groups, column of 2x2 groups,
  channel within the quarter. Quarter g of the channels (g * M/4 up to, not including,
  (g + 1) * M/4) is coded at one place of each 2x2 group, numbered 2 * row + column:

      pass  g = 0  1  2  3
      1         0  1  2  3
      2         3  2  1  0
      3         2  3  0  1
      4         1  0  3  2

  so that each latent is coded in one pass. The table number is its level, which, like its mean,
  `aecodec/integer.py` derives from hyper-latents and passes before. What is decoded of a pass
  counts only when the pass is complete.

**Checksum.** The CRC-32 of `y_hat` (`aecodec/integer.py`) over the `h` by `w` coded grid, as
little-endian int16 in the order row, column, channel, in units of 1/16 quantization step.
"""

import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aecodec.coding.ans import SymbolDecoder, SymbolTable
from aecodec.decoder.integer_layers import ACTIVATION_MAX, Ints
from aecodec.decoder.integer_prior import IntegerPrior
from aecodec.errors import ChecksumError, PayloadError
from aecodec.format.chunks import Tile
from aecodec.format.constants import GROUP, MEAN_FRACTION, PASS_POSITION, PASSES

MEAN_STEP = np.float32(1 / MEAN_FRACTION)

Y_HAT_MIN = -(2**15)

Y_HAT_MAX = 2**15 - 1

Floats = npt.NDArray[np.float32]

YHat = npt.NDArray[np.int16]

Observer = Callable[[npt.NDArray[np.int32], npt.NDArray[np.uint8]], None]

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class Grid:
    """Size of one tile's latents.

    Attributes:
        height: coded rows.
        width: coded columns.
    """

    height: int
    width: int

    @property
    def padded(self) -> tuple[int, int]:
        """Rows and columns, rounded up to multiples of 4."""
        return -(-self.height // GROUP) * GROUP, -(-self.width // GROUP) * GROUP

    @property
    def hyper(self) -> tuple[int, int]:
        """Rows and columns of the hyper-latents."""
        height, width = self.padded
        return height // GROUP, width // GROUP

    def coded(self, number: int) -> npt.NDArray[np.bool_] | None:
        """Which symbols of a pass are coded, `(4, h/2, w/2, 1)`; None when all are."""
        height, width = self.padded
        if (height, width) == (self.height, self.width):
            return None
        inside = np.zeros((height, width, PASSES), np.bool_)
        inside[: self.height, : self.width] = True
        return take_quarter(inside, number)


class _Passes:
    """State that encoder and decoder share: what is known so far, and what comes next."""

    def __init__(
        self, prior: IntegerPrior, z_hat: Ints, grid: Grid, quality_index: int, dtype: torch.dtype
    ) -> None:
        self.prior, self.grid, self.dtype = prior, grid, dtype
        self.features = prior.features(_carrier(z_hat, dtype), quality_index)
        self.first = prior.head(self.features)[0].permute(1, 2, 0).numpy()  # (h, w, 2M)
        self.base = prior.base[quality_index].reshape(PASSES, 1, 1, -1)
        shape = (*grid.padded, prior.latent_channels)
        self.y_hat = np.zeros(shape, np.int16)
        self._known = np.zeros(shape, np.float64 if dtype == torch.float64 else np.float32)

    def parameters(self, number: int) -> tuple[npt.NDArray[np.uint8], Ints]:
        """Scale levels and means (1/16 step) of one pass, both `(4, h/2, w/2, M/4)`."""
        channels = self.prior.latent_channels
        offsets, normed = (
            take_quarter(part, number)
            for part in (self.first[..., :channels], self.first[..., channels:])
        )
        if number:
            known = torch.from_numpy(self._known).permute(2, 0, 1)[None]
            corrections = self.prior.passes[number - 1](known, self.features).numpy()
            quarter = channels // PASSES
            offsets += corrections[..., :quarter]
            normed += corrections[..., quarter:]
        return (
            self.prior.levels(offsets.astype(np.int64), self.base),
            self.prior.means(normed.astype(np.int64), self.base),
        )

    def update(self, number: int, symbols: npt.NDArray[np.int32], means: Ints) -> None:
        """Takes note of one pass's symbols, `(4, h/2, w/2, M/4)`."""
        y_hat = np.clip(MEAN_FRACTION * symbols.astype(np.int64) + means, Y_HAT_MIN, Y_HAT_MAX)
        put_quarter(self.y_hat, number, y_hat)
        if number < PASSES - 1:
            put_quarter(self._known, number, self.prior.known(y_hat, self.base))

    def result(self) -> YHat:
        return np.ascontiguousarray(self.y_hat[: self.grid.height, : self.grid.width])


def decode_latents(
    prior: IntegerPrior, tile: Tile, grid: Grid, quality_index: int,
    *, observe: Observer | None = None, dtype: torch.dtype = torch.float32,
) -> YHat:  # fmt: skip
    """Decodes the latents of one tile.

    Args:
        prior: the exact prior.
        tile: what was coded.
        grid: size of the tile.
        quality_index: row of the quality grid.
        observe: called with the symbols and table numbers of each group, in their order.
        dtype: carrier, float32 or float64; the result is the same.

    Returns:
        `y_hat` `(h, w, M)` int16 in 1/16 step.

    Raises:
        PayloadError: the words do not fit the tile.
        ChecksumError: the latents are not those that were encoded.
    """
    decoder = SymbolDecoder(tile.words)

    def take(
        numbers: npt.NDArray[np.uint8], tables: Sequence[SymbolTable]
    ) -> npt.NDArray[np.int32]:
        found = decoder.take(numbers, tables)
        if observe is not None:
            observe(found, numbers)
        return found

    symbols = take(_hyper_numbers(prior, grid), prior.hyper_tables)
    if len(symbols) and not -ACTIVATION_MAX <= symbols.min() <= symbols.max() < ACTIVATION_MAX:
        raise PayloadError("a hyper-latent is out of range")
    z_hat = symbols.astype(np.int64).reshape(*grid.hyper, len(prior.hyper_tables))
    passes = _Passes(prior, z_hat, grid, quality_index, dtype)
    for number in range(PASSES):
        levels, means = passes.parameters(number)
        coded = grid.coded(number)
        if coded is None:
            taken = take(levels.reshape(-1), prior.scale_tables).reshape(levels.shape)
        else:
            inside = np.broadcast_to(coded, levels.shape)
            taken = np.zeros(levels.shape, np.int32)
            taken[inside] = take(levels[inside], prior.scale_tables)
        passes.update(number, taken, means)
    decoder.finish()
    y_hat = passes.result()
    computed = latents_checksum(y_hat)
    if computed != tile.checksum:
        raise ChecksumError("decoded latents", stored=tile.checksum, computed=computed)
    return y_hat


def decode_prefix(
    prior: IntegerPrior, words: bytes, grid: Grid, quality_index: int
) -> tuple[YHat, Floats]:
    """Decodes a tile of which only the first words are left.

    Passes that are not complete are replaced by their means, which the complete ones predict.

    Args:
        prior: the exact prior.
        words: any beginning of a tile's words, also none, a multiple of 4 bytes.
        grid: size of the tile.
        quality_index: row of the quality grid.

    Returns:
        `y_hat` `(h, w, M)` int16 in 1/16 step, and the hyper-latents, with which `encode_latents`
        makes a whole tile of it.
    """
    source = _Prefix(words)
    numbers = _hyper_numbers(prior, grid)
    symbols = source.take(numbers, prior.hyper_tables).clip(-ACTIVATION_MAX, ACTIVATION_MAX - 1)
    z_hat = symbols.astype(np.int64).reshape(*grid.hyper, len(prior.hyper_tables))
    passes = _Passes(prior, z_hat, grid, quality_index, torch.float32)
    for number in range(PASSES):
        levels, means = passes.parameters(number)
        coded = grid.coded(number)
        inside = np.broadcast_to(True if coded is None else coded, levels.shape)
        taken = np.zeros(levels.shape, np.int32)
        taken[inside] = source.take(levels[inside], prior.scale_tables)
        passes.update(number, taken, means)
    return passes.result(), z_hat.astype(np.float32)


class _Prefix:
    """Gives whole groups of symbols while words last, then zeros."""

    def __init__(self, words: bytes) -> None:
        self._decoder: SymbolDecoder | None = None
        with suppress(PayloadError):
            self._decoder = SymbolDecoder(words)

    def take(
        self, numbers: npt.NDArray[np.uint8], tables: Sequence[SymbolTable]
    ) -> npt.NDArray[np.int32]:
        if self._decoder is not None:
            symbols = self._decoder.take(numbers, tables)
            if not self._decoder.is_dry:
                return symbols
            self._decoder = None
        return np.zeros(len(numbers), np.int32)


def latents_checksum(y_hat: YHat) -> int:
    """CRC-32 of `(h, w, M)` latents in 1/16 step."""
    return zlib.crc32(np.ascontiguousarray(y_hat, "<i2").tobytes())


def take_quarter(array: npt.NDArray[Scalar], number: int) -> npt.NDArray[Scalar]:
    """The latents `(h, w, C)` that a pass codes, as `(4, h/2, w/2, C/4)`."""
    cells = _cells(array)
    return np.stack(
        [cells[:, p >> 1, :, p & 1, quarter] for quarter, p in enumerate(PASS_POSITION[number])]
    )


def put_quarter(
    array: npt.NDArray[np.generic], number: int, values: npt.NDArray[np.generic]
) -> None:
    """Writes what `take_quarter` reads, in place; `array` must be contiguous."""
    cells = _cells(array)
    for quarter, p in enumerate(PASS_POSITION[number]):
        cells[:, p >> 1, :, p & 1, quarter] = values[quarter]


def _cells(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    height, width, channels = array.shape
    return array.reshape(height // 2, 2, width // 2, 2, PASSES, channels // PASSES)


def _hyper_numbers(prior: IntegerPrior, grid: Grid) -> npt.NDArray[np.uint8]:
    rows, columns = grid.hyper
    return np.tile(np.arange(len(prior.hyper_tables), dtype=np.uint8), rows * columns)


def _carrier(array: Ints, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(array).to(dtype).permute(2, 0, 1)[None]


def _round(values: Floats) -> Floats:
    rounded: Floats = np.floor(values + np.float32(0.5))
    return rounded
