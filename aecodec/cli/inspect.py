"""`aecodec info`, `verify` and `repair`: what is in a file, and what is left of it."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from aecodec.cli.console import say, say_or_end
from aecodec.cli.description import described
from aecodec.cli.options import force_option, jobs_for, jobs_option, model_option
from aecodec.cli.startup import prepare_process
from aecodec.cli.terminal import graphics, is_terminal
from aecodec.cli.thumbnail import show
from aecodec.cli.worker_setup import worker_setup
from aecodec.format.reader import TileState
from aecodec.info import read_file_info
from aecodec.jobs.runner import JobLog, Outcome, Task, Watch, for_each, tasks_of
from aecodec.storage.arguments import load
from aecodec.storage.files import check_output, write_bytes
from aecodec.storage.names import identities, is_standard_output

if TYPE_CHECKING:
    from aecodec.jobs.conversion import Verified


@click.command()
@click.argument("files", nargs=-1, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--runtime", is_flag=True, help="Show what computes on this machine instead.")
@click.option(
    "--thumbnail/--no-thumbnail", default=None,
    help="Show the picture, in blocks of colour if need be. By default it is shown where the "
    "terminal is known to show pictures, of a single file.",
)  # fmt: skip
def info(files: tuple[str, ...], as_json: bool, runtime: bool, thumbnail: bool | None) -> int:
    """Show header, chunks and model of .aec files.

    Checksums of local files are checked. Behind a URL only the starts of chunks are read.
    """
    if runtime:
        if files:
            raise click.UsageError("--runtime takes no files")
        return _show_runtime(as_json)
    if not files:
        raise click.UsageError("Missing argument 'FILE...'.")

    def work(task: Task, log: JobLog) -> None:
        found = read_file_info(task.source)
        if as_json:
            log.say(json.dumps(asdict(found)))
        elif is_terminal():
            if thumbnail or (thumbnail is None and len(files) == 1 and graphics()):
                show(task.source, log, asked=bool(thumbnail))
            log.say(described(found))
        else:
            log.say(found.text())

    if thumbnail and (as_json or not is_terminal()):
        raise click.UsageError("--thumbnail needs a terminal, and no --json")
    return for_each(tasks_of(files), work, say=say_or_end)


def _show_runtime(as_json: bool) -> int:
    from aecodec.decoder.loading import runtime_info

    found = runtime_info()
    say_or_end(json.dumps(asdict(found)) if as_json else found.text(), err=False)
    return 0


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@jobs_option
@model_option
def verify(files: tuple[str, ...], jobs: int, model: str | None) -> int:
    """Check every checksum of .aec files and decode them."""
    many = jobs_for(files, jobs, len(files))
    prepare_process()
    from aecodec.jobs.conversion import Verification

    work = Verification(model=model)
    return for_each(tasks_of(files), work, many, say=say, watch=_Verdicts(), setup=worker_setup())


class _Verdicts(Watch[Task, "Verified"]):
    """Says what is whole."""

    def report(self, task: Task, outcome: "Outcome[Verified]") -> None:
        """Errors have had their line."""
        found = outcome.result
        if found is not None:
            text = f"{task.source}: ok, {found.tiles} tiles, {found.lossless} lossless"
            say(text, err=False)


@click.command()
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", required=True, metavar="OUTPUT", help="The file to write.")
@force_option
@model_option
def repair(file: str, output: str, force: bool, model: str | None) -> int:
    """Make a valid file of what is left of one that was cut off or damaged."""
    prepare_process()
    from aecodec.codec import Codec

    def work(_task: Task, log: JobLog) -> None:
        check_output(output, force=force, inputs=identities([file]))
        repaired, left = Codec(model).repair(load(file))
        write_bytes(output, repaired)
        for line in left.report():
            log.warn(line)
        broken = sum(state is not TileState.WHOLE for state in (*left.states, *left.alphas))
        log.say(
            f"{file} -> {output}: {broken} tiles were not whole, {len(repaired)} bytes",
            err=is_standard_output(output),
        )

    return for_each(tasks_of([file], [output]), work, say=say)
