"""The exact synthesis in torch: integer arithmetic from latents to pixels.

SPECIFICATION.md, section 11, defines it, and section 14 smaller pictures. Activations stay below
2**23 and so does the stream, so that float32 carries both; gains and the linear layers run in
float64, below 2**53.
"""

from math import isqrt

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.decoder.carriers import SHIFT_MAX, Carried, exactly, tensor_of
from aecodec.decoder.networks import YHat
from aecodec.decoder.prior_tables import Ints
from aecodec.decoder.synthesis_layers import STREAM_LIMIT, ExactBlock
from aecodec.errors import WeightsError
from aecodec.format.constants import (
    EXIT_SHIFT_MAX,
    KNOTS,
    LOG_FRACTION,
    LOG_LIMIT,
    PATCH,
    STREAM_FRACTION,
)
from aecodec.format.quality import QUALITY_INDEX_MAX
from aecodec.models.weights import TensorTree
from aecodec.picture.pixels import Pixels

GAIN_SHIFT = 16

BYTE_MAX = 255

EXIT_PLACES = 512
"""Places of the last layer that are computed at a time."""

BIAS_LIMIT = 2**44
"""Biases of the linear layers stay below this, and so their sums below 2**53, over 64 pixels and
three colours too."""

_ALL = slice(None), slice(None)


def power_of_two(logs: Ints) -> Ints:
    """`2**(logs / 65536)` in 1/65536, any shape, by products of square roots.

    p = 2**30; for each bit b = 15, 14, ..., 0 of the fraction of `logs` that is set,
    p = (p * r[b] + 2**29) >> 30, with r[15] = isqrt(2**61) and r[b] = isqrt(r[b+1] * 2**30);
    at last p is shifted by the whole part w: (p + 2**(13-w)) >> (14-w).

    Args:
        logs: in 1/65536, within [-12, 12].
    """
    power = np.full(logs.shape, 2**30, np.int64)
    root = 2**31
    for bit in range(LOG_FRACTION - 1, -1, -1):
        root = isqrt(root << 30)
        power = np.where(logs >> bit & 1, (power * root + 2**29) >> 30, power)
    shift = 14 - (logs >> LOG_FRACTION)
    result: Ints = (power + (1 << (shift - 1))) >> shift
    return result


class Gains:
    """A gain for each quality and channel."""

    def __init__(self, knots: Ints) -> None:
        """Takes `(KNOTS, C)` base-2 logarithms in 1/65536.

        Raises:
            WeightsError: a gain lies outside 2**-12 to 2**12.
        """
        self._knots = knots
        self._kept: tuple[int, Tensor] | None = None
        if np.abs(self._knots).max() > LOG_LIMIT:
            raise WeightsError("a gain lies outside 2**-12 to 2**12")

    def at(self, quality_index: int) -> Tensor:
        """Gains `(C, 1, 1)` float64, in 1/65536; those of the last quality are kept."""
        kept = self._kept
        if kept is None or kept[0] != quality_index:
            self._kept = kept = quality_index, self._at(quality_index)
        return kept[1]

    def _at(self, quality_index: int) -> Tensor:
        low, part = divmod((KNOTS - 1) * quality_index, QUALITY_INDEX_MAX)
        if low == KNOTS - 1:
            low, part = low - 1, QUALITY_INDEX_MAX
        sums = self._knots[low] * (QUALITY_INDEX_MAX - part) + self._knots[low + 1] * part
        logs = (2 * sums + QUALITY_INDEX_MAX) // (2 * QUALITY_INDEX_MAX)
        return torch.from_numpy(power_of_two(logs)).double()[:, None, None]


class ExactSynthesis(nn.Module):
    """Latents to pixels, in integers."""

    def __init__(self, tensors: TensorTree) -> None:
        """Builds the networks of the part `synthesis` of a weights file.

        Raises:
            WeightsError: something would not be exact.
        """
        super().__init__()
        self.outer = Gains(tensors.array("outer_gain").astype(np.int64))
        self.inner = Gains(tensors.array("inner_gain").astype(np.int64))
        self.first = ExactBlock(tensors["first"])
        blocks = tensors.parts.get("blocks", TensorTree())
        self.blocks = nn.ModuleList(ExactBlock(blocks[str(n)]) for n in range(len(blocks.parts)))
        self.last = ExactBlock(tensors["last"])
        shift = tensor_of(tensors["up"], "shift")
        self.exit_shift = int(tensors["exit"].array("shift"))
        if int(shift.min()) < 1 or int(shift.max()) > SHIFT_MAX:
            raise WeightsError("a shift of the exact synthesis lies outside 1 to 24")
        biases = {name: tensor_of(tensors[name], "bias") for name in ("up", "exit")}
        if max(int(bias.abs().max()) for bias in biases.values()) > BIAS_LIMIT:
            raise WeightsError("a bias of the exact synthesis is too large")
        if not 0 <= self.exit_shift <= EXIT_SHIFT_MAX:
            raise WeightsError("the last shift of the exact synthesis lies outside 0 to 16")
        factor = torch.exp2(-shift.double())
        up = tensor_of(tensors["up"], "weight").double()
        self.register_buffer("up_weight", up * factor)  # (I, 4 * O)
        self.register_buffer("up_bias", biases["up"].double() * factor + 0.5)
        self.register_buffer(
            "exit_weight", tensor_of(tensors["exit"], "weight").double()
        )  # (C, 192)
        self.register_buffer("exit_bias", biases["exit"].double())

    up_weight: Tensor
    up_bias: Tensor
    exit_weight: Tensor
    exit_bias: Tensor

    def features(self, y_hat: Tensor, quality_index: int) -> Tensor:
        """What the last layer reads.

        Args:
            y_hat: `(1, M, h, w)`, integers in 1/16 step, on carriers of any type.
            quality_index: row of the quality grid.

        Returns:
            The stream, `(1, C, 2h, 2w)`.
        """
        carrier = self.first.mix_in.weight.dtype
        stream = _scaled(y_hat, self.outer.at(quality_index)).to(carrier)
        stream = self._up(self.first(stream)).to(carrier)
        for block in self.blocks:
            stream = block(stream)
        stream = _scaled(stream, self.inner.at(quality_index)).to(carrier)
        last: Tensor = self.last(stream)
        return last

    def forward(
        self, y_hat: Tensor, quality_index: int, *, maximum: int = 255, gray: bool = False
    ) -> Tensor:
        """Samples of a picture.

        Args:
            y_hat: see `features`.
            quality_index: see `features`.
            maximum: the largest sample, 255 or 65535.
            gray: one channel instead of three.

        Returns:
            `(16h, 16w, 3)` or `(16h, 16w, 1)`, see `samples`.
        """
        features = self.features(y_hat, quality_index)
        places = _places(features)
        weight, bias = self._exit(gray, None)
        depth = torch.uint8 if maximum == BYTE_MAX else torch.int32
        patches = torch.empty((len(places), *bias.shape), dtype=depth)
        for part in range(0, len(places), EXIT_PLACES):  # so that float64 stays in the cache
            sums = _linear(places[part : part + EXIT_PLACES], weight, bias)
            samples = self.samples(sums, 1, maximum=maximum, gray=gray)
            patches[part : part + EXIT_PLACES] = samples
        return _arranged(patches, features)

    def sums(
        self, features: Tensor, *, gray: bool, groups: "tuple[Tensor, Tensor] | None" = None
    ) -> Tensor:
        """P of SPECIFICATION.md, section 11.3 (S if `gray`), for each pixel or summed over groups.

        Args:
            features: `(1, C, h, w)`.
            gray: whether to sum over the three colours.
            groups: which of the 8 rows and which of the 8 columns of a patch belong to each sum,
                `(n, 8)` of 0 and 1; by default each pixel is a sum of its own.

        Returns:
            `(n * h, n * w, 3 or 1)`, integers on float64.
        """
        return _arranged(_linear(_places(features), *self._exit(gray, groups)), features)

    def _exit(self, gray: bool, groups: "tuple[Tensor, Tensor] | None") -> tuple[Tensor, Tensor]:
        """The last layer of `sums`: weight `(C, 3 or 1, n, n)` and bias `(3 or 1, n, n)`."""
        weight = self.exit_weight.reshape(-1, 3, PATCH, PATCH)
        bias = self.exit_bias.reshape(3, PATCH, PATCH)
        if gray:
            weight, bias = weight.sum(1, keepdim=True), bias.sum(0, keepdim=True)
        if groups is not None:
            rows, columns = (each.double() for each in groups)
            weight = torch.einsum("ai,bj,ckij->ckab", rows, columns, weight)
            bias = torch.einsum("ai,bj,kij->kab", rows, columns, bias)
        return weight, bias

    def samples(self, sums: Tensor, count: "int | Tensor", *, maximum: int, gray: bool) -> Tensor:
        """Sums of P or S over `count` pixels each to samples, in place.

        Args:
            sums: any shape, integers on float64.
            count: pixels in each sum, a number or of a shape that fits.
            maximum: the largest sample.
            gray: whether they are sums over three colours.

        Returns:
            The same shape, uint8 if `maximum` is 255, else int32.
        """
        parts = 3 if gray else 1
        one = 2.0 ** (STREAM_FRACTION + self.exit_shift) * count
        half = one * (parts / 2)
        if isinstance(half, Tensor):
            sums = torch.minimum(torch.maximum(sums, -half), half)
        else:
            sums = sums.clamp_(-half, half)
        # Clipping at the ends of the range leaves no sample beyond it. A quotient of integers below
        # 2**53 is never rounded up to the next integer.
        sums = sums.mul_(maximum // parts).add_(half * (maximum // parts) + one / 2).div_(one)
        return sums.to(torch.uint8 if maximum == BYTE_MAX else torch.int32)

    def _up(self, stream: Tensor) -> Tensor:
        height, width = stream.shape[2:]
        rows = _places(stream).double()
        wide = torch.addmm(self.up_bias, rows, self.up_weight).floor_()
        wide = wide.clamp_(-STREAM_LIMIT, STREAM_LIMIT - 1).reshape(height, width, 2, 2, -1)
        places = wide.permute(0, 2, 1, 3, 4).reshape(1, 2 * height, 2 * width, -1)
        return places.permute(0, 3, 1, 2)


def _places(x: Tensor) -> Tensor:
    """`(1, C, h, w)` to `(h * w, C)`."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _linear(places: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`(n, C)`, `(C, *)` and `(*)` to `(n, *)` on float64."""
    sums = torch.addmm(bias.flatten(), places.double(), weight.flatten(1))
    return sums.reshape(-1, *bias.shape)


def _arranged(patches: Tensor, features: Tensor) -> Tensor:
    """Patches `(h * w, C, n, n)` of features `(1, _, h, w)` as a picture `(h * n, w * n, C)`."""
    _, channels, n, _ = patches.shape
    height, width = features.shape[2:]
    cells = patches.reshape(height, width, channels, n, n).permute(0, 3, 1, 4, 2)
    return cells.reshape(height * n, width * n, channels)


def _scaled(x: Tensor, gains: Tensor) -> Tensor:
    """`clip(round(x * gains, 16))` on float64."""
    y = x.double().mul_(gains).mul_(2.0**-GAIN_SHIFT).add_(0.5).floor_()
    return y.clamp_(-STREAM_LIMIT, STREAM_LIMIT - 1)


def synthesize_scaled(
    synthesis: ExactSynthesis,
    y_hat: Tensor,
    quality_index: int,
    scale: int,
    inside: tuple[int, int],
    *,
    maximum: int = 255,
    gray: bool = False,
) -> Tensor:
    """The synthesis of a smaller picture.

    Args:
        synthesis: the whole one.
        y_hat: `(1, M, h, w)`, integers in 1/16 step.
        quality_index: row of the quality grid.
        scale: 1, 2, 4 or 8.
        inside: height and width in pixels, from the corner of `y_hat`, where the picture ends; what
            lies beyond takes no part in the means.
        maximum: the largest sample, 255 or 65535.
        gray: one channel instead of three.

    Returns:
        `(16h / scale, 16w / scale, 3 or 1)`, see `ExactSynthesis.samples`; undefined beyond the
        picture.
    """
    if scale == 1:
        return synthesis(y_hat, quality_index, maximum=maximum, gray=gray)  # type: ignore[no-any-return]  # nn.Module
    h = synthesis.features(y_hat, quality_index)  # (1, C, 2h, 2w)
    n = PATCH // scale
    row, column = ((side - 1) // PATCH for side in inside)  # the last cells with pixels inside
    rows, columns = slice(row, row + 1), slice(column, column + 1)
    inner = _groups(scale, PATCH)
    last_rows = _groups(scale, inside[0] - row * PATCH)
    last_columns = _groups(scale, inside[1] - column * PATCH)
    sums = synthesis.sums(h, gray=gray, groups=(inner, inner))
    at_right = columns, slice(column * n, (column + 1) * n)
    below = rows, slice(row * n, (row + 1) * n)
    counts = [torch.full((side,), float(scale), dtype=torch.float64) for side in sums.shape[:2]]
    counts[0][below[1]] = last_rows.sum(1)[: len(counts[0][below[1]])]
    counts[1][at_right[1]] = last_columns.sum(1)[: len(counts[1][at_right[1]])]
    for (from_rows, to_rows), (from_columns, to_columns), groups in (
        (_ALL, at_right, (inner, last_columns)),
        (below, _ALL, (last_rows, inner)),
        (below, at_right, (last_rows, last_columns)),
    ):
        edge = h[:, :, from_rows, from_columns]
        if edge.numel():
            sums[to_rows, to_columns] = synthesis.sums(edge, gray=gray, groups=groups)
    pixels = counts[0][:, None, None] * counts[1][:, None]
    return synthesis.samples(sums, pixels, maximum=maximum, gray=gray)


def _groups(scale: int, inside: int) -> Tensor:
    """`(8 / scale, 8)` of 0 and 1: the pixels of each sum in a cell with `inside` of its own."""
    groups = torch.eye(PATCH // scale, dtype=torch.float64).repeat_interleave(scale, 1)
    valid = groups * (torch.arange(PATCH) < inside)
    return torch.where(valid.any(1, keepdim=True), valid, groups)


class TorchSynthesis:
    """`networks.SynthesisNetwork` by torch."""

    def __init__(self, tensors: TensorTree) -> None:
        """Builds the networks of the part `synthesis` of a weights file.

        Raises:
            WeightsError: something would not be exact.
        """
        self.carried = Carried(ExactSynthesis(tensors).to(memory_format=torch.channels_last))

    @exactly
    def pixels(
        self, y_hat: YHat, quality_index: int, *, scale: int, inside: tuple[int, int],
        sixteen_bit: bool, gray: bool,
    ) -> Pixels:  # fmt: skip
        """See `networks.SynthesisNetwork`."""
        y = torch.from_numpy(y_hat).permute(2, 0, 1)[None]  # (1, M, h, w)
        samples = synthesize_scaled(
            self.carried.network, y, quality_index, scale, inside,
            maximum=65535 if sixteen_bit else BYTE_MAX, gray=gray,
        )  # fmt: skip
        array: Pixels = samples.numpy().astype(np.uint16 if sixteen_bit else np.uint8, copy=False)
        return array[:, :, 0] if gray else array
