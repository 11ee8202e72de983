"""The losses that training lowers: rate plus weighted distortion.

Lambda weights the distortion, as in CompressAI: loss = bpp + lambda * 255**2 * MSE, with MSE on
[0, 1]; other distortions come in the same units. A run names its distortion by a text, see
`autoencoder/mixture_text.py`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from aecodec.autoencoder.distortion import Distortion, mean_squared_error
from aecodec.autoencoder.mixture import Mixture
from aecodec.autoencoder.model import ForwardOutput
from aecodec.format.quality import LAMBDA_MIN, LAMBDA_RATIO

LOSS_SCALE = 0.1
"""Brings losses to the order of one."""


@dataclass(frozen=True)
class LossTerms:
    """The loss of a batch and what stands in logs beside it.

    Attributes:
        loss: `()`, what training lowers.
        mse: `(N,)`, on [0, 1], without gradient.
        distortion: `(N,)`, in lambda units, what the loss weighs against the rate; of the squared
            error it is `255**2 * mse`.
    """

    loss: Tensor
    mse: Tensor
    distortion: Tensor


class RateDistortionLoss:
    """Rate plus lambda times a distortion.

    Attributes:
        distortion: the distortion.
    """

    def __init__(self, distortion: Distortion) -> None:
        """Takes a distortion; a mixture must be calibrated, see `calibrate`."""
        self.distortion = distortion

    def __call__(self, output: ForwardOutput, x: Tensor, q: Tensor) -> LossTerms:
        """The loss of one batch.

        Args:
            output: what the model makes of the pictures.
            x: `(N, 3, H, W)` in [0, 1], the pictures.
            q: `(N,)`, relative quality in [0, 1].

        Raises:
            TrainingError: the pictures are too small for the distortion.
        """
        distortion = self.distortion(output.x_hat, x)
        with torch.no_grad():
            mse = mean_squared_error(output.x_hat, x)
        return LossTerms(lagrangian(output.bpp, distortion, q).mean(), mse, distortion)


def calibrate(mixture: Mixture, x_hat: Tensor, x: Tensor, q: Tensor) -> Mixture:
    """A mixture with factors for what a model makes of pictures now.

    Pictures count as in the loss, where the distortion has the weight sqrt(lambda): this keeps
    low qualities, whose errors are large, from deciding alone.

    Args:
        mixture: whose shares.
        x_hat: `(N, 3, H, W)`, what the model makes of the pictures.
        x: `(N, 3, H, W)` in [0, 1], the pictures.
        q: `(N,)`, relative qualities in [0, 1], best spread over the whole range.

    Raises:
        TrainingError: see `Mixture.calibrate`.
    """
    return mixture.calibrate(x_hat, x, lmbda(q).sqrt())


def lagrangian(bpp: Tensor, distortion: Tensor, q: Tensor) -> Tensor:
    """`(bpp + lambda * distortion) / sqrt(lambda)`, scaled; all `(N,)`, in lambda units.

    Dividing by sqrt(lambda) makes a per cent of rate count about the same at every rate.
    """
    weight = lmbda(q)
    return (bpp + weight * distortion) / weight.sqrt() * LOSS_SCALE


def lmbda(q: Tensor) -> Tensor:
    """Lambda for relative qualities in [0, 1], any shape; `format.quality.lmbda` of numbers."""
    return LAMBDA_MIN * LAMBDA_RATIO**q
