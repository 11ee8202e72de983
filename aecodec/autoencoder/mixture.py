"""Mixtures of distortions by their shares of the gradient.

The size of a distortion says little of how hard it pulls: at equal rate the gradients of the
squared error and of MS-SSIM differ by several times, and by picture. So a share is one of the
gradient, measured once on a calibration batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from aecodec.autoencoder.distortion import Distortion
from aecodec.errors import TrainingError

SHARE_DIGITS, FACTOR_DIGITS = 12, 6
"""Decimals in texts; factors that calibration finds are rounded so that their text is exact."""
SHARE_TOLERANCE = 1e-6
AT_ONCE = 8
"""Pictures whose gradients are computed together, so that calibration takes no more memory."""


@dataclass(frozen=True)
class Part:
    """One distortion in a mixture.

    Attributes:
        name: what the text of a mixture calls it.
        distortion: the distortion.
        share: of the gradient, in (0, 1].
        factor: what makes the share of the value the share of the gradient; None before
            calibration.
    """

    name: str
    distortion: Distortion
    share: float
    factor: float | None = None

    @property
    def text(self) -> str:
        """The part as `mixture_text.parse_mixture` reads it."""
        shown = f"{_plain(self.share, SHARE_DIGITS)} {self.name}"
        return shown if self.factor is None else f"{shown}@{_plain(self.factor, FACTOR_DIGITS)}"


class Mixture:
    """The sum of share times factor times distortion; itself a `Distortion`.

    On the calibration batch each part has its share of the sum of the lengths of the gradients by
    `x_hat`. The weights, share times factor, add up to 1, so that a bit buys about as many lambda
    units as with any part alone, and one lambda goes on giving about one rate.

    Factors are then fixed. Were they estimated anew while training, the loss would be another
    function at each step, its values could not be compared along a run, and resuming would need
    one more state. A run stores them in its settings, as `text` has them. Between halves of 16
    pictures they differ by about a quarter, so that 64 pictures or more should be taken.

    Attributes:
        parts: at least one; the factor of a single part is 1 unless it is given.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        """Takes parts.

        Raises:
            TrainingError: shares do not add up to 1, or are not positive; a part comes twice.
        """
        names = [part.name for part in parts]
        if len(set(names)) < len(names):
            raise TrainingError(f"a distortion comes twice in a mixture of {', '.join(names)}")
        for part in parts:
            for number in (part.share, 1.0 if part.factor is None else part.factor):
                if not 0 < number < math.inf:
                    raise TrainingError(
                        f"shares and factors must be positive, not {number} of {part.name}"
                    )
        total = sum(part.share for part in parts)
        if abs(total - 1) > SHARE_TOLERANCE:
            raise TrainingError(f"the shares of a mixture must add up to 1, not to {total:g}")
        if len(parts) == 1 and parts[0].factor is None:
            parts = [replace(parts[0], factor=1.0)]
        self.parts = tuple(parts)

    @property
    def calibrated(self) -> bool:
        """Whether all factors are known, so that it can be used."""
        return all(part.factor is not None for part in self.parts)

    @property
    def text(self) -> str:
        """The mixture as `mixture_text.parse_mixture` reads it, exactly; the form for settings."""
        return " + ".join(part.text for part in self.parts)

    @property
    def shares(self) -> dict[str, float]:
        """The shares by names, which say what the loss is before it is calibrated."""
        return {part.name: part.share for part in self.parts}

    def __call__(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """See `Distortion`.

        Raises:
            TrainingError: it is not calibrated, or the pictures are too small for a part.
        """
        terms = []
        for part in self.parts:
            if part.factor is None:
                raise TrainingError(f"the mixture {self.text} must be calibrated before its use")
            terms.append(part.share * part.factor * part.distortion(x_hat, x))
        return torch.stack(terms).sum(0)

    def calibrate(self, x_hat: Tensor, x: Tensor, weight: Tensor) -> "Mixture":
        """A mixture of the same shares with factors for these pictures; no random draws.

        Args:
            x_hat: `(N, 3, H, W)`, pictures as the model restores them now, at all qualities.
            x: `(N, 3, H, W)`, the originals.
            weight: `(N,)`, of the distortion of each picture in the loss.

        Raises:
            TrainingError: a part has no gradient here, or none that is finite, or the pictures are
                too small for it.
        """
        lengths = []
        for part in self.parts:
            length = gradient_length(part.distortion, x_hat, x, weight)
            if not 0 < length < math.inf:
                raise TrainingError(
                    f"{part.name} cannot be calibrated on these pictures: the length of its "
                    f"gradient is {length:g}"
                )
            lengths.append(length)
        total = sum(part.share / length for part, length in zip(self.parts, lengths, strict=True))
        return Mixture(
            [
                replace(part, factor=round(1 / (length * total), FACTOR_DIGITS))
                for part, length in zip(self.parts, lengths, strict=True)
            ]
        )


def gradient_length(distortion: Distortion, x_hat: Tensor, x: Tensor, weight: Tensor) -> float:
    """Euclidean length of the gradient of the weighted sum of distortions by `x_hat`.

    Args:
        distortion: whose gradient.
        x_hat: `(N, 3, H, W)`, where it is taken; left as it is.
        x: `(N, 3, H, W)`, the originals.
        weight: `(N,)`.
    """
    squares = 0.0
    parts = [torch.split(each.detach(), AT_ONCE) for each in (x_hat, x, weight)]
    for at, original, weights in zip(*parts, strict=True):
        with torch.enable_grad():
            variable = at.clone().requires_grad_()
            total = (weights * distortion(variable, original)).sum()
            (gradient,) = torch.autograd.grad(total, variable)
        squares += float(gradient.double().square().sum())
    return math.sqrt(squares)


def _plain(number: float, digits: int) -> str:
    """A number without exponent and without zeros at its end."""
    return f"{number:.{digits}f}".rstrip("0").rstrip(".")
