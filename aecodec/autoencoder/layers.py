"""Building blocks with parameters.

Two families. `Block` and `RateGain` make up the transforms between pixels and latents.
`FixedPointConv2d` and `ContextBlock` make up the networks that the entropy decoder depends on;
their training form lives here, their exact integer form in `decoder/numpy_prior.py`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from aecodec.autoencoder.quantization import quantize_ste
from aecodec.format.constants import ACTIVATION_BITS, KNOTS

ACTIVATION_STEP = 2.0**-5
"""Step of every activation in the fixed-point networks."""

WEIGHT_MAX = 127
"""Largest integer weight of a fixed-point convolution (8 bits, symmetric)."""

WEIGHT_EXPONENTS = (-16, 0)
"""Range of the power-of-two exponent of a weight step."""

_CLIP_HIGH = 2.0 ** (ACTIVATION_BITS - 1) * ACTIVATION_STEP

_CLIP_MAX = _CLIP_HIGH - ACTIVATION_STEP


def hswish(x: Tensor) -> Tensor:
    """`x * clamp(x + 4, 0, 8) / 8`: a swish of products and shifts, exact in fixed point."""
    return x * (x + 4.0).clamp(0.0, 8.0) * 0.125


def interpolate_knots(knots: Tensor, q: Tensor) -> Tensor:
    """Reads a table of `KNOTS` rows at fractional positions, linearly.

    Args:
        knots: `(KNOTS, C)`.
        q: `(N,)`, relative quality in [0, 1], or `(N, h, w)`, that of each place.

    Returns:
        `(N, C, 1, 1)` or `(N, C, h, w)`.
    """
    position = q * (KNOTS - 1)
    low = position.floor().clamp(0, KNOTS - 2).long()
    fraction = (position - low).unsqueeze(-1)
    found = knots[low] * (1 - fraction) + knots[low + 1] * fraction
    return found.permute(0, 3, 1, 2) if q.dim() == 3 else found[:, :, None, None]


class RateGain(nn.Module):
    """A positive factor per channel and rate, log-linear between its knots.

    Source: Cui et al., "Asymmetric Gained Deep Image Compression With Continuous Rate
    Adaptation", section 3.2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_gain = nn.Parameter(torch.zeros(KNOTS, channels))

    def forward(self, q: Tensor) -> Tensor:
        """`q` is `(N,)` or `(N, h, w)` in [0, 1]; returns `(N, C, 1, 1)` or `(N, C, h, w)`."""
        return interpolate_knots(self.log_gain, q).exp()


class Block(nn.Module):
    """Residual block of the transforms: a depthwise branch, then a pointwise one.

    Both branches end in zeros, so that a new block is the identity. The convolutions may run
    in bfloat16 under autocast; the residual stream stays float32, since latents reach several
    hundred steps. After DCVC-RT (Jia et al. 2025, section 3), simplified: no gate.

    The stream is in the units of pixels, where most channels deviate by a few hundredths: to a
    branch that reads it plainly, an activation is a straight line. So both read it times `scale`,
    a constant power of two for each channel, which `training/initialization.py` finds and which a
    weights file holds within the weights.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix_in = nn.Conv2d(channels, channels, 1)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.mix_out = nn.Conv2d(channels, channels, 1)
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.contract = nn.Conv2d(2 * channels, channels, 1)
        self.register_buffer("scale", torch.ones(channels, 1, 1))
        self._fused = False
        for last in (self.mix_out, self.contract):
            _zero(last)

    scale: Tensor

    @torch.no_grad()
    def fuse_activation(self) -> None:
        """Prepares for fast inference: `hswish(x) = 4/3 * hardswish(3/4 * x)`.

        The factors go into the neighbouring weights, so that torch's single-pass, in-place
        hardswish takes the place of four passes. Training and export need the block unfused.
        """
        for before, after in ((self.mix_in, self.depthwise), (self.expand, self.contract)):
            before.weight.mul_(0.75)
            if before.bias is not None:
                before.bias.mul_(0.75)
            after.weight.div_(0.75)
        self._fused = True

    def forward(self, x: Tensor) -> Tensor:
        """`(N, C, h, w)` to the same shape."""
        if self._fused:
            h = self.depthwise(functional.hardswish(self.mix_in(x), inplace=True))
            x = self.mix_out(h).add_(x)
            h = functional.hardswish(self.expand(x), inplace=True)
            fused: Tensor = self.contract(h).add_(x)
            return fused
        h = self.mix_in(x * self.scale)
        x = x + self.mix_out(self.depthwise(hswish(h))).to(x.dtype)
        y: Tensor = x + self.contract(hswish(self.expand(x * self.scale))).to(x.dtype)
        return y


class FixedPointConv2d(nn.Conv2d):
    """A convolution that has an exact integer form.

    Its input must be a multiple of `input_step`; its output is rounded to `output_step` and
    clipped, to [0, 16) after a ReLU and to [-16, 16) without one (`ACTIVATION_BITS`), or to
    +-`output_limit`. With `quantized` set, weights, bias and output are rounded as the integer
    form does it, with straight-through gradients; without, they stay real (but clipped).
    `fix_weights` rounds the weights once and for all.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        *,
        groups: int = 1,
        relu: bool = False,
        input_step: float = ACTIVATION_STEP,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2, groups=groups
        )
        self.relu = relu
        self.input_step = input_step
        self.output_step = ACTIVATION_STEP
        self.quantized = False
        self._fixed = False

    def output_range(self) -> tuple[float, float]:
        """Smallest and largest output, reals."""
        return (0.0 if self.relu else -_CLIP_HIGH), _CLIP_MAX

    def output_steps(self, device: torch.device | None = None) -> Tensor:
        """`(O,)`, the step of each output channel, a power of two; made on the device itself."""
        return torch.full((self.out_channels,), self.output_step, device=device)

    def weight_exponents(self) -> Tensor:
        """`(O,)`, base-2 exponents of the weight step of each output channel."""
        largest = self.weight.detach().float().abs().amax((1, 2, 3)).clamp_min(2.0**-30)
        exponents = torch.ceil(torch.log2(largest / WEIGHT_MAX))
        return exponents.clamp(*WEIGHT_EXPONENTS)

    def forward(self, x: Tensor) -> Tensor:
        """`(N, I, h, w)` to `(N, O, h, w)`."""
        if not self.quantized:
            return super().forward(x).clamp(*self.output_range())
        weight, bias = (self.weight, self.bias) if self._fixed else self._rounded()
        y = self._conv_forward(x, weight, bias)
        steps = self.output_steps(y.device).to(y.dtype)[:, None, None]
        return (quantize_ste(y / steps) * steps).clamp(*self.output_range())

    @torch.no_grad()
    def fix_weights(self) -> None:
        """Prepares for a quantized network whose weights stay: each call rounds outputs alone."""
        weight, bias = self._rounded()
        self.weight.copy_(weight)
        if self.bias is not None and bias is not None:
            self.bias.copy_(bias)
        self.quantized = self._fixed = True

    def _rounded(self) -> tuple[Tensor, Tensor | None]:
        """Weights and bias as the integer form has them."""
        step = torch.exp2(self.weight_exponents())  # (O,)
        scale = step[:, None, None, None]
        bounded = (self.weight / scale).clamp(-WEIGHT_MAX, WEIGHT_MAX)
        weight = quantize_ste(bounded) * scale
        if self.bias is None:
            return weight, None
        return weight, quantize_ste(self.bias / (step * self.input_step)) * step * self.input_step


class ContextBlock(nn.Module):
    """Residual block of the fixed-point networks: `x + conv(relu(depthwise(relu(conv(x)))))`."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.mix_in = FixedPointConv2d(channels, channels, relu=True)
        self.depthwise = FixedPointConv2d(
            channels, channels, kernel_size, groups=channels, relu=True
        )
        self.mix_out = FixedPointConv2d(channels, channels)
        _zero(self.mix_out)

    def forward(self, x: Tensor) -> Tensor:
        """`(N, C, h, w)` to the same shape, clipped to the range of activations."""
        branch = self.mix_out(self.depthwise(self.mix_in(x)))
        return clip_activation(x + branch.to(x.dtype))


def clip_activation(x: Tensor) -> Tensor:
    """Clips to the range of fixed-point activations, [-16, 16 - 1/32]."""
    return x.clamp(-_CLIP_HIGH, _CLIP_MAX)


def round_activation(x: Tensor) -> Tensor:
    """Rounds to the step of fixed-point activations (straight-through) and clips."""
    return clip_activation(quantize_ste(x / ACTIVATION_STEP) * ACTIVATION_STEP)


def _zero(conv: nn.Conv2d) -> None:
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
