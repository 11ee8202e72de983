"""How many threads share a computation; results never depend on it."""

import os

from aecodec.errors import InputError

DEFAULT_MOST = 8
"""More would wait for the interpreter."""


def default_threads() -> int:
    """As many threads as the process may use cores, but no more than pay.

    `OMP_NUM_THREADS`, by which users tell numeric libraries, counts before the cores.
    """
    wish = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if wish.isdecimal() and int(wish) > 0:
        return int(wish)
    return min(usable_cores(), DEFAULT_MOST)


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_threads(threads: int | None) -> None:
    """Checks what a caller asks for; None stands for `default_threads`.

    Raises:
        InputError: it is no whole number from 1 on.
    """
    if threads is not None and (type(threads) is not int or threads < 1):
        raise InputError(f"threads must be a whole number from 1 on, not {threads!r}")
