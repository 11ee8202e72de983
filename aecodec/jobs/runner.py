"""Runs one work on many inputs, one or several at a time, as if they came one after the other.

Several at a time are threads of this process: the networks compute without holding the interpreter,
and they share one copy of the weights. What they say comes out in the order of the inputs.
"""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from aecodec.errors import AecError


class Say(Protocol):
    """What puts a line out, as `click.echo` does."""

    def __call__(self, text: str, /, *, err: bool) -> object:
        """Puts the line out as a result, or as a message about errors."""


class JobLog:
    """What one input's work says, and whether it shall go on."""

    def __init__(self, say: Say, name: str = "", stop: threading.Event | None = None) -> None:
        """Speaks through `say` at once; with `stop`, on `flush`, and `check` heeds that event.

        Args:
            say: puts a line out.
            name: of the input, for warnings.
            stop: set when the whole run is being stopped; None for an input that is alone.
        """
        self._say, self._name, self._stop = say, name, stop
        self._lines: list[tuple[str, bool]] = []

    @property
    def alone(self) -> bool:
        """Whether no other input is worked on at the same time."""
        return self._stop is None

    def say(self, text: str, *, err: bool = False) -> None:
        """Says a result or a message about errors, now or when its turn has come."""
        if self._stop is None:
            self._say(text, err=err)
        else:
            self._lines.append((text, err))

    def warn(self, text: str, *, about: str | None = None) -> None:
        """Warns in one line, of the input or of another file."""
        self.say(f"aecodec: {about or self._name}: warning: {text}", err=True)

    def check(self) -> None:
        """Ends this work quietly if the whole run is being stopped."""
        if self._stop is not None and self._stop.is_set():
            raise _Stopped

    def flush(self) -> None:
        """Puts out what was said so far."""
        for text, err in self._lines:
            self._say(text, err=err)
        self._lines.clear()


PIPE_CLOSED = 141
"""The exit code of what a closed pipe has ended, as shells know it."""

DEBUG = "AECODEC_DEBUG"
"""The variable of the environment that lets faults of aecodec show where they are."""

Work = Callable[[str, str, JobLog], None]


def for_each(
    names: Sequence[str], targets: Sequence[str], work: Work, jobs: int = 1, *, say: Say
) -> int:
    """Runs `work` on every input, up to `jobs` at a time; a failing one does not stop the others.

    When an exception such as KeyboardInterrupt ends the run, inputs that wait are given up, and
    those at work end at their next `JobLog.check`.

    Args:
        names: the inputs.
        targets: the output of each.
        work: what to do with an input, its output and its log.
        jobs: how many to work on at a time.
        say: puts out what the works say, always in this thread.

    Returns:
        The exit code: 0, 1 if an input failed, or `PIPE_CLOSED` if nobody reads an output further.
    """
    pairs = list(zip(names, targets, strict=True))
    if min(jobs, len(pairs)) == 1:
        return max(_attempt(*pair, work, JobLog(say, pair[0])) for pair in pairs)
    from concurrent.futures import ThreadPoolExecutor  # here, for a single job starts sooner so

    stop = threading.Event()
    pool = ThreadPoolExecutor(min(jobs, len(pairs)), "aecodec")
    logs = [JobLog(say, name, stop) for name, _ in pairs]
    code = 0
    try:
        attempts = [
            pool.submit(_attempt, *pair, work, log) for pair, log in zip(pairs, logs, strict=True)
        ]
        for attempt, log in zip(attempts, logs, strict=True):
            code = max(code, attempt.result())
            log.flush()
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return code


def report_error(name: str | None, exc: BaseException, say: Say) -> None:
    """Says in one line what went wrong with an input, or without one."""
    if isinstance(exc, OSError) and exc.strerror:
        about = exc.filename
        known = about is None or (name is not None and Path(str(about)) == Path(name))
        reason = exc.strerror if known else f"{about}: {exc.strerror}"
    elif isinstance(exc, MemoryError):
        reason = "out of memory"
    else:
        reason = str(exc) or type(exc).__name__
        if not isinstance(exc, (AecError, OSError)):
            reason = f"a fault in aecodec, please report it: {type(exc).__name__}: {reason}"
    one_line = " ".join(reason.split())
    say(": ".join(["aecodec", *([] if name is None else [name or "''"]), one_line]), err=True)


class _Stopped(Exception):  # no error
    """The whole run is being stopped."""


def _attempt(name: str, target: str, work: Work, log: JobLog) -> int:
    try:
        work(name, target, log)
    except _Stopped:
        return 1
    except BrokenPipeError:  # whoever read it has enough
        return PIPE_CLOSED
    except Exception as exc:  # other inputs go on, whatever is wrong with this one
        if DEBUG in os.environ and not isinstance(exc, (AecError, OSError)):
            raise
        report_error(name, exc, log.say)
        return 1
    return 0
