"""The heat of an anomaly over its picture, to look at."""

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from aecodec.applications.anomaly import Anomaly
from aecodec.format.constants import STRIDE
from aecodec.picture.pixels import Pixels, to_eight_bit

_OPAQUE = 0.65
"""How much of the hottest places is colour rather than picture."""
_YELLOW, _RED = np.array([255.0, 220.0, 0.0]), np.array([255.0, 0.0, 0.0])
_GRAY = 0.6
"""How much of the picture's own colour goes, so that the heat stands out."""


def overlay(pixels: Pixels, anomaly: Anomaly) -> npt.NDArray[np.uint8]:
    """The picture with its heat: nothing below half the threshold, yellow there, red from twice it.

    Args:
        pixels: `(H, W)` or `(H, W, c)` with c of 2 to 4, uint8 or uint16; alpha is left out.
        anomaly: what a profile says of it.

    Returns:
        `(H, W, 3)`.
    """
    height, width = pixels.shape[:2]
    heat = _enlarged(anomaly.heat, height, width) / max(anomaly.threshold, 1e-6)
    rgb = _as_rgb(pixels)
    gray = rgb.mean(2, keepdims=True)
    calm = _GRAY * gray + (1 - _GRAY) * rgb
    strength = np.clip((heat - 0.5) / 0.5, 0, 1)[:, :, None] * _OPAQUE
    warmth = np.clip(heat - 1, 0, 1)[:, :, None]
    colour = (1 - warmth) * _YELLOW + warmth * _RED
    return np.asarray((calm * (1 - strength) + colour * strength).round(), np.uint8)


def overlay_png(pixels: Pixels, anomaly: Anomaly) -> bytes:
    """The same as a PNG file."""
    file = BytesIO()
    Image.fromarray(overlay(pixels, anomaly)).save(file, "PNG")
    return file.getvalue()


def _enlarged(heat: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.float64]:
    """Heat of places to that of pixels, linear between the middles of places."""
    rows, columns = heat.shape
    image = Image.fromarray(heat.astype(np.float32))
    large = image.resize((columns * STRIDE, rows * STRIDE), Image.Resampling.BILINEAR)
    return np.asarray(large, np.float64)[:height, :width]


def _as_rgb(pixels: Pixels) -> npt.NDArray[np.float64]:
    eight = to_eight_bit(pixels).astype(np.float64)
    if eight.ndim == 2:
        eight = eight[:, :, None]
    colours = 1 if eight.shape[2] < 3 else 3
    return np.broadcast_to(eight[:, :, :colours], (*eight.shape[:2], 3))
