"""How noisy a picture is, estimated from its pixels.

Small patches of pictures vary along few directions, white noise along all of them. So the smallest
eigenvalues of the patches' covariance are the noise's variance; the largest ones are left out until
mean and median of the others agree. The rows that are looked at depend on the picture's size alone,
so that a picture in memory and one that is read by rows have the same level.

Source: Chen, Zhu, Heng, "An Efficient Statistical Method for Image Noise Level Estimation", ICCV
2015, algorithm 1.
"""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from aecodec.options import EncodeOptions
from aecodec.picture.pixels import SIXTEEN_BIT_STEP, Pixels, peak
from aecodec.picture.row_readers import RowSource

Patches = npt.NDArray[np.float32]

STRIP, STRIPS = 48, 16
"""Rows that are looked at together, and how often at most, evenly spaced."""
PATCHES = 4000
"""Of a strip, about."""
SHAPES = ((5, 3), (3, 1))
"""Side of patches and their distance; the second for pictures that have too few of the first."""
ENOUGH = 2
"""Patches for each of their samples."""
CLIPPED = 0.04
"""Part of a patch that may be black or white, where noise is cut off."""
LEAST = 1.0
"""Level in 8-bit steps below which a picture counts as clean: rounding alone is 0.3."""


def settled(options: EncodeOptions, source: RowSource) -> EncodeOptions:
    """The same options with a level above 0 as `denoise`, or with None where there is no noise.

    Tiles of a noisy picture are not stored losslessly, which would keep the noise.
    """
    wish = options.denoise
    if wish is None:
        return options
    level = noise_level(source) if wish == "auto" else float(wish)
    if not level:
        return replace(options, denoise=None)
    return replace(options, denoise=level, lossless_tiles=False)


def noise_level(source: RowSource) -> float:
    """Standard deviation of white noise in 8-bit steps; 0 for a clean picture.

    Rows that the source has forgotten afterwards are asked for again by whoever encodes it. Where
    too little can be told, the level is 0: in pictures of one colour and in tiny ones.
    """
    for side, step in SHAPES:
        strips = [_patches(source, top, side, step) for top in _tops(source.height)]
        patches = np.concatenate(strips)
        if len(patches) >= ENOUGH * patches.shape[1]:
            level = _level(patches)
            return level if level >= LEAST else 0.0
    return 0.0


def _tops(height: int) -> list[int]:
    """The first rows of the strips."""
    count, last = min(STRIPS, -(-height // STRIP)), max(height - STRIP, 0)
    return [last * n // max(count - 1, 1) for n in range(count)]


def _patches(source: RowSource, top: int, side: int, step: int) -> Patches:
    """Patches `(n, side * side * channels)` of a strip in 8-bit steps, but for those without use.

    These are patches with hidden pixels, of one colour, or with much black or white.
    """
    bottom = min(top + STRIP, source.height)
    source.forget(top)
    rows, alpha = source.rows(top, bottom), source.alpha(top, bottom)
    whole = rows if rows.ndim == 3 else rows[:, :, None]
    size = side * side * whole.shape[2]
    if min(whole.shape[:2]) < side:
        return np.empty((0, size), np.float32)
    found = _windows(whole, side, step).reshape(-1, size)
    clipped = ((found == 0) | (found == peak(whole))).mean(1)
    usable = (clipped <= CLIPPED) & (found.min(1) < found.max(1))
    if alpha is not None:
        usable &= _windows(alpha[:, :, None], side, step).reshape(len(found), -1).min(1) > 0
    used = found[usable].astype(np.float32)
    if whole.dtype == np.uint16:
        used /= SIXTEEN_BIT_STEP
    thinned: Patches = used[:: max(len(used) // PATCHES, 1)]
    return thinned


def _windows(x: Pixels, side: int, step: int) -> Pixels:
    windows: Pixels = sliding_window_view(x, (side, side), (0, 1))[::step, ::step]
    return windows


def _level(patches: Patches) -> float:
    values = np.linalg.eigvalsh(np.cov(patches.T.astype(np.float64)))
    for count in range(len(values), 0, -1):
        mean = float(values[:count].mean())
        if mean <= np.median(values[:count]):
            return math.sqrt(max(mean, 0.0))
    return 0.0
