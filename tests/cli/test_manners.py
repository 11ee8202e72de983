"""Signals, closed pipes, pipes by every name: what users of a command line take for granted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import make_picture
from PIL import Image
from shell import ENVIRONMENT, Shell, assert_one_line

from aecodec.codec import Codec

COMMAND = [sys.executable, "-m", "aecodec"]
needs_signals = pytest.mark.skipif(os.name != "posix", reason="needs signals and pipes")
LARGE = """
import signal, sys, time
from contextlib import contextmanager
import aecodec.jobs.transcode as t
from aecodec.picture import pixels

pixels.STREAM_PIXELS = 1
real = t.replacing

@contextmanager
def slow(*args, **named):
    with real(*args, **named) as file:
        time.sleep(30)
        yield file

t.replacing = slow
if __name__ == "__main__":
    from aecodec.cli import main
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
"""
"""The command line, which waits while a temporary file lies beside the output; also in workers."""


@pytest.mark.slow
@needs_signals
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_signals_leave_nothing_behind(
    tmp_path: Path, tiny_weights: Path, name: str, jobs: str
) -> None:
    for each in ("a.ppm", "b.ppm"):
        Image.fromarray(make_picture(70, 80)).save(tmp_path / each)
    (tmp_path / "slow.py").write_text(LARGE)
    process = subprocess.Popen(
        [sys.executable, "slow.py", "compress", "a.ppm", "b.ppm", "-j", jobs, "--model",
         str(tiny_weights)],
        cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".aecodec*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert not list(tmp_path.glob(".aecodec*"))
    number = getattr(signal, name)
    assert process.returncode == (130 if name == "SIGINT" else -number)
    line = "aecodec: interrupted: 0 of 2 files have ended, and what was in hand is dropped"
    assert err.strip() == (line if name == "SIGINT" else "")


@needs_signals
@pytest.mark.parametrize("command", ["info", "compress", "verify"])
def test_a_closed_pipe_ends_quietly(tmp_path: Path, tiny_weights: Path, command: str) -> None:
    for number in range(8):
        Image.fromarray(make_picture(20, 30)).save(tmp_path / f"{number}.png")
    packed = Codec(tiny_weights).compress(make_picture(20, 30))
    suffix = "png" if command == "compress" else "aec"
    for number in range(8 if command != "compress" else 0):
        (tmp_path / f"{number}.aec").write_bytes(packed)
    names = sorted(str(path) for path in tmp_path.glob(f"*.{suffix}"))
    model = [] if command == "info" else ["--model", str(tiny_weights)]
    process = subprocess.Popen(
        [*COMMAND, command, *model, *names],
        env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == (141 if command == "info" else 0)
    assert err == b""
    if command == "compress":
        assert len(list(tmp_path.glob("*.aec"))) == 8


def shell_run(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=ENVIRONMENT, check=False, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip


@needs_signals
@pytest.mark.parametrize(
    "line",
    [
        "{a} compress a.png -o {o} | cat > out.aec",
        "{a} compress a.png -o {o} > out.aec",
        "{a} compress a.png -o {o} >> out.aec",
        "{a} compress {i} -o {o} < a.png > out.aec",
        "cat a.png | {a} compress {i} > out.aec",
        "{a} compress <(cat a.png) -o {o} > out.aec",
    ],
)
@pytest.mark.parametrize("names", ["- -", "/dev/stdin /dev/stdout", "/dev/fd/0 /proc/self/fd/1"])
def test_pipes_by_every_name(tmp_path: Path, tiny_weights: Path, line: str, names: str) -> None:
    Image.fromarray(make_picture(20, 30)).save(tmp_path / "a.png")
    source, target = names.split()
    line = line.format(
        a=f"'{sys.executable}' -m aecodec", i=source, o=f"{target} --model '{tiny_weights}'"
    )
    if "--model" not in line:
        line = line.replace(" compress", f" compress --model '{tiny_weights}'")
    done = shell_run(tmp_path, line)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr.count("\n") == 1  # the closing message
    data = (tmp_path / "out.aec").read_bytes()
    assert Codec(tiny_weights).decompress_array(data).shape == (20, 30, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "out.aec"]


@needs_signals
def test_a_pipe_that_is_an_output_gets_data_alone(tmp_path: Path, tiny_weights: Path) -> None:
    (tmp_path / "a.aec").write_bytes(Codec(tiny_weights).compress(make_picture(20, 30)))
    a = f"'{sys.executable}' -m aecodec decompress a.aec --model '{tiny_weights}'"
    done = shell_run(tmp_path, f"{a} -o >(cat > b.png) | cat; sleep 0.3")
    assert done.returncode == 0, done.stderr
    done = shell_run(tmp_path, f"{a} -o /dev/fd/3 3>&1 >c.txt | cat > c.png")
    assert done.returncode == 0, done.stderr
    done = shell_run(tmp_path, f"mkfifo p; cat p > d.png & {a} -o p; wait")
    assert done.returncode == 0, done.stderr
    for name in ("b.png", "c.png", "d.png"):
        with Image.open(tmp_path / name) as image:
            image.load()
            assert (image.format, image.size) == ("PNG", (30, 20))
    line = f"{a} -o - | head -c 20 | wc -c; echo ${{PIPESTATUS[0]}}"
    done = shell_run(tmp_path, line)
    assert done.stderr.count("\n") <= 1


@needs_signals
def test_a_full_standard_output_is_one_line(tmp_path: Path, tiny_weights: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    (tmp_path / "a.aec").write_bytes(Codec(tiny_weights).compress(make_picture(20, 30)))
    for command in ("info a.aec", f"decompress a.aec -o - --model '{tiny_weights}'"):
        done = shell_run(tmp_path, f"'{sys.executable}' -m aecodec {command} > /dev/full")
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1, done.stderr
        assert "No space left on device" in done.stderr


def test_a_pipe_without_an_output_needs_one(shell: Shell) -> None:
    if not Path("/dev/fd").exists():
        pytest.skip("needs /dev/fd")
    assert_one_line(shell.model("compress", "/dev/fd/9"), 2, "/dev/fd/9 is a pipe: -o names")


def test_no_command_replaces_its_input(shell: Shell, compressed: bytes) -> None:
    shell.picture("a.png")
    shell.file("b.aec", compressed)
    shell.file("c.aec", compressed)
    before = shell.listing()
    for arguments in (
        ("compress", "a.png", "-o", "a.png"), ("decompress", "b.aec", "-o", "./b.aec"),
        ("repair", "b.aec", "-o", "b.aec"),
    ):  # fmt: skip
        assert_one_line(shell.model(*arguments, "-f"), 1, "is an input, which is never replaced")
    assert shell.listing() == before


def test_links_in_a_circle_are_one_line(shell: Shell, compressed: bytes) -> None:
    shell.picture("a.png")
    shell.file("a.aec", compressed)
    (shell.folder / "loop.png").symlink_to("loop.png")
    for arguments in (
        ("compress", "a.png", "-o", "loop.png"), ("compress", "loop.png"),
        ("decompress", "a.aec", "-o", "loop.png"), ("verify", "loop.png"),
        ("repair", "loop.png", "-o", "x"), ("compress", "a.png", "-o", "loop.png/x"),
    ):  # fmt: skip
        result = shell.model(*arguments)
        output = "-o" in arguments and arguments[-1].startswith("loop")
        assert_one_line(result, 1, "circle" if output else "loop.png")


def test_times_and_permissions_are_preserved_on_demand(shell: Shell) -> None:
    source = shell.picture("a.png")
    os.utime(source, ns=(10**18, 10**18 + 7))
    source.chmod(0o600)
    assert shell.model("compress", "--preserve", "a.png").code == 0
    assert shell.model("decompress", "--preserve", "a.aec", "-o", "b.webp").code == 0
    for name in ("a.aec", "b.webp"):
        found = (shell.folder / name).stat()
        assert (found.st_mtime_ns, found.st_mode & 0o777) == (10**18 + 7, 0o600)


def test_a_fault_is_one_line_and_the_others_go_on(
    shell: Shell, compressed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Codec, data: bytes) -> None:
        del self, data
        raise KeyError("odd")

    monkeypatch.setattr(Codec, "verify", fail)
    monkeypatch.delenv("AECODEC_DEBUG", raising=False)
    shell.file("a.aec", compressed)
    assert_one_line(shell.model("verify", "a.aec"), 1, "a fault in aecodec", "KeyError: 'odd'")
    monkeypatch.setenv("AECODEC_DEBUG", "1")
    with pytest.raises(KeyError):
        shell.model("verify", "a.aec")
