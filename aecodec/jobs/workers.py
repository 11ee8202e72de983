"""Worker processes: each does one task at a time, with a model of its own.

They are started anew (`spawn`), since networks and their threads do not survive a fork. A worker
that dies costs the task that it had in hand, and another takes its place.
"""

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic

from aecodec.decoder.threads import usable_cores
from aecodec.jobs.runner import (
    JobLog,
    Outcome,
    R,
    Setup,
    T,
    Work,
    attempt,
    reason_of,
    say_error,
)

STOP_SECONDS = 2.0
"""How long a task in hand may take to notice that the run is being stopped, before it is ended."""
PROGRESS_SECONDS = 0.2
"""At least so much time lies between two messages about one task."""
_THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that tell numeric libraries how many threads to use, before they are loaded."""


@dataclass
class _Worker:
    """A process, and the number of the task that it has in hand."""

    process: BaseProcess
    pipe: "Connection[Any, Any]"
    number: int | None = None


class Workers(Generic[T, R]):
    """Some processes that do one work; `close` ends them, whatever they do."""

    def __init__(self, work: Work[T, R], count: int, setup: Setup) -> None:
        """Starts them.

        Args:
            work: what to do with each task; it travels to each process once.
            count: of processes.
            setup: how they are set up.
        """
        self._work, self._setup = work, setup
        self._threads = max(1, usable_cores() // count)
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        try:
            for _ in range(count):
                self._workers.append(self._started())
        except BaseException:
            self.close()
            raise

    def run(
        self, tasks: Sequence[T], started: Callable[[T], None]
    ) -> Iterator[tuple[int, Outcome[R] | tuple[float, int]]]:
        """Does all tasks.

        Args:
            tasks: what to do.
            started: called before each is given to a process.

        Yields:
            The number of a task and what became of it, in any order; before that also how far it
            is, and the pixels of its picture.
        """
        waiting = iter(enumerate(tasks))
        for worker in self._workers:
            self._give(worker, waiting, started)
        while busy := {each.pipe: each for each in self._workers if each.number is not None}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]  # all that is waited for are pipes
                number = worker.number
                assert number is not None
                try:
                    event = worker.pipe.recv()
                except (EOFError, OSError):
                    event = self._replace(worker, tasks[number])
                yield number, event
                if isinstance(event, Outcome):
                    self._give(worker, waiting, started)

    def close(self) -> None:
        """Ends all processes: what they have in hand is dropped."""
        for worker in self._workers:
            worker.pipe.close()  # which the worker notices at its next check
        deadline = time.monotonic() + STOP_SECONDS
        for end in ("terminate", "kill"):
            for worker in self._workers:
                worker.process.join(max(0.0, deadline - time.monotonic()))
                if worker.process.is_alive():
                    getattr(worker.process, end)()
            deadline = time.monotonic() + STOP_SECONDS
        for worker in self._workers:
            worker.process.join()
            worker.process.close()
        self._workers.clear()

    def _started(self) -> _Worker:
        mine, its = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(its, self._threads, self._setup.inside), daemon=True
        )
        with self._setup.starting():
            process.start()
        its.close()
        with suppress(OSError):  # it died at once, which `run` finds out
            mine.send(self._work)
        return _Worker(process, mine)

    def _give(
        self, worker: _Worker, waiting: Iterator[tuple[int, T]], started: Callable[[T], None]
    ) -> None:
        """Gives a worker its next task, if one is left."""
        worker.number = None
        for number, task in waiting:
            started(task)
            worker.number = number
            with suppress(OSError):  # it died, which `run` finds out
                worker.pipe.send(task)
            return

    def _replace(self, worker: _Worker, task: T) -> Outcome[R]:
        """Starts another process in place of one that died; the outcome of the task it had."""
        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"signal {-code}; out of memory?" if code < 0 else f"exit code {code}"
        worker.process.close()
        worker.pipe.close()
        new = self._started()
        worker.process, worker.pipe = new.process, new.pipe
        reason = f"its worker process ended unexpectedly ({how})"
        lines: list[tuple[str, bool]] = []
        say_error(task.source, reason, lambda text, *, err: lines.append((text, err)))
        return Outcome(1, error=reason, lines=tuple(lines), died=True)


class _Hangup:
    """Set when the other end of the pipe is closed; it sends nothing while a task is in hand."""

    def __init__(self, pipe: "Connection[Any, Any]") -> None:
        self._pipe = pipe

    def is_set(self) -> bool:
        return self._pipe.poll()


def _serve(pipe: "Connection[Any, Any]", threads: int, inside: Callable[[], object] | None) -> None:
    """The whole life of a worker: prepares, takes the work, then task after task."""
    for name in _THREAD_COUNTS:
        os.environ.setdefault(name, str(threads))
    if inside is not None:
        inside()
    with suppress(EOFError, ConnectionError, KeyboardInterrupt):
        work = pipe.recv()
        while True:
            task = pipe.recv()
            pipe.send(_done(pipe, task, work))


def _done(pipe: "Connection[Any, Any]", task: T, work: Work[T, R]) -> Outcome[R]:
    """Does a task, and tells now and then how far it is."""
    lines: list[tuple[str, bool]] = []
    told = time.monotonic()

    def say(text: str, /, *, err: bool) -> None:
        lines.append((text, err))

    def advance(part: float, pixels: int) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_SECONDS:
            told = time.monotonic()
            pipe.send((part, pixels))

    try:
        outcome = attempt(task, work, JobLog(say, task.source, _Hangup(pipe), advance), say)
    except Exception as exc:  # the environment asks to see where faults are
        traceback.print_exc()
        outcome = Outcome(1, error=reason_of(task.source, exc))
    return Outcome(outcome.code, outcome.result, outcome.error, outcome.warnings, tuple(lines))
