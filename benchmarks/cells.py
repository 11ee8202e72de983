"""Measures cells: in one process or several, with finished cells kept in a folder.

Before it begins it says about how long it will take, and while it goes on what is left.

Cells come out in the order of pictures, codecs and qualities, whatever finishes first. With
several processes each holds to its share of the cores, as far as codecs let themselves be told:
torch, AVIF and JPEG XL do, HEIC (x265) starts threads as it likes.
"""

import hashlib
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path

import click
from PIL import Image
from tqdm import tqdm

from aecodec.cli.startup import prepare_process
from aecodec.storage.files import write_bytes
from benchmarks.codecs import FACTORIES, ImageCodec, describe
from benchmarks.curves import Point
from benchmarks.forecast import Speeds, duration, trials
from benchmarks.machine import hold_threads, machine_facts
from benchmarks.metrics import METRICS, measure_all
from benchmarks.pictures import load_picture
from benchmarks.results import CODEC_FACT, Cell, Results, cell_from_dict, cell_to_dict


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        repeats: how often each file is made and read; the median of the seconds counts.
        threads: for each process.
        processes: how many measure at a time; seconds are only fair with 1.
        model: name or weights file of the model for aecodec, None for the default one.
        store: folder of finished cells, None to keep none.
        metrics: names of the metrics to compute.
        side: of a larger picture only so many pixels a side, in its middle, are measured.
    """

    repeats: int = 1
    threads: int = 1
    processes: int = 1
    model: str | None = None
    store: Path | None = None
    metrics: tuple[str, ...] = tuple(METRICS)
    side: int | None = None


@dataclass(frozen=True)
class _Task:
    """All qualities of one codec on one picture; codecs travel to processes by name.

    Attributes:
        seconds: that one quality will take, about; 0 where nothing is known.
    """

    codec: ImageCodec | str
    qualities: tuple[float, ...]
    path: Path
    plan: Plan
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """Of the codec."""
        return self.codec if isinstance(self.codec, str) else self.codec.name


@dataclass(frozen=True)
class _Outcome:
    """What came of a task.

    Attributes:
        cells: one for each quality, none if anything failed.
        left_out: a line for each thing that is missing.
        stored: how many cells came from the store.
    """

    cells: list[Cell]
    left_out: list[str]
    stored: int = 0


@dataclass(frozen=True)
class Measured:
    """A cell, and a line for each metric that could not be computed."""

    cell: Cell
    left_out: list[str]


Tell = Callable[["_Task"], None]
"""Called after each quality."""


def measure_cells(
    codecs: Sequence[ImageCodec], paths: Sequence[Path], plan: Plan, *, after: float | None = None
) -> Results:
    """Codes every picture with every codec; what fails is noted and left out.

    Args:
        codecs: each with its ladder of qualities.
        paths: of the pictures.
        plan: how.
        after: seconds that the caller's own work will take after this, for a forecast; None for no
            forecast.
    """
    if plan.processes == 1:
        hold_threads(plan.threads)
    speeds = Speeds() if after is None else trials(codecs, paths, plan)
    tasks = [
        _Task(
            codec if plan.processes == 1 else codec.name, codec.qualities, path, plan,
            speeds.seconds(codec.name, path) * plan.repeats / plan.processes,
        )
        for path in paths
        for codec in codecs
    ]  # fmt: skip
    if after is not None:
        total = sum(task.seconds * _missing(task) for task in tasks)
        click.echo(_forecast(codecs, paths, plan, total + after), err=True)
    results, stored = Results(), 0
    left_out: dict[str, None] = {}
    with (
        _bar(sum((task.seconds or 1.0) * len(task.qualities) for task in tasks)) as tell,
        _outcomes(tasks, plan, tell) as outcomes,
    ):
        for outcome in outcomes:
            results.cells += outcome.cells
            left_out.update(dict.fromkeys(outcome.left_out))
            stored += outcome.stored
    results.left_out = list(left_out)
    results.machine = machine_facts() | {
        "threads": plan.threads,
        "processes": plan.processes,
        "repeats": plan.repeats,
        **({} if plan.side is None else {"at most pixels a side": plan.side}),
        "cells_from_store": stored,
        **{CODEC_FACT + codec.name: codec.details for codec in codecs},
        **{f"metric {name}": _version(METRICS[name].package) for name in plan.metrics},
    }
    return results


def _forecast(
    codecs: Sequence[ImageCodec], paths: Sequence[Path], plan: Plan, seconds: float
) -> str:
    """What is going to be done, and about how long it will take."""
    qualities = max((len(codec.qualities) for codec in codecs), default=0)
    parts = [
        f"{len(paths)} picture{'s' * (len(paths) != 1)}", f"{len(codecs)} codecs",
        f"up to {qualities} qualities each", f"metrics {', '.join(plan.metrics)}",
    ]  # fmt: skip
    if plan.side is not None:
        parts.insert(1, f"of each at most the middle {plan.side}x{plan.side} pixels")
    return f"{'; '.join(parts)}: about {duration(seconds)}"


@contextmanager
def _bar(seconds: float) -> Iterator[Tell]:
    """A bar on standard error if that is a terminal, which moves as tasks are told."""
    with tqdm(
        desc="measuring", total=max(seconds, 1e-9), file=sys.stderr, disable=None, leave=False,
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {remaining} left{postfix}",
        dynamic_ncols=True,
    ) as bar:  # fmt: skip

        def tell(task: _Task) -> None:
            bar.set_postfix_str(f"{task.name} on {task.path.name}", refresh=False)
            bar.update(min(task.seconds or 1.0, bar.total - bar.n))

        yield tell


def _missing(task: _Task) -> int:
    """How many qualities of a task are not in the store."""
    if task.plan.store is None or not task.plan.store.is_dir() or isinstance(task.codec, str):
        return len(task.qualities)
    try:
        digest = hashlib.sha256(task.path.read_bytes()).hexdigest()
    except OSError:
        return 0
    kept = [_kept_path(task.codec, quality, digest, task.plan) for quality in task.qualities]
    return sum(path is None or not path.exists() for path in kept)


@contextmanager
def _outcomes(tasks: Sequence[_Task], plan: Plan, tell: Tell) -> Iterator[Iterator[_Outcome]]:
    if plan.processes == 1:
        yield (_perform(task, tell) for task in tasks)
        return
    context = multiprocessing.get_context("spawn")  # torch does not survive a fork
    with context.Pool(plan.processes, _prepare, (plan.threads,)) as pool:
        yield _told(zip(tasks, pool.imap(_perform, tasks), strict=True), tell)


def _told(pairs: Iterator[tuple[_Task, _Outcome]], tell: Tell) -> Iterator[_Outcome]:
    """Outcomes of other processes, each told as a whole."""
    for task, outcome in pairs:
        for _ in task.qualities:
            tell(task)
        yield outcome


def _prepare(threads: int) -> None:
    """Sets up a process as the one that starts it was."""
    prepare_process(torch=True)
    hold_threads(threads)


@cache
def _make(name: str, model: str | None) -> ImageCodec:
    return FACTORIES[name](model)


def _perform(task: _Task, tell: Tell | None = None) -> _Outcome:
    try:
        digest = hashlib.sha256(task.path.read_bytes()).hexdigest()
        image = load_picture(task.path, task.plan.side)
    except Exception as exc:  # Pillow raises many kinds, and the other pictures still count
        return _Outcome([], [f"{task.path}: {describe(exc)}"])
    cells, left_out, stored = [], [], 0
    try:
        codec = _make(task.name, task.plan.model) if isinstance(task.codec, str) else task.codec
        for quality in task.qualities:
            kept = _kept_path(codec, quality, digest, task.plan)
            found = _read_kept(kept, str(task.path))
            stored += found is not None
            measured = found or measure_cell(codec, image, str(task.path), quality, task.plan)
            if kept and found is None:
                _keep(kept, measured)
            cells.append(measured.cell)
            if tell is not None:
                tell(task)
            left_out += [f"{task.path}: {line}" for line in measured.left_out]
    except Exception as exc:  # a codec may fail in any way, and the others still count
        return _Outcome([], [f"{task.name} on {task.path}: {describe(exc)}"])
    return _Outcome(cells, left_out, stored)


def measure_cell(
    codec: ImageCodec, image: Image.Image, picture: str, quality: float, plan: Plan
) -> Measured:
    """Codes a picture `plan.repeats` times at a quality.

    Raises:
        ValueError: the codec restores another size or mode.
    """
    encode, decode = [], []
    for _ in range(plan.repeats):
        start = time.perf_counter()
        data = codec.encode(image, quality)
        encoded = time.perf_counter()
        restored = codec.decode(data)
        decode.append(time.perf_counter() - encoded)
        encode.append(encoded - start)
    values, lines = measure_all(image, restored, plan.metrics)
    cell = Cell(
        codec.name, picture, quality, len(data), *image.size, values,
        encode_seconds=statistics.median(encode), decode_seconds=statistics.median(decode),
    )  # fmt: skip
    return Measured(cell, lines)


def measure_curve(codec: ImageCodec, image: Image.Image) -> list[Point]:
    """Codes one picture at each quality of the codec's ladder; rate and RGB PSNR only."""
    plan = Plan(metrics=("psnr",))
    cells = [measure_cell(codec, image, "", quality, plan).cell for quality in codec.qualities]
    return [Point(cell.quality, cell.bpp, cell.metrics["psnr"]) for cell in cells]


def _kept_path(codec: ImageCodec, quality: float, digest: str, plan: Plan) -> Path | None:
    """Where this very cell is kept; None if nothing tells versions of the codec apart."""
    if plan.store is None or not codec.version:
        return None
    packages = [_version(METRICS[name].package) for name in plan.metrics]
    key = [codec.name, codec.details, float(quality), digest, plan.repeats, plan.threads]
    part = [] if plan.side is None else [plan.side]
    text = json.dumps([*key, plan.processes, plan.metrics, packages, *part])
    return plan.store / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


@cache
def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}" if package else "own"
    except metadata.PackageNotFoundError:
        return f"no {package}"


def _read_kept(path: Path | None, picture: str) -> Measured | None:
    if path is None or not path.exists():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        cell = replace(cell_from_dict(stored["cell"]), picture=picture)
        return Measured(cell, list(stored["lines"]))
    except (KeyError, TypeError, AttributeError, ValueError):
        return None  # damaged: measured again, and overwritten


def _keep(path: Path, measured: Measured) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"cell": cell_to_dict(measured.cell), "lines": measured.left_out}
    text = json.dumps(document, allow_nan=False)
    write_bytes(str(path), text.encode())
