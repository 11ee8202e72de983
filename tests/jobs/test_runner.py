"""Several inputs at a time give what they give one after the other: bytes, lines, exit code."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import works
from conftest import make_picture
from PIL import Image
from shell import ENVIRONMENT, run_main

from aecodec.decoder.threads import usable_cores
from aecodec.errors import InputError
from aecodec.format.container import parse
from aecodec.jobs.runner import (
    JobLog,
    Outcome,
    Task,
    Watch,
    for_each,
    report_error,
    tasks_of,
)

WAIT = 30.0
"""Seconds after which a test gives up."""


class Recorder(Watch[Task, object]):
    """Everything that a run tells."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bool]] = []
        self.starting: list[str] = []
        self.finishing: list[str] = []
        self.reported: list[tuple[str, Outcome[object]]] = []
        self.parts: list[tuple[str, float, int]] = []

    def say(self, text: str, /, *, err: bool) -> None:
        """Keeps a line."""
        self.said.append((text, err))

    def started(self, task: Task) -> None:
        """Keeps the order of beginnings."""
        assert task.source not in self.finishing
        self.starting.append(task.source)

    def progress(self, task: Task, part: float, pixels: int) -> None:
        """Keeps how far a task is."""
        self.parts.append((task.source, part, pixels))

    def finished(self, task: Task, outcome: Outcome[object]) -> None:
        """Keeps the order of ends."""
        self.finishing.append(task.source)

    def report(self, task: Task, outcome: Outcome[object]) -> None:
        """Keeps the order of reports."""
        self.said.append((f"report {task.source}", False))
        self.reported.append((task.source, outcome))

    @property
    def results(self) -> list[object]:
        """What works gave."""
        return [outcome.result for _, outcome in self.reported]


def test_lines_come_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    """The first input ends last: it waits for the others."""
    seen = Recorder()
    tasks = tasks_of("abc", [str(tmp_path)] * 3)
    assert for_each(tasks, works.say_source, jobs=3, say=seen.say, watch=seen) == 0
    lines = [line for name in "abc" for line in (f"said {name}", f"report {name}")]
    assert seen.said == [(line, False) for line in lines]
    assert seen.results == ["A", "B", "C"]
    assert sorted(seen.finishing) == ["a", "b", "c"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failing_input_does_not_lose_the_others(jobs: int) -> None:
    seen = Recorder()
    assert for_each(tasks_of("abcde"), works.fail_some, jobs, say=seen.say, watch=seen) == 1
    assert [line for line, err in seen.said if err] == [
        "aecodec: a: warning: is odd",
        "aecodec: b: is bad",
        "aecodec: c: out of memory",
        "aecodec: d: a fault in aecodec, please report it: KeyError: 'no such key'",
        "aecodec: e: warning: is odd",
    ]
    assert seen.results == ["a", None, None, None, "e"]
    assert seen.starting == list("abcde")
    assert [outcome.code for _, outcome in seen.reported] == [0, 1, 1, 1, 0]
    assert seen.reported[1][1].error == "is bad"
    assert seen.reported[4][1].warnings == ("is odd",)


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_process_that_dies_costs_one_input() -> None:
    seen = Recorder()
    assert for_each(tasks_of("abcdef"), works.die, 2, say=seen.say, watch=seen) == 1
    line = "aecodec: b: its worker process ended unexpectedly (signal 9; out of memory?)"
    assert [text for text, err in seen.said if err] == [line]
    assert seen.results.count(None) == 1
    assert seen.results.index(None) == 1
    assert os.getpid() not in seen.results


def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    seen = Recorder()
    assert for_each(tasks_of("abcdef"), works.environment, 2, say=seen.say, watch=seen) == 0
    found = [result for result in seen.results if isinstance(result, tuple)]
    threads = str(max(1, usable_cores() // 2))
    assert {result[:2] for result in found} == {(threads, threads)}
    processes = {result[2] for result in found}
    assert len(processes) == 2
    assert os.getpid() not in processes


@pytest.mark.parametrize("jobs", [1, 2])
def test_progress_is_told(jobs: int) -> None:
    seen = Recorder()
    assert for_each(tasks_of(["a", "bc"]), works.tell_progress, jobs, say=seen.say, watch=seen) == 0
    assert [each for each in seen.parts if each[0] == "a"] == [("a", 0.25, 1001), ("a", 0.5, 1001)]
    assert [each[1:] for each in seen.parts if each[0] == "bc"] == [(0.25, 1002), (0.5, 1002)]


class Interrupted(Recorder):
    """Is interrupted when it first hears of progress."""

    def progress(self, task: Task, part: float, pixels: int) -> None:
        """As Ctrl-C does."""
        raise KeyboardInterrupt


def test_an_interruption_ends_works_at_their_next_check(tmp_path: Path) -> None:
    seen = Interrupted()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        for_each(
            tasks_of("abcd", [str(tmp_path)] * 4), works.never_end, 2, say=seen.say, watch=seen
        )
    assert time.monotonic() - start < WAIT
    begun = sorted(path.name for path in tmp_path.iterdir())
    assert "never stopped" not in begun
    assert set(begun) <= {"a", "b"}
    assert seen.said == []


def test_warnings_are_lines_about_the_input_or_another_file() -> None:
    said: list[tuple[str, bool]] = []
    log = JobLog(lambda text, *, err: said.append((text, err)), "a.png")
    log.warn("is odd")
    log.warn("lacks something", about="a.jpg")
    assert said == [
        ("aecodec: a.png: warning: is odd", True),
        ("aecodec: a.jpg: warning: lacks something", True),
    ]
    assert log.warnings == ["is odd", "lacks something"]


@pytest.mark.parametrize(
    ("name", "error", "line"),
    [
        ("a", InputError("two\n\tlines"), "aecodec: a: two lines"),
        (None, InputError("is bad"), "aecodec: is bad"),
        ("", InputError("is bad"), "aecodec: '': is bad"),
        ("a", MemoryError(), "aecodec: a: out of memory"),
        ("a", FileNotFoundError(2, "is not there", "a"), "aecodec: a: is not there"),
        ("a", OSError(28, "No space", "b"), "aecodec: a: b: No space"),
    ],
)
def test_errors_are_one_line(name: str | None, error: Exception, line: str) -> None:
    said: list[tuple[str, bool]] = []
    report_error(name, error, lambda text, *, err: said.append((text, err)))
    assert said == [(line, True)]


def test_results_do_not_depend_on_the_jobs(
    tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"{number}.png" for number in range(5)]
    for number, name in enumerate(names):
        Image.fromarray(make_picture(40 + 9 * number, 90, seed=number)).save(tmp_path / name)
    (tmp_path / "2.png").write_bytes(b"no picture")
    results = []
    for jobs in (1, 2):
        folder = tmp_path / str(jobs)
        folder.mkdir()
        options = ("-o", folder, "--jobs", str(jobs), "--model", tiny_weights)
        assert run_main("compress", *(tmp_path / name for name in names), *options) == 1
        packed = sorted(folder.glob("*.aec"))
        assert len(packed) == 4
        assert run_main("decompress", *packed, *options) == 0
        assert run_main("verify", *packed, *options[2:]) == 0
        lines = capsys.readouterr()
        results.append(
            (
                {path.name: path.read_bytes() for path in folder.iterdir()},
                [line.split(":")[0].replace(f"{folder}/", "") for line in lines.out.splitlines()],
                lines.err,
            )
        )
    assert results[0] == results[1]
    assert len(results[0][0]) == 8


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_ctrl_c_leaves_whole_files_only(tmp_path: Path, tiny_weights: Path) -> None:
    """As a terminal does it: every process of the group gets the signal."""
    names = [f"{number}.png" for number in range(400)]
    Image.fromarray(make_picture(64, 64)).save(tmp_path / names[0])
    for name in names[1:]:
        shutil.copy(tmp_path / names[0], tmp_path / name)
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from aecodec.cli import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "compress", *names, "-j2", "--model", str(tiny_weights)],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=ENVIRONMENT, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + WAIT
        while not list(tmp_path.glob("*.aec")) and time.monotonic() < deadline:
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=WAIT)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    (line,) = err.splitlines()
    assert line.startswith("aecodec: interrupted: ")
    assert line.endswith(" of 400 files have ended, and what was in hand is dropped")
    packed = list(tmp_path.glob("*.aec"))
    assert 0 < len(packed) < len(names)
    assert len({path.read_bytes() for path in packed}) == 1
    parse(packed[0].read_bytes())
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".aec"}


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interrupted_folder_is_resumed(
    tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str], jobs: str
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(100):
        Image.fromarray(make_picture(64, 64, seed=number % 5)).save(tmp_path / f"in/{number}.png")
    out = tmp_path / "out"
    command = ["compress", "-r", str(tmp_path / "in"), "-o", str(out), "-j", jobs, "--model",
               str(tiny_weights)]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "aecodec", *command], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        deadline = time.monotonic() + WAIT
        while len(list(out.glob("*.aec"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=WAIT)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert err.endswith("and what was in hand is dropped; --resume goes on\n")
    done = len(list(out.glob("*.aec")))
    assert 3 <= done < 100
    assert not list(out.glob("*.partial"))
    assert run_main(*command, "--resume") == 0
    summary = capsys.readouterr().out.splitlines()[-1]
    skipped = int(re.findall(r"(\d+) skipped as done", summary)[0])
    assert done - int(jobs) <= skipped <= done  # what was written but not yet noted is done again
    assert len(list(out.glob("*.aec"))) == 100
