"""`aecodec info`, `verify` and `repair`: what is in a file, and what is left of it."""

import json

import click

from aecodec.cli.console import LazyCodec, load
from aecodec.cli.options import force_option, jobs_option, model_option
from aecodec.format.container import parse
from aecodec.info import facts_of, facts_text
from aecodec.jobs.runner import JobLog, for_each
from aecodec.storage.files import STANDARD, check_output, write_bytes


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def info(files: tuple[str, ...], as_json: bool) -> int:
    """Show header, chunks and model of .aec files.

    Checksums of local files are checked. Behind a URL only the starts of chunks are read.
    """

    def work(name: str, _target: str, log: JobLog) -> None:
        facts = facts_of(name)
        log.say(json.dumps(facts) if as_json else facts_text(facts))

    return for_each(files, files, work, say=click.echo)


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@jobs_option
@model_option
def verify(files: tuple[str, ...], jobs: int, model: str | None) -> int:
    """Check every checksum of .aec files and decode them."""
    codec = LazyCodec(model, min(jobs, len(files)))

    def work(name: str, _target: str, log: JobLog) -> None:
        data = load(name)
        stream = parse(data)  # a damaged file fails here, before torch is imported
        codec.get().verify(data)
        tiles = f"{len(stream.tiles)} tiles, {stream.lossless_count} lossless"
        log.say(f"{name}: ok, {tiles}")

    return for_each(files, files, work, jobs, say=click.echo)


@click.command()
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", required=True, metavar="OUTPUT", help="The file to write.")
@force_option
@model_option
def repair(file: str, output: str, force: bool, model: str | None) -> int:
    """Make a valid file of what is left of one that was cut off or damaged."""
    from aecodec.format.recovery import rescue

    codec = LazyCodec(model)

    def work(name: str, target: str, log: JobLog) -> None:
        check_output(target, force=force)
        data = load(name)
        lines = rescue(data).report()
        repaired, _ = codec.get().repair(data)
        write_bytes(target, repaired)
        for line in lines:
            log.say(f"aecodec: {name}: warning: {line}", err=True)
        log.say(
            f"{name} -> {target}: {len(lines)} tiles were not whole, {len(repaired)} bytes",
            err=target == STANDARD,
        )

    return for_each([file], [output], work, say=click.echo)
