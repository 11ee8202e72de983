"""The two priors: p(z), and p(y | z) with its four-pass context.

This is their training form, in reals. Export makes of it the integer form that coding uses
(`decoder/numpy_prior.py`); units and clipping here are chosen so that it can be exact.

Scales are powers: `scale = SCALE_MIN * exp(SCALE_LOG_STEP * index)`, where `index` runs from 0
to `SCALE_LEVELS - 1`. Networks and tables speak of `index / 8`, which is close to the natural
logarithm and differs from the index by a shift.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from aecodec.autoencoder.layers import (
    ContextBlock,
    FixedPointConv2d,
    clip_activation,
    interpolate_knots,
    round_activation,
)
from aecodec.autoencoder.quantization import (
    WHOLE,
    Part,
    lower_bound,
    quantize,
    quantize_dead_zone,
    quantize_noise,
    quantize_ste,
)
from aecodec.format.constants import (
    KNOTS,
    MEAN_FRACTION,
    PASS_POSITION,
    PASSES,
    SCALE_FRACTION,
    SCALE_LEVELS,
)

SCALE_MIN = 0.11
"""Smallest standard deviation of a latent, in quantization steps."""

SCALE_MAX = 256.0

SCALE_LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALE_LEVELS - 1)

LEVELS_PER_UNIT = 8.0
"""Scale levels in one unit of a network's scale output."""

NORMED_MEAN_FRACTION = 1024
"""Fixed-point steps per unit of a network's mean output, before the norm multiplies it."""

LIKELIHOOD_MIN = 1e-9


class FactorizedPrior(nn.Module):
    """p(z): for each channel a mixture of logistic distributions, the same at every place."""

    COMPONENTS = 4

    def __init__(self, channels: int) -> None:
        super().__init__()
        k = self.COMPONENTS
        self.logits = nn.Parameter(torch.zeros(channels, k))
        self.locations = nn.Parameter(torch.linspace(-2.0, 2.0, k).repeat(channels, 1))
        self.log_scales = nn.Parameter(torch.zeros(channels, k))

    def cdf(self, x: Tensor) -> Tensor:
        """Cumulative distribution at `(N, Z, h, w)`, channel by channel."""
        weights = self.logits.softmax(1)[:, None, None]  # (Z, 1, 1, k)
        scaled = (x.unsqueeze(-1) - self.locations[:, None, None]) * torch.exp(
            -self.log_scales[:, None, None]
        )
        return (weights * torch.sigmoid(scaled)).sum(-1)

    def bits(self, z: Tensor) -> Tensor:
        """Bits for each value of `(N, Z, h, w)`, under bins of width one around it."""
        likelihood = self.cdf(z + 0.5) - self.cdf(z - 0.5)
        return -torch.log2(lower_bound(likelihood, LIKELIHOOD_MIN))


def gaussian_bits(residual: Tensor, scales: Tensor) -> Tensor:
    """Bits of `residual` (any shape) under zero-mean Gaussians integrated over unit bins."""
    distance = residual.abs()
    factor = -math.sqrt(0.5)
    upper = torch.erfc(factor * (0.5 - distance) / scales)
    lower = torch.erfc(factor * (-0.5 - distance) / scales)
    return -torch.log2(lower_bound(0.5 * (upper - lower), LIKELIHOOD_MIN))


class ParameterHead(FixedPointConv2d):
    """Last convolution: `(N, 2M, h, w)`, scale units for the first M channels, then means."""

    def __init__(self, channels: int, latent_channels: int) -> None:
        super().__init__(channels, 2 * latent_channels)
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def output_range(self) -> tuple[float, float]:
        """Both kinds of output lie in [-32, 32)."""
        return -32.0, 32.0 - 1.0 / NORMED_MEAN_FRACTION

    def output_steps(self, device: torch.device | None = None) -> Tensor:
        """1/128 unit for scales (1/16 level), 1/1024 for means."""
        scale_step = 1.0 / (LEVELS_PER_UNIT * SCALE_FRACTION)
        half = torch.ones(self.out_channels // 2, device=device)
        return torch.cat([scale_step * half, half / NORMED_MEAN_FRACTION])


class HyperSynthesis(nn.Module):
    """Hyper-latents to the features that all passes read, and to pass 1's parameters."""

    def __init__(self, latent_channels: int, channels: int, hyper_channels: int) -> None:
        super().__init__()
        self.entry = FixedPointConv2d(hyper_channels, 4 * channels, input_step=1.0)
        self.first = ContextBlock(channels, 3)
        self.up = FixedPointConv2d(channels, 4 * channels)
        self.second = ContextBlock(channels, 3)
        self.head = ParameterHead(channels, latent_channels)

    def features(self, z_hat: Tensor) -> Tensor:
        """`(N, Z, h/4, w/4)` integers to `(N, H, h, w)`."""
        h = self.first(functional.pixel_shuffle(self.entry(z_hat), 2))
        features: Tensor = self.second(functional.pixel_shuffle(self.up(h), 2))
        return features


class ContextPass(nn.Module):
    """One of passes 2 to 4: corrects pass 1's parameters from the latents known so far."""

    def __init__(self, latent_channels: int, channels: int) -> None:
        super().__init__()
        self.entry = FixedPointConv2d(latent_channels + channels, channels)
        self.first = ContextBlock(channels, 5)
        self.second = ContextBlock(channels, 5)
        self.head = ParameterHead(channels, latent_channels)

    def forward(self, known: Tensor, features: Tensor) -> Tensor:
        """`(N, M, h, w)` and `(N, H, h, w)` to `(N, 2M, h, w)`."""
        h = self.entry(torch.cat((known, features), 1))
        h = self.second(self.first(h.float()))
        correction: Tensor = self.head(h)
        return correction


@dataclass(frozen=True)
class LatentEstimate:
    """What the priors say of one batch: reconstruction of y, and the rate.

    Attributes:
        y_hat: `(N, M, h, w)`, quantization steps.
        y_bits: `(N, M, h, w)`.
        z_bits: `(N, Z, h/4, w/4)`.
    """

    y_hat: Tensor
    y_bits: Tensor
    z_bits: Tensor


@dataclass(frozen=True, eq=False)
class RatePoint:
    """What the passes read of tables at the rate of each picture.

    Attributes:
        base_index: `(N, M, 1, 1)`, base scale in levels (fractional).
        norm: likewise, by which the networks' means are multiplied.
        reciprocal: likewise, 1 / norm, by which latents are multiplied that networks read.
        features: `(N, H, 1, 1)`, added to the output of the hyper-synthesis.
    """

    base_index: Tensor
    norm: Tensor
    reciprocal: Tensor
    features: Tensor


@dataclass(frozen=True, eq=False)
class CodedLatents:
    """What four passes made of latents, each `(N, M, h, w)`.

    Attributes:
        y_hat: decoded latents, quantization steps.
        residual: latents less their means.
        index: scale levels (fractional).
    """

    y_hat: Tensor
    residual: Tensor
    index: Tensor


Quantizer = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Residuals, scale levels (fractional) and the mask of one pass to its symbols; what it gives
outside the mask does not count."""


class ContextPrior(nn.Module):
    """p(y | z) in four passes, each a quarter of the symbols of every channel quarter.

    A base scale for each channel and rate, read from `base`, is the prior before any network
    speaks; it also gives the norm `sqrt(base_scale**2 + 1/4)` by which latents are divided
    before networks read them and by which the networks' means are multiplied.

    Attributes:
        dead_zone: if set, latents are rounded with these edges, see `quantize_dead_zone`; their
            rate is then that of the rounded ones.
    """

    dead_zone: Tensor | None

    def __init__(self, latent_channels: int, channels: int, hyper_channels: int) -> None:
        super().__init__()
        self.dead_zone = None
        order = torch.tensor(PASS_POSITION)  # (passes, channel quarters)
        position = order.repeat_interleave(latent_channels // PASSES, 1)[:, :, None, None]
        self.register_buffer("_pass_position", position, persistent=False)
        self.base = nn.Parameter(torch.zeros(KNOTS, latent_channels))
        self.rate_features = nn.Parameter(torch.zeros(KNOTS, channels))
        self.hyper_synthesis = HyperSynthesis(latent_channels, channels, hyper_channels)
        self.passes = nn.ModuleList(
            ContextPass(latent_channels, channels) for _ in range(PASSES - 1)
        )

    _pass_position: Tensor

    def base_index(self, q: Tensor) -> Tensor:
        """`(N,)` in [0, 1] to `(N, M, 1, 1)`, scale levels (fractional)."""
        return interpolate_knots(self.base, q) * LEVELS_PER_UNIT

    @staticmethod
    def norm(base_index: Tensor) -> Tensor:
        """`sqrt(scale**2 + 1/4)` for fractional scale levels of any shape."""
        log_scale = math.log(SCALE_MIN) + SCALE_LOG_STEP * base_index
        return torch.sqrt(torch.exp(2.0 * log_scale) + 0.25)

    def forward(
        self, y: Tensor, z_hat: Tensor, q: Tensor, *,
        noisy: bool, mixed: bool, quantized: bool, part: Part = WHOLE,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Rate and reconstruction of y given z_hat.

        Args:
            y: `(N, M, h, w)`, h and w divisible by 4.
            z_hat: `(N, Z, h/4, w/4)` integers.
            q: `(N,)` in [0, 1].
            noisy: rate from additive noise (training), else from rounding.
            mixed: allow bfloat16 in the networks.
            quantized: round what the networks read and say as the integer form does.
            part: see `quantize_noise`.

        Returns:
            `y_hat` and bits, both `(N, M, h, w)`.
        """
        edges = self.dead_zone

        def rounded(residual: Tensor, index: Tensor, _mask: Tensor | None = None) -> Tensor:
            if edges is None:
                return quantize_ste(residual)
            return quantize_dead_zone(residual, index, edges)

        coded = self.code(y, z_hat, self.rate_point(q), rounded, mixed=mixed, quantized=quantized)
        if edges is not None:
            values = rounded(coded.residual, coded.index)
        else:
            values = quantize_noise(coded.residual, part) if noisy else quantize(coded.residual)
        return coded.y_hat, gaussian_bits(values, self.scales(coded.index))

    def rate_point(self, q: Tensor) -> RatePoint:
        """The tables between their knots; `q` is `(N,)` in [0, 1]."""
        base_index = self.base_index(q)
        norm = self.norm(base_index.detach())
        return RatePoint(base_index, norm, 1.0 / norm, interpolate_knots(self.rate_features, q))

    def code(
        self, y: Tensor, z_hat: Tensor, point: RatePoint, quantizer: Quantizer,
        *, mixed: bool, quantized: bool,
    ) -> CodedLatents:  # fmt: skip
        """Runs the four passes, of training as well as of the encoder's search.

        Args:
            y: `(N, M, h, w)`, h and w divisible by 4.
            z_hat: `(N, Z, h/4, w/4)` integers.
            point: the rate.
            quantizer: called for each pass; its gradients are those of the result.
            mixed: see `forward`.
            quantized: see `forward`.
        """
        rounding = round_activation if quantized else clip_activation
        with torch.autocast(y.device.type, torch.bfloat16, enabled=mixed):
            features = self.hyper_synthesis.features(z_hat)
            features = rounding(features.float() + point.features)
            prediction = first = self.hyper_synthesis.head(features).float()
        y_hat = torch.zeros_like(y)
        residual = torch.zeros_like(y)
        index = torch.zeros_like(y)
        for number, mask in enumerate(self.pass_masks(y)):
            if number:
                known = rounding(y_hat * point.reciprocal)
                with torch.autocast(y.device.type, torch.bfloat16, enabled=mixed):
                    correction = self.passes[number - 1](known, features)
                prediction = first + correction.float()
            offset, normed_means = prediction.chunk(2, 1)
            means = normed_means * point.norm
            if quantized:
                means = quantize_ste(means * MEAN_FRACTION) / MEAN_FRACTION
            part = y - means
            levels = point.base_index + LEVELS_PER_UNIT * offset
            y_hat = y_hat + (quantizer(part, levels, mask) + means) * mask
            residual = residual + part * mask
            index = index + levels * mask
        return CodedLatents(y_hat, residual, index)

    def pass_masks(self, y: Tensor) -> list[Tensor]:
        """For each pass a `(1, M, h, w)` mask of the latents that it codes; they sum to ones."""
        rows, columns = (torch.arange(side, device=y.device) % 2 for side in y.shape[2:])
        position = 2 * rows[:, None] + columns
        layout = torch.channels_last
        return [
            (position == wanted).to(y.dtype)[None].contiguous(memory_format=layout)
            for wanted in self._pass_position
        ]

    @staticmethod
    def scales(index: Tensor) -> Tensor:
        """Standard deviations for fractional scale levels, within [SCALE_MIN, SCALE_MAX]."""
        bounded = lower_bound(index, 0.0).clamp(max=SCALE_LEVELS - 1)
        return SCALE_MIN * torch.exp(SCALE_LOG_STEP * bounded)
