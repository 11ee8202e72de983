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
SHAPES = {1: ((8, 3), (5, 3), (3, 1)), 3: ((5, 3), (3, 1))}
"""Side of patches and their distance, by channels; later ones for pictures with few patches."""
ENOUGH = 6
"""Patches for each of their samples."""
CLIPPED = 0.04
"""Part of a patch that may be black or white, where noise is cut off, if enough patches are so."""
FLAT = 3.0
"""Deviations by which the variance of a gray patch may exceed that of noise alone."""
ROUNDS = 12
LEAST = 2.0
"""Level in 8-bit steps below which a picture counts as clean."""


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
    strips = [_strip(source, top) for top in _tops(source.height)]
    if all(is_gray(rows) for rows, _ in strips):
        strips = [(rows if rows.ndim == 2 else rows[:, :, 0], alpha) for rows, alpha in strips]
    channels = 1 if strips[0][0].ndim == 2 else 3
    for side, step in SHAPES[channels]:
        parts = [_patches(*strip, side, step) for strip in strips]
        patches, clipped = (np.concatenate(each) for each in zip(*parts, strict=True))
        enough = ENOUGH * side * side * channels
        useful = int((clipped <= CLIPPED).sum())
        if useful >= enough:
            break
    else:
        if len(patches) < enough:
            return 0.0
        useful = enough
    level = _level(patches[np.argsort(clipped, kind="stable")[:useful]], flat=channels == 1)
    return level if level >= LEAST else 0.0


def is_gray(pixels: Pixels) -> bool:
    """Whether pixels `(h, w)` or `(h, w, 3)` have no colours: then channels share their noise."""
    if pixels.ndim == 2:
        return True
    return bool((pixels[:, :, :1] == pixels[:, :, 1:]).all())


def _tops(height: int) -> list[int]:
    """The first rows of the strips."""
    count, last = min(STRIPS, -(-height // STRIP)), max(height - STRIP, 0)
    return [last * n // max(count - 1, 1) for n in range(count)]


def _strip(source: RowSource, top: int) -> tuple[Pixels, Pixels | None]:
    bottom = min(top + STRIP, source.height)
    source.forget(top)
    return source.rows(top, bottom), source.alpha(top, bottom)


def _patches(rows: Pixels, alpha: Pixels | None, side: int, step: int) -> tuple[Patches, Patches]:
    """Patches `(n, samples)` of a strip in 8-bit steps, and what part of each is black or white.

    Those with hidden pixels or of one colour are left out.
    """
    whole = rows if rows.ndim == 3 else rows[:, :, None]
    size = side * side * whole.shape[2]
    if min(whole.shape[:2]) < side:
        return np.empty((0, size), np.float32), np.empty(0, np.float32)
    found = _windows(whole, side, step).reshape(-1, size)
    usable = found.min(1) < found.max(1)
    if alpha is not None:
        usable &= _windows(alpha[:, :, None], side, step).reshape(len(found), -1).min(1) > 0
    used = found[usable]
    used = used[:: max(len(used) // PATCHES, 1)]
    clipped = ((used == 0) | (used == peak(whole))).mean(1, dtype=np.float32)
    unit = np.float32(SIXTEEN_BIT_STEP if whole.dtype == np.uint16 else 1)
    return used.astype(np.float32) / unit, clipped


def _windows(x: Pixels, side: int, step: int) -> Pixels:
    windows: Pixels = sliding_window_view(x, (side, side), (0, 1))[::step, ::step]
    return windows


def _level(patches: Patches, *, flat: bool) -> float:
    """The level of patches; with `flat` of those that do not vary more than noise does.

    The few samples of a gray patch do not tell texture from noise by their directions alone.
    """
    level = _smallest(patches)
    if not flat:
        return level
    samples, variances = patches.shape[1], patches.var(1, ddof=1)
    for _ in range(ROUNDS):
        limit = level**2 * (1 + FLAT * math.sqrt(2 / (samples - 1)))
        chosen = patches[variances <= limit]
        if len(chosen) < ENOUGH * samples:
            break
        before, level = level, _smallest(chosen)
        if abs(level - before) < 0.01 * level:
            break
    return level


def _smallest(patches: Patches) -> float:
    """The root of the mean of the smallest eigenvalues."""
    values = np.linalg.eigvalsh(np.cov(patches.T.astype(np.float64)))
    for count in range(len(values), 0, -1):
        mean = float(values[:count].mean())
        if mean <= np.median(values[:count]):
            return math.sqrt(max(mean, 0.0))
    return 0.0
