"""`aecodec denoise`, and how strengths are written."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aecodec.cli.console import say
from aecodec.cli.options import (
    SUFFIX,
    force_option,
    limits_of,
    max_pixels_option,
    model_option,
    output_names,
)
from aecodec.cli.startup import prepare_process
from aecodec.errors import InputError
from aecodec.jobs.runner import JobLog, Task, for_each
from aecodec.options import Denoise, EncodeOptions, check_denoise
from aecodec.storage.arguments import load
from aecodec.storage.files import check_output, write_bytes
from aecodec.storage.names import identities, is_standard_output

if TYPE_CHECKING:
    from aecodec.codec import Codec

    _Base = click.ParamType[Denoise]
else:
    _Base = click.ParamType


class Strength(_Base):
    """The level of noise on the command line: auto, or a number from 0 to 100."""

    name = "auto|SIGMA"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Denoise:
        """The level; refuses anything else."""
        text = str(value)
        if text == "auto":
            return "auto"
        try:
            level = float(text)
            check_denoise(level)
        except (ValueError, InputError):
            self.fail(f"{text!r} is neither auto nor a number from 0 to 100", param, ctx)
        return level


@click.command()
@click.argument("picture", metavar="INPUT")
@click.option(
    "-o", "--output", required=True, metavar="OUTPUT",
    help="An .aec file or another picture, by the extension.",
)  # fmt: skip
@click.option(
    "-s", "--strength", type=Strength(), default="auto", show_default=True,
    help="Standard deviation of the noise in 8-bit steps, 0 to 100; auto estimates it.",
)  # fmt: skip
@click.option(
    "-q", "--quality", type=click.FloatRange(0, 100), metavar="Q",
    help="Of an .aec file, 75 by default.",
)  # fmt: skip
@max_pixels_option
@force_option
@model_option
def denoise(
    picture: str, output: str, strength: Denoise, quality: float | None, max_pixels: int | None,
    force: bool, model: str | None,
) -> int:  # fmt: skip
    """Take noise out of a picture."""
    (target,) = output_names([picture], output, SUFFIX)
    is_own = Path(target).suffix.lower() == SUFFIX
    if quality is not None and not is_own:
        raise click.UsageError("--quality is for .aec files")
    if quality is not None and not math.isfinite(quality):
        raise click.UsageError(f"quality must lie in 0 to 100, not {quality}")
    options = EncodeOptions(quality=quality, denoise=strength)
    prepare_process()
    from aecodec.codec import Codec

    codec = Codec(model, limits=limits_of(max_pixels))

    def work(task: Task, log: JobLog) -> None:
        check_output(task.target, force=force, inputs=identities([task.source]))
        if is_own:
            told = _to_file(codec, task, options, log)
        else:
            told = _to_picture(codec, task, strength, log)
        log.say(f"{task.source} -> {task.target}: {told}", err=is_standard_output(task.target))

    return for_each([Task(picture, target)], work, say=say)


def _to_file(codec: "Codec", task: Task, options: EncodeOptions, log: JobLog) -> str:
    """Compresses; what to tell of it."""
    from aecodec.jobs.transcode import compress_file

    done = compress_file(codec, task.source, task.target, options, log=log)
    return f"{done.before} -> {done.after} bytes, {done.bpp:.3f} bpp"


def _to_picture(codec: "Codec", task: Task, strength: Denoise, log: JobLog) -> str:
    """Writes a picture; what to tell of it."""
    from aecodec.applications.denoise import denoised
    from aecodec.jobs.transcode import picture_format
    from aecodec.picture import writers
    from aecodec.picture.formats import check_format
    from aecodec.picture.picture import decode_picture

    kind = picture_format(task.target)
    noisy = decode_picture(load(task.source), limits=codec.limits)
    for line in noisy.losses:
        log.warn(line)
    pixels = noisy.pixels
    check_format(
        kind, alpha=noisy.alpha is not None, sixteen_bit=pixels.dtype.itemsize == 2,
        size=(pixels.shape[0], pixels.shape[1]),
    )  # fmt: skip
    clean, level = denoised(noisy, strength, codec)
    image = writers.prepared(clean.whole, kind, None)
    try:
        done = writers.written(image, kind, clean.metadata)
    except InputError as exc:
        raise InputError(f"cannot write {task.target}: {exc}") from exc
    for line in done.losses:
        log.warn(line, about=task.target)
    log.check()
    write_bytes(task.target, done.data)
    return f"noise of {level:.1f} taken out" if level else "no noise found"
