"""Many small pictures by the folder command: `python -m benchmarks jobs PICTURE`.

Three things take turns: a loop with a warm codec in one process, and the command with each number
of jobs, once over all pictures and once over as many as there are jobs. The difference of the last
two is what a picture costs beyond the start of processes. Each process has one thread.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from PIL import Image

from benchmarks.codecs import describe
from benchmarks.machine import machine_facts
from benchmarks.pictures import load_picture

# A small process watches each command, so that its CPU time is that of the command and its workers.
_WATCHER = """
import resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.call([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL)
wall = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(wall, used.ru_utime + used.ru_stime)
sys.exit(code)
"""
_WARM = """
import sys, time
from pathlib import Path
from aecodec.cli.startup import prepare_process
prepare_process()
from aecodec.codec import Codec
from aecodec.jobs.runner import JobLog
from aecodec.jobs.transcode import compress_file
from aecodec.options import EncodeOptions
codec, log = Codec(sys.argv[3] or None), JobLog(lambda text, *, err: None)
names, out = sorted(Path(sys.argv[1]).glob("*.png")), Path(sys.argv[2])
out.mkdir()
targets = [str(out / f"{name.stem}.aec") for name in names]
compress_file(codec, str(names[0]), targets[0], EncodeOptions(), log=log)
wall, used = time.perf_counter(), time.process_time()
for name, target in zip(names, targets):
    compress_file(codec, str(name), target, EncodeOptions(), log=log)
print(time.perf_counter() - wall, time.process_time() - used)
"""
WARM = 0
"""The number of jobs that stands for the loop with a warm codec."""


@dataclass(frozen=True)
class Cost:
    """What a picture takes: wall and CPU milliseconds."""

    wall: float
    cpu: float


def seconds_of(command: Sequence[str]) -> tuple[float, float]:
    """Wall and CPU seconds that a Python process prints last, with one thread.

    Raises:
        RuntimeError: it failed; its last line is the message.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, check=False, text=True, errors="replace",
        env=os.environ | dict.fromkeys(names, "1"),
    )  # fmt: skip
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(lines[-1])
    wall, cpu = done.stdout.split()
    return float(wall), float(cpu)


def cut(image: Image.Image, folder: Path, count: int, side: int) -> None:
    """Writes `count` parts of a picture, each from another place, as PNG.

    Raises:
        ValueError: the picture is smaller than a part.
    """
    if min(image.size) < side:
        raise ValueError(f"the picture has no {side} pixels a side")
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        left, top = (int(rng.integers(0, each - side + 1)) for each in image.size)
        image.crop((left, top, left + side, top + side)).save(folder / f"{number:06}.png")


def measure_jobs(
    image: Image.Image, jobs: Sequence[int], *, count: int, side: int, repeats: int,
    model: str | None = None,
) -> dict[int, Cost]:  # fmt: skip
    """What a picture costs with each number of jobs, and with `WARM`: medians of the repeats.

    Raises:
        RuntimeError: a command failed.
        ValueError: the picture is smaller than a part, or there are too few parts.
    """
    if count <= max(jobs):
        raise ValueError(f"{count} pictures are too few for {max(jobs)} jobs")
    found: dict[int, list[Cost]] = {WARM: [], **{each: [] for each in jobs}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cut(image, folder / "all", count, side)
        for each in jobs:
            cut(image, folder / f"few{each}", each, side)
        for _ in range(repeats):
            out = folder / "out"
            warm = ["-c", _WARM, str(folder / "all"), str(out), model or ""]
            found[WARM].append(_cost(seconds_of(warm), (0.0, 0.0), count))
            shutil.rmtree(out)
            for each in jobs:
                whole, start = (_run(folder, part, each, model) for part in ("all", f"few{each}"))
                found[each].append(_cost(whole, start, count - each))
    return {
        each: Cost(
            statistics.median(cost.wall for cost in costs),
            statistics.median(cost.cpu for cost in costs),
        )
        for each, costs in found.items()
    }


def _run(folder: Path, part: str, jobs: int, model: str | None) -> tuple[float, float]:
    out = folder / "out"
    options = [] if model is None else ["--model", model]
    command = [
        "-m", "aecodec", "compress", "-r", str(folder / part), "-o", str(out), "-j", str(jobs),
        *options,
    ]  # fmt: skip
    found = seconds_of(["-c", _WATCHER, *command])
    shutil.rmtree(out)
    return found


def _cost(whole: tuple[float, float], start: tuple[float, float], count: int) -> Cost:
    wall, cpu = (1000 * (all_ - few) / count for all_, few in zip(whole, start, strict=True))
    return Cost(wall, cpu)


def format_costs(costs: Mapping[int, Cost]) -> str:
    """A line for each number of jobs."""
    lines = ["jobs    wall, ms   CPU, ms   throughput a core   wall of one job / wall"]
    for jobs, cost in costs.items():
        name = "warm" if jobs == WARM else str(jobs)
        core = costs[WARM].cpu / cost.cpu
        gain = f"{costs[1].wall / cost.wall:.2f}" if 1 in costs and jobs != WARM else ""
        lines.append(
            f"{name:<6}{cost.wall:>10.1f}{cost.cpu:>10.1f}{core:>20.2f}{gain:>25}".rstrip()
        )
    return "\n".join(lines)


def _parse_jobs(_context: click.Context, _parameter: click.Parameter, text: str) -> list[int]:
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError as exc:
        raise click.BadParameter(f"{text!r} is not a list of numbers, e.g. 1,2") from exc
    if found[0] < 1:
        raise click.BadParameter("at least one job is needed")
    return found


@click.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--jobs", default="1,2", show_default=True, callback=_parse_jobs)
@click.option("--count", type=click.IntRange(2), default=1000, show_default=True, help="Pictures.")
@click.option("--side", type=click.IntRange(1), default=160, show_default=True, help="Pixels.")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
@click.option("--model", help="Name or weights file of a model in place of the default.")
def main(
    picture: Path, jobs: list[int], count: int, side: int, repeats: int, model: str | None
) -> None:
    """Cut PICTURE into small ones, and compress these as a folder."""
    try:
        image = load_picture(picture)
        costs = measure_jobs(image, jobs, count=count, side=side, repeats=repeats, model=model)
    except (OSError, ValueError, RuntimeError) as exc:
        raise click.ClickException(f"{picture}: {describe(exc)}") from exc
    facts = ", ".join(f"{name} {value}" for name, value in machine_facts().items())
    click.echo(f"{count} pictures of {side}x{side} pixels, medians of {repeats}; {facts}\n")
    click.echo(format_costs(costs))
    click.echo("\nOf a picture, without the start of processes. Throughput a core: by CPU time.")
