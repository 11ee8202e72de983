"""Start-up and peak memory of the commands: `python -m benchmarks footprint PICTURE`.

Each command runs in a process of its own, so that neither caches nor loaded models help it.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from PIL import Image

from benchmarks.codecs import describe
from benchmarks.machine import machine_facts
from benchmarks.pictures import SIZES_HELP, load_picture, of_size, parse_sizes

_KIB = 1024 if sys.platform != "darwin" else 1
"""What `ru_maxrss` counts in: KiB, but bytes on macOS."""
# On Linux a new process inherits the peak of the one that starts it, which here has torch loaded;
# so a small one starts it.
_WATCHER = """
import resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.call([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL)
seconds = time.perf_counter() - start
print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


@dataclass(frozen=True)
class Footprint:
    """What a whole command took on a picture of a size.

    Attributes:
        command: its words, less the file names.
        width: of the picture, pixels.
        height: of the picture, pixels.
        threads: that the process was told to use.
        repeats: how often it ran.
        seconds: median, wall clock, with the start of Python.
        peak_mib: highest resident memory of the runs, MiB.
    """

    command: str
    width: int
    height: int
    threads: int
    repeats: int
    seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Usage:
    """What a process took: wall seconds, and peak resident memory in MiB."""

    seconds: float
    peak_mib: float


def run_once(command: Sequence[str], threads: int) -> Usage:
    """Runs `python COMMAND...`.

    Raises:
        RuntimeError: the command failed; its last line is the message.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, "-c", _WATCHER, *command],
        capture_output=True, check=False, text=True, errors="replace", env=environment,
    )  # fmt: skip
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(lines[-1])
    seconds, peak = done.stdout.split()
    return Usage(float(seconds), int(peak) * _KIB / 2**20)


def measure_commands(
    image: Image.Image, folder: Path, threads: int, repeats: int
) -> dict[str, Usage]:
    """Median seconds and highest peak of each command on this picture.

    Raises:
        RuntimeError: a command failed.
    """
    source, coded, restored = (folder / name for name in ("a.png", "a.aec", "b.png"))
    image.save(source)
    commands = {
        "python (nothing)": ["-c", "pass"],
        "aecodec --help": ["-m", "aecodec", "--help"],
        "aecodec compress": ["-m", "aecodec", "compress", "-f", str(source), "-o", str(coded)],
        "aecodec info": ["-m", "aecodec", "info", str(coded)],
        "aecodec decompress": [
            "-m", "aecodec", "decompress", "-f", str(coded), "-o", str(restored),
        ],
    }  # fmt: skip
    found = {}
    for name, command in commands.items():
        runs = [run_once(command, threads) for _ in range(repeats)]
        seconds = statistics.median(run.seconds for run in runs)
        found[name] = Usage(seconds, max(run.peak_mib for run in runs))
    return found


def measure_footprints(
    image: Image.Image, sizes: Sequence[tuple[int, int]], threads: int, repeats: int
) -> list[Footprint]:
    """Each command at each size.

    Raises:
        RuntimeError: a command failed.
    """
    found = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            measured = measure_commands(of_size(image, *size), Path(folder), threads, repeats)
        found += [
            Footprint(name, *size, threads, repeats, usage.seconds, usage.peak_mib)
            for name, usage in measured.items()
        ]
    return found


def format_footprints(found: Sequence[Footprint]) -> str:
    """The table of whole commands."""
    heading = (
        f"whole commands, each in a process of its own; {found[0].threads} threads, median of "
        f"{found[0].repeats} runs, highest peak\n\n"
        f"{'pixels':>12}  {'command':<20} {'ms':>9} {'peak, MiB':>10}"
    )
    rows = [
        f"{f'{f.width}x{f.height}':>12}  {f.command:<20} {1000 * f.seconds:9.0f} {f.peak_mib:10.0f}"
        for f in found
    ]
    return "\n".join([heading, *rows])


@click.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--sizes", default="0.1,1,4", show_default=True, help=SIZES_HELP)
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
def main(picture: Path, sizes: str, threads: int, repeats: int) -> None:
    """Times whole commands on PICTURE at several sizes, with their peak memory."""
    try:
        image = load_picture(picture)
        chosen = parse_sizes(sizes, image)
    except (OSError, ValueError) as exc:
        raise click.ClickException(f"{picture}: {exc}") from exc
    click.echo(", ".join(f"{name} {value}" for name, value in machine_facts().items()))
    try:
        found = measure_footprints(image, chosen, threads, repeats)
    except RuntimeError as exc:
        raise click.ClickException(describe(exc)) from exc
    click.echo(format_footprints(found))
