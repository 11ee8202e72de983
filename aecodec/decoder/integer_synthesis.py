"""The exact synthesis: integer arithmetic from latents to pixels, the same on every machine.

This text is normative for `.aec` version 1 and as binding as the byte layout. All numbers are
integers; `round(v, s)` is `floor((v + 2**(s-1)) / 2**s)`, and `v` itself for s = 0.

**Stream.** What blocks read and add to is the stream, in units of 2**-14 of the range of a pixel,
always clipped to [-2**22, 2**22 - 1].

1. stream = round(y_hat * outer[Q], 16), with y_hat in 1/16 step and a gain for each channel;
2. block `first`;
3. up: each place gives 2x2 places, position 2 * row + column of each output channel a product of
   its own: `round(sum(weight * stream) + bias, shift)`;
4. `blocks`, one after the other; stream = round(stream * inner[Q], 16); block `last`;
5. exit: P = sum(weight * stream) + bias for each of 192 outputs, 64 of them for each colour, row
   by row of a patch of 8x8 pixels; with f = 14 + shift and the largest sample M (255 or 65535),
   sample = clip(round((clip(P, -2**f, 2**f) + 2**(f-1)) * M, f), 0, M).

Gray is made of the sum S of the three colours' P: sample = clip(round((clip(S, -3 * 2**f, 3 * 2**f)
+ 3 * 2**(f-1)) * M / 3, f), 0, M); M / 3 is whole. A smaller picture (`scaling.py`) is made of
means: P and S are summed over the n pixels inside, the bounds and halves taken n times, and the
division by 2**f becomes one by n * 2**f, rounded half up.

**Gains.** `outer` and `inner` are read at quality index Q from their `KNOTS` rows k, base-2
logarithms in 1/65536: with (i, j) = divmod(7 * Q, 400), but (6, 400) for Q = 400, the logarithm is
l = round half up of (k[i] * (400 - j) + k[i+1] * j) / 400, and the gain is `power_of_two(l)`, which
that function defines.

**Block.** Two branches, each added to the stream, which is clipped after both:

    stream + mix_out(depthwise(hswish(mix_in(stream))))
    stream + contract(hswish(expand(stream)))

Each convolution reads numbers in [-1024, 1023], which are `clip(round(v, s))` with its own shift s
for each input channel: of the stream (`mix_in`, `expand`), of an activation (`depthwise`,
`contract`), or of a sum (`mix_out`, whose input is `clip((sum(weight * x) + bias) >> shift)` of
`depthwise`). It gives `(sum(weight * x) + bias) >> shift` for each output channel; the bias holds
the half that makes this rounding. Borders are padded with zeros. `mix_in` and `expand` each have a
fraction f from 7 to 12: with v, their output clipped to [-2**(20-f), 2**(20-f) - 1], in units of
2**-f, and k = 2**(f+2), the activation is `v * (clip(v, -k, k) + k)`, in units of 2**-(2f+3):
`x * clip(x + 4, 0, 8) / 8`.

**Why floats carry it exactly.** `sum(|w|) * 1024 + |b| < 2**24` for each convolution of a block, as
in `integer.py`; activations stay below 2**23, and so does the stream. Weights carry their
`2**-shift` with them, which moves no mantissa. `up`, `exit` and gains run in float64, below 2**53.


Smaller pictures: means of squares of 2x2, 4x4 or 8x8 pixels, without making those pixels.

The synthesis ends in a linear layer that turns each place of stride 8 into 8x8 pixels. The sum of
some of its outputs is the output of the sum of their weights, so that a layer with fewer outputs
gives what shrinking the whole picture gives, but for clipping: a mean of values outside [0, 1] is
clipped once, not each value. All that comes before that layer is done as for the whole picture.

A picture whose sides are no multiples gets rounded-up sides; the squares that the right and lower
border cut are the means of the pixels that are inside, as in Pillow's `Image.reduce`.
"""

from functools import lru_cache
from math import isqrt

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.decoder.integer_layers import SHIFT_MAX, STREAM_LIMIT, ExactBlock, Ints
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
from aecodec.models.weights import TensorDict, below

GAIN_SHIFT = 16

BYTE_MAX = 255

EXIT_PLACES = 512
"""Places of the last layer that are computed at a time."""

BIAS_LIMIT = 2**44
"""Of the linear layers, whose sums thus stay below 2**53, over 64 pixels and three colours too."""

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

    def __init__(self, knots: Tensor) -> None:
        """Takes `(KNOTS, C)` base-2 logarithms in 1/65536.

        Raises:
            WeightsError: a gain lies outside 2**-12 to 2**12.
        """
        self._knots: Ints = knots.long().numpy()
        if np.abs(self._knots).max() > LOG_LIMIT:
            raise WeightsError("a gain lies outside 2**-12 to 2**12")
        self.at = lru_cache(maxsize=8)(self._at)

    def _at(self, quality_index: int) -> Tensor:
        low, part = divmod((KNOTS - 1) * quality_index, QUALITY_INDEX_MAX)
        if low == KNOTS - 1:
            low, part = low - 1, QUALITY_INDEX_MAX
        sums = self._knots[low] * (QUALITY_INDEX_MAX - part) + self._knots[low + 1] * part
        logs = (2 * sums + QUALITY_INDEX_MAX) // (2 * QUALITY_INDEX_MAX)
        return torch.from_numpy(power_of_two(logs)).double()[:, None, None]


class ExactSynthesis(nn.Module):
    """Latents to pixels, in integers."""

    def __init__(self, tensors: TensorDict) -> None:
        """Builds networks and tables.

        Args:
            tensors: what `export_synthesis` made, of the types and shapes of its signature.

        Raises:
            WeightsError: something would not be exact.
        """
        super().__init__()
        self.outer = Gains(tensors["outer_gain"])
        self.inner = Gains(tensors["inner_gain"])
        self.first = ExactBlock(below(tensors, "first"))
        count = len({k.split(".")[1] for k in tensors if k.startswith("blocks.")})
        self.blocks = nn.ModuleList(ExactBlock(below(tensors, f"blocks.{n}")) for n in range(count))
        self.last = ExactBlock(below(tensors, "last"))
        up, shift = tensors["up.weight"].double(), tensors["up.shift"]
        self.exit_shift = int(tensors["exit.shift"])
        if int(shift.min()) < 1 or int(shift.max()) > SHIFT_MAX:
            raise WeightsError("a shift of the exact synthesis lies outside 1 to 24")
        if max(int(tensors[f"{name}.bias"].abs().max()) for name in ("up", "exit")) > BIAS_LIMIT:
            raise WeightsError("a bias of the exact synthesis is too large")
        if not 0 <= self.exit_shift <= EXIT_SHIFT_MAX:
            raise WeightsError("the last shift of the exact synthesis lies outside 0 to 16")
        factor = torch.exp2(-shift.double())
        self.register_buffer("up_weight", up * factor)  # (I, 4 * O)
        self.register_buffer("up_bias", tensors["up.bias"].double() * factor + 0.5)
        self.register_buffer("exit_weight", tensors["exit.weight"].double())  # (C, 192)
        self.register_buffer("exit_bias", tensors["exit.bias"].double())

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
        """P of the module's text (S if `gray`), of each pixel or summed over groups of them.

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
        scale: out of `SCALES`.
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
