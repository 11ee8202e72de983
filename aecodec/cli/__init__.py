"""The command line: arguments, files, exit codes, messages; no logic.

Exit codes: 0 done; 1 an input failed, with one line each on standard error; 2 wrong usage; 130
interrupted; 141 nobody reads the output further. SIGTERM and SIGHUP end the process as ever, after
it has cleaned up. Each command imports what its work needs, and torch only where it trains or
compresses with a search.
"""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType

import click

from aecodec import __version__
from aecodec.cli.completion import complete_names
from aecodec.cli.console import INTERRUPTED, flush, say, silence
from aecodec.cli.examples import epilog_of
from aecodec.errors import AecError
from aecodec.jobs.runner import DEBUG, PIPE_CLOSED, report_error

_MODULES = {
    "anomaly": "aecodec.cli.anomaly",
    "bench": "aecodec.cli.bench",
    "compare": "aecodec.cli.compare",
    "completion": "aecodec.cli.completion",
    "compress": "aecodec.cli.compress",
    "decompress": "aecodec.cli.decompress",
    "denoise": "aecodec.cli.denoise",
    "desktop": "aecodec.cli.desktop",
    "export": "aecodec.cli.train",
    "features": "aecodec.cli.features",
    "info": "aecodec.cli.inspect",
    "man": "aecodec.cli.manual",
    "repair": "aecodec.cli.inspect",
    "train": "aecodec.cli.train",
    "verify": "aecodec.cli.inspect",
    "view": "aecodec.cli.view",
}
"""Where each command is, to be imported when it is called."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits the process."""
    # Pillow warns of odd metadata, and of large pictures, for which `Limits` are there.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        with _ended_by_signals():
            code = _run(arguments)
    except _Ended as exc:
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()  # it cleans up, too
        os.kill(os.getpid(), exc.number)  # so that the parent sees what has ended the process
        code = 128 + exc.number
    fault = flush()
    if fault and not code:
        say(f"aecodec: standard output: {fault}", err=True)
        code = 1
    sys.exit(code)


def _run(arguments: Sequence[str] | None) -> int:
    """Runs the command line; the exit code."""
    try:
        code = cli.main(arguments, prog_name="aecodec", standalone_mode=False)
    except click.ClickException as exc:
        _show(exc)
        return exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("aecodec: interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        silence(sys.stdout)
        return PIPE_CLOSED
    except Exception as exc:
        if DEBUG in os.environ and not isinstance(exc, (AecError, OSError)):
            raise
        report_error(None, exc, say)
        return 1
    return code if isinstance(code, int) else 0


class _Ended(BaseException):  # no error
    """A signal asks the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Lets signals that end the process raise `_Ended` in the block, once.

    Those that the parent ignores, as `nohup` does, stay ignored.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        for each in previous:
            signal.signal(each, signal.SIG_IGN)
        raise _Ended(number)

    previous: dict[int, signal.Handlers] = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                previous[number] = signal.SIG_DFL
                signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        command: click.Command = getattr(import_module(_MODULES[cmd_name]), cmd_name)
        command.epilog = epilog_of(cmd_name)
        complete_names(command)
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
    say(f"aecodec: {message} (`{command} --help` explains)", err=True)
