"""How near a decoded picture is to its original: mean squared error, PSNR, MS-SSIM, maximum."""

import math

import numpy as np

from aecodec.errors import InputError
from aecodec.picture.ms_ssim import MS_SSIM_SIDE, plane_ms_ssim
from aecodec.picture.pixels import Pixels, peak

PSNR_MAX = 100.0
"""The PSNR of equal pictures in dB, and the highest that is told."""


def psnr(mse: float, maximum: float = 255.0) -> float:
    """The PSNR in dB of a mean squared error, at most `PSNR_MAX`.

    Args:
        mse: the mean squared error, 0 or more.
        maximum: the largest value that a sample can have.

    Example:
        >>> round(psnr(1.0), 2), psnr(0.0)
        (48.13, 100.0)
    """
    return min(PSNR_MAX, 10.0 * math.log10(maximum**2 / mse)) if mse else PSNR_MAX


def pixels_mse(first: Pixels, second: Pixels) -> float:
    """The mean squared error over all samples of two pictures of one shape and depth."""
    error = first.astype(np.float32) - second
    return float(np.mean(np.square(error), dtype=np.float64))


def pixels_psnr(first: Pixels, second: Pixels) -> float:
    """The PSNR in dB over all samples of two pictures of one shape and depth."""
    return psnr(pixels_mse(first, second), peak(first))


def pixels_ms_ssim(first: Pixels, second: Pixels) -> float:
    """Multi-scale structural similarity, 0 to 1, the mean of the channels; see `ms_ssim`.

    Args:
        first: `(H, W, 3)` or `(H, W)`, uint8 or uint16.
        second: the same shape and type.

    Raises:
        InputError: a side is shorter than `MS_SSIM_SIDE`.
    """
    height, width = first.shape[:2]
    if min(height, width) < MS_SSIM_SIDE:
        reason = f"MS-SSIM needs {MS_SSIM_SIDE} pixels a side, the picture has {width}x{height}"
        raise InputError(reason)
    scale = np.float32(1 / peak(first))
    channels = [(each[..., None] if each.ndim == 2 else each) for each in (first, second)]
    values = [
        plane_ms_ssim(*(each[..., number].astype(np.float32) * scale for each in channels))
        for number in range(channels[0].shape[2])
    ]
    return sum(values) / len(values)


def pixels_max_error(first: Pixels, second: Pixels) -> float:
    """The largest difference between samples at one place, in their own steps: 0 to their peak."""
    return float(np.max(np.maximum(first, second) - np.minimum(first, second)))


MEASURES = {"psnr": pixels_psnr, "ssim": pixels_ms_ssim, "max_error": pixels_max_error}
"""The measures `f(original, decoded)`, by the names that targets give them."""


def measure(kind: str, original: Pixels, decoded: Pixels, alpha: Pixels | None = None) -> float:
    """A measure of the colours that alpha lets one see.

    Args:
        kind: a name in `MEASURES`.
        original: the encoded picture, `(H, W)` or `(H, W, 3)`.
        decoded: the decoded picture, of the same shape and type.
        alpha: `(H, W)`; pixels where it is 0 do not count. MS-SSIM, which needs whole pictures,
            takes the original there.

    Raises:
        InputError: see `pixels_ms_ssim`.
    """
    if alpha is None:
        return MEASURES[kind](original, decoded)
    hidden = alpha == 0
    if kind == "ssim" or hidden.all():
        decoded = decoded.copy()
        decoded[hidden] = original[hidden]
        return MEASURES[kind](original, decoded)
    return MEASURES[kind](original[~hidden], decoded[~hidden])
