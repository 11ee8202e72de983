"""`aecodec view`: the decoder for browsers."""

from pathlib import Path

import click

from aecodec.cli.console import say
from aecodec.cli.options import force_option
from aecodec.jobs.runner import JobLog, for_each
from aecodec.storage.files import check_output, write_bytes
from aecodec.storage.names import is_standard_output
from aecodec.viewer.bundle import decoder_page, web_files


@click.command()
@click.option(
    "--decoder", metavar="PAGE.html",
    help="Write a page that shows .aec files without a server, weights included.",
)  # fmt: skip
@click.option(
    "--scripts", metavar="FOLDER",
    help="Write the decoder's page and scripts for a web server into a folder.",
)  # fmt: skip
@force_option
def view(decoder: str | None, scripts: str | None, force: bool) -> int:
    """Write a decoder that runs in browsers.

    Any web server can serve the files that `--scripts` writes: `decode.html` shows pictures, and
    the script `aec-img.js` makes `<img src="x.aec">` work in other pages.
    """
    if decoder is None and scripts is None:
        raise click.UsageError("nothing to write: give --decoder or --scripts")

    def work(kind: str, target: str, log: JobLog) -> None:
        write = _write_page if kind == "decoder" else _write_scripts
        log.say(write(target, force=force), err=is_standard_output(target))

    wanted = {"decoder": decoder, "scripts": scripts}
    targets = {kind: target for kind, target in wanted.items() if target is not None}
    return for_each(list(targets), list(targets.values()), work, say=say)


def _write_page(target: str, *, force: bool) -> str:
    """Writes the page that works without a server; what to say about it."""
    check_output(target, force=force)
    page = decoder_page().encode()
    write_bytes(target, page)
    return f"{target}: {len(page)} bytes"


def _write_scripts(target: str, *, force: bool) -> str:
    """Writes what a web server needs into a folder; what to say about it."""
    found = {Path(target) / path: data for path, data in web_files().items()}
    for path in found:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_output(str(path), force=force)
    for path, data in found.items():
        write_bytes(path, data)
    return f"{target}: {len(found)} files, {sum(map(len, found.values()))} bytes"
