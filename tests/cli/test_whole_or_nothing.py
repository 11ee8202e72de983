"""Full disks and interruptions: an output is there whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from shell import ENVIRONMENT, Shell, assert_one_line

from aecodec.codec import Codec


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_a_full_disk_leaves_no_output(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, compressed: bytes, command: str, existing: bool
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    shell.picture("img.png")
    shell.file("img.aec", compressed)
    source, target = ("img.png", "out.aec") if command == "compress" else ("img.aec", "out.png")
    if existing:
        shell.file(target, b"old")
    before = shell.listing()
    monkeypatch.setattr(os, "fsync", fail)
    result = shell.model(command, source, "-o", target, "-f")
    assert_one_line(result, 1, f"aecodec: {source}: {target}: No space left on device\n")
    assert shell.listing() == before


@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_an_interruption_leaves_no_partial_output(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, compressed: bytes, command: str
) -> None:
    shell.picture("a.png")
    shell.picture("b.png")
    shell.file("c.aec", compressed)
    shell.file("d.aec", compressed)
    inputs = ("a.png", "b.png") if command == "compress" else ("c.aec", "d.aec")
    (shell.folder / "out").mkdir()
    real = os.fsync
    calls = []

    def interrupt(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(descriptor)

    monkeypatch.setattr(os, "fsync", interrupt)
    result = shell.model(command, *inputs, "-o", "out")
    assert result.code == 130
    assert result.err.strip() == (
        "aecodec: interrupted: 1 of 2 files have ended, and what was in hand is dropped"
    )
    (finished,) = (shell.folder / "out").iterdir()
    assert finished.stem == Path(inputs[0]).stem
    assert result.out.count("\n") == 1


def test_an_interruption_while_coding(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Codec, "compress", interrupt)
    shell.picture("img.png")
    result = shell.model("compress", "img.png")
    assert (result.code, result.out, result.err.strip()) == (130, "", "aecodec: interrupted")
    assert sorted(shell.listing()) == ["img.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_real_sigint_ends_the_process(tmp_path: Path) -> None:
    """The process waits for a pipe's bytes when the signal comes, so nothing is left to chance."""
    pipe = tmp_path / "img.png"
    os.mkfifo(pipe)
    # A parent that ignores SIGINT, as shells make of jobs in the background, hands that down.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from aecodec.cli import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "compress", "img.png", "-o", "img.aec"],
        cwd=tmp_path, env=ENVIRONMENT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    descriptor = -1
    try:
        deadline = time.monotonic() + 30
        while descriptor < 0 and time.monotonic() < deadline:
            with suppress(OSError):  # nobody reads yet
                descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            time.sleep(0.02)
        assert descriptor >= 0
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
        if descriptor >= 0:
            os.close(descriptor)
    assert (process.returncode, out, err.strip()) == (130, "", "aecodec: interrupted")
    assert os.listdir(tmp_path) == ["img.png"]
