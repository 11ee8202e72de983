"""The integer form of the prior: exact arithmetic from z symbols to scale levels and means.

This text is normative for `.aec` version 1 and as binding as the byte layout.

**Networks.** All activations are integers; those between layers lie in [-512, 511] (unit 1/32).
A convolution of input x with integer weights w, integer bias b and shift s per output channel
is `floor((sum(w * x) + b) / 2**s)`, then clipped to [0, 511] (layers with ReLU) or [-512, 511];
the last layers ("heads") are not clipped. The bias holds the half that makes this rounding.
Kernels have odd sides; borders are padded with zeros, so that sizes stay. A residual sum is clipped
to [-512, 511]. A pixel shuffle by 2 takes channel 4 * c + 2 * i + j at (row, column) to channel c
at (2 * row + i, 2 * column + j). A context block is `x + mix_out(depthwise(mix_in(x)))`, with ReLU
in mix_in and depthwise, where each channel of depthwise reads one channel.

- features(z, Q) = clip(second(shuffle(up(first(shuffle(entry(z)))))) + rate_features[Q]), with
  convolutions entry and up and context blocks first and second, all without ReLU at their ends;
- first = head(features), of 2M channels: a, then m (below);
- correction_k = head_k(second_k(first_k(entry_k(concat(known, features))))) for passes k = 2, 3, 4,
  likewise of 2M channels, with a convolution entry_k and context blocks first_k and second_k. It is
  added to `first`, not to earlier corrections. `known` is of all passes before.

**Weights.** A model is a safetensors file. Layer `L` is `prior.L.weight` (O, I, k, k), `.bias` and
`.shift` (O,), where L is `hyper_synthesis.entry`, `.first.mix_in`, `.first.depthwise` and so on,
and `passes.0.entry` for pass 2, `passes.1` and `passes.2` for the others. Tables are
`prior.tables.*`: `base` (401, M), `rate_features` (401, H), `norms` and `reciprocals` (2560,).
`scale_counts` holds the counts of the 64 levels' tables one after the other, `scale_sizes[i]` of
them for level i, whose symbols begin at -((scale_sizes[i] - 2) // 2); `hyper_counts` (Z, 82) those
of each channel of the hyper-latents, whose symbols begin at -40. The last count is the escape's.
The model id is the beginning of the SHA-256 of all tensors whose names begin with `prior.` or
`synthesis.`, in the order of their names: of each `NAME TYPE SHAPE;` as PyTorch and Python print
them ("torch.int8", "(320, 128, 1, 1)"), then its bytes, little-endian.

**Why floats carry it exactly.** Every layer satisfies
`sum(|w|) * 512 + |b| < 2**24` for each output channel, so that every partial sum, in any order,
is an integer that float32 holds exactly. `IntegerConv2d` checks this when it is built, from
export and from a file alike. Multiplying by 2**-s is exact, before the sum (as here, where weights
and biases carry the factor) and after it, and so is `floor`.

**Parameters of a latent** in channel c at quality index Q (all integers, `>>` rounds down):

- a, m = the two halves of first (+ correction_k), at c;
- fine = base[Q, c] + a; level = clip((fine + 8) >> 4, 0, 63), the number of its symbol table;
- n = base[Q, c] + 1024; mean = (m * norms[n] + 2048) >> 12, in 1/16 step;
- y_hat = clip(16 * symbol + mean, -32768, 32767), in 1/16 step;
- known = clip((y_hat * reciprocals[n] + 2**19) >> 20, -512, 511), 0 where nothing is decoded.
"""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from aecodec.container import QUALITY_INDEX_MAX
from aecodec.dead_zone import symbol_costs
from aecodec.entropy import SymbolTable
from aecodec.errors import WeightsError
from aecodec.layers import (
    ACTIVATION_BITS,
)
from aecodec.priors import (
    PASS_POSITION,
    PASSES,
    SCALE_FRACTION,
    SCALE_LEVELS,
)

ACTIVATION_MAX = 2 ** (ACTIVATION_BITS - 1)
ACCUMULATOR_LIMIT = 2**24
SHIFT_MAX = 24
QUALITIES = QUALITY_INDEX_MAX + 1
"""Points of the quality grid: quality = index / 4."""
NORM_OFFSET = -1024
NORM_SIZE = 2560
NORM_SHIFT = 12
NORM_FRACTION = 64
RECIPROCAL_SHIFT = 20
HYPER_RADIUS = 40
HALF_LEVEL = SCALE_FRACTION // 2

Ints = npt.NDArray[np.int64]
TensorDict = dict[str, Tensor]


class IntegerConv2d(nn.Module):
    """One convolution of the exact path, on float carriers.

    Attributes:
        clip: smallest and largest output, or None for heads.
    """

    def __init__(self, tensors: TensorDict, *, relu: bool, head: bool, depthwise: bool) -> None:
        """Builds the carriers and proves that they are exact.

        Args:
            tensors: `weight` `(O, I, k, k)` int8, `bias` `(O,)` int32, `shift` `(O,)` int8.
            relu: outputs are at least 0.
            head: outputs are not clipped.
            depthwise: each output channel reads one input channel.

        Raises:
            WeightsError: a tensor is missing or of the wrong kind, or the bound does not hold.
        """
        super().__init__()
        weight, bias, shift = (tensors.get(name) for name in ("weight", "bias", "shift"))
        if weight is None or bias is None or shift is None:
            raise WeightsError("an integer layer lacks weight, bias or shift")
        if (weight.dtype, bias.dtype, shift.dtype) != (torch.int8, torch.int32, torch.int8):
            raise WeightsError("integer layers hold int8 weights, int32 biases and int8 shifts")
        if weight.ndim != 4 or not bias.shape == shift.shape == weight.shape[:1]:
            raise WeightsError("an integer layer's weight, bias and shift do not fit together")
        if int(shift.min()) < 0 or int(shift.max()) > SHIFT_MAX:
            raise WeightsError("an integer layer's shift lies outside 0 to 24")
        largest = int(accumulator_bounds(weight, bias).max())
        if largest >= ACCUMULATOR_LIMIT:
            raise WeightsError(f"an integer layer may reach {largest}, not below 2**24")
        self.groups = len(weight) if depthwise else 1
        self.padding = weight.shape[-1] // 2
        self.clip = None if head else (0 if relu else -ACTIVATION_MAX, ACTIVATION_MAX - 1)
        factor = torch.exp2(-shift.float())
        scaled = weight.float() * factor[:, None, None, None]
        self.register_buffer("weight", scaled.contiguous(memory_format=_LAYOUT))
        self.register_buffer("bias", bias.float() * factor)

    weight: Tensor
    bias: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """`(1, I, h, w)` integers to `(1, O, h, w)` integers, on carriers of x's dtype."""
        y = functional.conv2d(x, self.weight, self.bias, padding=self.padding, groups=self.groups)
        y.floor_()
        return y if self.clip is None else y.clamp_(*self.clip)


class IntegerBlock(nn.Module):
    """`x + conv(depthwise(conv(x)))`, clipped."""

    def __init__(self, tensors: TensorDict) -> None:
        super().__init__()
        self.mix_in = _conv(tensors, "mix_in", relu=True)
        self.depthwise = _conv(tensors, "depthwise", relu=True, depthwise=True)
        self.mix_out = _conv(tensors, "mix_out")

    def forward(self, x: Tensor) -> Tensor:
        """`(1, C, h, w)` to the same shape."""
        y: Tensor = self.mix_out(self.depthwise(self.mix_in(x)))
        return y.add_(x).clamp_(-ACTIVATION_MAX, ACTIVATION_MAX - 1)


class IntegerEntry(nn.Module):
    """A 1x1 convolution of two inputs, as if concatenated: sums of integers may be split."""

    def __init__(self, tensors: TensorDict, split: int) -> None:
        """Takes the layer apart.

        Args:
            tensors: as `IntegerConv2d` takes them, which also checks them.
            split: channels of the first input.

        Raises:
            WeightsError: see `IntegerConv2d`.
        """
        super().__init__()
        whole = IntegerConv2d(tensors, relu=False, head=False, depthwise=False)
        for name, part in (
            ("known_weight", whole.weight[:, :split]),
            ("features_weight", whole.weight[:, split:]),
        ):
            self.register_buffer(name, part.contiguous(memory_format=_LAYOUT))
        self.register_buffer("bias", whole.bias)

    known_weight: Tensor
    features_weight: Tensor
    bias: Tensor

    def forward(self, known: Tensor, features: Tensor) -> Tensor:
        """`(1, M, h, w)` and `(1, H, h, w)` to `(1, H, h, w)`."""
        y = functional.conv2d(known, self.known_weight, self.bias)
        y = y.add_(functional.conv2d(features, self.features_weight))
        return y.floor_().clamp_(-ACTIVATION_MAX, ACTIVATION_MAX - 1)


class QuarterHead(nn.Module):
    """The head of one of passes 2 to 4, computed only where the pass codes.

    Each quarter of the channels is coded at one of the four positions of each 2x2 group, so
    three quarters of a full convolution's outputs would never be read.
    """

    def __init__(self, tensors: TensorDict, positions: tuple[int, ...]) -> None:
        """Takes the layer apart.

        Args:
            tensors: as `IntegerConv2d` takes them, which also checks them.
            positions: for each quarter of the channels its position, 2 * row + column.

        Raises:
            WeightsError: see `IntegerConv2d`.
        """
        super().__init__()
        whole = IntegerConv2d(tensors, relu=False, head=True, depthwise=False)
        self.positions = positions
        quarters = len(positions)
        weight, bias = (
            part.reshape(2, quarters, -1, columns).transpose(0, 1).flatten(1, 2)
            for part, columns in (
                (whole.weight[:, :, 0, 0], whole.weight.shape[1]),
                (whole.bias, 1),
            )
        )
        self.register_buffer("weight", weight.transpose(1, 2).contiguous())
        self.register_buffer("bias", bias.transpose(1, 2).contiguous())

    weight: Tensor
    bias: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """`(1, H, h, w)` to corrections `(4, h/2, w/2, M/2)`: scales, then means."""
        _, channels, height, width = x.shape
        cells = x[0].permute(1, 2, 0).reshape(height // 2, 2, width // 2, 2, channels)
        taken = torch.stack([cells[:, p >> 1, :, p & 1] for p in self.positions])
        y = torch.baddbmm(self.bias, taken.reshape(len(taken), -1, channels), self.weight)
        return y.floor_().reshape(*taken.shape[:3], -1)


class IntegerPass(nn.Module):
    """The network of one of passes 2 to 4."""

    def __init__(
        self, tensors: TensorDict, positions: tuple[int, ...], latent_channels: int
    ) -> None:
        super().__init__()
        self.entry = IntegerEntry(below(tensors, "entry"), latent_channels)
        self.first = IntegerBlock(below(tensors, "first"))
        self.second = IntegerBlock(below(tensors, "second"))
        self.head = QuarterHead(below(tensors, "head"), positions)

    def forward(self, known: Tensor, features: Tensor) -> Tensor:
        """`(1, M, h, w)` and `(1, H, h, w)` to corrections `(4, h/2, w/2, M/2)`."""
        y: Tensor = self.head(self.second(self.first(self.entry(known, features))))
        return y


@dataclass(frozen=True, eq=False)
class PriorTables:
    """Everything of the exact path that is not a network.

    Attributes:
        base: `(QUALITIES, M)` int16, base scale in 1/16 levels.
        rate_features: `(QUALITIES, H)` int16, in 1/32, added to the hyper-synthesis' output.
        norms: `(NORM_SIZE,)` int32, norm in 1/64, by fine base scale minus NORM_OFFSET.
        reciprocals: `(NORM_SIZE,)` int32, 2**21 / norm.
        scale_counts: all scales' counts in one array, int32.
        scale_sizes: `(SCALE_LEVELS,)` int32, the length of each part; odd centre is 0.
        hyper_counts: `(Z, n)` int32, symbols -HYPER_RADIUS to HYPER_RADIUS and the escape.
    """

    base: Tensor
    rate_features: Tensor
    norms: Tensor
    reciprocals: Tensor
    scale_counts: Tensor
    scale_sizes: Tensor
    hyper_counts: Tensor


class IntegerPrior(nn.Module):
    """The prior as the coder uses it: integers in, integers out, the same on every machine."""

    def __init__(self, tensors: TensorDict) -> None:
        """Builds networks and tables.

        Args:
            tensors: what `export_prior` made, of the types and shapes of `prior_signature`.

        Raises:
            WeightsError: something would not be exact.
        """
        super().__init__()
        tables = PriorTables(**{f.name: tensors[f"tables.{f.name}"] for f in fields(PriorTables)})
        self.latent_channels = tables.base.shape[1]
        self.base: Ints = tables.base.long().numpy()
        self.norms: Ints = tables.norms.long().numpy()
        self.reciprocals: Ints = tables.reciprocals.long().numpy()
        if not 0 <= self.base.min() - NORM_OFFSET <= self.base.max() - NORM_OFFSET < NORM_SIZE:
            raise WeightsError("a base scale lies outside the table of norms")
        sizes = tables.scale_sizes.tolist()
        if min(sizes) < 2 or sum(sizes) != len(tables.scale_counts):
            raise WeightsError("the tables of the scales do not fit together")
        parts = np.split(tables.scale_counts.long().numpy(), np.cumsum(sizes)[:-1])
        self.scale_tables = [SymbolTable(-((len(part) - 2) // 2), part) for part in parts]
        self.hyper_tables = [
            SymbolTable(-HYPER_RADIUS, row) for row in tables.hyper_counts.long().numpy()
        ]
        self.register_buffer("rate_features", tables.rate_features.float()[:, :, None, None])
        hyper = below(tensors, "hyper_synthesis")
        self.entry = _conv(hyper, "entry")
        self.first = IntegerBlock(below(hyper, "first"))
        self.up = _conv(hyper, "up")
        self.second = IntegerBlock(below(hyper, "second"))
        self.head = _conv(hyper, "head", head=True)
        self.passes = nn.ModuleList(
            IntegerPass(below(tensors, f"passes.{k}"), PASS_POSITION[k + 1], self.latent_channels)
            for k in range(PASSES - 1)
        )

    rate_features: Tensor

    @cached_property
    def symbol_costs(self) -> npt.NDArray[np.float32]:
        """Bits of small symbols under each scale level's table, see `dead_zone.symbol_costs`."""
        return symbol_costs(self.scale_tables)

    def features(self, z_hat: Tensor, quality_index: int) -> Tensor:
        """`(1, Z, h/4, w/4)` symbols in [-512, 511] to `(1, H, h, w)`."""
        h = self.first(functional.pixel_shuffle(self.entry(z_hat), 2))
        h = self.second(functional.pixel_shuffle(self.up(h), 2))
        rate = self.rate_features[quality_index].to(h)
        features: Tensor = (h + rate).clamp_(-ACTIVATION_MAX, ACTIVATION_MAX - 1)
        return features

    def levels(self, offsets: Ints, base: Ints) -> npt.NDArray[np.uint8]:
        """Scale levels from the networks' offsets `(..., c)` and base scales `(c,)`."""
        levels = base + (offsets + HALF_LEVEL)
        levels >>= 4
        return levels.clip(0, SCALE_LEVELS - 1, out=levels).astype(np.uint8)

    def means(self, normed: Ints, base: Ints) -> Ints:
        """Means in 1/16 step from the networks' normed means `(..., c)`."""
        norms = self.norms[base - NORM_OFFSET]
        means: Ints = normed * norms
        means += 1 << (NORM_SHIFT - 1)
        means >>= NORM_SHIFT
        return means

    def known(self, y_hat: Ints, base: Ints) -> Ints:
        """What the networks read of `y_hat` `(..., c)`, given in 1/16 step."""
        known: Ints = y_hat * self.reciprocals[base - NORM_OFFSET]
        known += 1 << (RECIPROCAL_SHIFT - 1)
        known >>= RECIPROCAL_SHIFT
        return known.clip(-ACTIVATION_MAX, ACTIVATION_MAX - 1, out=known)


def accumulator_bounds(weight: Tensor, bias: Tensor) -> Tensor:
    """`(O,)`, the largest magnitude that any partial sum can reach."""
    bounds: Tensor = weight.long().abs().sum((1, 2, 3)) * ACTIVATION_MAX + bias.long().abs()
    return bounds


def below(tensors: TensorDict, prefix: str) -> TensorDict:
    """The tensors of one part, by their names within it."""
    start = prefix + "."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def _conv(
    tensors: TensorDict, name: str, *, relu: bool = False, head: bool = False,
    depthwise: bool = False,
) -> IntegerConv2d:  # fmt: skip
    return IntegerConv2d(below(tensors, name), relu=relu, head=head, depthwise=depthwise)


_LAYOUT = torch.channels_last
