"""Threads that share the work of one computation, and BLAS in step with them.

NumPy leaves the interpreter to others while it computes, so that threads of Python compute at the
same time. BLAS has threads of its own, which would get in their way: for the time of a computation
it is held to one, and it has its threads back when the last computation of the process ends.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from aecodec.decoder.threads import default_threads, usable_cores

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from threadpoolctl import ThreadpoolController

CACHE_LINE = 64

Floats = npt.NDArray[np.float32]
Item = TypeVar("Item")


class Scratch(threading.local):
    """Arrays that each thread uses again and again, for what it has no further use for."""

    def __init__(self) -> None:
        self._kept: dict[str, npt.NDArray[np.generic]] = {}

    def floats(self, name: str, *shape: int) -> Floats:
        """A float32 array of any content; the next one of this name takes its memory."""
        return self._take(name, shape, np.dtype(np.float32)).view(np.float32)

    def doubles(self, name: str, *shape: int) -> npt.NDArray[np.float64]:
        """The same of float64."""
        return self._take(name, shape, np.dtype(np.float64)).view(np.float64)

    def _take(
        self, name: str, shape: tuple[int, ...], kind: np.dtype[np.generic]
    ) -> npt.NDArray[np.generic]:
        size = prod(shape)
        kept = self._kept.get(name)
        if kept is None or kept.dtype != kind or kept.size < size:
            self._kept[name] = kept = _aligned(size, kind)
        return kept[:size].reshape(shape)


def _aligned(size: int, kind: np.dtype[np.generic]) -> npt.NDArray[np.generic]:
    """An array that begins with a line of the cache, as the widest instructions like it."""
    memory = np.empty(size * kind.itemsize + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + size * kind.itemsize].view(kind)


class Crew:
    """Threads that help callers, so many with each that there are enough with the caller.

    Any number of callers may share their work at the same time, but all helpers together are no
    more than the cores: they help whoever asks first, and a caller who finds none free works alone.
    """

    def __init__(self, threads: int | None = None) -> None:
        """Starts no thread yet.

        Args:
            threads: how many work for one caller, with the caller; by default `default_threads()`.
        """
        self.threads = default_threads() if threads is None else threads
        self.scratch = Scratch()
        self._helpers: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def share(self, work: Callable[[Item], object], items: Sequence[Item]) -> None:
        """Calls `work` with each item, in any order and in any of the threads.

        Raises what `work` raises, after which items that were not begun are left out.
        """
        with blas_on_one_thread():
            if min(self.threads, len(items)) < 2:
                for item in items:
                    work(item)
            else:
                self._share(work, deque(items))

    def _share(self, work: Callable[[Item], object], left: deque[Item]) -> None:
        from concurrent.futures import wait  # late, since one thread needs it not

        def take_turns() -> None:
            try:
                while (item := _next(left)) is not None:
                    work(item[0])
            except BaseException:
                left.clear()
                raise

        called = self._called(take_turns, min(self.threads, len(left)) - 1)
        try:
            take_turns()
        finally:
            helping = [helper for helper in called if not helper.cancel()]
            wait(helping)
        for helper in helping:
            helper.result()

    def _called(self, help_out: Callable[[], None], count: int) -> "list[Future[None]]":
        called: list[Future[None]] = []
        with suppress(RuntimeError):  # no more threads can be started: those that there are do it
            called.extend(self._pool().submit(help_out) for _ in range(count))
        return called

    def _pool(self) -> "ThreadPoolExecutor":
        from concurrent.futures import ThreadPoolExecutor

        with self._lock:
            if self._helpers is None:
                most = max(self.threads, usable_cores()) - 1
                self._helpers = ThreadPoolExecutor(most, "aecodec")
            return self._helpers


def _next(left: deque[Item]) -> tuple[Item] | None:
    """The first item that is left, in a tuple; None when there is none."""
    try:
        return (left.popleft(),)
    except IndexError:  # another thread may have taken the last one just now
        return None


class _Blas:
    """The threads of all BLAS libraries of this process, while computations want one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._computations = 0
        self._give_back: Callable[[], object] = int

    @cached_property
    def _controller(self) -> "ThreadpoolController | None":
        """What sets the threads; None on systems that let Python call no library."""
        try:
            from threadpoolctl import ThreadpoolController

            return ThreadpoolController()
        except (ImportError, OSError, AttributeError, MemoryError):  # by how ctypes is refused
            return None

    def hold(self) -> None:
        """Begins a computation."""
        with self._lock:
            if not self._computations and self._controller is not None:
                limited = self._controller.limit(limits=1, user_api="blas")
                self._give_back = limited.restore_original_limits
            self._computations += 1

    def release(self) -> None:
        """Ends one."""
        with self._lock:
            self._computations -= 1
            if not self._computations:
                self._give_back()


_blas = _Blas()


@contextmanager
def blas_on_one_thread() -> Iterator[None]:
    """Holds BLAS to the calling thread, for the time of a computation.

    Computations at the same time may overlap in any way: the last one to end gives BLAS its threads
    back. It concerns the speed alone of what else uses BLAS meanwhile.
    """
    _blas.hold()
    try:
        yield
    finally:
        _blas.release()
