"""`aecodec info`, `verify` and `repair`: what is in a file, and what is left of it."""

import json
from dataclasses import asdict

import click

from aecodec.cli.console import say, say_or_end
from aecodec.cli.description import described
from aecodec.cli.options import force_option, jobs_option, model_option
from aecodec.cli.startup import prepare_process
from aecodec.cli.terminal import graphics, is_terminal
from aecodec.cli.thumbnail import show
from aecodec.format.reader import TileState
from aecodec.info import read_file_info
from aecodec.jobs.runner import JobLog, for_each
from aecodec.storage.arguments import load
from aecodec.storage.files import check_output, write_bytes
from aecodec.storage.names import identities, is_standard_output


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

    def work(name: str, _target: str, log: JobLog) -> None:
        found = read_file_info(name)
        if as_json:
            log.say(json.dumps(asdict(found)))
        elif is_terminal():
            if thumbnail or (thumbnail is None and len(files) == 1 and graphics()):
                show(name, log, asked=bool(thumbnail))
            log.say(described(found))
        else:
            log.say(found.text())

    if thumbnail and (as_json or not is_terminal()):
        raise click.UsageError("--thumbnail needs a terminal, and no --json")
    return for_each(files, files, work, say=say_or_end)


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
    prepare_process(min(jobs, len(files)))
    from aecodec.codec import Codec

    codec = Codec(model)

    def work(name: str, _target: str, log: JobLog) -> None:
        stream = codec.verify(load(name))
        log.say(f"{name}: ok, {len(stream.tiles)} tiles, {stream.lossless_count} lossless")

    return for_each(files, files, work, jobs, say=say)


@click.command()
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", required=True, metavar="OUTPUT", help="The file to write.")
@force_option
@model_option
def repair(file: str, output: str, force: bool, model: str | None) -> int:
    """Make a valid file of what is left of one that was cut off or damaged."""
    prepare_process()
    from aecodec.codec import Codec

    def work(name: str, target: str, log: JobLog) -> None:
        check_output(target, force=force, inputs=identities([name]))
        repaired, left = Codec(model).repair(load(name))
        write_bytes(target, repaired)
        for line in left.report():
            log.warn(line)
        broken = sum(state is not TileState.WHOLE for state in (*left.states, *left.alphas))
        log.say(
            f"{name} -> {target}: {broken} tiles were not whole, {len(repaired)} bytes",
            err=is_standard_output(target),
        )

    return for_each([file], [output], work, say=say)
