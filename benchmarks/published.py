"""Published rate-distortion curves on the 24 Kodak pictures: facts, with their sources."""

import json
import math
from collections.abc import Iterable
from pathlib import Path

from benchmarks.curves import Point

_FILE = Path(__file__).parent / "published.json"
KODAK = frozenset(f"kodim{number:02d}" for number in range(1, 25))


def is_kodak(pictures: Iterable[str]) -> bool:
    """Whether these are the 24 Kodak pictures, by their names."""
    names = [Path(path).stem.lower() for path in pictures]
    return len(names) == len(KODAK) and set(names) == KODAK


def published_curves(metric: str) -> dict[str, list[Point]]:
    """The mean curves published in `metric`, by the name of the codec."""
    field = {"psnr": "psnr", "ms_ssim_db": "ms_ssim"}.get(metric)
    return {
        name: [
            Point(number, point["bpp"], _decibels(point[field], field))
            for number, point in enumerate(entry["points"])
        ]
        for name, entry in _entries().items()
        if field and all(field in point for point in entry["points"])
    }


def sources() -> dict[str, str]:
    """Where each curve was published."""
    return {name: str(entry["source"]) for name, entry in _entries().items()}


def _entries() -> dict[str, dict[str, list[dict[str, float]]]]:
    return dict(json.loads(_FILE.read_text(encoding="utf-8")))


def _decibels(value: float, field: str) -> float:
    return -10 * math.log10(1 - value) if field == "ms_ssim" else value
