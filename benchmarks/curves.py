"""Rate-distortion curves: PSNR, means over pictures, and Bjontegaard's delta rate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import bjontegaard
import numpy as np
from PIL import Image

from aecodec.picture.metrics import pixels_mse


@dataclass(frozen=True)
class Point:
    """One file: what it costs and how well it restores the picture.

    Attributes:
        quality: what the encoder was asked for, on its own scale.
        bpp: bits of the whole file / pixels of the unpadded picture.
        psnr: dB over all RGB channels, `inf` when the picture came back unchanged; in curves of
            another metric, its value.
    """

    quality: float
    bpp: float
    psnr: float


Curve = Sequence[Point]


@dataclass(frozen=True)
class BdRate:
    """Bjontegaard's delta rate, and the distortions that it was taken over.

    Attributes:
        percent: the mean change of rate at equal PSNR; below 0, fewer bits than the anchor.
        low: lowest PSNR that both curves reach, dB.
        high: highest PSNR that both curves reach, dB.
    """

    percent: float
    low: float
    high: float


def psnr(original: Image.Image, restored: Image.Image) -> float:
    """The peak signal-to-noise ratio of two 8-bit RGB pictures, in dB.

    `10 log10(255^2 / MSE)` with the mean over all pixels and channels at once; `inf` when they
    are equal.

    Raises:
        ValueError: sizes or modes differ.
    """
    if (original.size, original.mode) != (restored.size, restored.mode):
        raise ValueError(f"got {restored.size} {restored.mode} for {original.size} {original.mode}")
    return decibels(pixels_mse(np.asarray(original), np.asarray(restored)))


def decibels(mse: float) -> float:
    """The PSNR of a mean squared error of 8-bit samples, without an upper limit."""
    return 10 * math.log10(255**2 / mse) if mse else math.inf


def mean_curve(curves: Sequence[Curve]) -> list[Point]:
    """The mean bpp and mean PSNR of several pictures at each quality.

    Raises:
        ValueError: the curves have different qualities, or there is none.
    """
    if len({tuple(p.quality for p in curve) for curve in curves}) != 1:
        raise ValueError("curves to average must have the same qualities")
    return [
        Point(
            quality=points[0].quality,
            bpp=float(np.mean([p.bpp for p in points])),
            psnr=float(np.mean([p.psnr for p in points])),
        )
        for points in zip(*curves, strict=True)
    ]


def bd_rate(anchor: Curve, test: Curve) -> BdRate | None:
    """Bjontegaard's delta rate of `test` against `anchor`.

    Log-rate as a function of PSNR, interpolated by monotone cubics (PCHIP) through every point,
    integrated over the PSNR range that both curves cover.

    Returns:
        None when the curves share no PSNR range, or one of them has fewer than two usable points.

    Source:
        Bjontegaard, VCEG-M33 (2001); PCHIP after JCTVC-E137; computed by the package of Herglotz
        et al., https://github.com/FAU-LMS/bjontegaard.

    Example:
        >>> half = [Point(q, 0.5 * q, 30.0 + q) for q in (1, 2, 3)]
        >>> full = [Point(q, 1.0 * q, 30.0 + q) for q in (1, 2, 3)]
        >>> result = bd_rate(full, half)
        >>> round(result.percent, 6), result.low, result.high
        (-50.0, 31.0, 33.0)
    """
    anchor_front, test_front = _front(anchor), _front(test)
    if min(len(anchor_front), len(test_front)) < 2:
        return None
    low = max(anchor_front[0].psnr, test_front[0].psnr)
    high = min(anchor_front[-1].psnr, test_front[-1].psnr)
    if low >= high:
        return None
    percent = bjontegaard.bd_rate(
        [p.bpp for p in anchor_front],
        [p.psnr for p in anchor_front],
        [p.bpp for p in test_front],
        [p.psnr for p in test_front],
        method="pchip",
        require_matching_points=False,
        min_overlap=0,
    )
    return BdRate(percent=float(percent), low=low, high=high)


def bd_psnr(anchor: Curve, test: Curve) -> float | None:
    """Bjontegaard's delta PSNR of `test` against `anchor`, dB; above 0, `test` is better.

    PSNR as a function of log-rate by the same method as `bd_rate`, over the common rates.

    Returns:
        None when the curves share no rates, or one of them has fewer than two usable points.
    """
    fronts = _front(anchor), _front(test)
    if min(map(len, fronts)) < 2:
        return None
    if max(front[0].bpp for front in fronts) >= min(front[-1].bpp for front in fronts):
        return None
    axes = [axis for f in fronts for axis in ([p.bpp for p in f], [p.psnr for p in f])]
    delta = bjontegaard.bd_psnr(*axes, method="pchip", require_matching_points=False, min_overlap=0)
    return float(delta)


def _front(curve: Curve) -> list[Point]:
    """The points that cost more than all before them and are better: a function of PSNR."""
    front: list[Point] = []
    for point in sorted(curve, key=lambda p: (p.bpp, -p.psnr)):
        if math.isfinite(point.psnr) and (not front or point.psnr > front[-1].psnr):
            front.append(point)
    return front
