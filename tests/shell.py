"""Runs the command line as its users do, and what such runs leave."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import aecodec
from aecodec.cli import main

ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(Path(aecodec.__file__).parents[1]),
}


@dataclass(frozen=True)
class Result:
    """What a run of the command line left: exit code and both streams."""

    code: int
    out: str
    err: str


class Shell:
    """Runs the command line in this process, in a folder of its own, with the tiny model."""

    def __init__(self, folder: Path, weights: Path, capture: pytest.CaptureFixture[bytes]) -> None:
        self.folder, self.weights, self.capture = folder, weights, capture

    def run(self, *arguments: str | Path) -> Result:
        """Runs `aecodec` with these arguments."""
        self.capture.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(a) for a in arguments])
        assert isinstance(caught.value.code, int)
        streams = self.capture.readouterr()
        self.raw = streams.out
        return Result(
            caught.value.code, streams.out.decode("utf-8", "replace"), streams.err.decode()
        )

    def model(self, *arguments: str | Path) -> Result:
        """The same with `--model`."""
        return self.run(*arguments, "--model", self.weights)

    def picture(self, name: str, height: int = 20, width: int = 30) -> Path:
        """Makes a picture file."""
        from conftest import make_picture

        path = self.folder / name
        Image.fromarray(make_picture(height, width)).save(path)
        return path

    def file(self, name: str, data: bytes) -> Path:
        """Makes a file."""
        path = self.folder / name
        path.write_bytes(data)
        return path

    def listing(self) -> dict[str, bytes]:
        """All files and their bytes."""
        return {p.name: p.read_bytes() for p in self.folder.iterdir() if p.is_file()}


def assert_one_line(result: Result, code: int, *parts: str) -> None:
    """The run failed with one line on standard error that holds all parts."""
    assert result.code == code, result
    assert result.out == ""
    assert result.err.count("\n") == 1, result.err
    assert result.err.startswith("aecodec: ")
    assert result.err.endswith("\n")
    for part in parts:
        assert part in result.err, result.err


def pixels_of(data: bytes) -> npt.NDArray[np.uint8]:
    with Image.open(BytesIO(data)) as image:
        return np.asarray(image)


def run_main(*arguments: str | Path) -> int:
    """The exit code of the command line, run in this process."""
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in arguments])
    return int(ended.value.code or 0)


def cleanly_ended(command: Callable[[list[str]], None], arguments: list[str]) -> tuple[int, str]:
    """The exit code of a command and what it said on standard error; its output vanishes.

    Exceptions that are no end of a command pass through.
    """
    out, err = TextIOWrapper(BytesIO(), "utf-8"), TextIOWrapper(BytesIO(), "utf-8", "replace")
    empty = TextIOWrapper(BytesIO())
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = empty, out, err
    try:
        command(arguments)
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 0
    else:
        raise AssertionError("the command did not end the process")
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
    err.flush()
    return code, err.buffer.getvalue().decode()
