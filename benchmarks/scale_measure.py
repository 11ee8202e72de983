"""Runs small and large pictures by plain commands, folder runs and the engine, and times them.

Pictures are crops of `samples/`, or repeat them in mirrors where they are larger, as PNG on the
local disk. Every process has one thread.
"""

import json
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from aecodec.codec import Codec
from aecodec.jobs.runner import JobLog
from aecodec.jobs.transcode import compress_file
from aecodec.options import EncodeOptions
from aecodec.storage.files import write_bytes
from benchmarks.footprint import Usage, run_once
from benchmarks.pictures import load_picture, of_size

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PLAIN, JOBS, RAY = "command for each", "--jobs", "--engine ray"
PLAIN_COUNTS = 3
"""Pictures that get a command each."""
STARTS = "starts"
"""Stands for the load of runs that are over soon."""


@dataclass(frozen=True)
class Load:
    """Pictures of some sizes in one folder.

    Attributes:
        name: of the folder.
        sizes: width, height and how many, of each size.
    """

    name: str
    sizes: tuple[tuple[int, int, int], ...]

    @property
    def count(self) -> int:
        """Pictures."""
        return sum(count for _, _, count in self.sizes)

    @property
    def megapixels(self) -> float:
        """Of all pictures."""
        return sum(width * height * count for width, height, count in self.sizes) / 1e6

    def write(self, folder: Path, samples: Path) -> list[Path]:
        """Writes the pictures, mixed in a seeded order, and returns their paths in this order."""
        photographs = [load_picture(samples / f"{name}.png") for name in PHOTOGRAPHS]
        rng = np.random.default_rng(0)
        sizes = [(w, h) for w, h, count in self.sizes for _ in range(count)]
        place = folder / self.name
        place.mkdir(parents=True)
        paths = []
        for number, index in enumerate(rng.permutation(len(sizes))):
            paths.append(place / f"{number:05}.png")
            picture, (width, height) = photographs[number % len(photographs)], sizes[index]
            part(picture, width, height, rng).save(paths[-1])
        return paths


def part(picture: Image.Image, width: int, height: int, rng: np.random.Generator) -> Image.Image:
    """A crop from any place, or the picture mirrored until it is as large."""
    if width > picture.width or height > picture.height:
        return of_size(picture, width, height)
    left = int(rng.integers(0, picture.width - width + 1))
    top = int(rng.integers(0, picture.height - height + 1))
    return picture.crop((left, top, left + width, top + height))


@dataclass(frozen=True)
class Way:
    """How pictures are run.

    Attributes:
        name: `PLAIN`, `JOBS` or `RAY`.
        workers: processes at a time.
    """

    name: str
    workers: int

    def command(self, source: Path, target: Path) -> list[str]:
        """Arguments of Python that compress a folder, or for `PLAIN` a file."""
        words = ["-P", "-m", "aecodec", "compress", str(source), "-o", str(target)]
        if self.name == JOBS:
            words += ["-r", "-j", str(self.workers)]
        if self.name == RAY:
            words += ["--engine", "ray", "--workers", str(self.workers)]
        return words


@dataclass(frozen=True)
class Trace:
    """A run, and what it said of its pictures.

    Attributes:
        usage: of the run, from the start of Python to the end.
        seconds: that a worker had each picture in hand, in the order of the pictures' names.
        manifest_bytes: of the parts of the manifest, if the run wrote one.
    """

    usage: Usage
    seconds: tuple[float, ...]
    manifest_bytes: int = 0


@dataclass(frozen=True)
class Row:
    """A way on a load: the run of the median time among the repeats.

    Attributes:
        way: how.
        load: name of the pictures.
        pictures: how many.
        megapixels: of all.
        run: the run.
        ready: seconds of a run over one small picture for each worker, without these pictures.
        start: the same, with what its first picture waits for: that its model is loaded.
        coding: CPU seconds that a warm codec needs for all pictures.
        storage: seconds of reading and writing them without coding.
    """

    way: Way
    load: str
    pictures: int
    megapixels: float
    run: Trace
    ready: float
    start: float
    coding: float
    storage: float

    @property
    def wall(self) -> float:
        """Seconds of the whole run."""
        return self.run.usage.seconds

    @property
    def busy(self) -> float:
        """Seconds that workers had pictures in hand, all together."""
        return sum(self.run.seconds)

    def shares(self, manifest: float = 0.0) -> dict[str, float]:
        """What the time of all workers went to; the parts sum up to 1.

        Of the time that pictures were in hand, what is neither coding nor storage is waiting for
        a core or for memory that others use. Of the other time, what is neither the start nor the
        manifest is scheduling, and waiting for the last picture.

        Args:
            manifest: seconds that workers were busy with it.
        """
        workers, whole = self.way.workers, self.way.workers * self.wall
        first = workers * (self.start - self.ready)
        parts = {
            "coding": self.coding,
            "storage": self.storage,
            "held up": self.busy - first - self.coding - self.storage,
            "start": workers * self.start,
            "manifest": manifest,
            "scheduling": whole - self.busy - workers * self.ready - manifest,
        }
        return {name: each / whole for name, each in parts.items()}


@dataclass(frozen=True)
class Measured:
    """All that was measured of ways and loads.

    Attributes:
        rows: in the order of ways and loads.
        warm: CPU seconds of each picture by a warm codec, for each load.
        storage: mean seconds of reading and writing a picture, for each load.
    """

    rows: tuple[Row, ...]
    warm: dict[str, tuple[float, ...]]
    storage: dict[str, float]

    def row(self, way: Way, load: str) -> Row:
        """What was measured of one way on one load; KeyError if it was not."""
        return {(row.way, row.load): row for row in self.rows}[way, load]


def measure(
    ways: Sequence[Way], loads: Sequence[Load], samples: Path, folder: Path, repeats: int,
    said: Callable[[str], None],
) -> Measured:  # fmt: skip
    """Runs every way on every load, in turns, and a warm codec beside them.

    Args:
        ways: how.
        loads: what; the first has the pictures that starts are measured with.
        samples: folder of the photographs.
        folder: an empty one for pictures and outputs.
        repeats: of everything; medians count.
        said: is told what is at work.

    Raises:
        RuntimeError: a command failed.
    """
    paths = {load.name: load.write(folder, samples) for load in loads}
    few = {way: _few(paths[loads[0].name], way.workers, folder) for way in ways}
    some = {load.name: _few(paths[load.name], PLAIN_COUNTS, folder) for load in loads}
    warm: dict[str, list[list[float]]] = {load.name: [] for load in loads}
    storage: dict[str, list[float]] = {load.name: [] for load in loads}
    traces: dict[tuple[Way, str], list[Trace]] = {}
    out = folder / "out"
    for turn in range(repeats):
        for load in loads:
            said(f"{turn + 1} of {repeats}: {load.name}")
            warm[load.name].append(warm_seconds(paths[load.name], folder / "warm"))
            storage[load.name].append(
                storage_seconds(paths[load.name], folder / "warm", folder / "copies")
            )
            for place in ("warm", "copies"):
                shutil.rmtree(folder / place)
            for way in ways:
                source = some[load.name] if way.name == PLAIN else folder / load.name
                traces.setdefault((way, load.name), []).append(run(way, source, out))
        for way in ways:
            if way.name != PLAIN:
                traces.setdefault((way, STARTS), []).append(run(way, few[way], out))
    medians = {name: [statistics.median(each) for each in zip(*times, strict=True)]
               for name, times in warm.items()}  # fmt: skip
    stored = {name: statistics.median(times) for name, times in storage.items()}
    return Measured(
        tuple(_rows(ways, loads, traces, medians, stored)),
        {name: tuple(times) for name, times in medians.items()},
        stored,
    )


def _few(paths: Sequence[Path], count: int, folder: Path) -> Path:
    """A folder with the first of the pictures."""
    place = folder / f"{paths[0].parent.name}-{count}"
    if not place.exists():
        place.mkdir()
        for path in paths[:count]:
            shutil.copy(path, place)
    return place


def _rows(
    ways: Sequence[Way], loads: Sequence[Load], traces: dict[tuple[Way, str], list[Trace]],
    warm: dict[str, list[float]], storage: dict[str, float],
) -> Iterator[Row]:  # fmt: skip
    alone = statistics.fmean(warm[loads[0].name])
    for way, load in ((way, load) for way in ways for load in loads):
        found, started = traces[way, load.name], traces.get((way, STARTS), [])
        count = len(found[0].seconds)
        ready = [each.usage.seconds - sum(each.seconds) / way.workers for each in started]
        start = [each.usage.seconds - alone for each in started]
        yield Row(
            way, load.name, count, load.megapixels * count / load.count, _middle(found),
            statistics.median(ready or [0.0]), statistics.median(start or [0.0]),
            sum(warm[load.name][:count]), storage[load.name] * count,
        )  # fmt: skip


def _middle(found: Sequence[Trace]) -> Trace:
    """The run of the median time; of an even number the faster of two."""
    return sorted(found, key=lambda each: each.usage.seconds)[(len(found) - 1) // 2]


def environment() -> dict[str, str]:
    """That of a process with one thread."""
    return os.environ | dict.fromkeys(THREADS, "1")


def warm_seconds(paths: Sequence[Path], folder: Path) -> list[float]:
    """CPU seconds of reading, coding and writing each picture, with the model loaded before."""
    codec, log = Codec(threads=1), JobLog(_silent)
    folder.mkdir()
    targets = [str(folder / f"{path.stem}.aec") for path in paths]
    compress_file(codec, str(paths[0]), targets[0], EncodeOptions(), log=log)
    found = []
    for path, target in zip(paths, targets, strict=True):
        start = time.process_time()
        compress_file(codec, str(path), target, EncodeOptions(), log=log)
        found.append(time.process_time() - start)
    return found


def storage_seconds(paths: Sequence[Path], coded: Path, folder: Path) -> float:
    """Mean seconds of reading a picture and writing its file, without any coding."""
    folder.mkdir()
    start = time.perf_counter()
    for path in paths:
        path.read_bytes()
        data = (coded / f"{path.stem}.aec").read_bytes()
        write_bytes(folder / f"{path.stem}.aec", data)
    return (time.perf_counter() - start) / len(paths)


def run(way: Way, source: Path, target: Path) -> Trace:
    """Runs a folder, or for `PLAIN` each of its files by a command of its own; once.

    Raises:
        RuntimeError: a command failed.
    """
    if way.name == PLAIN:
        target.mkdir()
        pairs = [(path, target / f"{path.stem}.aec") for path in sorted(source.iterdir())]
    else:
        pairs = [(source, target)]
    usages, seconds = [], {}
    lines = target.with_suffix(".jsonl")
    for pair in pairs:
        usages.append(run_once([*way.command(*pair), "--json"], environment(), lines))
        for line in lines.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            seconds[entry["source"]] = float(entry["seconds"])
    manifest = sum(path.stat().st_size for path in target.glob("_manifest/*.parquet"))
    shutil.rmtree(target)
    total = Usage(
        sum(each.seconds for each in usages),
        sum(each.cpu_seconds for each in usages),
        max(each.peak_mib for each in usages),
    )
    return Trace(total, tuple(seconds[name] for name in sorted(seconds)), manifest)


def _silent(_text: str, /, *, err: bool) -> None:
    """Says nothing."""
