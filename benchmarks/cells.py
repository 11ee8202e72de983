"""Measures cells: in one process or several, with finished cells kept in a folder.

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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path

import click
from PIL import Image

from aecodec.cli.startup import keep_freed_memory
from aecodec.storage.files import write_bytes
from benchmarks.codecs import (
    FACTORIES,
    ImageCodec,
    describe,
    hold_threads,
    load_picture,
    machine_facts,
)
from benchmarks.curves import Point
from benchmarks.metrics import METRICS, measure_all
from benchmarks.results import Cell, Results, cell_from_dict, cell_to_dict


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        repeats: how often each file is made and read; the median of the seconds counts.
        threads: for each process.
        processes: how many measure at a time; seconds are only fair with 1.
        model: weights file for aecodec, None for the released ones.
        store: folder of finished cells, None to keep none.
        metrics: names of the metrics to compute.
    """

    repeats: int = 1
    threads: int = 1
    processes: int = 1
    model: str | None = None
    store: Path | None = None
    metrics: tuple[str, ...] = tuple(METRICS)


@dataclass(frozen=True)
class _Task:
    """All qualities of one codec on one picture; codecs travel to processes by name."""

    codec: ImageCodec | str
    qualities: tuple[float, ...]
    path: Path
    plan: Plan


Outcome = tuple[list[Cell], list[str], int]
"""Cells, lines for what is left out, and how many cells came from the store."""


def measure_cells(codecs: Sequence[ImageCodec], paths: Sequence[Path], plan: Plan) -> Results:
    """Codes every picture with every codec; what fails is noted and left out."""
    tasks = [
        _Task(codec if plan.processes == 1 else codec.name, codec.qualities, path, plan)
        for path in paths
        for codec in codecs
    ]
    results, stored = Results(), 0
    left_out: dict[str, None] = {}
    with (
        _outcomes(tasks, plan) as outcomes,
        click.progressbar(length=len(tasks), label="measuring", file=sys.stderr) as progress,
    ):
        for cells, lines, reused in outcomes:
            results.cells += cells
            left_out.update(dict.fromkeys(lines))
            stored += reused
            progress.update(1)
    results.left_out = list(left_out)
    results.machine = machine_facts() | {
        "threads": plan.threads,
        "processes": plan.processes,
        "repeats": plan.repeats,
        "cells_from_store": stored,
        **{f"codec {codec.name}": codec.version or "unknown" for codec in codecs},
        **{f"metric {name}": _version(METRICS[name].package) for name in plan.metrics},
    }
    return results


@contextmanager
def _outcomes(tasks: Sequence[_Task], plan: Plan) -> Iterator[Iterator[Outcome]]:
    if plan.processes == 1:
        hold_threads(plan.threads)
        yield map(_perform, tasks)
        return
    context = multiprocessing.get_context("spawn")  # torch does not survive a fork
    with context.Pool(plan.processes, _prepare, (plan.threads,)) as pool:
        yield pool.imap(_perform, tasks)


def _prepare(threads: int) -> None:
    """Sets up a process as the one that starts it was."""
    keep_freed_memory()
    hold_threads(threads)


@cache
def _make(name: str, model: str | None) -> ImageCodec:
    return FACTORIES[name](model)


def _perform(task: _Task) -> Outcome:
    try:
        digest = hashlib.sha256(task.path.read_bytes()).hexdigest()
        image = load_picture(task.path)
    except Exception as exc:  # Pillow raises many kinds, and the other pictures still count
        return [], [f"{task.path}: {describe(exc)}"], 0
    named = isinstance(task.codec, str)
    name = task.codec if isinstance(task.codec, str) else task.codec.name
    cells, left_out, reused = [], [], 0
    try:
        codec = _make(name, task.plan.model) if named else task.codec
        assert isinstance(codec, ImageCodec)
        for quality in task.qualities:
            kept = _kept_path(codec, quality, digest, task.plan)
            found = _read_kept(kept, str(task.path))
            reused += found is not None
            cell, lines = found or measure_cell(codec, image, str(task.path), quality, task.plan)
            if kept and found is None:
                _keep(kept, cell, lines)
            cells.append(cell)
            left_out += [f"{task.path}: {line}" for line in lines]
    except Exception as exc:  # a codec may fail in any way, and the others still count
        return [], [f"{name} on {task.path}: {describe(exc)}"], 0
    return cells, left_out, reused


def measure_cell(
    codec: ImageCodec, image: Image.Image, picture: str, quality: float, plan: Plan
) -> tuple[Cell, list[str]]:
    """Codes a picture `plan.repeats` times at a quality.

    Returns:
        The cell, and a line for each metric that could not be computed.

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
    seconds = statistics.median(encode), statistics.median(decode)
    return Cell(codec.name, picture, quality, len(data), *image.size, values, *seconds), lines


def measure_curve(codec: ImageCodec, image: Image.Image) -> list[Point]:
    """Codes one picture at each quality of the codec's ladder; rate and RGB PSNR only."""
    plan = Plan(metrics=("psnr",))
    cells = [measure_cell(codec, image, "", quality, plan)[0] for quality in codec.qualities]
    return [Point(cell.quality, cell.bpp, cell.metrics["psnr"]) for cell in cells]


def _kept_path(codec: ImageCodec, quality: float, digest: str, plan: Plan) -> Path | None:
    """Where this very cell is kept; None if nothing tells versions of the codec apart."""
    if plan.store is None or not codec.version:
        return None
    packages = [_version(METRICS[name].package) for name in plan.metrics]
    key = [codec.name, codec.version, float(quality), digest, plan.repeats, plan.threads]
    text = json.dumps([*key, plan.processes, plan.metrics, packages])
    return plan.store / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


@cache
def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}" if package else "own"
    except metadata.PackageNotFoundError:
        return f"no {package}"


def _read_kept(path: Path | None, picture: str) -> tuple[Cell, list[str]] | None:
    if path is None or not path.exists():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return replace(cell_from_dict(stored["cell"]), picture=picture), list(stored["lines"])
    except (KeyError, TypeError, AttributeError, ValueError):
        return None  # damaged: measured again, and overwritten


def _keep(path: Path, cell: Cell, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"cell": cell_to_dict(cell), "lines": lines}, allow_nan=False)
    write_bytes(str(path), text.encode())
