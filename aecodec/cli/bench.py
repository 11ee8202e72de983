"""`aecodec bench`: hands over to the benchmarks, which come with the source and not the wheel."""

import sys
from importlib import import_module
from pathlib import Path

import click

from aecodec.cli.startup import prepare_process

_ROOT = Path(__file__).resolve().parents[2]

_ADVICE = "get the source of aecodec, run `pip install -e '.[bench]'` in its folder, and try again"


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("images", nargs=-1, required=True, type=click.UNPROCESSED, metavar="IMAGES...")
def bench(images: tuple[str, ...]) -> None:
    """Compare with other codecs on IMAGES, files or folders (needs the source checkout).

    Takes the options of `python -m benchmarks rd`; the most useful one is `-o REPORT`, a folder
    for results, plots and report.html.
    """
    if not (_ROOT / "benchmarks" / "rd.py").is_file():
        raise click.ClickException(f"the benchmarks are not part of this installation: {_ADVICE}")
    if str(_ROOT) not in sys.path:
        sys.path.insert(0, str(_ROOT))
    try:
        rd = import_module("benchmarks.rd")
    except ImportError as exc:
        raise click.ClickException(f"the benchmarks cannot start: {exc}: {_ADVICE}") from exc
    prepare_process(torch=True)
    rd.main.main(list(images), prog_name="aecodec bench", standalone_mode=False)
