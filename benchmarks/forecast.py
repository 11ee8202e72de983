"""About how long measuring will take, from a trial of each codec on a small part of a picture."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from PIL import Image

from benchmarks.codecs import ImageCodec
from benchmarks.metrics import measure_all
from benchmarks.pictures import load_picture

TRIAL_SIDE = 384
"""Sides of the part that is tried: large enough for every metric."""


@dataclass
class Speeds:
    """Seconds for each pixel of each codec, metrics included; codecs that fail have none.

    Attributes:
        of_codecs: by name.
        side: the most pixels of a side that are measured; None for all.
    """

    of_codecs: dict[str, float] = field(default_factory=dict)
    side: int | None = None

    def seconds(self, codec: str, path: Path) -> float:
        """About how long one quality of a codec takes on a picture; 0 where nothing is known."""
        if codec not in self.of_codecs:
            return 0.0
        try:
            with Image.open(path) as image:
                width, height = (min(each, self.side or each) for each in image.size)
                return self.of_codecs[codec] * width * height
        except Exception:  # Pillow raises many kinds; measuring will tell
            return 0.0


class Measuring(Protocol):
    """What is measured of a picture."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics."""

    @property
    def side(self) -> int | None:
        """The most pixels of a side; None for all."""


def trials(codecs: Sequence[ImageCodec], paths: Sequence[Path], plan: Measuring) -> Speeds:
    """Tries each codec once, in the middle of the first picture that can be read."""
    image = _sample(paths)
    if image is None:
        return Speeds()
    found = {}
    for codec in codecs:
        quality = codec.qualities[len(codec.qualities) // 2]
        start = time.perf_counter()
        try:
            measure_all(image, codec.decode(codec.encode(image, quality)), plan.metrics)
        except Exception:  # a codec may fail in any way; measuring will tell
            continue
        found[codec.name] = (time.perf_counter() - start) / (image.width * image.height)
    return Speeds(found, plan.side)


def duration(seconds: float) -> str:
    """A time that need not be exact, as people say it.

    Example:
        >>> [duration(seconds) for seconds in (0.3, 43, 100, 4000)]
        ['1 s', '45 s', '2 min', '1.1 h']
    """
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 90:
        return f"{5 * round(seconds / 5)} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _sample(paths: Sequence[Path]) -> Image.Image | None:
    for path in paths:
        try:
            return load_picture(path, TRIAL_SIDE)
        except Exception:  # Pillow raises many kinds; measuring will tell
            continue
    return None
