"""What commands print and show: lines, a bar for long work."""

import sys
import time
from typing import Any

import click

from aecodec.jobs.runner import JobLog

PROGRESS_SECONDS = 1.0
PROGRESS_UNITS = 1000


class Progress:
    """A bar on standard error, if that is a terminal and the work takes longer than a second.

    Works beside others show none, but end here when the run is stopped.
    """

    def __init__(self, name: str, log: JobLog) -> None:
        """Begins to count the time."""
        self._start = time.monotonic()
        self._name, self._log = name, log
        self._bar: Any = None
        self._shown = 0

    def __enter__(self) -> "Progress":
        """Shows nothing yet."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Ends the line of a bar."""
        if self._bar is not None:
            self._bar.render_finish()

    def __call__(self, done: float) -> None:
        """Shows that this part of the work, 0 to 1, is done."""
        self._log.check()
        if self._bar is None:
            early = time.monotonic() - self._start < PROGRESS_SECONDS
            if early or not self._log.alone or not sys.stderr.isatty():
                return
            self._bar = click.progressbar(
                length=PROGRESS_UNITS, label=self._name, file=sys.stderr, show_eta=True
            )
        units = int(done * PROGRESS_UNITS)
        self._bar.update(units - self._shown)
        self._shown = units
