"""Times of aecodec and other codecs over sizes and threads: `python -m benchmarks speed PICTURE`.

Models are loaded and warm, each codec in a process of its own, and all take turns in one run
(`rounds.py`). Whole commands, with the start of Python and the loading of the model, come after
(`footprint.py`).
"""

import csv
import io
import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict, Unpack

import click
from PIL import Image

from aecodec.picture.perceptual import INSTALL
from aecodec.storage.files import write_bytes
from benchmarks.codecs import describe
from benchmarks.contestants import AGAINST, PREFIX, Contestant, contestants, started
from benchmarks.footprint import Footprint, format_footprints, measure_footprints, ratio
from benchmarks.machine import machine_facts
from benchmarks.pictures import SIZES_HELP, load_picture, of_size, parse_sizes
from benchmarks.rounds import Sweep, sweep

_NOTES = (
    "aecodec-numpy and aecodec-native: the two runtimes; aecodec-psnr or -visual: the other model; "
    "against: another checkout, as it is.\n"
    "JPEG 4:2:0 optimize, WebP method 4, AVIF 4:4:4 speed 6 tune=iq, JPEG XL effort 7, each at the "
    "same number on its own\nquality scale; JPEG and WebP use one thread. "
    "CPU: of all threads together."
)
_UNTRAINED_NOTE = (
    f"{PREFIX.strip()}: models of CompressAI at quality 4 with random weights, since the trained "
    "ones would have to be downloaded: the\ntransforms take their usual time, but bytes and "
    "entropy coding are not those of a trained model."
)
_COLUMNS = (
    "codec", "width", "height", "threads", "rounds", "bytes", "encode_seconds", "decode_seconds",
    "encode_cpu_seconds", "decode_cpu_seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Speed:
    """All that a run of `speed` found.

    Attributes:
        quality: what the encoders were asked for.
        times: of the codecs in turns.
        commands: of whole commands.
        left_out: a line for each thing that is missing, with the reason.
        machine: facts of the machine.
    """

    quality: float
    times: Sweep
    commands: Sequence[Footprint]
    left_out: Sequence[str]
    machine: dict[str, str | int]

    def to_json(self) -> str:
        """One document with the medians of each setting."""
        document = {
            "quality": self.quality,
            "machine": self.machine,
            "times": [dict(zip(_COLUMNS, row, strict=True)) for row in self._rows()],
            "commands": [asdict(command) for command in self.commands],
            "left_out": list(self.left_out),
        }
        return json.dumps(document, indent=1, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """One line for each setting."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(self._rows())
        return stream.getvalue()

    def _rows(self) -> list[tuple[str | float, ...]]:
        return [
            (
                s.codec,
                s.width,
                s.height,
                s.threads,
                len(t.encode),
                t.size,
                *t.medians,
                *(cost.cpu for cost in t.costs),
            )
            for s, t in self.times.items()
        ]


class _How(TypedDict):
    """What is to be timed, and what becomes of it."""

    repeats: int
    quality: float
    commands: bool
    model: str | None
    against: Path | None
    ratio_to: str | None
    output: Path | None


def format_times(times: Sweep, reference: str) -> str:
    """A table for each size and number of threads: medians, and ratios to a row's."""
    groups = dict.fromkeys((s.width, s.height, s.threads) for s in times)
    return "\n\n".join(_format_group(times, reference, *group) for group in groups)


def _format_group(times: Sweep, reference: str, width: int, height: int, threads: int) -> str:
    found = {
        s.codec: t
        for s, t in times.items()
        if (s.width, s.height, s.threads) == (width, height, threads)
    }
    space = max(map(len, found))
    columns = "".join(
        f" {f'{what}, ms':>11} {'ratio':>6} {'CPU, ms':>8} {'ratio':>6}"
        for what in ("encode", "decode")
    )
    rows = [f"{'codec':<{space}}{columns} {'bytes':>8}"]
    others = found[reference].costs if reference in found else (None, None)
    for name, measured in found.items():
        cells = "".join(
            f" {1000 * own.wall:11.1f} {ratio(own.wall, other.wall if other else None):>6}"
            f" {1000 * own.cpu:8.1f} {ratio(own.cpu, other.cpu if other else None):>6}"
            for own, other in zip(measured.costs, others, strict=True)
        )
        rows.append(f"{name:<{space}}{cells} {measured.size:8d}")
    count = min(len(measured.encode) for measured in found.values())
    title = (
        f"{width}x{height} pixels ({width * height / 1e6:.2f} MP), {threads} "
        f"thread{'s' * (threads != 1)}, loaded: medians of {count} rounds in turns; "
        f"ratios to {reference}"
    )
    return "\n".join([title, *rows])


def _parse_threads(_context: click.Context, _parameter: click.Parameter, text: str) -> list[int]:
    try:
        threads = list(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        threads = [0]
    if min(threads) < 1:
        raise click.BadParameter(f"{text!r} is not a list of numbers of threads, e.g. 1,2")
    return threads


@click.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option(
    "--threads", default="1,2", show_default=True, callback=_parse_threads, help="E.g. 1,2,4."
)
@click.option("--sizes", "--size", default="768x512", show_default=True, help=SIZES_HELP)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Rounds up to a megapixel; larger pictures get fewer, but two. Commands get half as many.",
)
@click.option("--quality", type=click.FloatRange(0, 100), default=75.0, show_default=True)
@click.option("--commands/--no-commands", default=True, help="Also time whole commands.")
@click.option("--model", help="Name or weights file of a model in place of the default.")
@click.option(
    "--against",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Another checkout of aecodec, whose codec and commands take turns with these.",
)
@click.option(
    "--ratio-to",
    metavar="ROW",
    help="The row that ratios are to: by default that of --against, or the first.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write speed.json, speed.csv and plots into this folder.",
)
def main(picture: Path, threads: list[int], sizes: str, **how: Unpack[_How]) -> None:
    """Times the codecs on PICTURE over sizes and threads, then whole commands with peak memory.

    The picture is scaled down for smaller sizes, and mirrored at its borders for larger ones.
    Codecs that cannot run here are named at the end and left out.
    """
    try:
        image = load_picture(picture)
        chosen = parse_sizes(sizes, image)
    except (OSError, ValueError) as exc:
        raise click.ClickException(f"{picture}: {exc}") from exc
    facts = machine_facts() | {"threads": ",".join(map(str, threads))}
    click.echo(", ".join(f"{name} {value}" for name, value in facts.items()))
    click.echo(f"quality {how['quality']:g}\n")
    against = None if how["against"] is None else how["against"].resolve()
    rows = contestants(how["model"], against)
    speed = measure(rows, image, chosen, threads, facts, how)
    for line in speed.left_out:
        click.echo(f"left out: {line}", err=True)
    if how["output"]:
        _write(speed, how["output"])


def measure(
    rows: Sequence[Contestant], image: Image.Image, sizes: Sequence[tuple[int, int]],
    threads: Sequence[int], facts: dict[str, str | int], how: _How,
) -> Speed:  # fmt: skip
    """Times all rows that can run, and prints the tables."""
    footprints: list[Footprint] = []
    with ExitStack() as stack:
        workers, running, left_out = started(rows, threads)
        for worker in workers:
            stack.enter_context(worker)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pictures = [folder / f"{width}x{height}.png" for width, height in sizes]
        for path, size in zip(pictures, sizes, strict=True):
            of_size(image, *size).save(path)
        times, failed = sweep(workers, pictures, how["quality"], how["repeats"])
    names = [row.name for row in running]
    reference = how["ratio_to"] or (AGAINST if AGAINST in names else next(iter(names), ""))
    if times:
        click.echo(f"{format_times(times, reference)}\n\n{_NOTES}")
    if any(setting.codec.startswith(PREFIX) for setting in times):
        click.echo(_UNTRAINED_NOTE)
    ours = [row for row in running if row.has_commands]
    try:
        if how["commands"] and ours:
            repeats = max(1, how["repeats"] // 2)
            footprints = measure_footprints(ours, image, sizes, threads, repeats)
            click.echo(f"\n{format_footprints(footprints, reference)}")
    except RuntimeError as exc:
        failed.append(f"whole commands: {describe(exc)}")
    return Speed(how["quality"], times, footprints, [*left_out, *failed], facts)


def _write(speed: Speed, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(str(folder / "speed.json"), speed.to_json().encode())
        write_bytes(str(folder / "speed.csv"), speed.to_csv().encode())
        from benchmarks.plots import FORMATS, draw, plot_sweep

        for file_format in FORMATS:
            data = draw(plot_sweep(speed.times), file_format)
            write_bytes(str(folder / f"speed_sizes.{file_format}"), data)
    except ImportError as exc:
        raise click.ClickException(f"{exc}: the plots need {INSTALL}") from exc
    except OSError as exc:
        raise click.ClickException(str(exc)) from exc


if __name__ == "__main__":
    main()
