"""Alpha beside colours: fewer levels, cheap colours where nothing is visible, backgrounds.

An alpha of 0 hides a pixel's colour, whatever it is. The encoder replaces such colours by a smooth
continuation of the visible ones, which the learned coder stores in next to no bits; the decoder
gives what comes of it. Colours are never multiplied by alpha.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.errors import InputError
from aecodec.picture.pixels import Pixels, peak

Floats = npt.NDArray[np.float32]

EXACT_ALPHA = 100.0
"""The alpha quality that changes nothing."""

_ROUNDS = 8
"""Rounds of Lloyd's iteration, after which levels hardly move."""
_STRIP = 256
"""Rows that are filled at a time; an even number."""


def check_alpha_quality(quality: float) -> None:
    """Checks an alpha quality.

    Raises:
        InputError: it is not a number in [0, 100].
    """
    if isinstance(quality, bool) or not isinstance(quality, (int, float, np.number)):
        raise InputError(f"alpha quality must be a number, not {type(quality).__name__}")
    if not 0 <= quality <= EXACT_ALPHA:
        raise InputError(f"alpha quality must lie in [0, 100], not {quality:g}")


def level_count(quality: float) -> int:
    """The number of levels at a quality below 100: 2 to 16 up to 70, from there on 16 to 256.

    Source: libwebp's `-alpha_q`, whose scale users know (`src/enc/alpha_enc.c`).
    """
    return int(2 + quality / 5 if quality <= 70 else 16 + (quality - 70) * 8)


def with_fewer_levels(alpha: Pixels, quality: float) -> Pixels:
    """Alpha of at most `level_count` levels, chosen for the least squared error.

    The lowest and the highest alpha stay, and with them transparent and opaque pixels. Nothing
    changes at quality 100, or if there are no more levels than that.
    """
    if quality >= EXACT_ALPHA:
        return alpha
    counts = np.bincount(alpha.ravel(), minlength=peak(alpha) + 1)
    used = np.flatnonzero(counts)
    wanted = level_count(quality)
    if len(used) <= wanted:
        return alpha
    weights = counts[used].astype(np.float64)
    levels = np.linspace(used[0], used[-1], wanted)
    for _ in range(_ROUNDS):
        nearest = np.searchsorted((levels[1:] + levels[:-1]) / 2, used)
        sums = np.bincount(nearest, weights * used, wanted)
        total = np.bincount(nearest, weights, wanted)
        inner = np.where(total > 0, sums / np.maximum(total, 1), levels)[1:-1]
        levels[1:-1] = inner
    nearest = np.searchsorted((levels[1:] + levels[:-1]) / 2, used)
    table = np.zeros(len(counts), alpha.dtype)
    table[used] = np.floor(levels[nearest] + 0.5).astype(alpha.dtype)
    return table[alpha]


def without_hidden(colour: Pixels, alpha: Pixels) -> Pixels:
    """Colours that go on smoothly where alpha is 0, and stay as they are elsewhere.

    The visible pixels are averaged over squares of 2, 4, 8 ... pixels a side. The means are then
    interpolated back, each place taking the finest level that knows something (pull and push).

    Source: Gortler, Grzeszczuk, Szeliski, Cohen, "The Lumigraph", section 3.4.

    Args:
        colour: `(H, W)` or `(H, W, 3)`.
        alpha: `(H, W)`.
    """
    hidden = alpha == 0
    if not hidden.any():
        return colour
    if hidden.all():
        return np.zeros_like(colour)
    planes = colour[:, :, None] if colour.ndim == 2 else colour
    # The finest level is worked in strips: as floats it would take 16 bytes for each sample.
    pooled = [
        _pool(planes[top : top + _STRIP], ~hidden[top : top + _STRIP])
        for top in range(0, len(planes), _STRIP)
    ]
    sums, weights = (np.concatenate(parts) for parts in zip(*pooled, strict=True))
    coarse = _completed(sums, weights)
    result = planes.copy()
    for top in range(0, len(planes), _STRIP):
        rows = result[top : top + _STRIP]
        above = max(top // 2 - 1, 0)
        part = _doubled(coarse[above : (top + _STRIP) // 2 + 1])[top - 2 * above :]
        smooth = np.floor(part[: rows.shape[0], : rows.shape[1]] + 0.5)
        at = hidden[top : top + _STRIP]
        rows[at] = smooth[at].astype(rows.dtype)
    return result.reshape(colour.shape)


def over_background(pixels: Pixels, background: tuple[int, int, int]) -> Pixels:
    """Pixels as they look over a background; those without alpha stay as they are.

    Args:
        pixels: `(H, W, 2)` or `(H, W, 4)`, or without alpha.
        background: red, green and blue, 0 to 255.

    Returns:
        `(H, W, 3)`, or `(H, W)` if pixels and background are gray.
    """
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    top = peak(pixels)
    gray = pixels.shape[2] == 2
    behind = np.array(background, np.float64) * (top / 255)
    if gray and len(set(background)) == 1:
        behind = behind[:1]
    alpha = pixels[:, :, -1:].astype(np.float32) / np.float32(top)
    colour = pixels[:, :, :-1].astype(np.float32)
    mixed = colour * alpha + behind.astype(np.float32) * (1 - alpha)
    flat: Pixels = np.floor(mixed + np.float32(0.5)).astype(pixels.dtype)
    return flat[:, :, 0] if flat.shape[2] == 1 else flat


def _pool(values: npt.NDArray[Any], weights: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """The means of 2x2 squares, and their weights, at most 1; what lies outside weighs nothing."""
    height, width = weights.shape
    sides = [(0, height % 2), (0, width % 2)]
    weight = np.pad(weights.astype(np.float32), sides)
    value = np.pad(values.astype(np.float32), [*sides, (0, 0)]) * weight[:, :, None]
    total = _quads(weight[:, :, None])
    means = _quads(value)
    means /= np.maximum(total, np.float32(1e-6))
    return means, np.minimum(total[:, :, 0], 1)


def _quads(x: Floats) -> Floats:
    """The sums of 2x2 squares."""
    height, width, channels = x.shape
    sums: Floats = x.reshape(height // 2, 2, width // 2, 2, channels).sum((1, 3))
    return sums


def _completed(values: Floats, weights: Floats) -> Floats:
    """Values at every place: those of weight 1 stay, others mix with what coarser levels know."""
    if (weights >= 1).all():
        return values
    coarse = _completed(*_pool(values, weights))
    guess = _doubled(coarse)[: values.shape[0], : values.shape[1]]
    known = weights[:, :, None]
    mixed: Floats = values * known + guess * (1 - known)
    return mixed


def _doubled(x: Floats) -> Floats:
    """Twice as many rows and columns, interpolated between the middles of squares."""
    for axis in (0, 1):
        before = np.concatenate([x.take([0], axis), x], axis).take(range(x.shape[axis]), axis)
        after = np.concatenate([x, x.take([-1], axis)], axis).take(
            range(1, x.shape[axis] + 1), axis
        )
        pair = np.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        shape = list(x.shape)
        shape[axis] *= 2
        x = pair.reshape(shape)
    return x.astype(np.float32, copy=False)
