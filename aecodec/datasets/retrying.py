"""Tries again what storage refuses for a moment, and gives up what storage never answers.

What is not there, not allowed or makes no sense fails at once. All else is tried `TRIES` times
with growing pauses: networks and object stores fail for moments as a matter of course.
"""

import errno
import random
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

from aecodec.errors import AecError

TRIES = 5
"""How often an operation is begun before its error counts."""
PAUSE_SECONDS = 0.5
"""The pause after the first try; each later one is twice as long."""
STALL_SECONDS = 20.0
"""How long an operation may show no progress."""
BYTES_PER_SECOND = 500_000
"""The slowest transfer that does not count as stalled, where its progress cannot be seen."""

_FINAL = (
    FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError,
    AecError, ImportError, TypeError, AttributeError, NotImplementedError,
)  # fmt: skip
_FINAL_NUMBERS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP}
_POLL_SECONDS = 0.25

T = TypeVar("T")


def patiently(
    name: str, action: Callable[[], T], *, size: int = 0, progress: Callable[[], int] | None = None
) -> T:
    """Runs an operation of storage until it succeeds or has failed for good.

    Args:
        name: of what it is about, for errors.
        action: the operation; it may be begun again while an earlier, stalled one still hangs.
        size: bytes that it sends, which give it more time.
        progress: tells some number that changes while the operation goes on.

    Raises:
        OSError: storage failed or stalled in every try, or says that the file is not there or not
            allowed.
    """
    for left in reversed(range(TRIES)):
        try:
            return _in_time(action, STALL_SECONDS + size / BYTES_PER_SECOND, progress)
        except Exception as exc:
            if is_final(exc):
                raise _named(exc, name) from exc
            if not left:
                reason = f"{_reason(exc)}, on each of {TRIES} tries"
                raise OSError(errno.EIO, reason, name) from exc
        pause = PAUSE_SECONDS * 2 ** (TRIES - 1 - left)
        time.sleep(pause * random.uniform(0.75, 1.25))  # so that workers do not come back in step
    raise AssertionError


def is_final(exc: BaseException) -> bool:
    """Whether an error would come again."""
    number = exc.errno if isinstance(exc, OSError) else None
    return isinstance(exc, _FINAL) or number in _FINAL_NUMBERS


def _in_time(action: Callable[[], T], seconds: float, progress: Callable[[], int] | None) -> T:
    """What an action gives, in a thread that is left behind when it hangs."""
    done: SimpleQueue[tuple[bool, object]] = SimpleQueue()

    def run() -> None:
        try:
            done.put((True, action()))
        except BaseException as exc:  # passed on to whoever waits
            done.put((False, exc))

    threading.Thread(target=run, daemon=True).start()
    deadline, seen = time.monotonic() + seconds, progress() if progress else 0
    while True:
        try:
            succeeded, result = done.get(timeout=_POLL_SECONDS if progress else seconds)
        except Empty:
            now = progress() if progress else seen
            if now != seen:
                seen, deadline = now, time.monotonic() + seconds
            if time.monotonic() >= deadline:
                raise TimeoutError(f"no answer for {seconds:.0f} s") from None
            continue
        if succeeded:
            return result  # type: ignore[return-value]  # it is what the action gave
        assert isinstance(result, BaseException)
        raise result


def _named(exc: BaseException, name: str) -> BaseException:
    """The same error with the name and a reason, which not every protocol tells."""
    if isinstance(exc, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, "No such file", name)
    if isinstance(exc, OSError) and not exc.strerror:
        return type(exc)(exc.errno or errno.EIO, _reason(exc), name)
    return exc


def _reason(exc: BaseException) -> str:
    text = " ".join(str(exc).split())
    return text or type(exc).__name__
