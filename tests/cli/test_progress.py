"""The bar of long compressions: on terminals only, and only after a second."""

import io
import sys

import click
import pytest

from aecodec.cli import console as running
from aecodec.jobs.runner import JobLog


class Screen(io.StringIO):
    """Standard error, as a terminal or not."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        """What click asks."""
        return self._terminal


def shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, seconds: float) -> str:
    screen = Screen(terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(running, "PROGRESS_SECONDS", seconds)
    with running.Progress("img.png", JobLog(click.echo)) as progress:
        progress(0.25)
        progress(1.0)
    return screen.getvalue()


def test_a_terminal_sees_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, terminal=True, seconds=0.0)
    assert "img.png" in text
    assert "100%" in text


@pytest.mark.parametrize(("terminal", "seconds"), [(True, 60.0), (False, 0.0)])
def test_short_work_and_pipes_see_nothing(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, seconds: float
) -> None:
    assert shown(monkeypatch, terminal=terminal, seconds=seconds) == ""
