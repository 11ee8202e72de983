"""`aecodec compare`."""

import json
import math
from typing import TypedDict, Unpack

import click

from aecodec.cli.console import say, say_or_end
from aecodec.cli.options import force_option, limits_of, max_pixels_option, model_option
from aecodec.cli.startup import prepare_process
from aecodec.jobs.runner import JobLog
from aecodec.storage.files import check_output
from aecodec.storage.names import STANDARD, identities, is_standard_output


class _Arguments(TypedDict):
    """What says how to compare, as click parses it."""

    output: str | None
    amplify: float
    as_json: bool
    max_pixels: int | None
    force: bool
    model: str | None


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("-o", "--output", metavar="PICTURE", help="Write a picture of the differences.")
@click.option(
    "--amplify", type=float, default=8.0, show_default=True, metavar="N",
    help="Multiply the differences in that picture, where black is none.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@max_pixels_option
@force_option
@model_option
def compare(first: str, second: str, **arguments: Unpack[_Arguments]) -> None:
    """Compare two pictures, .aec files or others: how far B is from A.

    Tells of PSNR, of MS-SSIM, SSIMULACRA2 and FLIP where their packages are installed, of sizes,
    the largest error and metadata that differ.
    """
    output, amplify = arguments["output"], arguments["amplify"]
    if first == second == STANDARD:
        raise click.UsageError("standard input is one picture")
    if not (math.isfinite(amplify) and amplify > 0):
        raise click.UsageError(f"--amplify takes a number above 0, not {amplify:g}")
    if output is not None:
        check_output(output, force=arguments["force"], inputs=identities([first, second]))
    prepare_process()
    from aecodec.codec import Codec
    from aecodec.jobs.comparison import compare_files

    codec = Codec(arguments["model"], limits=limits_of(arguments["max_pixels"]))
    found = compare_files(codec, first, second, log=JobLog(say), target=output, amplify=amplify)
    text = json.dumps(found.fields()) if arguments["as_json"] else found.text()
    say_or_end(text, err=output is not None and is_standard_output(output))
