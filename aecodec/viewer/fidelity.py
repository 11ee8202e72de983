"""How near a shown picture is to its original, of 8-bit samples."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from aecodec.picture.alpha import over_background
from aecodec.picture.metrics import measure
from aecodec.picture.perceptual import MetricUnavailableError, ssimulacra2
from aecodec.picture.picture import Picture
from aecodec.picture.pixels import Pixels

_BEHIND = (128, 128, 128)
"""What shows through alpha for measures that know none."""
LOOKED_AT_PIXELS = 4_000_000
"""The largest picture that SSIMULACRA2 is computed of: it cannot be interrupted."""
_EQUAL = 100.0
"""The SSIMULACRA2 of equal pictures."""


def measured(original: Picture, decoded: Picture) -> dict[str, Any]:
    """`psnr` in dB, 100 for equal colours, and `max_error` in steps of 255, where one can see."""
    first, second = _aligned(original, decoded)
    visible = _visible(first, second)
    return {
        "psnr": measure("psnr", first.pixels, second.pixels, visible),
        "max_error": int(measure("max_error", first.pixels, second.pixels, visible)),
    }


def looked_at(original: Picture, decoded: Picture) -> dict[str, Any]:
    """`ssimulacra2`, at most 100; None with a `reason` where it cannot be computed."""
    if not differences(original, decoded).any():
        return {"ssimulacra2": _EQUAL}
    height, width = original.pixels.shape[:2]
    if height * width > LOOKED_AT_PIXELS:
        most = f"left out above {LOOKED_AT_PIXELS // 10**6} megapixels"
        return {"ssimulacra2": None, "reason": most}
    try:
        return {"ssimulacra2": ssimulacra2(_flat(original), _flat(decoded))}
    except (MetricUnavailableError, ImportError) as exc:
        return {"ssimulacra2": None, "reason": str(exc)}
    except Exception as exc:  # the package may fail in any way, and the other figures still count
        reason = " ".join(str(exc).split())
        return {"ssimulacra2": None, "reason": f"SSIMULACRA2: {type(exc).__name__}: {reason}"}


def differences(original: Picture, decoded: Picture) -> npt.NDArray[np.int32]:
    """Absolute differences of visible samples, `(H, W, c)`, with those of alpha last."""
    first, second = _aligned(original, decoded)
    found = np.abs(np.subtract(first.pixels, second.pixels, dtype=np.int32))
    planes = found if found.ndim == 3 else found[:, :, None]
    visible = _visible(first, second)
    if visible is None:
        return planes
    planes[visible == 0] = 0
    alphas = (_alpha(each) for each in (first, second))
    return np.dstack((planes, np.abs(np.subtract(*alphas, dtype=np.int32))))


def _aligned(original: Picture, decoded: Picture) -> tuple[Picture, Picture]:
    """Both in RGB where one of them is."""
    if original.pixels.ndim == decoded.pixels.ndim:
        return original, decoded
    return _coloured(original), _coloured(decoded)


def _coloured(picture: Picture) -> Picture:
    if picture.pixels.ndim == 3:
        return picture
    return replace(picture, pixels=np.dstack([picture.pixels] * 3))


def _alpha(picture: Picture) -> Pixels:
    if picture.alpha is not None:
        return picture.alpha
    return np.full(picture.pixels.shape[:2], 255, np.uint8)


def _visible(first: Picture, second: Picture) -> Pixels | None:
    """The alpha where either can be seen; None for everywhere."""
    if first.alpha is None and second.alpha is None:
        return None
    return np.maximum(_alpha(first), _alpha(second))


def _flat(picture: Picture) -> Image.Image:
    """Over gray, in RGB."""
    return Image.fromarray(over_background(picture.whole, _BEHIND)).convert("RGB")
