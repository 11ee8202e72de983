"""`aecodec view`: pictures and the decoder in a browser."""

import webbrowser
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from aecodec.cli.console import say
from aecodec.cli.options import force_option, limits_of, max_pixels_option, tune_option
from aecodec.cli.startup import prepare_process
from aecodec.jobs.runner import JobLog, Task, for_each
from aecodec.models.registry import Tune, tuned_model
from aecodec.storage.files import check_output, write_bytes
from aecodec.storage.names import is_standard_output

if TYPE_CHECKING:
    from aecodec.viewer.studio import Studio

PORT_MAX = 65535


class _Arguments(TypedDict):
    """What says what to show and where, as click parses it."""

    port: int
    browser: bool
    export: str | None
    decoder: str | None
    scripts: str | None
    force: bool
    max_pixels: int | None
    tune: Tune | None


@click.command()
@click.argument("files", nargs=-1, metavar="FILE...")
@click.option(
    "--port", type=click.IntRange(0, PORT_MAX), default=0, metavar="N",
    help="Serve at this port; by default at one that is free.",
)  # fmt: skip
@click.option("--no-browser", "browser", flag_value=False, default=True, help="Only print the URL.")
@click.option(
    "--export", metavar="FOLDER",
    help="Write the page with these pictures for a web server into a folder.",
)  # fmt: skip
@click.option(
    "--decoder", metavar="PAGE.html",
    help="Write a page that shows .aec files without a server, weights included.",
)  # fmt: skip
@click.option(
    "--scripts", metavar="FOLDER",
    help="Write the decoder's page and scripts for a web server into a folder.",
)  # fmt: skip
@max_pixels_option
@force_option
@tune_option
def view(files: tuple[str, ...], **arguments: Unpack[_Arguments]) -> int:
    """Look at pictures and at what compression does to them, in a browser.

    A FILE is a picture, or an .aec file; an .aec and a picture of one name stem are compared. The
    page is served on loopback only, to whoever has the URL that is printed, until Ctrl-C.
    `--tune` says for what pictures are compressed; beside `--decoder` or `--scripts`, of which
    model alone weights are written.

    Any web server can serve the files that `--scripts` writes: `decode.html` shows pictures, and
    the script `aec-img.js` makes `<img src="x.aec">` work in other pages.
    """
    wanted = {kind: arguments[kind] for kind in ("decoder", "scripts")}
    targets = {kind: target for kind, target in wanted.items() if target is not None}
    if targets:
        if files or arguments["export"] is not None:
            raise click.UsageError("--decoder and --scripts show no files")
        tune = arguments["tune"]
        models = None if tune is None else {tuned_model(tune).model_id}
        return _write_decoder(targets, models, force=arguments["force"])
    if arguments["export"] is not None:
        if not files:
            raise click.UsageError("--export needs files to show")
        return _export(files, arguments["export"], arguments)
    return _serve(files, arguments)


Models = Collection[bytes] | None
"""Ids of the models whose weights are written; None for all."""


def _write_decoder(targets: dict[str, str], models: Models, *, force: bool) -> int:
    def work(task: Task, log: JobLog) -> None:
        write = _write_page if task.source == "decoder" else _write_scripts
        log.say(write(task.target, models, force=force), err=is_standard_output(task.target))

    return for_each([Task(*each) for each in targets.items()], work, say=say)


def _write_page(target: str, models: Models, *, force: bool) -> str:
    """Writes the page that works without a server; what to say about it."""
    from aecodec.viewer.bundle import decoder_page

    check_output(target, force=force)
    page = decoder_page(models).encode()
    write_bytes(target, page)
    return f"{target}: {len(page)} bytes"


def _write_scripts(target: str, models: Models, *, force: bool) -> str:
    """Writes what a web server needs into a folder; what to say about it."""
    from aecodec.viewer.bundle import web_files

    found = {Path(target) / path: data for path, data in web_files(models=models).items()}
    for path in found:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_output(str(path), force=force)
    for path, data in found.items():
        write_bytes(path, data)
    return f"{target}: {len(found)} files, {sum(map(len, found.values()))} bytes"


def _export(files: Sequence[str], target: str, arguments: _Arguments) -> int:
    """Writes the page with pictures; the exit code."""
    from aecodec.viewer.site import site_files

    studio = _studio(files, arguments)
    Path(target).mkdir(parents=True, exist_ok=True)
    check_output(str(Path(target) / "index.html"), force=arguments["force"])
    count = size = 0

    def tell(number: int, key: str) -> None:
        say(f"{studio.exhibit(number).name}: {key}", err=True)

    for path, data in site_files(studio, progress=tell):
        place = Path(target) / path
        place.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(place, data)
        count, size = count + 1, size + len(data)
    say(f"{target}: {count} files, {size} bytes", err=False)
    return 0


def _serve(files: Sequence[str], arguments: _Arguments) -> int:
    """Shows the page until it is interrupted; the exit code."""
    from aecodec.viewer.server import ViewerServer

    studio, port = _studio(files, arguments), arguments["port"]
    try:
        bound = ViewerServer(studio, port, say=_warn)
    except OSError as exc:
        raise OSError(exc.errno, exc.strerror, f"port {port}") from exc
    with bound as server, suppress(KeyboardInterrupt):
        say(f"{server.url}\nCtrl-C ends the viewer.", err=False)
        if arguments["browser"]:
            with suppress(webbrowser.Error):
                webbrowser.open(server.url)
        server.serve_forever(poll_interval=0.2)
    return 0


def _studio(files: Sequence[str], arguments: _Arguments) -> "Studio":
    prepare_process()
    from aecodec.codec import Codec
    from aecodec.viewer.exhibits import load_exhibits
    from aecodec.viewer.studio import Studio

    limits = limits_of(arguments["max_pixels"])
    exhibits = load_exhibits(files, limits)
    return Studio(Codec(limits=limits), exhibits, tune=arguments["tune"])


def _warn(text: str) -> None:
    say(text, err=True)
