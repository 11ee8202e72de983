"""The losses that training lowers: rate plus weighted distortion.

Lambda weights the distortion, as in CompressAI: loss = bpp + lambda * 255**2 * MSE, with MSE on
[0, 1]; other distortions come in the same units, see `distortion.py`. A run names its distortion
by a text, which `parse_mixture` reads:

    mse                                     the squared error
    0.55 mse + 0.45 ms_ssim                 by shares of the gradient, before calibration
    0.55 mse@1.26 + 0.45 ms_ssim@0.68       the same with the factors that calibration found
    0.55 mse@1 + 0.45 ms_ssim@1             0.55 * 255**2 * MSE + 0.45 * 1275 * (1 - MS-SSIM)
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from aecodec.autoencoder.model import ForwardOutput
from aecodec.errors import TrainingError
from aecodec.format.quality import LAMBDA_MIN, LAMBDA_RATIO
from aecodec.training.distortion import Distortion, Mse, mean_squared_error
from aecodec.training.mixture import Mixture, Part
from aecodec.training.ms_ssim import MsSsim, MsSsimChroma
from aecodec.training.structure_xyb import StructureXyb

LOSS_SCALE = 0.1
"""Brings losses to the order of one."""
DISTORTIONS: Mapping[str, Callable[[], Distortion]] = {
    "mse": Mse,
    "ms_ssim": MsSsim,
    "ms_ssim_chroma": MsSsimChroma,
    "structure_xyb": StructureXyb,
}
"""By the names that the text of a loss has."""
_PART = re.compile(
    r"(?:(?P<share>\d*\.?\d+)\s+)?(?P<name>[a-z][a-z0-9_]*)(?:@(?P<factor>\d*\.?\d+))?"
)


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


def parse_mixture(text: str) -> Mixture:
    """The distortion that a text names; see the head of this module.

    Example:
        >>> parse_mixture("0.55 mse + 0.45 ms_ssim").calibrated
        False
        >>> parse_mixture("0.55 mse@1.26 + 0.45 ms_ssim@0.68").calibrated
        True

    Raises:
        TrainingError: it is not of this form, names an unknown distortion or one twice, or its
            shares do not add up to 1.
    """
    parts = []
    for term in text.split("+"):
        match = _PART.fullmatch(term.strip())
        if match is None:
            raise TrainingError(
                f'"{term.strip()}" in the loss "{text}" is not of the form SHARE NAME or '
                "SHARE NAME@FACTOR, such as 0.45 ms_ssim"
            )
        share, name, factor = match.group("share", "name", "factor")
        if name not in DISTORTIONS:
            raise TrainingError(
                f'no distortion "{name}" for the loss "{text}"; there are {", ".join(DISTORTIONS)}'
            )
        parts.append(
            Part(
                name,
                DISTORTIONS[name](),
                share=1.0 if share is None else float(share),
                factor=None if factor is None else float(factor),
            )
        )
    return Mixture(parts)


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
