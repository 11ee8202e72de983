"""Reads and writes whole files: an output exists complete or not at all."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from aecodec.errors import InputError

STANDARD = "-"
"""Name that stands for standard input or output."""


def read_bytes(name: str) -> bytes:
    """The bytes of a file, or of standard input for `-`.

    Raises:
        OSError: the file cannot be read, or is a folder.
    """
    return sys.stdin.buffer.read() if name == STANDARD else Path(name).read_bytes()


def write_bytes(name: str, data: bytes) -> None:
    """Writes a file under a temporary name and renames it; `-` is standard output.

    Links are followed; devices and pipes are written to as they are.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    if name == STANDARD:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        if _is_special(Path(name)):
            Path(name).write_bytes(data)
        else:
            _replace(Path(name).resolve(), data)
    except OSError as exc:
        exc.filename = name  # rather than the temporary one
        raise


@contextmanager
def replacing(name: str) -> Iterator[BinaryIO]:
    """A file to write piece by piece, which takes the name at the end of the block, if it ends.

    Links are followed; devices and pipes are written to as they are.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    if _is_special(Path(name)):
        with Path(name).open("wb") as file:
            yield file
    else:
        with _replacing(Path(name).resolve()) as file:
            yield file


def _replace(path: Path, data: bytes) -> None:
    with _replacing(path) as file:
        file.write(data)


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    # The prefix is short, since the target's name may be as long as a name can be.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".aecodec.", suffix=".partial")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def check_output(name: str, *, force: bool) -> None:
    """Checks, before any work, that an output may be written.

    Raises:
        InputError: it exists and `force` is not set, is a folder, or its folder is missing.
    """
    if name == STANDARD:
        return
    path = Path(name)
    if path.is_dir():
        raise InputError(f"output {name} is a folder")
    if name.endswith(("/", os.sep)) or not path.parent.is_dir():
        folder = name if name.endswith(("/", os.sep)) else path.parent
        raise InputError(f"output folder {folder} does not exist")
    if path.exists() and not force and not _is_special(path):
        raise InputError(f"output {name} exists; -f overwrites it")


def _is_special(path: Path) -> bool:
    """Whether a path is a device or a pipe, which nothing may replace."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
