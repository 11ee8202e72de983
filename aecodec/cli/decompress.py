"""`aecodec decompress`."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aecodec.cli.console import LazyCodec, load, opened_for_parts
from aecodec.cli.options import (
    colour_of,
    force_option,
    inputs_argument,
    jobs_option,
    limits_of,
    max_pixels_option,
    model_option,
    output_names,
    output_option,
    picture_format,
)
from aecodec.errors import InputError
from aecodec.format.chunks import Header, Limits
from aecodec.format.container import parse
from aecodec.info import read_info
from aecodec.jobs.runner import JobLog, for_each
from aecodec.storage.files import STANDARD, check_output, write_bytes
from aecodec.storage.sources import Source

if TYPE_CHECKING:
    from aecodec.format.tiling import Region
    from aecodec.picture.picture import Picture

SCALES = {"1": 1, "1/2": 2, "1/4": 4, "1/8": 8}


@click.command()
@inputs_argument
@output_option
@click.option("--region", metavar="X,Y,W,H", help="Decode only this part of the picture.")
@click.option(
    "--scale", type=click.Choice(list(SCALES)), default="1",
    help="Make the picture smaller, which is faster.",
)  # fmt: skip
@max_pixels_option
@click.option(
    "--background", metavar="COLOR",
    help="Show this colour where the picture is transparent, as in white or '#ff8000'.",
)  # fmt: skip
@click.option("--depth", type=click.Choice(["8"]), help="Round 16-bit pictures to 8 bits a sample.")
@click.option(
    "--allow-truncated", is_flag=True,
    help="Decode what is left of a file that was cut off or damaged.",
)  # fmt: skip
@click.option("--lossy", is_flag=True, help="Leave out what makes the picture exact; faster.")
@jobs_option
@force_option
@model_option
def decompress(
    inputs: tuple[str, ...],
    output: str | None,
    allow_truncated: bool,
    jobs: int,
    force: bool,
    **options: Any,  # noqa: ANN401  # region, scale and model, as click parses them
) -> int:
    """Decompress .aec files; the output's extension gives the format, PNG by default."""
    limits = limits_of(options["max_pixels"])
    wish = _Wish(
        LazyCodec(options["model"], min(jobs, len(inputs)), limits),
        None if options["region"] is None else _region(options["region"]),
        SCALES[options["scale"]],
        limits,
        allow_truncated,
        None if options["background"] is None else colour_of(options["background"]),
        None if options["depth"] is None else int(options["depth"]),
        options["lossy"],
    )
    outputs = output_names(inputs, output, ".png")

    def work(name: str, target: str, log: JobLog) -> None:
        from aecodec.picture import writers as outputs
        from aecodec.picture.metadata import turned

        check_output(target, force=force)
        kind = picture_format(target)
        start = time.perf_counter()
        if target != STANDARD:
            size = wish.write_huge(name, target, kind, log)
            if size is not None:
                seconds = time.perf_counter() - start
                log.say(f"{name} -> {target}: {size[1]}x{size[0]}, {seconds:.2f} s")
                return
        picture = wish.picture(name, kind, log)
        metadata = picture.metadata
        pixels = outputs.prepared(picture.whole, kind, wish.background)
        lost = outputs.lost_in(pixels, kind, metadata)
        if lost:
            log.say(f"aecodec: {target}: warning: {kind} carries no {', '.join(lost)}", err=True)
        if "exif" in lost:
            pixels = turned(pixels, metadata.orientation)
        try:
            encoded = outputs.encode(pixels, kind, metadata)
        except InputError as exc:
            raise InputError(f"cannot write {target}: {exc}") from exc
        log.check()
        write_bytes(target, encoded)
        seconds = time.perf_counter() - start
        height, width = pixels.shape[:2]
        log.say(
            f"{name} -> {target}: {width}x{height}, {seconds:.2f} s",
            err=target == STANDARD,
        )

    return for_each(inputs, outputs, work, jobs, say=click.echo)


@dataclass(frozen=True)
class _Wish:
    """What `decompress` is to make of each input."""

    codec: LazyCodec
    part: "Region | None"
    scale: int
    limits: Limits
    allow_truncated: bool
    background: tuple[int, int, int] | None = None
    depth: int | None = None
    lossy: bool = False

    def check(self, header: Header, kind: str) -> None:
        """Refuses parts that do not lie in the picture, and formats that cannot carry it."""
        from aecodec.picture.writers import check_format

        if self.part is not None:
            self.part.check(header.width, header.height)
        form = header.pixel_format
        alpha = form.has_alpha and self.background is None
        check_format(kind, alpha=alpha, sixteen_bit=form.is_sixteen_bit and self.depth is None)

    def picture(self, name: str, kind: str, log: JobLog) -> "Picture":
        """The whole result as one picture, for an output of that kind."""
        with ExitStack() as stack:
            source: Source
            # Without the permission a damaged file fails here, before torch is imported.
            if self.allow_truncated:
                source = load(name)
                header = _rescue(name, source, log, self.limits)
            elif self.part is not None:
                source = stack.enter_context(opened_for_parts(name))
                header = read_info(source, self.limits)
            else:
                source = load(name)
                header = parse(source, self.limits).header
            self.check(header, kind)
            return self.codec.get().decompress_picture(
                source,
                region=self.part,
                scale=self.scale,
                allow_truncated=self.allow_truncated,
                depth=self.depth,
                lossy=self.lossy,
            )

    def write_huge(self, name: str, target: str, kind: str, log: JobLog) -> tuple[int, int] | None:
        """Decodes by rows of tiles, if called for and possible; returns height and width."""
        from aecodec.picture import writers

        if self.allow_truncated or kind not in writers.STREAMED or not Path(name).is_file():
            return None
        with opened_for_parts(name) as source:
            header = read_info(source, self.limits)
            self.check(header, kind)
            whole = header.width * header.height
            area = self.part.width * self.part.height if self.part else whole
            if area // self.scale**2 < writers.STREAM_PIXELS:
                return None

            from aecodec.jobs.transcode import unpack
            from aecodec.options import Wish

            codec = self.codec.get()
            done = unpack(
                codec,
                source,
                target,
                kind,
                wish=Wish(self.part, self.scale, self.depth, self.background, self.lossy),
                check=log.check,
            )
        if done is None:
            return None
        size, lost = done
        if lost:
            log.say(f"aecodec: {target}: warning: {kind} carries no {', '.join(lost)}", err=True)
        return size


def _rescue(name: str, data: bytes, log: JobLog, limits: Limits) -> Header:
    from aecodec.format.recovery import rescue

    left = rescue(data, limits)
    for line in left.report():
        log.say(f"aecodec: {name}: warning: {line}", err=True)
    return left.stream.header


def _region(text: str) -> "Region":
    from aecodec.format.tiling import Region

    try:
        left, top, width, height = (int(number) for number in text.split(","))
    except ValueError as exc:
        raise click.UsageError(f"--region takes four whole numbers X,Y,W,H, not {text!r}") from exc
    return Region(left, top, width, height)
