"""What commands print and show: lines, a bar for long work."""

import os
import sys
import time
from contextlib import suppress
from typing import Any, TextIO

import click

from aecodec.jobs.runner import PIPE_CLOSED, JobLog

PROGRESS_SECONDS = 1.0
PROGRESS_UNITS = 1000


def say(text: str, /, *, err: bool) -> None:
    """Puts a line out; once nobody reads them any more, lines are silently left out.

    Raises:
        OSError: standard output takes no more, for another reason.
    """
    try:
        _echo(text, err=err)
    except OSError as exc:
        silence(sys.stderr if err else sys.stdout)
        if not err and not isinstance(exc, BrokenPipeError):
            raise OSError(exc.errno, exc.strerror, "standard output") from exc


def say_or_end(text: str, /, *, err: bool) -> None:
    """The same for commands that do nothing but put lines out: a closed pipe ends them quietly."""
    try:
        _echo(text, err=err)
    except BrokenPipeError:
        silence(sys.stdout)
        sys.exit(PIPE_CLOSED)
    except OSError as exc:
        silence(sys.stdout)
        raise OSError(exc.errno, exc.strerror, "standard output") from exc


def _echo(text: str, *, err: bool) -> None:
    """Puts a line out, in which characters that the stream cannot show are written as codes."""
    try:
        click.echo(text, err=err)
    except UnicodeEncodeError as exc:
        click.echo(text.encode(exc.encoding, "backslashreplace").decode(exc.encoding), err=err)


def silence(stream: TextIO | None) -> None:
    """Lets whatever is still written to a standard stream vanish."""
    if stream is None:
        return
    with suppress(OSError, ValueError):  # a stream without descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def flush() -> str:
    """Puts out what standard output still holds; says why that fails, or nothing."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)
    except (OSError, ValueError) as exc:
        silence(sys.stdout)
        return str(getattr(exc, "strerror", None) or exc)
    return ""


class Progress:
    """A bar on standard error, if that is a terminal and the work takes longer than a second.

    Works beside others show none, but end here when the run is stopped.
    """

    def __init__(self, name: str, log: JobLog) -> None:
        """Begins to count the time."""
        self._start = time.monotonic()
        self._name, self._log = name, log
        self._bar: Any = None
        self._shown = 0

    def __enter__(self) -> "Progress":
        """Shows nothing yet."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Ends the line of a bar."""
        if self._bar is not None:
            self._bar.render_finish()

    def __call__(self, done: float) -> None:
        """Shows that this part of the work, 0 to 1, is done."""
        self._log.check()
        if self._bar is None:
            early = time.monotonic() - self._start < PROGRESS_SECONDS
            if early or not self._log.alone or not sys.stderr.isatty():
                return
            self._bar = click.progressbar(
                length=PROGRESS_UNITS, label=self._name, file=sys.stderr, show_eta=True
            )
        units = int(done * PROGRESS_UNITS)
        self._bar.update(units - self._shown)
        self._shown = units
