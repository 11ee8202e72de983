"""Lossless sizes beside other formats: `python -m benchmarks lossless PICTURES`.

Each file is decoded and compared: what does not come back sample for sample fails the run.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
from PIL import Image

from aecodec import AecError, Codec
from benchmarks.codecs import OURS, CodecUnavailableError, describe, jxl, open_rgb, save
from benchmarks.machine import hold_threads
from benchmarks.pictures import collect_pictures, load_picture


@dataclass(frozen=True)
class Format:
    """A lossless format: how a picture becomes a file, and a file a picture."""

    encode: Callable[[Image.Image], bytes]
    decode: Callable[[bytes], Image.Image]


@dataclass(frozen=True)
class Stored:
    """One picture in one format.

    Attributes:
        pixels: of the picture.
        size: bytes of the file.
        encode_seconds: of the CPU, all threads.
        decode_seconds: likewise.
    """

    pixels: int
    size: int
    encode_seconds: float
    decode_seconds: float


def formats(codec: Codec) -> dict[str, Format]:
    """What can run here."""
    found = {
        OURS: Format(partial(codec.compress, lossless=True), codec.decompress),
        "png": Format(partial(save, file_format="PNG", optimize=True), open_rgb),
        "webp": Format(
            partial(save, file_format="WEBP", lossless=True, quality=100, method=6), open_rgb
        ),
    }
    try:
        jxl()  # registers the plugin
        found["jxl"] = Format(
            partial(save, file_format="JXL", lossless=True, effort=7, num_threads=1), open_rgb
        )
    except CodecUnavailableError as exc:
        click.echo(f"left out: jxl: {exc}", err=True)
    return found


def store(image: Image.Image, form: Format) -> Stored:
    """Encodes, decodes and compares.

    Raises:
        ValueError: the file does not give the picture back.
    """
    start = time.process_time()
    data = form.encode(image)
    encoded = time.process_time()
    restored = form.decode(data)
    decoded = time.process_time()
    if not np.array_equal(np.asarray(restored), np.asarray(image)):
        raise ValueError("the file does not give the picture back")
    return Stored(image.width * image.height, len(data), encoded - start, decoded - encoded)


def format_table(found: Mapping[str, Sequence[Stored]]) -> str:
    """A line for each format: mean bpp, aecodec against it, mean CPU seconds a picture."""

    def bpp(name: str) -> float:
        return sum(8 * each.size / each.pixels for each in found[name]) / len(found[name])

    lines = [
        f"{'format':10}{'bpp':>8}{'aecodec against it':>20}{'encode, s':>11}{'decode, s':>11}"
        f"{'aecodec smaller':>17}"
    ]
    for name, each in found.items():
        ratio = "" if name == OURS else f"{100 * (bpp(OURS) / bpp(name) - 1):+.1f} %"
        wins = sum(a.size < b.size for a, b in zip(found[OURS], each, strict=True))
        smaller = "" if name == OURS else f"{wins}/{len(each)}"
        encode = sum(stored.encode_seconds for stored in each) / len(each)
        decode = sum(stored.decode_seconds for stored in each) / len(each)
        lines.append(
            f"{name:10}{bpp(name):8.2f}{ratio:>20}{encode:11.2f}{decode:11.2f}{smaller:>17}"
        )
    return "\n".join(lines)


@click.command()
@click.argument(
    "pictures", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)  # fmt: skip
@click.option("--model", help="Name or weights file of a model in place of the default.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
def main(pictures: tuple[Path, ...], model: str | None, threads: int) -> None:
    """Compares lossless sizes on PICTURES, 8-bit files or folders, as RGB."""
    hold_threads(threads)
    chosen = formats(Codec(model))
    try:
        paths = collect_pictures(pictures)
    except OSError as exc:
        raise click.ClickException(describe(exc)) from exc
    found: dict[str, list[Stored]] = {name: [] for name in chosen}
    with click.progressbar(paths, label="lossless") as progress:
        for path in progress:
            at = str(path)
            try:
                image = load_picture(path)
                for name, form in chosen.items():
                    at = f"{path}: {name}"
                    found[name].append(store(image, form))
            except (AecError, OSError, ValueError) as exc:
                raise click.ClickException(f"{at}: {describe(exc)}") from exc
    click.echo(f"{len(paths)} pictures, {threads} threads, all decoded and equal")
    click.echo(format_table(found))
