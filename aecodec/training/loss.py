"""The losses that training lowers: rate plus weighted distortion.

Lambda weights the distortion, as in CompressAI: loss = bpp + lambda * 255**2 * MSE, with MSE on
[0, 1].
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from aecodec.autoencoder.model import ForwardOutput
from aecodec.format.quality import LAMBDA_MIN, LAMBDA_RATIO

LOSS_SCALE = 0.1
"""Brings losses to the order of one."""


@dataclass(frozen=True)
class LossTerms:
    """The loss of a batch and what stands in logs beside it.

    Attributes:
        loss: `()`, what training lowers.
        mse: `(N,)`, on [0, 1].
    """

    loss: Tensor
    mse: Tensor


class RateDistortionLoss(Protocol):
    """A loss, by the distortion that it weighs against the rate."""

    def __call__(self, output: ForwardOutput, x: Tensor, q: Tensor) -> LossTerms:
        """The loss of one batch.

        Args:
            output: what the model makes of the pictures.
            x: `(N, 3, H, W)` in [0, 1], the pictures.
            q: `(N,)`, relative quality in [0, 1].
        """


class MseLoss:
    """The distortion is the mean squared error; see `RateDistortionLoss`."""

    def __call__(self, output: ForwardOutput, x: Tensor, q: Tensor) -> LossTerms:
        """See `RateDistortionLoss`."""
        mse = (output.x_hat - x).square().mean((1, 2, 3))
        return LossTerms(rate_distortion(output.bpp, mse, q).mean(), mse)


def rate_distortion(bpp: Tensor, distortion: Tensor, q: Tensor) -> Tensor:
    """`(bpp + lambda * 255**2 * distortion) / sqrt(lambda)`, scaled; all `(N,)`.

    Dividing by sqrt(lambda) makes a per cent of rate count about the same at every rate.
    """
    weight = lmbda(q)
    return (bpp + weight * 255.0**2 * distortion) / weight.sqrt() * LOSS_SCALE


def lmbda(q: Tensor) -> Tensor:
    """Lambda for relative qualities in [0, 1], any shape; `format.quality.lmbda` of numbers."""
    return LAMBDA_MIN * LAMBDA_RATIO**q
