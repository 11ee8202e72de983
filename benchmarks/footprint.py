"""Time and peak memory of whole commands: `python -m benchmarks footprint PICTURE`.

Each command runs in a process of its own, so that neither caches nor loaded models help it, and the
rows and commands take turns.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from PIL import Image

from benchmarks.codecs import describe
from benchmarks.contestants import Contestant, contestants, started
from benchmarks.machine import machine_facts
from benchmarks.pictures import SIZES_HELP, load_picture, of_size, parse_sizes

_KIB = 1024 if sys.platform != "darwin" else 1
"""What `ru_maxrss` counts in: KiB, but bytes on macOS."""
# On Linux a new process inherits the peak of the one that starts it, which here may be large; so a
# small one starts it.
_WATCHER = """
import resource, subprocess, sys, time
with open(sys.argv[1], "wb") as output:
    start = time.perf_counter()
    code = subprocess.call([sys.executable, *sys.argv[2:]], stdout=output)
seconds = time.perf_counter() - start
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
sys.exit(code)
"""


@dataclass(frozen=True)
class Footprint:
    """What a whole command took on a picture of a size.

    Attributes:
        row: the name of what ran it.
        command: its words, less the file names.
        width: of the picture, pixels.
        height: of the picture, pixels.
        threads: that the process was told to use.
        repeats: how often it ran.
        seconds: median, wall clock, with the start of Python.
        cpu_seconds: median, of all threads.
        peak_mib: highest resident memory of the runs, MiB.
    """

    row: str
    command: str
    width: int
    height: int
    threads: int
    repeats: int
    seconds: float
    cpu_seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Usage:
    """What a process took: seconds of the wall clock and the CPU, and peak memory in MiB."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


def run_once(
    command: Sequence[str], environment: Mapping[str, str] | None = None,
    output: str | os.PathLike[str] = os.devnull,
) -> Usage:  # fmt: skip
    """Runs `python COMMAND...`; what it prints goes to the file `output`.

    Raises:
        RuntimeError: the command failed; its last line is the message.
    """
    done = subprocess.run(
        [sys.executable, "-c", _WATCHER, os.fspath(output), *command],
        capture_output=True, check=False, text=True, errors="replace",
        env=os.environ if environment is None else environment,
    )  # fmt: skip
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(lines[-1])
    seconds, cpu_seconds, peak = done.stdout.split()
    return Usage(float(seconds), float(cpu_seconds), int(peak) * _KIB / 2**20)


def commands_of(source: Path, folder: Path) -> dict[str, list[str]]:
    """The commands of one row, by their names; they follow on one another."""
    coded, restored = str(folder / "a.aec"), str(folder / "b.png")
    aecodec = ["-P", "-m", "aecodec"]
    return {
        "python (nothing)": ["-c", "pass"],
        "aecodec --help": [*aecodec, "--help"],
        "aecodec compress": [*aecodec, "compress", "-f", str(source), "-o", coded],
        "aecodec info": [*aecodec, "info", coded],
        "aecodec decompress": [*aecodec, "decompress", "-f", coded, "-o", restored],
    }


def measure_commands(
    rows: Sequence[Contestant], image: Image.Image, threads: Sequence[int], repeats: int
) -> list[Footprint]:
    """Each command of each row on this picture; a round that does not count comes first.

    Raises:
        RuntimeError: a command failed.
    """
    found: dict[tuple[str, str, int], list[Usage]] = {}
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "a.png"
        image.save(source)
        for turn in range(repeats + 1):
            for row, number in ((row, number) for number in threads for row in rows):
                folder = Path(name) / f"{row.name}-{number}"
                folder.mkdir(exist_ok=True)
                for command, words in commands_of(source, folder).items():
                    usage = run_once(words, row.environment(number))
                    if turn:
                        found.setdefault((row.name, command, number), []).append(usage)
    return [
        Footprint(row, command, *image.size, number, repeats, *_medians(runs))
        for (row, command, number), runs in found.items()
    ]


def _medians(runs: Sequence[Usage]) -> tuple[float, float, float]:
    """Median seconds of the wall clock and the CPU, and the highest peak."""
    return (
        statistics.median(run.seconds for run in runs),
        statistics.median(run.cpu_seconds for run in runs),
        max(run.peak_mib for run in runs),
    )


def measure_footprints(
    rows: Sequence[Contestant], image: Image.Image, sizes: Sequence[tuple[int, int]],
    threads: Sequence[int], repeats: int,
) -> list[Footprint]:  # fmt: skip
    """Each command at each size.

    Raises:
        RuntimeError: a command failed.
    """
    found = []
    for size in sizes:
        found += measure_commands(rows, of_size(image, *size), threads, repeats)
    return found


def format_footprints(found: Sequence[Footprint], reference: str) -> str:
    """The table of whole commands, with ratios to the row `reference`."""
    space = max(len(each.row) for each in found)
    heading = (
        f"whole commands, each in a process of its own, in turns: medians of {found[0].repeats} "
        f"runs, highest peak; ratios to {reference}\n\n"
        f"{'pixels':>12} {'threads':>7}  {'row':<{space}} {'command':<18} "
        f"{'wall, ms':>9} {'ratio':>6} {'CPU, ms':>9} {'ratio':>6} {'peak, MiB':>10}"
    )
    by_key = {(f.row, f.command, f.width, f.height, f.threads): f for f in found}
    lines = [heading]
    commands = list(dict.fromkeys(each.command for each in found))
    for each in sorted(
        found, key=lambda f: (f.width * f.height, f.threads, commands.index(f.command))
    ):
        other = by_key.get((reference, each.command, each.width, each.height, each.threads))
        walls, cpus = _compared(each, other)
        lines.append(
            f"{f'{each.width}x{each.height}':>12} {each.threads:7d}  {each.row:<{space}} "
            f"{each.command:<18} {1000 * each.seconds:9.0f} {walls:>6} "
            f"{1000 * each.cpu_seconds:9.0f} {cpus:>6} {each.peak_mib:10.0f}"
        )
    return "\n".join(lines)


def _compared(own: Footprint, other: Footprint | None) -> tuple[str, str]:
    """Ratios of the wall clock and of the CPU."""
    if other is None:
        return ratio(own.seconds, None), ratio(own.cpu_seconds, None)
    return ratio(own.seconds, other.seconds), ratio(own.cpu_seconds, other.cpu_seconds)


def ratio(own: float, other: float | None) -> str:
    """A time over another; a dash where there is no other."""
    return "-" if other is None else f"{own / other:.3f}"


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
    ours = [row for row in contestants(None, None) if row.has_commands]
    workers, rows, left_out = started(ours, [threads])
    for worker in workers:
        worker.close()
    for line in left_out:
        click.echo(f"left out: {line}", err=True)
    if not rows:
        raise click.ClickException("nothing is left to time")
    try:
        found = measure_footprints(rows, image, chosen, [threads], repeats)
    except RuntimeError as exc:
        raise click.ClickException(describe(exc)) from exc
    click.echo(format_footprints(found, rows[0].name))
