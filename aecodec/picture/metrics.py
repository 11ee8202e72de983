"""How near a decoded picture is to its original: the measures that targets speak of."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.errors import InputError
from aecodec.picture.pixels import Pixels, peak

PSNR_MAX = 100.0

MS_SSIM_SIDE = 161
"""Fewest pixels a side: at the coarsest of five scales, 16 times smaller, a window of 11 fits."""


def pixels_psnr(first: Pixels, second: Pixels) -> float:
    """PSNR in dB over all samples of two pictures of one shape and depth; 100 for equal ones."""
    error = first.astype(np.float32) - second
    mse = float(np.mean(np.square(error), dtype=np.float64))
    return min(PSNR_MAX, 10.0 * math.log10(float(peak(first)) ** 2 / mse)) if mse else PSNR_MAX


def pixels_ms_ssim(first: Pixels, second: Pixels) -> float:
    """Multi-scale structural similarity, at most 1, the mean of the channels.

    Source: Wang, Simoncelli, Bovik, "Multiscale structural similarity for image quality
    assessment", with the paper's weights and a Gaussian window, by the package pytorch-msssim.

    Args:
        first: `(H, W, 3)` or `(H, W)`, uint8 or uint16.
        second: the same shape and type.

    Raises:
        InputError: a side is shorter than `MS_SSIM_SIDE`.
    """
    import torch  # here, for PSNR needs neither
    from pytorch_msssim import ms_ssim

    height, width = first.shape[:2]
    if min(height, width) < MS_SSIM_SIDE:
        reason = f"MS-SSIM needs {MS_SSIM_SIDE} pixels a side, the picture has {width}x{height}"
        raise InputError(reason)
    planes = [torch.from_numpy(_planes(each)) for each in (first, second)]
    # Each channel alone: memory stays at what one channel takes.
    top = float(peak(first))
    values = [
        float(ms_ssim(a[None, None], b[None, None], top)) for a, b in zip(*planes, strict=True)
    ]
    return sum(values) / len(values)


def pixels_max_error(first: Pixels, second: Pixels) -> float:
    """The largest difference of two samples, in their own steps: 0 to 255 or 65535."""
    return float(np.max(np.maximum(first, second) - np.minimum(first, second)))


def _planes(pixels: Pixels) -> npt.NDArray[Any]:
    channels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(channels, np.float32)


MEASURES = {"psnr": pixels_psnr, "ssim": pixels_ms_ssim, "max_error": pixels_max_error}
"""Measures by the names that targets give them; `f(original, decoded)`."""


def measure(kind: str, original: Pixels, decoded: Pixels, alpha: Pixels | None = None) -> float:
    """A measure of colours, `(H, W)` or `(H, W, 3)`, as far as alpha `(H, W)` shows them.

    Args:
        kind: a name in `MEASURES`.
        original: what was encoded.
        decoded: what came of it.
        alpha: pixels where it is 0 do not count; to MS-SSIM, which needs whole pictures, they are
            equal.

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
