"""The command line: arguments, files, exit codes, messages; no logic.

Exit codes: 0 done; 1 an input failed, with one line each on standard error; 2 wrong usage; 130
interrupted. torch is imported only by the commands that compute.
"""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

import click

from aecodec import __version__
from aecodec.errors import AecError
from aecodec.jobs.runner import report_error

INTERRUPTED = 130

_MODULES = {
    "bench": "aecodec.cli.bench",
    "compress": "aecodec.cli.compress",
    "decompress": "aecodec.cli.decompress",
    "export": "aecodec.cli.train",
    "info": "aecodec.cli.inspect",
    "repair": "aecodec.cli.inspect",
    "train": "aecodec.cli.train",
    "verify": "aecodec.cli.inspect",
}
"""Where each command is, to be imported when it is called."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits the process."""
    # Pillow warns of odd metadata, and of large pictures, for which `Limits` are there.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        code = cli.main(arguments, prog_name="aecodec", standalone_mode=False)
    except click.ClickException as exc:
        _show(exc)
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("aecodec: interrupted", err=True)
        sys.exit(INTERRUPTED)
    except (AecError, OSError) as exc:
        report_error(None, exc, click.echo)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        command: click.Command = getattr(import_module(_MODULES[cmd_name]), cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Compress pictures with a learned codec that decodes the same on every machine."""


def _show(exc: click.ClickException) -> None:
    """One line, or the help text when there are no arguments at all."""
    message = exc.format_message()
    if "\n" in message:
        exc.show()
        return
    context = exc.ctx if isinstance(exc, click.UsageError) else None
    command = context.command_path if context else "aecodec"
    click.echo(f"aecodec: {message} (`{command} --help` explains)", err=True)
