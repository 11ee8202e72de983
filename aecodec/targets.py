"""Finds the quality at which a picture meets a target of size or fidelity.

Bits, and PSNR, rise with quality, and their relation to it is nearly straight once the bits are
taken as logarithms; so a secant that never leaves its bracket needs few evaluations.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aecodec.errors import InputError

EVALUATIONS = 8
"""Most compressions that a search may take."""
SIZE_TOLERANCE = 0.01
"""Relative difference at which a size counts as met; files that are not larger are preferred."""
PSNR_TOLERANCE = 0.05
"""dB."""
PSNR_MAX = 100.0
QUALITY_STEP = 0.25


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
        kind: "size" in bytes or "psnr" in dB.
        value: the wish.
    """

    kind: str
    value: float

    def __post_init__(self) -> None:
        """Checks the wish.

        Raises:
            InputError: no such kind, or a value that no file can have.
        """
        if self.kind not in {"size", "psnr"}:
            raise InputError(f"a target is a size or a PSNR, not {self.kind!r}")
        if not (math.isfinite(self.value) and self.value > 0):
            raise InputError(f"a target of {self.value:g} cannot be met")

    def coordinate(self, measured: float) -> float:
        """The axis on which the relation to quality is nearly straight."""
        return math.log(measured) if self.kind == "size" else measured

    def is_met(self, measured: float) -> bool:
        """Whether `measured` is as good as the wish."""
        if self.kind == "size":
            return abs(measured / self.value - 1.0) <= SIZE_TOLERANCE
        return abs(measured - self.value) <= PSNR_TOLERANCE


@dataclass(frozen=True)
class Found:
    """Where a search ended.

    Attributes:
        quality: on the grid of quarters.
        measured: bytes or dB at that quality.
        met: whether that is the target, within tolerance.
        evaluations: how many compressions it took.
    """

    quality: float
    measured: float
    met: bool
    evaluations: int


def pixels_psnr(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> float:
    """PSNR in dB over all samples of two 8-bit pictures; 100 for equal ones."""
    error = first.astype(np.float32) - second
    mse = float(np.mean(np.square(error), dtype=np.float64))
    return min(PSNR_MAX, 10.0 * math.log10(255.0**2 / mse)) if mse else PSNR_MAX


def search_quality(target: Target, measure: Callable[[float], float]) -> Found:
    """Searches the quality that comes nearest to a target.

    Args:
        target: the wish.
        measure: bytes or dB at a quality, a multiple of 0.25 in [0, 100]; nearly monotonic.

    Returns:
        The nearest of all evaluations, at most `EVALUATIONS` of them.
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
        if target.is_met(seen[middle]):
            break
        if value < 0:
            low = middle
        else:
            high = middle
        following = _next(low, high, seen, at)
        if following is None:
            break
        middle = following
    quality = min(seen, key=lambda each: abs(target.coordinate(seen[each]) - wish))
    measured = seen[quality]
    return Found(quality, measured, target.is_met(measured), len(seen))


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
