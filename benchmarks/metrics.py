"""How alike two pictures are. All values grow with fidelity.

Both pictures are 8-bit RGB of one size. A metric that cannot say anything of a picture raises
`MetricUnavailableError`; its message is the line that the report shows.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from aecodec.picture.metrics import pixels_ms_ssim
from aecodec.picture.ms_ssim import MS_SSIM_SIDE
from aecodec.picture.perceptual import (
    MetricUnavailableError,
    flip_error,
    need_side,
    ssimulacra2,
)
from benchmarks.curves import decibels, psnr

_LUMA = np.array([0.299, 0.587, 0.114])
"""BT.601, full range, as in JPEG."""
_CHROMA = np.stack([(np.eye(3)[2] - _LUMA) / 1.772, (np.eye(3)[0] - _LUMA) / 1.402], axis=1)
"""Cb and Cr of RGB, without their offset, `(3, 2)`."""


@dataclass(frozen=True)
class Metric:
    """A metric as tables and plots name it.

    Attributes:
        label: with its unit, for an axis.
        compute: its value for an original and a restored picture.
        package: the distribution that computes it, whose version goes with stored values.
    """

    label: str
    compute: Callable[[Image.Image, Image.Image], float]
    package: str = ""


def y_psnr(original: Image.Image, restored: Image.Image) -> float:
    """PSNR of the luma Y of BT.601 at full range, not rounded, in dB; `inf` when equal."""
    difference = np.asarray(original, np.float64) - np.asarray(restored, np.float64)
    return decibels(float(np.mean(np.square(difference @ _LUMA))))


def chroma_psnr(original: Image.Image, restored: Image.Image) -> float:
    """PSNR of both Cb and Cr of BT.601 at full range and resolution, not rounded, in dB.

    It is that of the mean of both squared errors; `inf` when equal.
    """
    difference = np.asarray(original, np.float64) - np.asarray(restored, np.float64)
    return decibels(float(np.mean(np.square(difference @ _CHROMA))))


def ms_ssim(original: Image.Image, restored: Image.Image) -> float:
    """MS-SSIM (Wang et al., 2003) over RGB, `-10 log10(1 - x)` dB; `inf` when equal.

    Raises:
        MetricUnavailableError: a side is shorter than 161.
    """
    need_side(original, MS_SSIM_SIDE, "MS-SSIM")
    # float32 is 0.0001 dB off float64 at 20 to 30 dB (kodim05), and takes a tenth of its time.
    lost = 1 - pixels_ms_ssim(np.asarray(original), np.asarray(restored))
    return -10 * math.log10(lost) if lost > 0 else math.inf


def flip(original: Image.Image, restored: Image.Image) -> float:
    """1 less `flip_error`; 1 means no difference.

    Raises:
        MetricUnavailableError: no flip-evaluator.
    """
    return 1 - flip_error(original, restored)


METRICS: Mapping[str, Metric] = {
    "psnr": Metric("RGB PSNR, dB", psnr),
    "y_psnr": Metric("Y PSNR, dB", y_psnr),
    "chroma_psnr": Metric("chroma PSNR, dB", chroma_psnr),
    "ms_ssim_db": Metric("MS-SSIM, dB", ms_ssim),
    "ssimulacra2": Metric("SSIMULACRA2", ssimulacra2, "ssimulacra2"),
    "flip": Metric("1 - FLIP", flip, "flip-evaluator"),
}

ABSENT: Mapping[str, str] = {
    "butteraugli": "no package was found on PyPI that installs it without a compiler"
}
"""Metrics that readers will look for, each with the reason why it is not computed."""


def measure_all(
    original: Image.Image, restored: Image.Image, names: Iterable[str] = METRICS
) -> tuple[dict[str, float], list[str]]:
    """The value of each metric that can be computed, and a line for each that cannot.

    Raises:
        ValueError: sizes or modes differ.
    """
    if (original.size, original.mode) != (restored.size, restored.mode):
        raise ValueError(f"got {restored.size} {restored.mode} for {original.size} {original.mode}")
    values, lines = {}, []
    for name in names:
        try:
            values[name] = METRICS[name].compute(original, restored)
        except MetricUnavailableError as exc:
            lines.append(str(exc))
        except Exception as exc:  # a package may fail in any way, and the other metrics still count
            lines.append(f"{name}: {type(exc).__name__}: {' '.join(str(exc).split())}")
    return values, lines
