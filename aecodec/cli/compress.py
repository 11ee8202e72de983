"""`aecodec compress`."""

import math
from typing import Unpack

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
from aecodec.cli.denoise import Strength
from aecodec.cli.options import (
    SUFFIX,
    Batching,
    check_one_model,
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
    tune_option,
)
from aecodec.cli.report import Style, run_batch
from aecodec.errors import InputError
from aecodec.format.chunks import METADATA_KINDS
from aecodec.jobs.batch import Batch
from aecodec.jobs.conversion import Compression, Converted, Manner
from aecodec.jobs.folders import PICTURES, FileTask
from aecodec.jobs.journal import fingerprint
from aecodec.models.registry import Tune
from aecodec.options import SEARCH_EFFORT, Denoise, EncodeOptions, Target, parse_size


class _Arguments(Batching, Engine):
    """What says how to compress, as click parses it."""

    quality: float | None
    effort: int
    size: str | None
    bpp: float | None
    psnr: float | None
    ssim: float | None
    lossless: bool
    max_error: int | None
    denoise: Denoise | None
    checksum: bool
    strip: bool
    keep: str | None
    alpha_quality: float
    preserve: bool
    keep_smaller: bool
    full_names: bool
    psnr_column: bool
    tune: Tune | None


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
@click.option(
    "--denoise", type=Strength(), is_flag=False, flag_value="auto",
    help="Take out noise of this standard deviation in 8-bit steps; without a value, as the last "
    "option, or auto, it is estimated.",
)  # fmt: skip
@click.option("--checksum", is_flag=True, help="Add a checksum of the pixels, for verify.")
@click.option("--strip", is_flag=True, help="Drop all metadata.")
@click.option(
    "--keep",
    metavar="NAMES",
    help="Keep only these metadata, out of " + ", ".join(METADATA_KINDS) + ".",
)
@click.option(
    "--alpha-quality", type=click.FloatRange(0, 100), default=100.0, show_default=True,
    help="Below 100, transparency gets fewer levels; at 100 it is exact.",
)  # fmt: skip
@preserve_option
@max_pixels_option
@recursive_option
@jobs_option
@resume_option
@click.option(
    "--keep-smaller", is_flag=True, help="Leave out files that are not smaller than their inputs."
)
@click.option(
    "--full-names", is_flag=True,
    help="Make a.png.aec of a.png, so that a.jpg beside it becomes another file.",
)  # fmt: skip
@dry_run_option
@json_option
@force_option
@tune_option
@model_option
@engine_options
@click.option(
    "--psnr-column", is_flag=True,
    help="Decode what the engine wrote, and note its PSNR in the manifest; takes twice the time.",
)  # fmt: skip
def compress(
    inputs: tuple[str, ...], output: str | None, max_pixels: int | None, jobs: int, force: bool,
    model: str | None, **arguments: Unpack[_Arguments],
) -> int:  # fmt: skip
    """Compress pictures to .aec files beside them, or folders of pictures."""
    check_one_model(model, arguments["tune"])
    options, recursive, resume = (
        _options(arguments), arguments["recursive"], arguments["resume"],
    )  # fmt: skip
    style = Style(_line, "to be compressed", arguments["as_json"], len(inputs) > 1 or recursive)
    torch = options.effort >= SEARCH_EFFORT
    if uses_engine(arguments, arguments["psnr_column"]):
        refuse(REFUSED)
        model = everywhere(model)
        manner = Manner(keep_smaller=arguments["keep_smaller"], journal=True)
        work = Compression(
            options=options, model=model, limits=limits_of(max_pixels), manner=manner
        )
        wishes = _wishes(work, arguments, force=force, torch=torch)
        return run_dataset(inputs, output, wishes, arguments, style)
    plan = planned(inputs, output, SUFFIX, PICTURES, arguments, full_names=arguments["full_names"])
    manner = Manner(
        force=force, preserve=arguments["preserve"], keep_smaller=arguments["keep_smaller"],
        dry_run=arguments["dry_run"], journal=recursive or resume, resume=resume,
    )  # fmt: skip
    work = Compression(options=options, model=model, limits=limits_of(max_pixels), manner=manner)
    return run_batch(Batch(plan, work), style, inputs, jobs, torch=torch)


def _wishes(work: Compression, arguments: _Arguments, *, force: bool, torch: bool) -> Wishes:
    """What is asked of the engine."""
    from aecodec.datasets.works import MeasuredCompression, compressed_columns

    options = fingerprint(work.fingerprint(), work.manner.keep_smaller)
    return Wishes(
        MeasuredCompression(compression=work) if arguments["psnr_column"] else work,
        compressed_columns, options, PICTURES, SUFFIX, full_names=arguments["full_names"],
        force=force, dry_run=arguments["dry_run"], torch=torch,
    )  # fmt: skip


def _line(task: FileTask, done: Converted) -> str:
    """What became of a picture."""
    bpp = 8 * done.after / (done.width * done.height)
    return (
        f"{task.source} -> {task.target}: {done.before} -> {done.after} bytes, {bpp:.3f} bpp, "
        f"ratio {done.before / done.after:.1f}, {done.seconds:.2f} s"
    )


def _options(arguments: _Arguments) -> EncodeOptions:
    """Refuses arguments that exclude each other, and values that make no sense."""
    quality, max_error = arguments["quality"], arguments["max_error"]
    if quality is not None and not math.isfinite(quality):
        raise click.UsageError(f"quality must lie in 0 to 100, not {quality}")
    given = {
        "--size": arguments["size"], "--bpp": arguments["bpp"], "--psnr": arguments["psnr"],
        "--ssim": arguments["ssim"], "--max-error": max_error,
        "--lossless": arguments["lossless"] or None,
    }  # fmt: skip
    names = [name for name, value in given.items() if value is not None]
    if quality is not None and names not in (["--lossless"], ["--max-error"]):
        names.append("--quality")
    if len(names) > 1:
        raise click.UsageError(f"{' and '.join(names)} exclude each other")
    try:
        return EncodeOptions(
            quality=quality,
            target=_target(arguments),
            effort=arguments["effort"],
            lossless=arguments["lossless"],
            max_error=max_error,
            alpha_quality=arguments["alpha_quality"],
            keep=_kept(arguments),
            checksum=arguments["checksum"],
            denoise=arguments["denoise"],
            tune=arguments["tune"],
        )
    except InputError as exc:
        raise click.UsageError(str(exc)) from exc


def _target(arguments: _Arguments) -> Target | None:
    """What the arguments ask for in place of a quality."""
    if arguments["size"] is not None:
        return Target("size", parse_size(arguments["size"]))
    if arguments["bpp"] is not None:
        return Target("bpp", arguments["bpp"])
    if arguments["psnr"] is not None:
        return Target("psnr", arguments["psnr"])
    return None if arguments["ssim"] is None else Target("ssim", arguments["ssim"])


def _kept(arguments: _Arguments) -> tuple[str, ...]:
    """The metadata that the arguments ask for."""
    keep = arguments["keep"]
    if arguments["strip"] and keep is not None:
        raise click.UsageError("--strip and --keep exclude each other")
    if arguments["strip"]:
        return ()
    return METADATA_KINDS if keep is None else tuple(name.strip() for name in keep.split(","))
