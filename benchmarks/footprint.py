"""Start-up and peak memory of the commands: `python -m benchmarks footprint PICTURE`.

Each command runs in a process of its own, so that neither caches nor loaded models help it.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
from PIL import Image, ImageOps

from benchmarks.codecs import describe, load_picture, machine_facts

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


def run_once(command: Sequence[str], threads: int) -> tuple[float, float]:
    """Wall seconds and peak resident memory in MiB of `python COMMAND...`.

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
    return float(seconds), int(peak) * _KIB / 2**20


def scaled(image: Image.Image, megapixels: float) -> Image.Image:
    """The picture scaled to about that many pixels, its proportions kept."""
    factor = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return ImageOps.fit(image, size, Image.Resampling.LANCZOS)


def measure_commands(
    image: Image.Image, folder: Path, threads: int, repeats: int
) -> dict[str, tuple[float, float]]:
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
        seconds, peaks = zip(*(run_once(command, threads) for _ in range(repeats)), strict=True)
        found[name] = statistics.median(seconds), max(peaks)
    return found


@click.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--sizes", default="0.1,1,4", show_default=True, help="Megapixels, e.g. 0.1,25.")
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
def main(picture: Path, sizes: str, threads: int, repeats: int) -> None:
    """Times whole commands on PICTURE at several sizes, with their peak memory."""
    try:
        chosen = [float(part) for part in sizes.split(",")]
        image = load_picture(picture)
    except (OSError, ValueError) as exc:
        raise click.ClickException(f"{picture}: {exc}") from exc
    if not all(0 < size < 1000 for size in chosen):
        raise click.ClickException(f"sizes must lie between 0 and 1000 megapixels, got {sizes}")
    click.echo(", ".join(f"{name} {value}" for name, value in machine_facts().items()))
    click.echo(f"{threads} threads, median of {repeats} runs; peak is the highest\n")
    click.echo(f"{'size':>12}  {'command':<20} {'ms':>9} {'peak, MiB':>10}")
    for size in chosen:
        small = scaled(image, size)
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = measure_commands(small, Path(folder), threads, repeats)
            except RuntimeError as exc:
                raise click.ClickException(describe(exc)) from exc
        label = f"{small.width}x{small.height}"
        for name, (seconds, peak) in found.items():
            click.echo(f"{label:>12}  {name:<20} {1000 * seconds:9.0f} {peak:10.0f}")
