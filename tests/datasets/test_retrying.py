"""Storage that fails for a moment, for good, or never answers."""

import threading
import time

import pytest

from aecodec.datasets import retrying
from aecodec.datasets.retrying import TRIES, patiently


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(retrying, "STALL_SECONDS", 0.3)


class Failing:
    """Fails some times before it succeeds."""

    def __init__(self, times: int, exc: BaseException) -> None:
        self.left, self.exc, self.calls = times, exc, 0

    def __call__(self) -> str:
        """One try."""
        self.calls += 1
        if self.calls <= self.left:
            raise self.exc
        return "done"


def test_errors_that_pass() -> None:
    action = Failing(TRIES - 1, OSError("slow down"))
    assert patiently("s3://b/a", action) == "done"
    assert action.calls == TRIES


def test_errors_that_stay() -> None:
    action = Failing(TRIES, OSError("slow\ndown"))
    with pytest.raises(OSError, match=f"slow down, on each of {TRIES} tries") as caught:
        patiently("s3://b/a", action)
    assert caught.value.filename == "s3://b/a"


@pytest.mark.parametrize("exc", [FileNotFoundError("a"), PermissionError(13, "no"), TypeError("x")])
def test_errors_that_would_come_again(exc: Exception) -> None:
    action = Failing(9, exc)
    with pytest.raises(type(exc)):
        patiently("s3://b/a", action)
    assert action.calls == 1


def test_a_name_that_a_protocol_does_not_tell() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        patiently("s3://b/a", Failing(1, FileNotFoundError("b/a")))
    assert (caught.value.filename, caught.value.strerror) == ("s3://b/a", "No such file")


def test_a_stall_is_begun_again() -> None:
    calls, release = [], threading.Event()

    def action() -> int:
        calls.append(0)
        if len(calls) == 1:
            release.wait(20)
        return len(calls)

    start = time.monotonic()
    assert patiently("s3://b/a", action) == 2
    assert 0.3 <= time.monotonic() - start < 10
    release.set()


def test_what_goes_on_is_no_stall() -> None:
    seen = [0]

    def action() -> str:
        for _ in range(10):
            time.sleep(0.1)
            seen[0] += 1
        return "done"

    assert patiently("s3://b/a", action, progress=lambda: seen[0]) == "done"
    assert seen == [10]
