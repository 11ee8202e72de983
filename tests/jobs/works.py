"""Works for the tests of jobs, in a module of its own, so that worker processes find them."""

import os
import time
from pathlib import Path

from aecodec.errors import InputError
from aecodec.jobs.runner import JobLog, Task

WAIT = 60.0
"""Seconds after which a work gives up."""


def wait_for(path: Path) -> None:
    """Returns once a file is there."""
    deadline = time.monotonic() + WAIT
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.005)


def say_source(task: Task, log: JobLog) -> str:
    """The first task ends after the others: `target` names a folder of signs."""
    folder = Path(task.target)
    if task.source == "a":
        wait_for(folder / "b")
        wait_for(folder / "c")
    log.say(f"said {task.source}")
    (folder / task.source).touch()
    return task.source.upper()


def fail_some(task: Task, log: JobLog) -> str:
    """Fails for some sources, each in another way."""
    match task.source:
        case "b":
            raise InputError("is bad")
        case "c":
            raise MemoryError
        case "d":
            raise KeyError("no such key")
    log.warn("is odd")
    return task.source


def die(task: Task, _log: JobLog) -> int:
    """The process of a task named "b" is killed."""
    if task.source == "b":
        os.kill(os.getpid(), 9)
    return os.getpid()


def environment(_task: Task, _log: JobLog) -> tuple[str, str, int]:
    """What numeric libraries would be told, and the process."""
    time.sleep(0.05)
    return os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"], os.getpid()


def never_end(task: Task, log: JobLog) -> None:
    """Notes that it has begun, and goes on until it is stopped."""
    Path(task.target, task.source).touch()
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        log.progress(0.5, 100)
        time.sleep(0.001)
    Path(task.target, "never stopped").touch()


def tell_progress(task: Task, log: JobLog) -> None:
    """Tells how far it is, with enough time between to be heard."""
    for part in (0.25, 0.5):
        time.sleep(0.3)
        log.progress(part, 1000 + len(task.source))
