"""Runs one work on many tasks, one or several at a time, as if they came one after the other.

Several at a time are processes, see `workers`: the parts of a codec that are Python would keep
threads of one process waiting for each other. Results and lines come out in the order of the tasks.
"""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from aecodec.errors import AecError

PIPE_CLOSED = 141
"""The exit code of what a closed pipe has ended, as shells know it."""

DEBUG = "AECODEC_DEBUG"
"""The variable of the environment that lets faults of aecodec show where they are."""

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class Say(Protocol):
    """What puts a line out, as `click.echo` does."""

    def __call__(self, text: str, /, *, err: bool) -> object:
        """Puts the line out as a result, or as a message about errors."""


class Flag(Protocol):
    """What tells that work is to end, such as a `threading.Event`."""

    def is_set(self) -> bool:
        """Whether it is."""


class JobLog:
    """What the work on one input says, how far it is, and whether it shall go on."""

    def __init__(
        self,
        say: Say,
        name: str = "",
        stop: Flag | None = None,
        advance: Callable[[float, int], None] | None = None,
    ) -> None:
        """Speaks through `say`; `check` heeds `stop`.

        Args:
            say: puts a line out.
            name: of the input, for warnings.
            stop: set when the whole run is being stopped; None where exceptions do that.
            advance: takes what `progress` is told.
        """
        self._say, self._name, self._advance = say, name, advance
        self._stop = stop or threading.Event()
        self.warnings: list[str] = []
        """What `warn` was told."""

    def say(self, text: str, *, err: bool = False) -> None:
        """Says a result or a message about errors."""
        self._say(text, err=err)

    def warn(self, text: str, *, about: str | None = None) -> None:
        """Warns in one line, of the input or of another file."""
        self.warnings.append(text)
        self.say(f"aecodec: {about or self._name}: warning: {text}", err=True)

    def check(self) -> None:
        """Ends this work quietly if the whole run is being stopped."""
        if self._stop.is_set():
            raise Stopped

    def progress(self, part: float, pixels: int) -> None:
        """Tells that this part of the work, 0 to 1, is done, and checks.

        Args:
            part: never less than before.
            pixels: of the whole picture.
        """
        self.check()
        if self._advance is not None:
            self._advance(part, pixels)


@dataclass(frozen=True, slots=True)
class Task:
    """One input and what becomes of it.

    Attributes:
        source: the input.
        target: the output.
        size: bytes of the input as far as they are known, which weigh it among others.
    """

    source: str
    target: str = ""
    size: int = 0


T_contra = TypeVar("T_contra", bound=Task, contravariant=True)
T = TypeVar("T", bound=Task)


class Work(Protocol[T_contra, R_co]):
    """What is done with each task; for several at a time it must be of a kind that pickle takes."""

    def __call__(self, task: T_contra, log: JobLog, /) -> R_co:
        """Does it; any exception is an error of this task alone."""


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """What became of a task.

    Attributes:
        code: 0, 1 if it failed, or `PIPE_CLOSED`.
        result: what the work gave; None if it failed.
        error: why it failed, in one line.
        warnings: what the work warned of.
        lines: what it said and nobody has put out yet, with whether each is about errors.
        died: whether its process ended in the middle of it.
    """

    code: int
    result: R | None = None
    error: str = ""
    warnings: tuple[str, ...] = ()
    lines: tuple[tuple[str, bool], ...] = ()
    died: bool = False


class Watch(Generic[T, R]):
    """What is told how a run goes, always in the thread that started it."""

    def started(self, task: T) -> None:
        """A task is about to begin."""

    def progress(self, task: T, part: float, pixels: int) -> None:
        """A task in hand is so far, 0 to 1, with a picture of so many pixels."""

    def finished(self, task: T, outcome: Outcome[R]) -> None:
        """A task has ended: at once, in any order."""

    def report(self, task: T, outcome: Outcome[R]) -> None:
        """A task has ended, and so have all before it; its lines are out."""


@dataclass(frozen=True)
class Setup:
    """How worker processes are set up.

    Attributes:
        starting: held while each is started.
        inside: called in each before its first task; of a kind that pickle takes.
    """

    starting: Callable[[], AbstractContextManager[object]] = nullcontext
    inside: Callable[[], object] | None = None


@dataclass
class _Ordered(Generic[T, R]):
    """Holds outcomes back until all tasks before theirs have ended."""

    tasks: Sequence[T]
    say: Say
    watch: Watch[T, R]
    code: int = 0
    _next: int = 0
    _waiting: dict[int, Outcome[R]] = field(default_factory=dict)

    def add(self, number: int, outcome: Outcome[R]) -> None:
        self.watch.finished(self.tasks[number], outcome)
        self._waiting[number] = outcome
        while self._next in self._waiting:
            ready, task = self._waiting.pop(self._next), self.tasks[self._next]
            self.code = max(self.code, ready.code)
            self._next += 1
            for text, err in ready.lines:
                self.say(text, err=err)
            self.watch.report(task, ready)


def for_each(
    tasks: Sequence[T], work: Work[T, R], jobs: int = 1, *, say: Say,
    watch: Watch[T, R] | None = None, setup: Setup | None = None,
) -> int:  # fmt: skip
    """Runs `work` on every task, up to `jobs` at a time; a failing one does not stop the others.

    A single one at a time runs in this thread. When an exception such as KeyboardInterrupt ends the
    run, tasks that wait are given up, and those in hand end at their next `JobLog.check` or soon
    after it.

    Args:
        tasks: the inputs.
        work: what to do with each.
        jobs: how many to work on at a time. Each of several is a new process, which imports the
            main module again, so that a script must start its run under
            `if __name__ == "__main__":`.
        say: puts out what the works say.
        watch: is told how the run goes.
        setup: how worker processes are set up.

    Returns:
        The exit code: 0, 1 if an input failed, or `PIPE_CLOSED` if nobody reads an output further.
    """
    watch = watch or Watch()
    ordered = _Ordered(tasks, say, watch)
    if min(jobs, len(tasks)) <= 1:
        for number, task in enumerate(tasks):
            watch.started(task)
            ordered.add(number, _perform(task, work, say, watch))
        return ordered.code
    from aecodec.jobs.workers import Workers  # late, for a single job starts sooner so

    with closing(Workers(work, min(jobs, len(tasks)), setup or Setup())) as workers:
        for number, event in workers.run(tasks, watch.started):
            if isinstance(event, Outcome):
                ordered.add(number, event)
            else:
                watch.progress(tasks[number], *event)
    return ordered.code


def _perform(task: T, work: Work[T, R], say: Say, watch: Watch[T, R]) -> Outcome[R]:
    """Does one task in this thread."""

    def advance(part: float, pixels: int) -> None:
        watch.progress(task, part, pixels)

    return attempt(task, work, JobLog(say, task.source, advance=advance), say)


def attempt(task: T, work: Work[T, R], log: JobLog, say: Say) -> Outcome[R]:
    """Does a task; what goes wrong is said in one line.

    With `DEBUG` in the environment faults of aecodec pass through.
    """
    try:
        return Outcome(0, work(task, log), warnings=tuple(log.warnings))
    except Stopped:
        return Outcome(1, error="interrupted")
    except BrokenPipeError:  # whoever read it has enough
        return Outcome(PIPE_CLOSED, error="nobody reads the output further")
    except Exception as exc:  # other inputs go on, whatever is wrong with this one
        if DEBUG in os.environ and not isinstance(exc, (AecError, OSError)):
            raise
        report_error(task.source, exc, say)
        return Outcome(1, error=reason_of(task.source, exc), warnings=tuple(log.warnings))


def reason_of(name: str | None, exc: BaseException) -> str:
    """Why work on an input failed, in one line."""
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
    return " ".join(reason.split())


def report_error(name: str | None, exc: BaseException, say: Say) -> None:
    """Says in one line what went wrong with an input, or without one."""
    say_error(name, reason_of(name, exc), say)


def say_error(name: str | None, reason: str, say: Say) -> None:
    """Says a reason as an error of an input, or without one."""
    say(": ".join(["aecodec", *([] if name is None else [name or "''"]), reason]), err=True)


class Stopped(Exception):  # no error
    """The whole run is being stopped."""


def tasks_of(names: Iterable[str], targets: Iterable[str] | None = None) -> list[Task]:
    """A task for each input, with its output if there are any."""
    if targets is None:
        return [Task(name) for name in names]
    return [Task(*pair) for pair in zip(names, targets, strict=True)]
