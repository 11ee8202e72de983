"""Measures of how alike two pictures look, by packages that need not be there."""

import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

INSTALL = "pip install 'aecodec[bench]'"
SSIMULACRA2_SIDE = 256
"""Shortest side of pictures with six scales. With fewer, `ssimulacra2` 0.3.0 gives the weights of a
channel's missing scales to the next channel, and its scores mean nothing."""


class MetricUnavailableError(Exception):
    """A metric cannot be computed: its package is missing, or the picture is too small."""


def ssimulacra2(original: Image.Image, restored: Image.Image) -> float:
    """SSIMULACRA 2, at most 100; about 70 is high quality, 90 visually lossless.

    Args:
        original: RGB.
        restored: of the same size.

    Raises:
        MetricUnavailableError: no ssimulacra2, or a side is shorter than 256.
    """
    need_package("ssimulacra2", "SSIMULACRA2")
    need_side(original, SSIMULACRA2_SIDE, "SSIMULACRA2")
    from ssimulacra2 import compute_ssimulacra2

    with tempfile.TemporaryDirectory() as folder:  # the package takes files only
        paths = [Path(folder, "original.bmp"), Path(folder, "restored.bmp")]
        for path, image in zip(paths, (original, restored), strict=True):
            image.save(path)
        return float(compute_ssimulacra2(*map(str, paths)))


def flip_error(original: Image.Image, restored: Image.Image) -> float:
    """The mean error of LDR-FLIP (Andersson et al., 2020) at 67 pixels per degree, 0 to 1.

    FLIP models how different two pictures look to someone who flips between them. It is not
    learned, needs no weights, and takes any size; 0 means no difference.

    Args:
        original: RGB.
        restored: of the same size.

    Raises:
        MetricUnavailableError: no flip-evaluator.
    """
    need_package("flip_evaluator", "FLIP")
    from flip_evaluator import evaluate

    pair = (np.asarray(image, np.float32) / 255 for image in (original, restored))
    _, error, _ = evaluate(*pair, "LDR", applyMagma=False)
    return float(error)


def need_package(package: str, label: str) -> None:
    """Raises `MetricUnavailableError` where the package of a metric is missing."""
    if find_spec(package) is None:
        raise MetricUnavailableError(f"{label}: no {package} here; {INSTALL}")


def need_side(image: Image.Image, side: int, label: str) -> None:
    """Raises `MetricUnavailableError` where a picture is too small for a metric."""
    if min(image.size) < side:
        raise MetricUnavailableError(
            f"{label}: needs sides of at least {side} pixels, got {image.width}x{image.height}"
        )
