"""Several inputs at a time give what they give one after the other: bytes, lines, exit code."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import click
import pytest
from conftest import make_picture
from PIL import Image
from shell import ENVIRONMENT, run_main

from aecodec.errors import InputError
from aecodec.format.container import parse
from aecodec.jobs.runner import JobLog, for_each, report_error

WAIT = 30.0
"""Seconds after which a test gives up."""


def test_lines_come_in_the_order_of_the_inputs() -> None:
    """The first input ends last: it waits for the others."""
    done = {name: threading.Event() for name in "abc"}

    def work(name: str, target: str, log: JobLog) -> None:
        if name == "a":
            assert done["b"].wait(WAIT)
            assert done["c"].wait(WAIT)
        log.say(f"{name} to {target}")
        done[name].set()

    said: list[tuple[str, bool, threading.Thread]] = []

    def say(text: str, /, *, err: bool) -> None:
        said.append((text, err, threading.current_thread()))

    assert for_each("abc", "xyz", work, jobs=3, say=say) == 0
    here = threading.current_thread()
    assert said == [(text, False, here) for text in ("a to x", "b to y", "c to z")]


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_a_failing_input_does_not_lose_the_others(jobs: int) -> None:
    def work(name: str, _target: str, log: JobLog) -> None:
        if name == "b":
            raise InputError("is bad")
        if name == "c":
            raise MemoryError
        log.say(name)

    said: list[tuple[str, bool]] = []
    assert for_each("abcd", "abcd", work, jobs, say=lambda text, *, err: said.append((text, err)))
    assert said == [
        ("a", False),
        ("aecodec: b: is bad", True),
        ("aecodec: c: out of memory", True),
        ("d", False),
    ]


def test_no_more_than_the_jobs_asked_for_run_at_a_time() -> None:
    lock, now, most = threading.Lock(), 0, 0
    both = threading.Barrier(2, timeout=WAIT)

    def work(_name: str, _target: str, _log: JobLog) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        both.wait()  # two do run at the same time
        with lock:
            now -= 1

    assert for_each("abcdef", "abcdef", work, jobs=2, say=click.echo) == 0
    assert most == 2


def test_an_interruption_ends_works_at_their_next_check() -> None:
    """The first input is interrupted while the second works and the third waits."""
    started, begun = threading.Event(), []

    def work(name: str, _target: str, log: JobLog) -> None:
        begun.append(name)
        if name == "a":
            assert started.wait(WAIT)
            raise KeyboardInterrupt
        started.set()
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline:
            log.check()
            time.sleep(0.001)
        begun.append("never stopped")

    with pytest.raises(KeyboardInterrupt):
        for_each("abc", "abc", work, jobs=2, say=click.echo)
    assert "never stopped" not in begun


def test_warnings_are_lines_about_the_input_or_another_file() -> None:
    said: list[tuple[str, bool]] = []
    log = JobLog(lambda text, *, err: said.append((text, err)), "a.png")
    log.warn("is odd")
    log.warn("lacks something", about="a.jpg")
    assert said == [
        ("aecodec: a.png: warning: is odd", True),
        ("aecodec: a.jpg: warning: lacks something", True),
    ]


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
    for jobs in (1, 3):
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
        env=ENVIRONMENT,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + WAIT
        while not list(tmp_path.glob("*.aec")) and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=WAIT)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, err.strip()) == (130, "aecodec: interrupted")
    packed = list(tmp_path.glob("*.aec"))
    assert 0 < len(packed) < len(names)
    assert len({path.read_bytes() for path in packed}) == 1
    parse(packed[0].read_bytes())
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".aec"}
