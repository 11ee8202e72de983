"""The loss of one tile's latents and where it falls, for the encoder's search alone.

The rate is that of the integer prior (`integer.py`), computed as the coder computes it, with a
gradient besides: rounding and clipping pass it on as if they were not there (straight-through,
Theis et al., "Lossy Image Compression with Compressive Autoencoders", section 2.2; nothing passes
where a value is clipped). So it tells what a latent does to the probabilities of those that are
coded after it, and what a hyper-latent does to all. The distortion is that of the synthesis in
real numbers, which differs from the decoder's by its rounding. Decoders need nothing of this.

Arrays are `(h, w, C)`: nearly all layers are products of matrices there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from aecodec.autoencoder.layers import Block
from aecodec.autoencoder.transforms import SynthesisTransform
from aecodec.coding.ans import SymbolTable
from aecodec.decoder.integer_layers import ACTIVATION_MAX, IntegerBlock, IntegerConv2d, IntegerPass
from aecodec.decoder.integer_prior import (
    HALF_LEVEL,
    NORM_OFFSET,
    NORM_SHIFT,
    RECIPROCAL_SHIFT,
    IntegerPrior,
)
from aecodec.decoder.latents import Floats, Grid, take_quarter
from aecodec.format.constants import (
    GROUP,
    MEAN_FRACTION,
    PASS_POSITION,
    PASSES,
    SCALE_FRACTION,
    SCALE_LEVELS,
)

REACH = 2048
"""Largest symbol whose cost is told apart: beyond, all take the escape."""

HYPER_REACH = 64

Rounding = Callable[[Floats, npt.NDArray[np.uint8]], Floats]
"""Residuals and the levels of their tables to symbols, see `dead_zone.DeadZone`."""


@dataclass(frozen=True, eq=False)
class Costs:
    """Bits of every symbol under every table, and how they change from table to table.

    Attributes:
        bits: `(tables, 2 * reach + 1)`, for symbols from -reach on.
        by_table: how many bits more the next table takes, likewise (central differences).
        by_symbol: how many bits more the next symbol takes, likewise.
        reach: see above.
    """

    bits: Floats
    by_table: Floats
    by_symbol: Floats
    reach: int

    @classmethod
    def of(cls, tables: Sequence[SymbolTable], reach: int) -> "Costs":
        """Tabulates."""
        symbols = np.arange(-reach, reach + 1, dtype=np.int32)
        bits = np.array([table.bits(symbols) for table in tables], np.float32)
        by_table, by_symbol = (np.gradient(bits, axis=axis).astype(np.float32) for axis in (0, 1))
        return cls(bits, by_table, by_symbol, reach)

    def places(self, symbols: Floats, numbers: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
        """Where the entries of `symbols` under the tables `numbers` lie in the flat arrays."""
        inside = symbols.clip(-self.reach, self.reach).astype(np.intp) + self.reach
        return inside + numbers.astype(np.intp) * (2 * self.reach + 1)


@dataclass(frozen=True, eq=False)
class Slope:
    """Loss at one choice of latents, in bits, and where it falls.

    Attributes:
        bits: of all symbols, without the coder's last words.
        distortion: `weight * squared error` over the window.
        decoded: `(h, w, M)`, the decoded latents.
        latents: `(h, w, M)`, by how much the loss rises for each step of a decoded latent, but for
            what its own symbol costs.
        hyper: `(h/4, w/4, Z)`, likewise for each step of a hyper-latent.
    """

    bits: float
    distortion: float
    decoded: Floats
    latents: Floats
    hyper: Floats

    @property
    def loss(self) -> float:
        """In bits."""
        return self.bits + self.distortion


class SmoothRate:
    """Rate of one tile's latents under a prior, with gradients."""

    def __init__(self, prior: IntegerPrior, grid: Grid, quality_index: int) -> None:
        """Takes the model, the tile's size, and the row of the quality grid."""
        self.prior, self.grid, self.index = prior, grid, quality_index
        self._costs, self._hyper_costs = _costs(prior)
        base = prior.base[quality_index].reshape(PASSES, 1, 1, -1)
        norms = prior.norms[base - NORM_OFFSET] / (MEAN_FRACTION << NORM_SHIFT)
        reciprocals = prior.reciprocals[base - NORM_OFFSET] * (MEAN_FRACTION / 2**RECIPROCAL_SHIFT)
        self._base, self._norms, self._reciprocals = (
            torch.from_numpy(part.astype(np.float32)) for part in (base, norms, reciprocals)
        )
        self._coded = [grid.coded(number) for number in range(PASSES)]

    def __call__(
        self, target: Floats, z_hat: Tensor, moved: Tensor, rounding: Rounding
    ) -> tuple[float, Tensor, Tensor]:
        """Quantizes and rates.

        Args:
            target: `(h, w, M)` padded to multiples of 4, what is to be quantized.
            z_hat: `(h/4, w/4, Z)`, integers.
            moved: zeros like `target`, added to the decoded latents for the sake of gradients.
            rounding: residuals to symbols.

        Returns:
            The bits; a scalar with the gradient of the bits; the decoded latents like `target`.
        """
        prior, channels = self.prior, self.prior.latent_channels
        hyper_bits, rate = self._hyper_rate(z_hat)
        features = _features(prior, z_hat, self.index)
        first = _layer(prior.head, features)
        parts: list[Tensor] = []
        known: list[Tensor] = []
        bits = hyper_bits
        for number in range(PASSES):
            offsets, normed = (
                _take(part, number) for part in (first[..., :channels], first[..., channels:])
            )
            if number:
                network = prior.passes[number - 1]
                assert isinstance(network, IntegerPass)
                found = _correction(network, _put(known), features)
                quarter = channels // PASSES
                offsets, normed = offsets + found[..., :quarter], normed + found[..., quarter:]
            fine, means = self._base + offsets, normed * self._norms
            more, slope, part = self._quantize(number, target, fine, means, rounding)
            bits, rate = bits + more, rate + slope
            parts.append(part + _take(moved, number))
            scaled = parts[-1] * self._reciprocals + 0.5
            known.append(_Rounded.apply(scaled, -ACTIVATION_MAX, ACTIVATION_MAX - 1))
        return bits, rate, _put(parts)

    def _quantize(
        self, number: int, target: Floats, fine: Tensor, means: Tensor, rounding: Rounding
    ) -> tuple[float, Tensor, Tensor]:
        """One pass: its bits, a scalar with their gradient, and its decoded latents.

        A symbol other than zero follows its mean so that the latent stays what it is, which costs
        or saves bits; a zero stays one, and its latent is the mean.
        """
        steps = (fine.detach() + HALF_LEVEL) / SCALE_FRACTION
        levels = steps.floor().clamp_(0, SCALE_LEVELS - 1).numpy().astype(np.uint8)
        rounded = (means.detach() * MEAN_FRACTION + 0.5).floor_() / MEAN_FRACTION
        symbols = rounding(take_quarter(target, number) - rounded.numpy(), levels)
        costs, coded = self._costs, self._coded[number]
        if coded is not None:
            symbols = symbols * coded
        places = costs.places(symbols, levels)
        bits, by_level, by_symbol = (
            part.take(places) for part in (costs.bits, costs.by_table, costs.by_symbol)
        )
        if coded is not None:
            bits, by_level = bits * coded, by_level * coded
        free = torch.from_numpy(by_level) * ((steps >= 0) & (steps < SCALE_LEVELS))
        follow = torch.from_numpy((symbols != 0).astype(np.float32))
        rate = (free * fine).sum() / SCALE_FRACTION
        rate = rate - (torch.from_numpy(by_symbol) * follow * means).sum()
        decoded = torch.from_numpy(symbols) + rounded + (1 - follow) * (means - means.detach())
        return float(bits.sum(dtype=np.float64)), rate, decoded

    def _hyper_rate(self, z_hat: Tensor) -> tuple[float, Tensor]:
        costs = self._hyper_costs
        places = costs.places(z_hat.detach().numpy(), np.arange(z_hat.shape[-1]))
        slope = (torch.from_numpy(costs.by_symbol.take(places)) * z_hat).sum()
        return float(costs.bits.take(places).sum(dtype=np.float64)), slope


@dataclass(frozen=True, eq=False)
class Window:
    """What the synthesis is to restore.

    Attributes:
        y: `(h, w, M)`, latents of the tile and its surroundings, which stand for decoded ones.
        inside: rows and columns of the tile in it.
        cells: `(2h, 2w, 192)`, the pixels.
        visible: likewise, 0 for pixels beyond the picture, else 1.
        q: `(1,)`, relative quality.
    """

    y: Tensor
    inside: tuple[slice, slice]
    cells: Tensor
    visible: Tensor
    q: Tensor


class Objective:
    """`bits + weight * squared error` of one tile."""

    def __init__(
        self, rate: SmoothRate, synthesis: SynthesisTransform, window: Window, weight: float
    ) -> None:
        """Takes what stays the same over the search.

        Args:
            rate: of the tile.
            synthesis: in real numbers, its blocks fused.
            window: what to restore.
            weight: bits for each unit of squared error of pixels in [0, 1].
        """
        self._rate, self._synthesis, self._window, self._weight = rate, synthesis, window, weight
        self._outer = synthesis.outer_gain(window.q)[0, :, 0, 0]
        self._inner = synthesis.inner_gain(window.q)[0, :, 0, 0]

    def __call__(self, target: Floats, z: Floats, rounding: Rounding) -> Slope:
        """Loss and gradient of what `target` and `z` are quantized to.

        Args:
            target: `(h, w, M)`, real latents.
            z: `(h/4, w/4, Z)`, integers.
            rounding: residuals to symbols.
        """
        height, width = target.shape[:2]
        missing = (-height % GROUP, -width % GROUP)
        padded: Floats = np.pad(target, ((0, missing[0]), (0, missing[1]), (0, 0)))
        z_hat = torch.from_numpy(z).clone().requires_grad_(True)
        moved = torch.zeros(padded.shape, requires_grad=True)
        bits, rate, y_hat = self._rate(padded, z_hat, moved, rounding)
        y_hat = y_hat[:height, :width]
        distortion = self._distortion(y_hat)
        by_latent, by_hyper = torch.autograd.grad(rate + distortion, (moved, z_hat))
        decoded = np.ascontiguousarray(y_hat.detach().numpy())
        latents = np.ascontiguousarray(by_latent[:height, :width].numpy())
        return Slope(bits, distortion.item(), decoded, latents, by_hyper.numpy())

    def _distortion(self, y_hat: Tensor) -> Tensor:
        synthesis, window, y = self._synthesis, self._window, y_hat
        if y_hat.shape != window.y.shape:
            y = window.y.clone()
            y[window.inside] = y_hat
        h = _block(synthesis.first, y * self._outer)
        rows, columns, channels = h.shape
        wide = synthesis.up.weight.permute(0, 2, 3, 1).reshape(channels, -1)
        assert synthesis.up.bias is not None
        h = (h.reshape(-1, channels) @ wide).reshape(rows, columns, 2, 2, -1)
        h = h.permute(0, 2, 1, 3, 4).reshape(2 * rows, 2 * columns, -1) + synthesis.up.bias
        for block in synthesis.blocks:
            assert isinstance(block, Block)
            h = _block(block, h)
        h = _block(synthesis.last, h * self._inner)
        x_hat = (_pointwise(synthesis.exit, h) + 0.5).clamp(0.0, 1.0)
        error = (x_hat - window.cells) * window.visible
        squared: Tensor = error.square().sum() * self._weight
        return squared


@lru_cache(maxsize=2)
def _costs(prior: IntegerPrior) -> tuple[Costs, Costs]:
    """Of the latents and of the hyper-latents, the same for all tiles of a model."""
    return Costs.of(prior.scale_tables, REACH), Costs.of(prior.hyper_tables, HYPER_REACH)


class _Rounded(torch.autograd.Function):
    """`clip(floor(x))`, whose gradient is that of `clip(x)`."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, x: Tensor, low: float, high: float
    ) -> Tensor:
        ctx.save_for_backward((x >= low) & (x < high + 1))
        return x.floor().clamp_(low, high)

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, grad: Tensor
    ) -> tuple[Tensor, None, None]:
        (inside,) = ctx.saved_tensors  # type: ignore[attr-defined]  # set by save_for_backward
        return grad * inside, None, None


class _Floor(torch.autograd.Function):
    """`floor(x)`, with the gradient of the identity."""

    @staticmethod
    def forward(_ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        return x.floor()

    @staticmethod
    def backward(_ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> Tensor:
        return grad


def _features(prior: IntegerPrior, z_hat: Tensor, index: int) -> Tensor:
    h = _integer_block(prior.first, _shuffle(_layer(prior.entry, z_hat)))
    h = _integer_block(prior.second, _shuffle(_layer(prior.up, h)))
    return _clip(h + prior.rate_features[index, :, 0, 0])


def _correction(part: IntegerPass, known: Tensor, features: Tensor) -> Tensor:
    """`IntegerPass`, with gradients: `(h, w, M)` and `(h, w, H)` to `(4, h/2, w/2, M/2)`."""
    entry, head = part.entry, part.head
    y = functional.linear(known, entry.known_weight[:, :, 0, 0], entry.bias)
    y = _clip(y + functional.linear(features, entry.features_weight[:, :, 0, 0]))
    x = _integer_block(part.second, _integer_block(part.first, y))
    height, width, channels = x.shape
    cells = x.reshape(height // 2, 2, width // 2, 2, channels)
    taken = torch.stack([cells[:, p >> 1, :, p & 1] for p in head.positions])
    y = torch.baddbmm(head.bias, taken.reshape(len(taken), -1, channels), head.weight)
    found: Tensor = _Floor.apply(y)
    return found.reshape(*taken.shape[:3], -1)


def _integer_block(block: IntegerBlock, x: Tensor) -> Tensor:
    return _clip(x + _layer(block.mix_out, _layer(block.depthwise, _layer(block.mix_in, x))))


def _layer(layer: IntegerConv2d, x: Tensor) -> Tensor:
    if layer.groups > 1:
        y = _depthwise(x, layer.weight, layer.bias)
    else:
        y = functional.linear(x, layer.weight[:, :, 0, 0], layer.bias)
    result: Tensor = _Floor.apply(y) if layer.clip is None else _Rounded.apply(y, *layer.clip)
    return result


def _clip(x: Tensor) -> Tensor:
    result: Tensor = _Rounded.apply(x, -ACTIVATION_MAX, ACTIVATION_MAX - 1)
    return result


def _block(block: Block, x: Tensor) -> Tensor:
    h = functional.hardswish(_pointwise(block.mix_in, x))
    assert block.depthwise.bias is not None
    h = _depthwise(h, block.depthwise.weight, block.depthwise.bias)
    x = x + _pointwise(block.mix_out, h)
    return x + _pointwise(block.contract, functional.hardswish(_pointwise(block.expand, x)))


def _pointwise(conv: torch.nn.Conv2d, x: Tensor) -> Tensor:
    return functional.linear(x, conv.weight[:, :, 0, 0], conv.bias)


def _depthwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    planes = x.permute(2, 0, 1)[None]
    y = functional.conv2d(planes, weight, bias, padding=weight.shape[-1] // 2, groups=len(weight))
    return y[0].permute(1, 2, 0)


def _shuffle(x: Tensor) -> Tensor:
    """Pixel shuffle by 2 of `(h, w, 4 * C)`."""
    height, width, _ = x.shape
    cells = x.reshape(height, width, -1, 2, 2).permute(0, 3, 1, 4, 2)
    return cells.reshape(2 * height, 2 * width, -1)


def _take(array: Tensor, number: int) -> Tensor:
    """`latents.take_quarter`, with gradients."""
    height, width, channels = array.shape
    cells = array.reshape(height // 2, 2, width // 2, 2, PASSES, channels // PASSES)
    order = enumerate(PASS_POSITION[number])
    return torch.stack([cells[:, p >> 1, :, p & 1, quarter] for quarter, p in order])


def _put(parts: Sequence[Tensor]) -> Tensor:
    """The latents of which `parts` are the first passes, zeros for the others."""
    nothing = torch.zeros_like(parts[0][0])
    places = [parts[k][quarter] if k < len(parts) else nothing for quarter, k in _PASSES_IN_ORDER]
    stacked = torch.stack(places)
    _, rows, columns, channels = stacked.shape
    cells = stacked.reshape(2, 2, PASSES, rows, columns, channels).permute(3, 0, 4, 1, 2, 5)
    return cells.reshape(2 * rows, 2 * columns, PASSES * channels)


_PASSES_IN_ORDER = [
    (quarter, [order[quarter] for order in PASS_POSITION].index(position))
    for position in range(PASSES)
    for quarter in range(PASSES)
]
