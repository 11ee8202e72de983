"""Rounding for inference, and its stand-ins for training."""

import torch
from torch import Tensor

Part = tuple[int, int]
"""Which pictures of a larger batch these are: from the first of them on, each so many-th."""
WHOLE: Part = (0, 1)


def quantize(x: Tensor) -> Tensor:
    """Rounds half up, `floor(x + 0.5)`: the rounding of the whole project, any shape."""
    return torch.floor(x + 0.5)


def quantize_ste(x: Tensor) -> Tensor:
    """Rounds half up with the gradient of the identity (straight-through estimator).

    Source: Theis et al., "Lossy Image Compression with Compressive Autoencoders", section 2.2.
    """
    return x + (quantize(x) - x).detach()


def quantize_noise(x: Tensor, part: Part = WHOLE) -> Tensor:
    """Adds uniform noise in [-0.5, 0.5), which makes the rate differentiable.

    The noise of a part of a batch is that part of the noise of the whole batch.

    Source: Ballé, Laparra, Simoncelli, "End-to-end Optimized Image Compression", section 3.
    """
    first, parts = part
    if parts == 1:
        return x + torch.rand_like(x) - 0.5
    # Generators fill tensors in the order of memory, so the whole has the same.
    whole = torch.empty_strided((parts * len(x), *x.shape[1:]), x.stride(), device=x.device)
    return x + torch.rand_like(whole, dtype=x.dtype)[first::parts] - 0.5


def quantize_dead_zone(residual: Tensor, levels: Tensor, edges: Tensor) -> Tensor:
    """Rounds as encoders do, towards zero where bits weigh more than the error, straight-through.

    Args:
        residual: latents less their means, any shape.
        levels: scale levels (fractional), same shape.
        edges: `(SCALE_LEVELS, n)`; by the level and the whole part of a magnitude, the last one for
            all beyond, from which rest on the magnitude is rounded up; `coding/dead_zone.py`.
    """
    magnitude = residual.detach().abs()
    whole = magnitude.floor()
    rows = quantize(levels.detach()).clamp(0, len(edges) - 1).long()
    columns = whole.clamp(max=edges.shape[1] - 1).long()
    up = magnitude - whole > edges.flatten()[rows * edges.shape[1] + columns]
    symbols = torch.copysign(whole + up, residual)
    return residual + (symbols - residual).detach()


class _LowerBound(torch.autograd.Function):
    """max(x, bound) whose gradient still lets x rise from below the bound."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound  # type: ignore[attr-defined]  # torch's way to carry a constant
        return x.clamp_min(bound)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]  # set by save_for_backward
        passes = (x >= ctx.bound) | (grad < 0)  # type: ignore[attr-defined]  # set in forward
        return grad * passes, None


def lower_bound(x: Tensor, bound: float) -> Tensor:
    """`max(x, bound)`, with gradients that can lift x back over the bound.

    Source: Ballé et al., "Variational Image Compression with a Scale Hyperprior", appendix 6.2
    (the same as TensorFlow Compression's `lower_bound` with "identity_if_towards").
    """
    result: Tensor = _LowerBound.apply(x, bound)
    return result
