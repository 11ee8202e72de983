"""How commands set up their worker processes.

Ctrl-C reaches every process of a terminal at once. The command alone acts on it, and lets its
workers drop what they have in hand. Other signals end a worker after it has cleaned up.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

from aecodec.cli.startup import prepare_process
from aecodec.jobs.runner import Setup


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Holds SIGINT back in the block, and for ever in the processes that are started there."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def signals_kept() -> Iterator[None]:
    """Undoes what the block sets for the signals by which commands end and clean up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def prepare_worker(torch: bool) -> None:
    """Prepares a worker process as commands prepare their own, and lets signals clean up."""
    prepare_process(torch=torch)
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def worker_setup(*, torch: bool = False) -> Setup:
    """How workers of commands are set up; `torch` as for `prepare_process`."""
    return Setup(starting=without_interrupts, inside=partial(prepare_worker, torch))
