"""Reads and writes whole files: an output exists complete or not at all.

A file is written under a temporary name in its own folder, and renamed when all of it is on disk.
Links are followed; devices, pipes and descriptors (`/dev/stdout`, `/dev/fd/3`) are written to as
they are, see `names`. A file that is overwritten keeps its permissions and its owner where the
system lets it, and a new one has the usual ones.

For the command line the name `-` stands for standard input in `read_bytes`, and for standard output
in `write_bytes`, `replacing` and `check_output`. A file of that name is `./-`.
"""

import errno
import os
import stat
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from aecodec.errors import InputError
from aecodec.storage.names import (
    STANDARD,
    STANDARD_OUTPUT,
    Identity,
    Name,
    descriptor_of,
    identity,
    is_pipe,
    status,
)

_PERMISSIONS = 0o777


def read_bytes(name: Name) -> bytes:
    """The bytes of a file, or of standard input for `-`.

    Raises:
        OSError: the file cannot be read, or is a folder.
    """
    if name == STANDARD:
        return _standard(sys.stdin, "standard input").read()
    return Path(name).read_bytes()


def write_bytes(name: Name, data: bytes, *, like: os.stat_result | None = None) -> None:
    """Writes a whole file, or to standard output for `-`.

    Args:
        name: of the file.
        data: all that it is to hold.
        like: see `replacing`.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    try:
        with replacing(name, like=like) as file:
            file.write(data)
    except OSError as exc:
        if name != STANDARD:
            exc.filename = os.fspath(name)  # some errors tell no name
        raise


@contextmanager
def replacing(name: Name, *, like: os.stat_result | None = None) -> Iterator[BinaryIO]:
    """A file to write piece by piece, which takes the name at the end of the block.

    If the block fails, nothing is left of it. What is written to standard output (`-`), a device, a
    pipe or an open descriptor is there as it comes.

    Args:
        name: of the file.
        like: the status of another file, whose times and permissions this one is to have.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    descriptor = descriptor_of(name)
    if name == STANDARD or descriptor == STANDARD_OUTPUT:
        stream = _standard(sys.stdout, "standard output")
        yield stream
        stream.flush()
    elif descriptor is not None:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            yield file
    else:
        with replacing_path(name, like=like) as path, path.open("wb") as file:
            yield file


@contextmanager
def replacing_path(name: Name, *, like: os.stat_result | None = None) -> Iterator[Path]:
    """The same as `replacing`, for what others write to a path: here `-` is a name like others.

    Yields:
        The temporary path, where an empty file lies, which may be replaced; or the path of a device
        or pipe.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    if is_pipe(name):
        yield Path(name)
        return
    path = Path(os.path.realpath(name))
    old = status(path)
    # The prefix is short, since the target's name may be as long as a name can be.
    temporary = path.with_name(f".aecodec.{os.urandom(8).hex()}.partial")
    try:
        # What replaces a file is hidden from others until it has that file's permissions.
        hidden = os.name == "posix" and (old or like) is not None
        _create(temporary, 0o600 if hidden else 0o666)
        final = like or old or (status(temporary) if os.name == "posix" else None)
        yield temporary
        _finish(temporary, final, old, like)
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


def _finish(
    path: Path,
    final: os.stat_result | None,
    old: os.stat_result | None,
    like: os.stat_result | None,
) -> None:
    """Waits until a file is on disk, and gives it its owner, permissions and times.

    Windows knows only whether a file is read-only, and such a file cannot be replaced at all.
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    if like is not None:
        with suppress(OSError):
            os.utime(path, ns=(like.st_atime_ns, like.st_mtime_ns))
    if os.name != "posix" or final is None:
        return
    own = path.stat()
    if old is not None and (own.st_uid, own.st_gid) != (old.st_uid, old.st_gid):
        with suppress(OSError):  # only the super-user may give files away
            os.chown(path, old.st_uid, old.st_gid)
    with suppress(OSError):  # some file systems know no permissions
        path.chmod(final.st_mode & _PERMISSIONS)


def _create(path: Path, mode: int) -> None:
    """Makes an empty file with this mode, less what the process's umask takes away."""
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)):
        pass


def check_output(name: str, *, force: bool, inputs: Collection[Identity] = ()) -> None:
    """Checks, before any work, that an output may be written.

    Args:
        name: of the output.
        force: whether it may replace a file.
        inputs: the identities of files that it must never replace.

    Raises:
        InputError: it exists and `force` is not set, is one of the inputs, is a folder, or its
            folder is missing.
        OSError: the system does not even let it be looked at.
    """
    if name == STANDARD or descriptor_of(name) is not None:
        return
    found = status(name)
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise InputError(f"output {name} is a folder")
    path = Path(name)
    if name.endswith(("/", os.sep)) or not path.parent.is_dir():
        folder = name if name.endswith(("/", os.sep)) else path.parent
        raise InputError(f"output folder {folder} does not exist")
    if found is None or not stat.S_ISREG(found.st_mode):
        return
    if identity(found) in inputs:
        raise InputError(f"output {name} is an input, which is never replaced")
    if not force:
        raise InputError(f"output {name} exists; -f overwrites it")
