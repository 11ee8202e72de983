"""Codecs timed in turns, over sizes and threads, all in one run.

A round asks every worker once, so that a change in the machine's load meets all of them alike.
Pictures go from memory to memory, and times include the conversion from and to PIL pictures.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import click
from PIL import Image

from benchmarks.contestants import ContestantError, Cost, Round


class Measurable(Protocol):
    """What takes part, such as `contestants.Worker`."""

    name: str
    threads: int

    def measure(self, picture: Path, quality: float) -> Round:
        """Encodes and decodes a picture once; ContestantError where that fails."""


@dataclass(frozen=True)
class Setting:
    """What a time depends on, besides the machine.

    Attributes:
        codec: name of the codec.
        width: of the picture, pixels.
        height: of the picture, pixels.
        threads: that the codec may use.
    """

    codec: str
    width: int
    height: int
    threads: int

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.width * self.height / 1e6

    def __str__(self) -> str:
        ending = "" if self.threads == 1 else "s"
        size = f"{self.width}x{self.height} pixels"
        return f"{self.codec} on {size}, {self.threads} thread{ending}"


@dataclass
class Times:
    """What the rounds of one setting took.

    Attributes:
        encode: of each round.
        decode: of each round.
        size: bytes of the file.
    """

    encode: list[Cost] = field(default_factory=list)
    decode: list[Cost] = field(default_factory=list)
    size: int = 0

    @property
    def medians(self) -> tuple[float, float]:
        """Median seconds of the wall clock of encoding and of decoding."""
        return _median(self.encode).wall, _median(self.decode).wall

    @property
    def costs(self) -> tuple[Cost, Cost]:
        """Medians of encoding and of decoding."""
        return _median(self.encode), _median(self.decode)


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.cpu for cost in costs),
    )


Sweep = Mapping[Setting, Times]


def rounds_of(size: tuple[int, int], repeats: int) -> int:
    """How many rounds a picture gets: `repeats` up to a megapixel, fewer above, 2 at least."""
    megapixels = size[0] * size[1] / 1e6
    return min(repeats, max(2, round(repeats / max(1.0, megapixels))))


def sweep(
    workers: Sequence[Measurable], pictures: Sequence[Path], quality: float, repeats: int
) -> tuple[dict[Setting, Times], list[str]]:
    """Times every worker on every picture.

    The first round of a picture does not count. A setting that fails is not tried again.

    Returns:
        The times of each setting, and a line for each that failed.
    """
    sizes = [_size(picture) for picture in pictures]
    counts = [rounds_of(size, repeats) for size in sizes]
    steps = [
        (picture, size)
        for turn in range(max(counts) + 1)
        for picture, size, count in zip(pictures, sizes, counts, strict=True)
        if turn <= count
    ]
    times: dict[Setting, Times] = {
        Setting(worker.name, *size, worker.threads): Times() for size in sizes for worker in workers
    }
    left_out: list[str] = []
    with click.progressbar(steps, label="timing", file=sys.stderr) as progress:
        for picture, size in progress:
            for worker in workers:
                setting = Setting(worker.name, *size, worker.threads)
                if setting not in times:
                    continue
                try:
                    _add_round(times[setting], worker.measure(picture, quality))
                except ContestantError as exc:
                    del times[setting]
                    left_out.append(f"{setting}: {exc}")
    return times, left_out


def _size(picture: Path) -> tuple[int, int]:
    with Image.open(picture) as image:
        return image.size


def _add_round(times: Times, measured: Round) -> None:
    """Adds a round; the first, after which the size is known, leaves no times."""
    if times.size:
        times.encode.append(measured.encode)
        times.decode.append(measured.decode)
    times.size = measured.size
