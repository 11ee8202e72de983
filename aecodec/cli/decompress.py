"""`aecodec decompress`."""

import re
from typing import Literal, Unpack

import click

from aecodec.cli.datasets import (
    REFUSED,
    Engine,
    Wishes,
    engine_options,
    everywhere,
    refuse,
    run_dataset,
    uses_engine,
)
from aecodec.cli.options import (
    SUFFIX,
    Batching,
    colour_of,
    dry_run_option,
    force_option,
    inputs_argument,
    jobs_option,
    json_option,
    limits_of,
    max_pixels_option,
    model_option,
    output_option,
    planned,
    preserve_option,
    recursive_option,
    resume_option,
)
from aecodec.cli.report import Style, run_batch
from aecodec.errors import InputError
from aecodec.format.tiling import Region
from aecodec.jobs.batch import Batch
from aecodec.jobs.conversion import Converted, Decompression, Manner
from aecodec.jobs.folders import FileTask
from aecodec.jobs.journal import fingerprint
from aecodec.jobs.saving import Saving
from aecodec.options import DecodeOptions

SCALES = {"1": 1, "1/2": 2, "1/4": 4, "1/8": 8}


class _Arguments(Batching, Engine):
    """What says how to decompress, as click parses it."""

    region: str | None
    scale: str
    depth: str | None
    lossy: bool
    allow_truncated: bool
    background: str | None
    output_quality: str | None
    png_level: int | None
    strip: bool
    preserve: bool
    file_format: str


@click.command()
@inputs_argument
@output_option
@click.option(
    "--region", metavar="X,Y,W,H",
    help="Decode only this part of the picture, counted from the top left as the picture is shown.",
)  # fmt: skip
@click.option(
    "--scale", type=click.Choice(list(SCALES)), default="1",
    help="Make the picture smaller, which is faster.",
)  # fmt: skip
@click.option("--depth", type=click.Choice(["8"]), help="Round 16-bit pictures to 8 bits a sample.")
@click.option("--lossy", is_flag=True, help="Leave out what makes the picture exact; faster.")
@click.option(
    "--allow-truncated", is_flag=True,
    help="Decode what is left of a file that was cut off or damaged.",
)  # fmt: skip
@click.option(
    "--background", metavar="COLOR",
    help="Show this colour where the picture is transparent, as in white or '#ff8000'.",
)  # fmt: skip
@click.option(
    "--output-quality", metavar="N|lossless",
    help="Of JPEG, WebP or AVIF outputs, 0 to 100. By default 95, for AVIF 90; of a lossless "
    "file WebP is lossless, JPEG has 98 and AVIF 95.",
)  # fmt: skip
@click.option(
    "--png-level", type=click.IntRange(0, 9), metavar="0..9",
    help="Of PNG outputs, 9 for the smallest. By default photographs are written fast and what "
    "repeats itself small.",
)  # fmt: skip
@click.option("--strip", is_flag=True, help="Leave out all metadata.")
@click.option(
    "--format", "file_format", default="png", show_default=True, metavar="EXT",
    help="The extension of outputs that -o does not name, as in jpg.",
)  # fmt: skip
@preserve_option
@max_pixels_option
@recursive_option
@jobs_option
@resume_option
@dry_run_option
@json_option
@force_option
@model_option
@engine_options
def decompress(
    inputs: tuple[str, ...], output: str | None, max_pixels: int | None, jobs: int, force: bool,
    model: str | None, **arguments: Unpack[_Arguments],
) -> int:  # fmt: skip
    """Decompress .aec files; the output's extension gives the format, PNG by default."""
    options, quality = _options(arguments), _quality(arguments["output_quality"])
    background = arguments["background"]
    colour = None if background is None else colour_of(background)
    recursive, resume = arguments["recursive"], arguments["resume"]
    suffix = _suffix(arguments["file_format"])
    saving = Saving(
        background=colour, quality=quality, strip=arguments["strip"],
        preserve=arguments["preserve"], png_level=arguments["png_level"],
    )  # fmt: skip
    style = Style(_line, "to be decompressed", arguments["as_json"], len(inputs) > 1 or recursive)
    if uses_engine(arguments):
        refuse(REFUSED)
        model = everywhere(model)
        work = Decompression(
            options=options, saving=saving, model=model, limits=limits_of(max_pixels),
            manner=Manner(journal=True),
        )  # fmt: skip
        wishes = _wishes(work, suffix, force=force, dry_run=arguments["dry_run"])
        return run_dataset(inputs, output, wishes, arguments, style)
    plan = planned(inputs, output, suffix, {SUFFIX}, arguments)
    manner = Manner(
        force=force, dry_run=arguments["dry_run"], journal=recursive or resume, resume=resume
    )
    work = Decompression(
        options=options, saving=saving, model=model, limits=limits_of(max_pixels), manner=manner
    )
    return run_batch(Batch(plan, work), style, inputs, jobs)


def _wishes(work: Decompression, suffix: str, *, force: bool, dry_run: bool) -> Wishes:
    """What is asked of the engine."""
    from aecodec.datasets.works import decompressed_columns

    return Wishes(
        work, decompressed_columns, fingerprint(work.fingerprint(), suffix), frozenset({SUFFIX}),
        suffix, force=force, dry_run=dry_run,
    )  # fmt: skip


def _line(task: FileTask, done: Converted) -> str:
    """What became of a file."""
    return f"{task.source} -> {task.target}: {done.width}x{done.height}, {done.seconds:.2f} s"


def _suffix(file_format: str) -> str:
    """The extension of outputs; an unknown one is refused once, and not for each input."""
    suffix = "." + file_format.removeprefix(".")
    if suffix != ".png":
        from aecodec.jobs.transcode import picture_format  # late, for Pillow

        try:
            picture_format("picture" + suffix)
        except InputError as exc:
            raise click.UsageError(f"--format: {exc}") from exc
    return suffix


def _options(arguments: _Arguments) -> DecodeOptions:
    """What of the files is to be decoded."""
    region, depth = arguments["region"], arguments["depth"]
    return DecodeOptions(
        region=None if region is None else _region(region),
        scale=SCALES[arguments["scale"]],
        depth=None if depth is None else int(depth),
        lossy=arguments["lossy"],
        allow_truncated=arguments["allow_truncated"],
    )


def _quality(text: str | None) -> int | Literal["lossless"] | None:
    """The quality of the output."""
    if text is None:
        return None
    if text == "lossless":
        return "lossless"
    number = int(text) if re.fullmatch(r"[0-9]{1,3}", text) else -1
    if not 0 <= number <= 100:
        raise click.UsageError(f"--output-quality takes 0 to 100 or lossless, not {text!r}")
    return number


def _region(text: str) -> Region:
    try:
        left, top, width, height = (int(number) for number in text.split(","))
    except ValueError as exc:
        raise click.UsageError(f"--region takes four whole numbers X,Y,W,H, not {text!r}") from exc
    return Region(left, top, width, height)
