"""Finds the quality at which a picture meets a target of size or fidelity.

Bits and the measures of fidelity change with quality, and their relation to it is nearly straight
once bits, errors and 1 - MS-SSIM are taken as logarithms; so a secant that never leaves its bracket
needs few evaluations.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from aecodec.errors import InputError

EVALUATIONS = 8
"""Most compressions that a search may take."""
SIZE_TOLERANCE = 0.01
"""Relative difference at which a size counts as met; files that are not larger are preferred."""
DECIBEL_TOLERANCE = 0.05
"""Of PSNR, and of MS-SSIM as -10 log10(1 - MS-SSIM)."""
QUALITY_STEP = 0.25
KINDS = ("size", "psnr", "ssim", "max_error")
_SSIM_DECIBELS_MAX = 100.0

_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "kib": 1024, "mib": 1024**2}


def parse_size(text: str) -> float:
    """Bytes of a size such as `120KB`, `1.5 MiB` or `90000`.

    Raises:
        InputError: it is no size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if match is None or match[2] not in _UNITS:
        raise InputError(f"{text!r} is no size; write bytes, KB, MB, KiB or MiB, as in 120KB")
    return float(match[1]) * _UNITS[match[2]]


@dataclass(frozen=True)
class Target:
    """What a file should reach.

    Attributes:
        kind: "size" in bytes, "psnr" in dB, "ssim" for an MS-SSIM below 1, or "max_error" for the
            largest difference of any sample, which a file may also stay below.
        value: the wish.
    """

    kind: str
    value: float

    def __post_init__(self) -> None:
        """Checks the wish.

        Raises:
            InputError: no such kind, or a value that no file can have.
        """
        if self.kind not in KINDS:
            raise InputError(f"a target is one of {', '.join(KINDS)}, not {self.kind!r}")
        limit = 1.0 if self.kind == "ssim" else math.inf
        if not 0 < self.value < limit:  # nor is a NaN
            raise InputError(f"a target of {self.value:g} cannot be met")

    @property
    def is_bound(self) -> bool:
        """Whether better than the wish is as good, so that the lowest quality wins."""
        return self.kind == "max_error"

    def coordinate(self, measured: float) -> float:
        """An axis that rises with quality and on which the relation to it is nearly straight."""
        if self.kind == "size":
            return math.log(measured)
        if self.kind == "ssim":
            return min(_SSIM_DECIBELS_MAX, -10.0 * math.log10(max(1.0 - measured, 1e-10)))
        return -math.log(measured + 0.5) if self.kind == "max_error" else measured

    def is_met(self, measured: float) -> bool:
        """Whether `measured` is as good as the wish."""
        if self.kind == "size":
            return abs(measured / self.value - 1.0) <= SIZE_TOLERANCE
        if self.kind == "max_error":
            return measured <= self.value
        return self.distance(measured) <= DECIBEL_TOLERANCE

    def distance(self, measured: float) -> float:
        """How far `measured` is from the wish, on the axis of `coordinate`."""
        return abs(self.coordinate(measured) - self.coordinate(self.value))


@dataclass(frozen=True)
class Found:
    """Where a search ended.

    Attributes:
        quality: on the grid of quarters.
        measured: what the target speaks of, at that quality.
        met: whether that is the target, within tolerance.
        evaluations: how many compressions it took.
    """

    quality: float
    measured: float
    met: bool
    evaluations: int


def search_quality(target: Target, measure: Callable[[float], float]) -> Found:
    """Searches the quality that comes nearest to a target.

    Args:
        target: the wish.
        measure: what the target speaks of, at a quality that is a multiple of 0.25 in [0, 100];
            nearly monotonic.

    Returns:
        The nearest of all evaluations, at most `EVALUATIONS` of them; of a bound the lowest quality
        among those that keep it.
    """
    seen: dict[float, float] = {}
    wish = target.coordinate(target.value)

    def at(quality: float) -> float:
        if quality not in seen:
            seen[quality] = measure(quality)
        return target.coordinate(seen[quality]) - wish

    low, high = 0.0, 100.0
    middle = 50.0
    while len(seen) < EVALUATIONS:
        value = at(middle)
        if target.is_met(seen[middle]) and not target.is_bound:
            break
        if value < 0:
            low = middle
        else:
            high = middle
        following = _next(low, high, seen, at)
        if following is None:
            break
        middle = following
    quality = _best(target, seen)
    measured = seen[quality]
    return Found(quality, measured, target.is_met(measured), len(seen))


def _best(target: Target, seen: dict[float, float]) -> float:
    kept = [quality for quality in seen if target.is_bound and target.is_met(seen[quality])]
    return min(kept) if kept else min(seen, key=lambda quality: target.distance(seen[quality]))


def _next(
    low: float, high: float, seen: dict[float, float], at: Callable[[float], float]
) -> float | None:
    """The next quality to try between the ends of the bracket; None when there is none."""
    if low in seen and high in seen:
        below, above = at(low), at(high)
        guess = low + (high - low) * below / (below - above) if above > below else (low + high) / 2
    elif low in seen:
        guess = 100.0 if high - low <= 30.0 else (low + high) / 2
    else:
        guess = 0.0 if high - low <= 30.0 else (low + high) / 2
    on_grid = round(guess / QUALITY_STEP) * QUALITY_STEP
    inside = min(max(on_grid, low + QUALITY_STEP), high - QUALITY_STEP)
    candidates = (inside, low, high)
    return next((c for c in candidates if low <= c <= high and c not in seen), None)
