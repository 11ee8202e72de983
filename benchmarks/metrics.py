"""How alike two pictures are. All values grow with fidelity.

Both pictures are 8-bit RGB of one size. A metric that cannot say anything of a picture raises
`MetricUnavailableError`; its message is the line that the report shows.
"""

import math
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from aecodec.picture.metrics import pixels_ms_ssim
from aecodec.picture.ms_ssim import MS_SSIM_SIDE
from benchmarks.curves import decibels, psnr

INSTALL = "pip install 'aecodec[bench]'"
SSIMULACRA2_SIDE = 256
"""Shortest side of pictures with six scales. With fewer, `ssimulacra2` 0.3.0 gives the weights of a
channel's missing scales to the next channel, and its scores mean nothing."""
_LUMA = np.array([0.299, 0.587, 0.114])
"""BT.601, full range, as in JPEG."""


class MetricUnavailableError(Exception):
    """The metric cannot be computed: its package is missing, or the picture is too small."""


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


def ms_ssim(original: Image.Image, restored: Image.Image) -> float:
    """MS-SSIM (Wang et al., 2003) over RGB, `-10 log10(1 - x)` dB; `inf` when equal.

    Raises:
        MetricUnavailableError: a side is shorter than 161.
    """
    _need_side(original, MS_SSIM_SIDE, "MS-SSIM")
    # float32 is 0.0001 dB off float64 at 20 to 30 dB (kodim05), and takes a tenth of its time.
    lost = 1 - pixels_ms_ssim(np.asarray(original), np.asarray(restored))
    return -10 * math.log10(lost) if lost > 0 else math.inf


def ssimulacra2(original: Image.Image, restored: Image.Image) -> float:
    """SSIMULACRA 2, at most 100; about 70 is high quality, 90 visually lossless.

    Raises:
        MetricUnavailableError: no ssimulacra2, or a side is shorter than 256.
    """
    _need("ssimulacra2", "SSIMULACRA2")
    _need_side(original, SSIMULACRA2_SIDE, "SSIMULACRA2")
    from ssimulacra2 import compute_ssimulacra2

    with tempfile.TemporaryDirectory() as folder:  # the package takes files only
        paths = [Path(folder, "original.bmp"), Path(folder, "restored.bmp")]
        for path, image in zip(paths, (original, restored), strict=True):
            image.save(path)
        return float(compute_ssimulacra2(*map(str, paths)))


def flip(original: Image.Image, restored: Image.Image) -> float:
    """1 less the mean error of LDR-FLIP (Andersson et al., 2020) at 67 pixels per degree.

    FLIP models how different two pictures look to someone who flips between them. It is not
    learned, needs no weights, and takes any size; 1 means no difference.

    Raises:
        MetricUnavailableError: no flip-evaluator.
    """
    _need("flip_evaluator", "FLIP")
    from flip_evaluator import evaluate

    pair = (np.asarray(image, np.float32) / 255 for image in (original, restored))
    _, error, _ = evaluate(*pair, "LDR", applyMagma=False)
    return 1 - float(error)


METRICS: Mapping[str, Metric] = {
    "psnr": Metric("RGB PSNR, dB", psnr),
    "y_psnr": Metric("Y PSNR, dB", y_psnr),
    "ms_ssim_db": Metric("MS-SSIM, dB", ms_ssim),
    "ssimulacra2": Metric("SSIMULACRA2", ssimulacra2, "ssimulacra2"),
    "flip": Metric("1 - FLIP", flip, "flip-evaluator"),
}


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


def _need(package: str, label: str) -> None:
    if find_spec(package) is None:
        raise MetricUnavailableError(f"{label}: no {package} here; {INSTALL}")


def _need_side(image: Image.Image, side: int, label: str) -> None:
    if min(image.size) < side:
        raise MetricUnavailableError(
            f"{label}: needs sides of at least {side} pixels, got {image.width}x{image.height}"
        )
