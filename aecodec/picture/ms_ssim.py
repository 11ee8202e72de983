"""Multi-scale structural similarity of planes.

Source: Wang, Simoncelli, Bovik, "Multi-scale structural similarity for image quality assessment"
(2003), with the paper's weights and a Gaussian window of 11 whose sigma is 1.5. Windows lie within
the picture, and an odd side is halved with a zero before it, as the package pytorch-msssim does.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales from fine to coarse."""
WINDOW = 11
MS_SSIM_SIDE = (WINDOW - 1) * 2 ** (len(WEIGHTS) - 1) + 1
"""Fewest pixels a side: the window must fit into the coarsest scale."""

_SIGMA = 1.5
_LUMINANCE, _CONTRAST = 0.01**2, 0.03**2
_STRIP = 32
"""Rows and columns that one product filters: the matrix is dense, but the cache holds it."""


def plane_ms_ssim(first: Plane, second: Plane) -> float:
    """MS-SSIM of two planes, 0 to 1.

    Args:
        first: `(H, W)`, values in [0, 1], at least `MS_SSIM_SIDE` a side.
        second: the same.
    """
    total, difference = first + second, first - second
    product = 1.0
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            total, difference = _halved(total), _halved(difference)
        brightness, structure = _similarities(total, difference)
        last = scale == len(WEIGHTS) - 1
        product *= max(brightness if last else structure, 0.0) ** weight
    return product


def _similarities(total: Plane, difference: Plane) -> tuple[float, float]:
    """Means of SSIM and of its contrast and structure alone over all windows.

    Mean, variance and covariance of two planes follow from those of their sum and difference, so
    that four planes are filtered and not five.
    """
    sums = np.zeros(2)
    count = (total.shape[0] - WINDOW + 1) * (total.shape[1] - WINDOW + 1)
    for filtered in _filtered_strips(total - 1, difference):
        mean_total, mean_difference, square_total, square_difference = filtered
        square_total -= np.square(mean_total)
        square_difference -= np.square(mean_difference)
        structure = square_total - square_difference
        structure += 2 * _CONTRAST
        structure /= square_total + square_difference + np.float32(2 * _CONTRAST)
        sums[1] += structure.sum(dtype=np.float64)
        total_2, difference_2 = np.square(mean_total + 1), np.square(mean_difference)
        brightness = total_2 - difference_2 + np.float32(2 * _LUMINANCE)
        brightness /= total_2 + difference_2 + np.float32(2 * _LUMINANCE)
        sums[0] += np.vdot(brightness, structure)
    ssim, structure_mean = (sums / count).tolist()
    return ssim, structure_mean


def _filtered_strips(total: Plane, difference: Plane) -> Iterator[npt.NDArray[np.float32]]:
    """Both planes and their squares under the window, `(4, h, W - 10)` for each strip of rows."""
    height, width = total.shape
    ends = WINDOW - 1
    for top in range(0, height - ends, _STRIP):
        rows = slice(top, min(top + _STRIP + ends, height))
        planes = np.stack([total[rows], difference[rows], total[rows], difference[rows]])
        np.square(planes[2:], out=planes[2:])
        across = _window_matrix(planes.shape[1]).T @ planes
        filtered = np.empty((*across.shape[:2], width - ends), np.float32)
        for left in range(0, width - ends, _STRIP):
            part = across[:, :, left : left + _STRIP + ends]
            filtered[:, :, left : left + _STRIP] = part @ _window_matrix(part.shape[2])
        yield filtered


def _window_matrix(length: int) -> npt.NDArray[np.float32]:
    """`(length, length - 10)`: the window at each of its places along so many values."""
    offsets = np.arange(length)[:, None] - np.arange(length - WINDOW + 1) - WINDOW // 2
    weights = np.exp(-np.square(np.arange(WINDOW) - WINDOW // 2) / (2 * _SIGMA**2))
    bell = np.exp(-np.square(offsets) / (2 * _SIGMA**2)) / weights.sum()
    return np.where(np.abs(offsets) <= WINDOW // 2, bell, 0).astype(np.float32)


def _halved(plane: Plane) -> Plane:
    """Means of four neighbours, with a zero before odd sides."""
    height, width = plane.shape
    padded = np.pad(plane, ((height % 2, 0), (width % 2, 0)))
    pairs = padded[::2] + padded[1::2]
    mean: Plane = (pairs[:, ::2] + pairs[:, 1::2]) * np.float32(0.25)
    return mean
