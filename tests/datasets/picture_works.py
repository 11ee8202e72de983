"""Works for the tests of data sets, in a module of its own, so that other processes find them."""

import os
from pathlib import Path

from aecodec.errors import InputError
from aecodec.jobs.folders import FileTask
from aecodec.jobs.runner import JobLog


def copy_or_die(task: FileTask, log: JobLog) -> int:
    """Copies; the process dies of a file that says so, at once or until a sign is there."""
    data = Path(task.source).read_bytes()
    if data == b"die":
        os.kill(os.getpid(), 9)
    if data.startswith(b"die once "):
        sign = Path(data[9:].decode())
        if not sign.exists():
            sign.touch()
            os.kill(os.getpid(), 9)
    if data == b"bad":
        raise InputError(f"{task.source} is bad")
    log.warn(f"{task.source} is odd")
    if task.target:
        Path(task.target).write_bytes(data)
    return len(data)


def columns(result: int) -> dict[str, object]:
    """The result as a size."""
    return {"bytes": result}
