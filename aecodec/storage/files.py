"""Reads and writes whole files: an output exists complete or not at all.

A file is written under a temporary name in its own folder, and renamed when all of it is on disk.
Links are followed; devices and pipes are written to as they are. A file that is overwritten keeps
its permissions where the system lets it, and a new one has the usual ones.

For the command line the name `-` stands for standard input in `read_bytes`, and for standard output
in `write_bytes`, `replacing` and `check_output`. A file of that name is `./-`.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from aecodec.errors import InputError

STANDARD = "-"
"""The name that stands for standard input or output."""

Name = str | os.PathLike[str]


def read_bytes(name: Name) -> bytes:
    """The bytes of a file, or of standard input for `-`.

    Raises:
        OSError: the file cannot be read, or is a folder.
    """
    if name == STANDARD:
        return _standard(sys.stdin, "standard input").read()
    return Path(name).read_bytes()


def write_bytes(name: Name, data: bytes) -> None:
    """Writes a whole file, or to standard output for `-`.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    try:
        with replacing(name) as file:
            file.write(data)
    except OSError as exc:
        if name != STANDARD:
            exc.filename = os.fspath(name)  # some errors tell no name
        raise


@contextmanager
def replacing(name: Name) -> Iterator[BinaryIO]:
    """A file to write piece by piece, which takes the name at the end of the block.

    If the block fails, nothing is left of it. What is written to standard output (`-`), a device or
    a pipe is there as it comes.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    if name == STANDARD:
        stream = _standard(sys.stdout, "standard output")
        yield stream
        stream.flush()
        return
    with replacing_path(name) as path, path.open("wb") as file:
        yield file


@contextmanager
def replacing_path(name: Name) -> Iterator[Path]:
    """The same as `replacing`, for what others write to a path: here `-` is a name like others.

    Yields:
        The temporary path, where an empty file lies, which may be replaced; or the path of a device
        or pipe.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    if _is_special(Path(name)):
        yield Path(name)
        return
    path = Path(name).resolve()
    old = _permissions(path)
    # The prefix is short, since the target's name may be as long as a name can be.
    temporary = path.with_name(f".aecodec.{os.urandom(8).hex()}.partial")
    try:
        # What replaces a file is hidden from others until it has that file's permissions.
        _create(temporary, 0o666 if old is None else 0o600)
        final = _permissions(temporary) if old is None else old
        yield temporary
        _finish(temporary, final)
        temporary.replace(path)
    except BaseException as exc:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(exc, OSError) and str(exc.filename) == str(temporary):
            exc.filename = os.fspath(name)
        raise


def _standard(stream: TextIO | None, name: str) -> BinaryIO:
    """The bytes behind a standard stream, which is None where the process began without it."""
    if stream is None:
        raise OSError(errno.EBADF, "is closed", name)
    return stream.buffer


def _finish(path: Path, permissions: int | None) -> None:
    """Waits until a file is on disk, and gives it its permissions."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    if permissions is not None:
        with suppress(OSError):  # some file systems know no permissions
            path.chmod(permissions)


def _permissions(path: Path) -> int | None:
    """The permissions that a new version of a file is to keep; None if there is nothing to keep.

    Windows knows only whether a file is read-only, and such a file cannot be replaced at all.
    """
    if os.name != "posix":
        return None
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        return None


def _create(path: Path, mode: int) -> None:
    """Makes an empty file with this mode, less what the process's umask takes away."""
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)):
        pass


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
