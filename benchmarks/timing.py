"""Times of aecodec and other codecs: `python -m benchmarks.timing PICTURE`.

Models are loaded and warm. The codecs take turns: each round runs every one of them once, so that
a change in the machine's load meets all of them alike. Pictures go from memory to memory, and
times include the conversion from and to PIL pictures.
"""

import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
import torch
from PIL import AvifImagePlugin, Image, ImageOps
from torch.nn.functional import pad

from benchmarks.codecs import (
    CodecUnavailableError,
    ImageCodec,
    aecodec,
    describe,
    load_picture,
    machine_facts,
    pillow_codec,
)

_COMMAND_RUNS = 3
_HYPERPRIOR = "hyperprior"
_NOTES = (
    "JPEG 4:2:0 optimize, WebP method 4, AVIF 4:4:4 speed 6, each at the same number on its own "
    "quality scale.\nRatios are times divided by those of aecodec: below 1, faster than aecodec."
)
_HYPERPRIOR_NOTE = (
    f"{_HYPERPRIOR}: CompressAI's bmshj2018-hyperprior, quality 4, with random weights, because "
    "trained ones would have to be\ndownloaded: its transforms take their usual time, its entropy "
    "coding and its bytes are not those of a trained model."
)


@dataclass
class Times:
    """What the rounds of one codec took.

    Attributes:
        encode: seconds of each round.
        decode: seconds of each round.
        size: bytes of the file.
    """

    encode: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)
    size: int = 0


def hyperprior() -> ImageCodec:
    """CompressAI's bmshj2018-hyperprior at quality 4, untrained.

    Raises:
        CodecUnavailableError: CompressAI cannot be imported.
    """
    try:
        from compressai.zoo import bmshj2018_hyperprior
    except Exception as exc:  # a build for another NumPy or PyTorch fails in its own ways
        raise CodecUnavailableError(describe(exc)) from exc
    torch.manual_seed(0)
    net = bmshj2018_hyperprior(quality=4, pretrained=False).eval()
    net.update()
    head = struct.Struct("<4HI")

    def encode(image: Image.Image, _quality: float) -> bytes:
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255  # (1, 3, H, W)
        padding = (0, -image.width % 64, 0, -image.height % 64)
        with torch.inference_mode():
            coded = net.compress(pad(x, padding, mode="replicate"))
        (y,), (z,) = coded["strings"]
        return b"".join([head.pack(*image.size, *coded["shape"], len(y)), y, z])

    def decode(data: bytes) -> Image.Image:
        width, height, *shape, length = head.unpack_from(data)
        y, z = data[head.size : head.size + length], data[head.size + length :]
        with torch.inference_mode():
            x_hat = net.decompress([[y], [z]], shape)["x_hat"]
        pixels = (x_hat[0, :, :height, :width] * 255).round().clamp(0, 255)
        return Image.fromarray(pixels.to(torch.uint8).permute(1, 2, 0).numpy())

    return ImageCodec(_HYPERPRIOR, (), encode, decode)


def make_codecs(threads: int, model: str | None) -> tuple[list[ImageCodec], list[str]]:
    """The codecs that can run here, and a line for each that cannot."""
    # Pillow's decoder takes its number of threads from here; its encoder has an option.
    AvifImagePlugin.DEFAULT_MAX_THREADS = threads
    factories: dict[str, Callable[[], ImageCodec]] = {
        "aecodec": lambda: aecodec(model),
        "jpeg420": lambda: pillow_codec("jpeg420", "JPEG", (), subsampling="4:2:0", optimize=True),
        "webp": lambda: pillow_codec("webp", "WEBP", (), method=4),
        "avif": lambda: pillow_codec(
            "avif", "AVIF", (), subsampling="4:4:4", speed=6, max_threads=threads
        ),
        _HYPERPRIOR: hyperprior,
    }
    codecs, left_out = [], []
    for name, factory in factories.items():
        try:
            codecs.append(factory())
        except CodecUnavailableError as exc:
            left_out.append(f"{name}: {exc}")
    return codecs, left_out


def time_rounds(
    codecs: Sequence[ImageCodec], image: Image.Image, quality: float, repeats: int
) -> tuple[dict[str, Times], list[str]]:
    """Times every codec once a round, after a round that does not count.

    Returns:
        The times of each codec, and a line for each that failed in the first round.
    """
    times: dict[str, Times] = {}
    left_out = []
    for codec in codecs:
        try:
            _time_once(codec, image, quality, Times())
        except Exception as exc:  # a codec may fail in any way, and the others still count
            left_out.append(f"{codec.name}: {describe(exc)}")
        else:
            times[codec.name] = Times()
    with click.progressbar(range(repeats), label="timing", file=sys.stderr) as rounds:
        for _ in rounds:
            for codec in codecs:
                if codec.name in times:
                    _time_once(codec, image, quality, times[codec.name])
    return times, left_out


def _time_once(codec: ImageCodec, image: Image.Image, quality: float, times: Times) -> None:
    start = time.perf_counter()
    data = codec.encode(image, quality)
    encoded = time.perf_counter()
    codec.decode(data)
    times.encode.append(encoded - start)
    times.decode.append(time.perf_counter() - encoded)
    times.size = len(data)


def time_command(image: Image.Image, quality: float, threads: int, model: str | None) -> float:
    """Median seconds of `aecodec compress` as a process of its own, from PNG to file.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "picture.png"), Path(folder, "picture.aec")
        image.save(source)
        command = [sys.executable, "-m", "aecodec", "compress", "--quality", f"{quality:g}"]
        if model:
            command += ["--model", model]
        seconds = []
        for _ in range(_COMMAND_RUNS):
            target.unlink(missing_ok=True)
            start = time.perf_counter()
            subprocess.run(
                [*command, str(source), "-o", str(target)],
                check=True,
                capture_output=True,
                env=environment,
            )
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def format_times(times: dict[str, Times]) -> str:
    """The table of median milliseconds and their ratios to aecodec's."""
    ours = times.get("aecodec")
    pair = "{:>11} {:>7}"
    heading = " ".join(
        ["codec      ", pair.format("encode, ms", "ratio"), pair.format("decode, ms", "ratio")]
    )
    rows = [
        f"{name:<11} {_cells(t.encode, ours.encode if ours else None)} "
        f"{_cells(t.decode, ours.decode if ours else None)} {t.size:9d}"
        for name, t in times.items()
    ]
    return "\n".join([f"{heading} {'bytes':>9}", *rows])


def _cells(seconds: Sequence[float], ours: Sequence[float] | None) -> str:
    median = statistics.median(seconds)
    ratio = f"{median / statistics.median(ours):.3f}" if ours else "-"
    return f"{1000 * median:11.1f} {ratio:>7}"


def _parse_size(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> tuple[int, int] | None:
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise click.BadParameter(f"{text!r} is not a size, e.g. 768x512")
    return int(width), int(height)


@click.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
@click.option(
    "--size",
    callback=_parse_size,
    help="Crop and scale the picture to this, e.g. 768x512; by default as it is.",
)
@click.option("--repeats", type=click.IntRange(1), default=10, show_default=True)
@click.option("--quality", type=click.FloatRange(0, 100), default=75.0, show_default=True)
@click.option("--model", help="Weights file for aecodec in place of the released model.")
def main(
    picture: Path,
    threads: int,
    size: tuple[int, int] | None,
    repeats: int,
    quality: float,
    model: str | None,
) -> None:
    """Times the codecs on one PICTURE.

    Codecs that cannot run here are named at the end and left out.
    """
    torch.set_num_threads(threads)
    try:
        image = load_picture(picture)
    except (OSError, ValueError) as exc:
        raise click.ClickException(f"{picture}: {exc}") from exc
    if size:
        image = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    codecs, left_out = make_codecs(threads, model)
    times, failed = time_rounds(codecs, image, quality, repeats)
    left_out += failed
    click.echo(", ".join(f"{name} {value}" for name, value in machine_facts().items()))
    click.echo(
        f"{image.width}x{image.height} pixels, {threads} threads, quality {quality:g}, "
        f"median of {repeats} interleaved rounds\n"
    )
    click.echo(format_times(times) + "\n")
    if "aecodec" in times:
        _report_command(image, quality, threads, model)
    click.echo(_NOTES)
    if _HYPERPRIOR in times:
        click.echo(_HYPERPRIOR_NOTE)
    for line in left_out:
        click.echo(f"left out: {line}", err=True)


def _report_command(image: Image.Image, quality: float, threads: int, model: str | None) -> None:
    try:
        seconds = time_command(image, quality, threads, model)
    except subprocess.CalledProcessError as exc:
        reason = exc.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        click.echo(f"left out: the command failed with {exc.returncode}: {reason[-1]}", err=True)
        return
    click.echo(
        f"aecodec compress, whole command with start of Python and loading of the model: "
        f"{1000 * seconds:.0f} ms, median of {_COMMAND_RUNS}\n"
    )


if __name__ == "__main__":
    main()
