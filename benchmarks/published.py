"""Published figures of codecs on the 24 Kodak pictures, with their sources; nothing measured here.

An entry has a curve or a BD-rate, as its source gives it, and what decoding costs where that is
known. They stand apart from what a run measures, and are marked as published wherever they appear.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.curves import Point

_FILE = Path(__file__).parent / "published.json"
KODAK = frozenset(f"kodim{number:02d}" for number in range(1, 25))


@dataclass(frozen=True)
class PublishedRate:
    """A BD-rate as its source gives it.

    Attributes:
        percent: below 0, fewer bits than the anchor.
        anchor: the codec that stands for 100 % of the bits, with its version.
        metric: of the distortion.
        pictures: that it was taken over.
        carried_over_by: name of the published curve that may stand for the anchor; None where there
            is none, or where the metric is another than PSNR.
    """

    percent: float
    anchor: str
    metric: str
    pictures: str
    carried_over_by: str | None = None


@dataclass(frozen=True)
class Published:
    """What was published of a codec.

    Attributes:
        source: of the curve or the BD-rate.
        points: of its mean curve on Kodak, each with `bpp`, `psnr` and perhaps `ms_ssim`.
        bd_rate: where no curve was published.
        decode_kmac_per_pixel: thousands of multiplications a pixel that decoding takes.
        decode_ms_per_megapixel: on the machine that `decode_source` names.
        decode_source: of these two.
    """

    source: str
    points: tuple[dict[str, float], ...] = ()
    bd_rate: PublishedRate | None = None
    decode_kmac_per_pixel: float | None = None
    decode_ms_per_megapixel: float | None = None
    decode_source: str = ""

    def curve(self, metric: str) -> list[Point]:
        """The mean curve in a metric; empty if it was not published in it."""
        field = {"psnr": "psnr", "ms_ssim_db": "ms_ssim"}.get(metric)
        if field is None or not all(field in point for point in self.points):
            return []
        return [
            Point(number, point["bpp"], _decibels(point[field], field))
            for number, point in enumerate(self.points)
        ]

    @property
    def measure(self) -> str:
        """What was published: a curve or a BD-rate, with its anchor, metric and pictures."""
        rate = self.bd_rate
        if rate is None:
            return f"curve on Kodak in PSNR{' and MS-SSIM' * bool(self.curve('ms_ssim_db'))}"
        return (
            f"{rate.percent:+.1f} % bits against {rate.anchor}, {rate.metric}, "
            f"{rate.pictures} pictures"
        )


def is_kodak(pictures: Iterable[str]) -> bool:
    """Whether these are the 24 Kodak pictures, by their names."""
    names = [Path(path).stem.lower() for path in pictures]
    return len(names) == len(KODAK) and set(names) == KODAK


def published_curves(metric: str) -> dict[str, list[Point]]:
    """The mean curves published in `metric`, by the name of the codec."""
    curves = {name: entry.curve(metric) for name, entry in published().items()}
    return {name: curve for name, curve in curves.items() if curve}


@cache
def published() -> dict[str, Published]:
    """All entries, by the name of the codec."""
    stored = json.loads(_FILE.read_text(encoding="utf-8"))
    return {name: _entry(dict(fields)) for name, fields in stored.items()}


def _entry(fields: dict[str, Any]) -> Published:
    rate = fields.pop("bd_rate", None)
    points = tuple(fields.pop("points", ()))
    return Published(
        points=points, bd_rate=None if rate is None else PublishedRate(**rate), **fields
    )


def _decibels(value: float, field: str) -> float:
    return -10 * math.log10(1 - value) if field == "ms_ssim" else value
