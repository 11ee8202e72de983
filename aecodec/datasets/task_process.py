"""A process beside a worker that does its pictures, so that one that kills it costs only itself."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, Generic

from aecodec.jobs.folders import FileTask
from aecodec.jobs.runner import Outcome, R, Setup, Work
from aecodec.jobs.workers import Workers

TRIES = 2
"""How often a picture is begun whose process dies; a shortage of memory may have passed."""
_THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass
class TaskProcess(Generic[R]):
    """Does tasks one at a time, as `aecodec.jobs` does them.

    Attributes:
        work: what is done with each task.
        setup: how the process is set up.
    """

    work: Work[FileTask, R]
    setup: Setup
    _workers: "Workers[FileTask, R] | None" = field(default=None, init=False)

    def run(self, task: FileTask) -> tuple[Outcome[R], int]:
        """Does a task; what became of it, and how often it was begun."""
        if self._workers is None:
            for name in _THREAD_COUNTS:  # workers already are as many as there are cores
                os.environ.setdefault(name, "1")
            with _without_main():
                self._workers = Workers(self.work, 1, replace(self.setup, starting=self._starting))
        outcome, tries = self._once(task), 1
        while outcome.died and tries < TRIES:
            outcome, tries = self._once(task), tries + 1
        return outcome, tries

    def close(self) -> None:
        """Ends the process."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None

    def _once(self, task: FileTask) -> Outcome[R]:
        assert self._workers is not None
        for _, event in self._workers.run([task], lambda _task: None):
            if isinstance(event, Outcome):
                return event
        raise AssertionError

    @contextmanager
    def _starting(self) -> Iterator[None]:
        with _without_main(), self.setup.starting():
            yield


@contextmanager
def _without_main() -> Iterator[None]:
    """Hides the main program in the block: a new process would import Ray's, and all of Ray."""
    main: Any = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
