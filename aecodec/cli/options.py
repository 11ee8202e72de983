"""Arguments and options that several commands share, and what they mean."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import click

from aecodec.errors import InputError, WeightsError
from aecodec.format.chunks import DEFAULT_LIMITS, Limits
from aecodec.jobs.folders import Plan, file_tasks, plan_folders
from aecodec.models.registry import DEFAULT_TUNE, TUNES, Tune, check_model, tuned_model
from aecodec.storage.names import (
    STANDARD,
    STANDARD_INPUT,
    check_name,
    descriptor_of,
)
from aecodec.storage.sources import base_name, is_url

SUFFIX = ".aec"


def known_model(_context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Refuses a model that does not exist once, and not for each input."""
    if value is not None:
        try:
            check_model(value)
        except WeightsError as exc:
            raise click.UsageError(f"{option.opts[0]}: {exc}") from exc
    return value


model_option = click.option(
    "--model", metavar="NAME|PATH", callback=known_model,
    help="A released model, or weights made by `aecodec export`.",
)  # fmt: skip


def known_tune(_context: click.Context, option: click.Parameter, value: Tune | None) -> Tune | None:
    """Refuses a tuning for which there is no model."""
    if value is not None:
        try:
            tuned_model(value)
        except WeightsError as exc:
            raise click.UsageError(f"{option.opts[0]}: {exc}") from exc
    return value


tune_option = click.option(
    "--tune", type=click.Choice(TUNES), callback=known_tune,
    help=f"The released model: for the least squared error, or for the eye; {DEFAULT_TUNE} by "
    "default.",
)  # fmt: skip
inputs_argument = click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
output_option = click.option(
    "-o", "--output", metavar="OUTPUT", help="Output file; a folder when there are several inputs."
)
jobs_option = click.option(
    "-j", "--jobs", type=click.IntRange(1), default=1, show_default=True, metavar="N",
    help="Inputs to work on at a time, each in a process of its own.",
)  # fmt: skip
recursive_option = click.option(
    "-r", "--recursive", is_flag=True,
    help="Work on the files in folders and all that is below them; OUTPUT is a folder that gets "
    "the same tree.",
)  # fmt: skip
resume_option = click.option(
    "--resume",
    is_flag=True,
    help="Leave out what an earlier run has done: same input, same options, output still there.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a file.")
dry_run_option = click.option("-n", "--dry-run", is_flag=True, help="Only say what would be done.")
max_pixels_option = click.option(
    "--max-pixels", type=click.IntRange(1), metavar="N",
    help=f"Refuse larger pictures; {DEFAULT_LIMITS.pixels} by default.",
)  # fmt: skip
preserve_option = click.option(
    "--preserve", is_flag=True, help="Give outputs the times and permissions of their inputs."
)
force_option = click.option("-f", "--force", is_flag=True, help="Overwrite existing outputs.")


def check_one_model(model: str | None, tune: Tune | None) -> None:
    """Refuses a tuning beside a model, which it would choose."""
    if model is not None and tune is not None:
        raise click.UsageError("--model and --tune exclude each other")


def limits_of(max_pixels: int | None) -> Limits:
    """The limits that `--max-pixels` asks for."""
    return replace(DEFAULT_LIMITS, pixels=max_pixels) if max_pixels else DEFAULT_LIMITS


class Batching(TypedDict):
    """What says how to work on many files, as click parses it."""

    recursive: bool
    resume: bool
    as_json: bool
    dry_run: bool


def planned(
    inputs: Sequence[str], output: str | None, suffix: str, kinds: Collection[str],
    arguments: Batching, *, full_names: bool = False,
) -> Plan:  # fmt: skip
    """What is to be done: the inputs themselves, or with `--recursive` the files in them."""
    if not arguments["recursive"]:
        outputs = output_names(inputs, output, suffix, full_names=full_names)
        return Plan(file_tasks(inputs, outputs, journal=arguments["resume"]))
    if STANDARD in (*inputs, output):
        raise click.UsageError("--recursive takes no standard input or output")
    if output == "":
        raise click.UsageError("the name of the output is empty")
    _check_names([*inputs, *([] if output is None else [output])])
    try:
        return plan_folders(inputs, output, suffix, kinds, full_names=full_names)
    except InputError as exc:
        raise click.UsageError(str(exc)) from exc


def jobs_for(inputs: Sequence[str], jobs: int, tasks: int) -> int:
    """How many to work on at a time: other processes have no descriptors of this one."""
    if any(not is_url(name) and descriptor_of(name) is not None for name in inputs):
        return 1
    return max(1, min(jobs, tasks))


def output_names(
    inputs: Sequence[str], output: str | None, suffix: str, *, full_names: bool = False
) -> list[str]:
    """Where each input goes: beside it, to `output`, or into the folder `output`.

    With `full_names` the extension of an input stays before the suffix.
    """
    if output == "":
        raise click.UsageError("the name of the output is empty")
    _check_names([*inputs, *([] if output is None else [output])])
    if len(inputs) > 1:
        if output == STANDARD or STANDARD in inputs:
            raise click.UsageError("standard input and output take a single picture")
        if output is not None and not Path(output).is_dir():
            raise click.UsageError(f"with several inputs, {output} must be an existing folder")
    elif output is not None and not Path(output).is_dir():
        return [output]
    if STANDARD in inputs:
        return [STANDARD if output is None else str(Path(output) / f"picture{suffix}")]
    if len(inputs) == 1 and not is_url(inputs[0]) and descriptor_of(inputs[0]) is not None:
        return [_for_descriptor(inputs[0], output, suffix)]
    folder = None if output is None else Path(output)
    names = [_beside(name, folder, suffix, full_names=full_names) for name in inputs]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise click.UsageError(f"several inputs would become {min(doubled)}")
    return names


def _check_names(names: Sequence[str]) -> None:
    """Refuses names that no file can have."""
    try:
        for name in names:
            check_name(name)
    except InputError as exc:
        raise click.UsageError(str(exc)) from exc


def _for_descriptor(name: str, folder: str | None, suffix: str) -> str:
    """The output for an input such as `/dev/stdin`, beside which nothing can lie."""
    if folder is not None:
        return str(Path(folder) / f"picture{suffix}")
    if descriptor_of(name) == STANDARD_INPUT:
        return STANDARD
    raise click.UsageError(f"{name} is a pipe: -o names the output")


def _beside(name: str, folder: Path | None, suffix: str, *, full_names: bool) -> str:
    """The output for an input; what a URL names goes into the current folder."""
    path = Path(base_name(name)) if is_url(name) else Path(name)
    stem = path.name if full_names else path.stem
    return str((folder or path.parent) / (stem + suffix))


def colour_of(text: str) -> tuple[int, int, int]:
    """Red, green and blue of a colour as CSS writes it."""
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as exc:
        raise click.UsageError(f"{text!r} is no colour; write white, #ff8000 or rgb(...)") from exc
    return red, green, blue
