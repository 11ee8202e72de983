"""What commands print: lines, and what becomes of them once nobody reads them."""

import os
import sys
from contextlib import suppress
from typing import TextIO

import click

from aecodec.jobs.runner import PIPE_CLOSED

INTERRUPTED = 130
"""The exit code of an interrupted run, as shells know it."""


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
