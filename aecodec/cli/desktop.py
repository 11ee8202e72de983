"""`aecodec desktop`: types of files, thumbnails and the manual page of one user."""

import os
import shutil
import sys
from pathlib import Path

import click

from aecodec.cli.console import say_or_end
from aecodec.cli.startup import prepare_process
from aecodec.storage.files import write_bytes


@click.group()
def desktop() -> None:
    """Tell your desktop (Linux, freedesktop.org) of .aec files."""


@desktop.command()
def install() -> None:
    """Install file type, thumbnails and manual page for yourself.

    \b
    Writes to ~/.local/share (or XDG_DATA_HOME) and, for file(1), to ~/.magic.
    """  # noqa: D301  # click's mark for lines that stay
    from aecodec.cli.manual import manual_page
    from aecodec.plugins.desktop import install as write_files

    for path in write_files(_command(), manual_page()):
        say_or_end(str(path), err=False)


@desktop.command()
def uninstall() -> None:
    """Take away what `aecodec desktop install` has written."""
    from aecodec.plugins.desktop import uninstall as remove_files

    for path in remove_files():
        say_or_end(f"removed {path}", err=False)


@desktop.command()
@click.argument("source", metavar="FILE")
@click.argument("target", metavar="PNG")
@click.option(
    "--side", type=click.IntRange(1, 4096), default=256, show_default=True, metavar="N",
    help="Most pixels a side.",
)  # fmt: skip
def thumbnail(source: str, target: str, side: int) -> None:
    """Write a small PNG of an .aec file, as file managers ask for it."""
    prepare_process()
    from io import BytesIO

    from aecodec.codec import Codec
    from aecodec.jobs.preview import preview

    stream = BytesIO()
    preview(Codec(), source, (side, side)).save(stream, "PNG")
    write_bytes(target, stream.getvalue())


def _command() -> list[str]:
    """What runs this program from anywhere."""
    name = Path(sys.argv[0])
    if name.stem == "aecodec" and os.access(name, os.X_OK):
        return [str(name.absolute())]
    found = shutil.which("aecodec")
    return [found] if found else [sys.executable, "-m", "aecodec"]
