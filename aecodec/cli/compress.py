"""`aecodec compress`."""

import math
import time
from os import SEEK_END
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from aecodec.cli.console import LazyCodec, Progress, load
from aecodec.cli.options import (
    SUFFIX,
    force_option,
    inputs_argument,
    jobs_option,
    limits_of,
    max_pixels_option,
    model_option,
    output_names,
    output_option,
)
from aecodec.format.container import parse_header
from aecodec.jobs.runner import JobLog, for_each
from aecodec.storage.files import STANDARD, check_output, replacing, write_bytes

if TYPE_CHECKING:
    from aecodec.options import Found, Target
    from aecodec.picture.picture import Picture


@click.command()
@inputs_argument
@output_option
@click.option(
    "-q", "--quality", type=click.FloatRange(0, 100), metavar="Q",
    help="0 (smallest) to 100 (best), 75 by default; about JPEG's scale. With --lossless or "
    "--max-error that of the lossy part, 25 by default.",
)  # fmt: skip
@click.option(
    "-e", "--effort", type=click.IntRange(0, 9), default=1, show_default=True,
    help="0 (fastest) to 9 (fewest bytes); decoding takes the same time.",
)  # fmt: skip
@click.option("--size", metavar="SIZE", help="Instead of a quality: bytes, as in 120KB.")
@click.option("--bpp", type=float, metavar="BPP", help="Instead of a quality: bits per pixel.")
@click.option("--psnr", type=float, metavar="DB", help="Instead of a quality: PSNR in dB.")
@click.option("--ssim", type=float, metavar="X", help="Instead of a quality: MS-SSIM below 1.")
@click.option("--lossless", is_flag=True, help="Keep every visible pixel exactly.")
@click.option(
    "--max-error", type=click.IntRange(0, 255), metavar="E",
    help="Keep every sample within E of the original; 0 is lossless.",
)  # fmt: skip
@click.option("--checksum", is_flag=True, help="Add a checksum of the pixels, for verify.")
@click.option("--strip", is_flag=True, help="Drop all metadata.")
@click.option(
    "--keep",
    metavar="NAMES",
    help="Keep only these metadata, out of icc, exif, xmp, resolution, text.",
)
@click.option(
    "--alpha-quality", type=click.FloatRange(0, 100), default=100.0, show_default=True,
    help="Below 100, transparency gets fewer levels; at 100 it is exact.",
)  # fmt: skip
@max_pixels_option
@jobs_option
@force_option
@model_option
def compress(
    inputs: tuple[str, ...],
    output: str | None,
    effort: int,
    jobs: int,
    force: bool,
    model: str | None,
    quality: float | None,
    **wishes: Any,  # noqa: ANN401  # targets to max_pixels, alpha_quality, as click parses them
) -> int:
    """Compress pictures to .aec files beside them."""
    _check_wishes(quality, wishes)
    bound = 0 if wishes["lossless"] else wishes["max_error"]
    keep = _kept(wishes)
    outputs = output_names(inputs, output, SUFFIX)
    limits = limits_of(wishes["max_pixels"])
    codec = LazyCodec(model, min(jobs, len(inputs)), limits)

    def at_once(name: str, target: str, log: JobLog) -> _Packed:
        original = load(name)
        picture = _picture(original, keep, wishes["alpha_quality"])
        if picture.frames > 1:
            only = f"warning: only the first of {picture.frames} frames is kept"
            log.say(f"aecodec: {name}: {only}", err=True)
        wish = _target(wishes, picture.pixels.shape[0] * picture.pixels.shape[1])
        if wish is None:
            with Progress(name, log) as progress:
                data = codec.get().compress(
                    picture, quality, effort=effort, progress=progress, max_error=bound
                )
        else:
            data, found = codec.get().compress_to(picture, wish, effort=effort)
            if not found.met:
                log.say(f"aecodec: {name}: {_nearest(wish, found)}", err=True)
        if wishes["checksum"]:
            data = codec.get().with_checksum(data)
        log.check()
        write_bytes(target, data)
        header = parse_header(data, limits)
        return _Packed(len(original), len(data), header.width * header.height)

    def work(name: str, target: str, log: JobLog) -> None:
        check_output(target, force=force)
        start = time.perf_counter()
        done = None
        at_quality = bound is None and _target(wishes, 1) is None and not wishes["checksum"]
        if target != STANDARD and at_quality and Path(name).is_file():
            done = _pack_huge(codec, name, target, (quality, effort, keep), log)
        done = done or at_once(name, target, log)
        seconds = time.perf_counter() - start
        log.say(
            f"{name} -> {target}: {done.before} -> {done.after} bytes, "
            f"{8 * done.after / done.pixels:.3f} bpp, "
            f"ratio {done.before / done.after:.1f}, {seconds:.2f} s",
            err=target == STANDARD,
        )

    return for_each(inputs, outputs, work, jobs, say=click.echo)


class _Packed(NamedTuple):
    """Bytes of the input, bytes of the output, pixels."""

    before: int
    after: int
    pixels: int


def _pack_huge(
    codec: LazyCodec, name: str, target: str, settings: tuple[float | None, int, tuple[str, ...]],
    log: JobLog,
) -> _Packed | None:  # fmt: skip
    """Encodes by rows of tiles with quality, effort and metadata, if called for and possible."""
    from aecodec.picture import row_readers as scanlines
    from aecodec.picture import row_readers as strips

    quality, effort, keep = settings
    least = strips.STRIP_PIXELS
    with Path(name).open("rb") as source:
        picture = strips.open_netpbm(source) or scanlines.open_scanlines(
            Path(name), least=least, keep=keep
        )
        if picture is None or picture.width * picture.height < least:
            return None
        with Progress(name, log) as progress, replacing(target) as file:
            pieces = codec.get().compress_strips(picture, quality, effort=effort, progress=progress)
            after = sum(file.write(piece) for piece in pieces)
        before = source.seek(0, SEEK_END)
    return _Packed(before, after, picture.width * picture.height)


def _check_wishes(quality: float | None, wishes: dict[str, Any]) -> None:
    """Refuses wishes that exclude each other, and values that make no sense."""
    if quality is not None and not math.isfinite(quality):
        raise click.UsageError(f"quality must lie in 0 to 100, not {quality}")
    names = ("size", "bpp", "psnr", "ssim", "max_error")
    given = [f"--{name.replace('_', '-')}" for name in names if wishes[name] is not None]
    given += ["--lossless"] if wishes["lossless"] else []
    if quality is not None and given not in (["--lossless"], ["--max-error"]):
        given.append("--quality")
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} exclude each other")
    _target(wishes, 1)


def _kept(wishes: dict[str, Any]) -> tuple[str, ...]:
    """The metadata that the options ask for."""
    from aecodec.picture.metadata import KINDS

    if wishes["strip"] and wishes["keep"] is not None:
        raise click.UsageError("--strip and --keep exclude each other")
    if wishes["strip"]:
        return ()
    if wishes["keep"] is None:
        return KINDS
    names = tuple(name.strip() for name in wishes["keep"].split(","))
    unknown = sorted(set(names) - set(KINDS))
    if unknown:
        raise click.UsageError(f"cannot keep {', '.join(unknown)}; known are {', '.join(KINDS)}")
    return names


def _target(wishes: dict[str, Any], pixels: int) -> "Target | None":
    """What the options ask of a picture with that many pixels; None if they name a quality."""
    from aecodec.options import Target, parse_size

    if wishes["size"] is not None:
        return Target("size", parse_size(wishes["size"]))
    if wishes["bpp"] is not None:
        return Target("size", wishes["bpp"] * pixels / 8)
    fidelities = ("psnr", "ssim")
    return next((Target(k, wishes[k]) for k in fidelities if wishes[k] is not None), None)


def _nearest(target: "Target", found: "Found") -> str:
    unit = {"size": "bytes", "psnr": "dB", "ssim": "MS-SSIM"}
    return (
        f"warning: {target.value:.6g} {unit[target.kind]} is out of reach; "
        f"the nearest is {found.measured:.6g} at quality {found.quality:g}"
    )


def _picture(data: bytes, keep: tuple[str, ...], alpha_quality: float) -> "Picture":
    from aecodec.picture.picture import decode_picture

    return decode_picture(data, keep, alpha_quality)
