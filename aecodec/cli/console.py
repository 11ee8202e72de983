"""What commands run with: a codec that is made late, a bar for long work."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import click

from aecodec.cli.startup import keep_freed_memory, prepare_process
from aecodec.format.chunks import DEFAULT_LIMITS, Limits
from aecodec.format.reader import Seekable
from aecodec.jobs.runner import JobLog, share_threads
from aecodec.storage.files import STANDARD, read_bytes
from aecodec.storage.sources import can_seek, is_url, opened, read_all

if TYPE_CHECKING:
    from aecodec.codec import Codec

PROGRESS_SECONDS = 1.0

PROGRESS_UNITS = 1000


class Progress:
    """A bar on standard error, if that is a terminal and the work takes longer than a second.

    Works beside others show none, but end here when the run is stopped.
    """

    def __init__(self, name: str, log: JobLog) -> None:
        self._start = time.monotonic()
        self._name, self._voice = name, log
        self._bar: Any = None
        self._shown = 0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._bar is not None:
            self._bar.render_finish()

    def __call__(self, done: float) -> None:
        """Shows that this part of the work, 0 to 1, is done."""
        self._voice.check()
        if self._bar is None:
            early = time.monotonic() - self._start < PROGRESS_SECONDS
            if early or not self._voice.alone or not sys.stderr.isatty():
                return
            self._bar = click.progressbar(
                length=PROGRESS_UNITS, label=self._name, file=sys.stderr, show_eta=True
            )
        units = int(done * PROGRESS_UNITS)
        self._bar.update(units - self._shown)
        self._shown = units


class LazyCodec:
    """Makes the codec when the first valid input needs it, since that imports torch.

    Several jobs share the cores: torch runs each with its part of the threads.
    """

    def __init__(self, model: str | None, jobs: int = 1, limits: Limits = DEFAULT_LIMITS) -> None:
        self._model, self._jobs, self.limits_of = model, jobs, limits
        self._codec: Codec | None = None
        self._lock = threading.Lock()

    def get(self) -> "Codec":
        """The codec, the same each time."""
        with self._lock:
            if self._codec is None:
                prepare_process()
                keep_freed_memory()
                from aecodec.codec import Codec

                if self._jobs > 1:
                    share_threads(self._jobs)
                self._codec = Codec(self._model, limits=self.limits_of)
            return self._codec


def load(name: str) -> bytes:
    """The bytes of what an argument on the command line names: a file, a URL, `-`.

    Raises what `read_all` raises.
    """
    return bytes(read_all(name)) if is_url(name) else read_bytes(name)


@contextmanager
def opened_for_parts(name: str) -> Iterator[Seekable]:
    """What such an argument names, as a file object that can seek.

    Raises what `read_all` raises.
    """
    if name == STANDARD:
        yield BytesIO(read_bytes(name))
        return
    with opened(name) as file:
        yield file if can_seek(file) else BytesIO(read_all(file))
