"""Reads and writes whole files: an output exists complete or not at all."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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

    Links are followed; devices and pipes are written to as they are. A file that is overwritten
    keeps its permissions where the system lets it, and a new one has the usual ones.

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

    Links, devices, pipes and permissions are treated as `write_bytes` does.

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
    old = _permissions(path)
    # The prefix is short, since the target's name may be as long as a name can be.
    temporary = path.with_name(f".aecodec.{secrets.token_hex(8)}.partial")
    # What replaces a file is hidden from others until it has that file's permissions.
    file = _create(temporary, 0o666 if old is None else 0o600)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if old is not None:
            with suppress(OSError):  # some file systems know no permissions
                temporary.chmod(old)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _permissions(path: Path) -> int | None:
    """What a new version of a file is to keep; None if there is nothing to keep.

    On Windows that is only whether it is read-only, and such a file cannot be replaced at all.
    """
    if os.name != "posix":
        return None
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        return None


def _create(path: Path, mode: int) -> BinaryIO:
    """Makes a file with this mode, less what the process's umask takes away."""
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode))


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
