"""The distortions by their names, and the text that names one or a mixture of them.

mse                                     the squared error
0.55 mse + 0.45 ms_ssim                 by shares of the gradient, before calibration
0.55 mse@1.26 + 0.45 ms_ssim@0.68       the same with the factors that calibration found
0.55 mse@1 + 0.45 ms_ssim@1             0.55 * 255**2 * MSE + 0.45 * 1275 * (1 - MS-SSIM)
"""

import re
from collections.abc import Callable, Mapping

from aecodec.autoencoder.distortion import Distortion, Mse
from aecodec.autoencoder.mixture import Mixture, Part
from aecodec.autoencoder.ms_ssim import MsSsim, MsSsimChroma
from aecodec.autoencoder.structure_xyb import StructureXyb
from aecodec.errors import TrainingError

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
