"""Times of aecodec and other codecs over sizes and threads: `python -m benchmarks speed PICTURE`.

Models are loaded and warm, and all codecs take turns in one run (`benchmarks/rounds.py`). Whole
commands, with the start of Python and the loading of the model, come after (`footprint.py`).
"""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypedDict, Unpack

import click

from aecodec.picture.perceptual import INSTALL
from aecodec.storage.files import write_bytes
from benchmarks.codecs import CodecUnavailableError, ImageCodec, aecodec, describe, pillow_codec
from benchmarks.comparison import OURS
from benchmarks.footprint import Footprint, format_footprints, measure_footprints
from benchmarks.machine import machine_facts
from benchmarks.pictures import SIZES_HELP, load_picture, of_size, parse_sizes
from benchmarks.rounds import Sweep, sweep
from benchmarks.untrained import MODELS, PREFIX, untrained

_NOTES = (
    "JPEG 4:2:0 optimize, WebP method 4, AVIF 4:4:4 speed 6, each at the same number on its own "
    "quality scale; JPEG and WebP use one thread.\nRatios are times divided by those of aecodec: "
    "below 1, faster than aecodec. MP/s: millions of pixels a second."
)
_UNTRAINED_NOTE = (
    f"{PREFIX.strip()}: models of CompressAI at quality 4 with random weights, since the trained "
    "ones would have to be downloaded: the\ntransforms take their usual time, but bytes and "
    "entropy coding are not those of a trained model."
)
_COLUMNS = (
    "codec", "width", "height", "threads", "rounds", "bytes", "encode_seconds", "decode_seconds",
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
            (s.codec, s.width, s.height, s.threads, len(t.encode), t.size, *t.medians)
            for s, t in self.times.items()
        ]


class _After(TypedDict):
    """What is to follow when the codecs are timed."""

    commands: bool
    output: Path | None


def make_codecs(model: str | None) -> tuple[list[ImageCodec], list[str]]:
    """The codecs that can run here, and a line for each that cannot."""
    factories: dict[str, Callable[[], ImageCodec]] = {
        OURS: lambda: aecodec(model),
        "jpeg420": lambda: pillow_codec("jpeg420", "JPEG", (), subsampling="4:2:0", optimize=True),
        "webp": lambda: pillow_codec("webp", "WEBP", (), method=4),
        "avif": lambda: pillow_codec("avif", "AVIF", (), subsampling="4:4:4", speed=6),
        **{PREFIX + name: partial(untrained, name) for name in MODELS},
    }
    codecs, left_out = [], []
    for name, factory in factories.items():
        try:
            codecs.append(factory())
        except CodecUnavailableError as exc:
            left_out.append(f"{name}: {exc}")
    return codecs, left_out


def format_times(times: Sweep) -> str:
    """A table for each size and number of threads: medians, throughput, ratios to aecodec's."""
    groups = dict.fromkeys((s.width, s.height, s.threads) for s in times)
    return "\n\n".join(_format_group(times, *group) for group in groups)


def _format_group(times: Sweep, width: int, height: int, threads: int) -> str:
    found = {
        s.codec: t
        for s, t in times.items()
        if (s.width, s.height, s.threads) == (width, height, threads)
    }
    space = max(map(len, found))
    pair = f"{'':>10} {'MP/s':>7} {'ratio':>7}"
    heading = (
        f"{'codec':<{space}} {'encode, ms' + pair[10:]} {'decode, ms' + pair[10:]} {'bytes':>9}"
    )
    rows = []
    for name, measured in found.items():
        ours = found[OURS].medians if OURS in found else (None, None)
        cells = [
            f"{1000 * own:10.1f} {width * height / 1e6 / own:7.2f} {_ratio(own, other):>7}"
            for own, other in zip(measured.medians, ours, strict=True)
        ]
        rows.append(f"{name:<{space}} {' '.join(cells)} {measured.size:9d}")
    count = min(len(measured.encode) for measured in found.values())
    title = (
        f"{width}x{height} pixels ({width * height / 1e6:.2f} MP), {threads} "
        f"thread{'s' * (threads != 1)}, median of {count} interleaved rounds"
    )
    return "\n".join([title, heading, *rows])


def _ratio(own: float, ours: float | None) -> str:
    return "-" if ours is None else f"{own / ours:.3f}"


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
@click.option("--sizes", "--size", default="0.1,0.4,1.6,6.3,25", show_default=True, help=SIZES_HELP)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Rounds up to a megapixel; larger pictures get fewer, but two.",
)
@click.option("--quality", type=click.FloatRange(0, 100), default=75.0, show_default=True)
@click.option("--commands/--no-commands", default=True, help="Also time whole commands.")
@click.option("--model", help="Name or weights file of a model in place of the default.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write speed.json, speed.csv and plots into this folder.",
)
def main(
    picture: Path,
    threads: list[int],
    sizes: str,
    repeats: int,
    quality: float,
    model: str | None,
    **after: Unpack[_After],
) -> None:
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
    click.echo(f"quality {quality:g}\n")
    codecs, left_out = make_codecs(model)
    images = [of_size(image, *size) for size in chosen]
    times, failed = sweep(codecs, images, threads, quality, repeats)
    if times:
        click.echo(f"{format_times(times)}\n\n{_NOTES}")
    if any(setting.codec.startswith(PREFIX) for setting in times):
        click.echo(_UNTRAINED_NOTE)
    footprints: list[Footprint] = []
    try:
        if after["commands"]:
            footprints = measure_footprints(image, chosen, max(threads), 3)
            click.echo(f"\n{format_footprints(footprints)}")
    except RuntimeError as exc:
        failed.append(f"whole commands: {describe(exc)}")
    speed = Speed(quality, times, footprints, [*left_out, *failed], facts)
    for line in speed.left_out:
        click.echo(f"left out: {line}", err=True)
    if after["output"]:
        _write(speed, after["output"])


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
