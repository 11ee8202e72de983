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
from torch import Tensor, nn
from torch.nn import functional

from aecodec.coding.ans import SymbolTable
from aecodec.decoder.integer_layers import ACTIVATION_MAX, IntegerBlock, IntegerPass, Ints, _conv
from aecodec.encoder.rdoq import symbol_costs
from aecodec.encoder.symbol_costs import Costs
from aecodec.errors import WeightsError
from aecodec.format.constants import PASS_POSITION, PASSES, SCALE_FRACTION, SCALE_LEVELS
from aecodec.models.weights import TensorDict, below

NORM_OFFSET = -1024

NORM_SIZE = 2560

NORM_SHIFT = 12

NORM_FRACTION = 64

RECIPROCAL_SHIFT = 20

HYPER_RADIUS = 40

HALF_LEVEL = SCALE_FRACTION // 2

COSTS_REACH = 2048
"""Largest symbol whose cost is told apart: beyond, all take the escape."""

HYPER_COSTS_REACH = 64


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
    def costs(self) -> Costs:
        """Bits of latents under each scale level's table."""
        return Costs.of(self.scale_tables, COSTS_REACH)

    @cached_property
    def hyper_costs(self) -> Costs:
        """Bits of hyper-latents under each channel's table."""
        return Costs.of(self.hyper_tables, HYPER_COSTS_REACH)

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
