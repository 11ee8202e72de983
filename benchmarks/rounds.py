"""Codecs timed in turns, over sizes and threads, all in one run.

A round runs every codec once, so that a change in the machine's load meets all of them alike.
Pictures go from memory to memory, and times include the conversion from and to PIL pictures.
"""

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import click
from PIL import Image

from benchmarks.codecs import ImageCodec, describe
from benchmarks.machine import hold_threads


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
        encode: seconds of each round.
        decode: seconds of each round.
        size: bytes of the file.
    """

    encode: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)
    size: int = 0

    @property
    def medians(self) -> tuple[float, float]:
        """Median seconds of encoding and of decoding."""
        return statistics.median(self.encode), statistics.median(self.decode)


Sweep = Mapping[Setting, Times]


def rounds_of(image: Image.Image, repeats: int) -> int:
    """How many rounds a picture gets: `repeats` up to a megapixel, fewer above, 2 at least."""
    megapixels = image.width * image.height / 1e6
    return min(repeats, max(2, round(repeats / max(1.0, megapixels))))


def sweep(
    codecs: Sequence[ImageCodec],
    images: Sequence[Image.Image],
    threads: Sequence[int],
    quality: float,
    repeats: int,
) -> tuple[dict[Setting, Times], list[str]]:
    """Times every codec on every picture with every number of threads.

    The first round of a picture does not count. A setting that fails is not tried again.

    Returns:
        The times of each setting, and a line for each that failed.
    """
    counts = [rounds_of(image, repeats) for image in images]
    steps = [
        (image, number)
        for turn in range(max(counts) + 1)
        for image, count in zip(images, counts, strict=True)
        if turn <= count
        for number in threads
    ]
    times: dict[Setting, Times] = {
        Setting(codec.name, *image.size, number): Times()
        for number in threads
        for image in images
        for codec in codecs
    }
    left_out: list[str] = []
    with click.progressbar(steps, label="timing", file=sys.stderr) as progress:
        for image, number in progress:
            hold_threads(number)
            for codec in codecs:
                setting = Setting(codec.name, *image.size, number)
                try:
                    if setting in times:
                        _add_round(codec, image, quality, times[setting])
                except Exception as exc:  # a codec may fail in any way, and the others still count
                    del times[setting]
                    left_out.append(f"{setting}: {describe(exc)}")
    return times, left_out


def _add_round(codec: ImageCodec, image: Image.Image, quality: float, times: Times) -> None:
    """Adds a round; the first, after which the size is known, leaves no times."""
    start = time.perf_counter()
    data = codec.encode(image, quality)
    encoded = time.perf_counter()
    codec.decode(data)
    decoded = time.perf_counter()
    if times.size:
        times.encode.append(encoded - start)
        times.decode.append(decoded - encoded)
    times.size = len(data)
