"""What a name of a file stands for: a file, an open descriptor of this process, a device or a pipe.

A descriptor has many names: `/dev/stdout`, `/dev/fd/1`, `/proc/self/fd/1`, and links to these. What
is written there goes to the descriptor itself. A file that the shell has opened is written on from
where it stands, and not replaced by another one, which would be lost.
"""

import errno
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from aecodec.errors import InputError

STANDARD = "-"
"""The name that stands for standard input or output."""
STANDARD_INPUT, STANDARD_OUTPUT = 0, 1

Name = str | os.PathLike[str]
Identity = tuple[int, int]
"""What tells a file from every other: device and number."""

_LINKS_MAX = 40
"""Links in a row after which Linux gives up, too."""
_DESCRIPTOR = re.compile(r"/(?:dev|proc/(self|thread-self|\d+)(?:/task/\d+)?)/fd/(\d{1,9})")
_DEVICES = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


def check_name(name: Name) -> None:
    """Refuses a name that no file can have.

    Raises:
        InputError: it has a character that ends names.
    """
    if "\0" in os.fspath(name):
        raise InputError("the name of a file has a NUL")


def descriptor_of(name: Name) -> int | None:
    """The descriptor of this process that a name stands for; None if it names something else."""
    check_name(name)
    path = os.fspath(name)
    for _ in range(_LINKS_MAX):
        folder, base = os.path.split(os.path.abspath(path))
        path = os.path.join(os.path.realpath(folder), base)
        if path in _DEVICES:
            return _DEVICES[path]
        found = _DESCRIPTOR.fullmatch(path)
        if found:
            own = found[1] in (None, "self", "thread-self", str(os.getpid()))
            return int(found[2]) if own else None
        try:
            path = os.path.join(os.path.dirname(path), os.readlink(path))
        except (OSError, ValueError):
            return None
    return None


def is_pipe(name: Name) -> bool:
    """Whether a name stands for a descriptor, a device or a pipe, which nothing may replace."""
    if descriptor_of(name) is not None:
        return True
    found = status(name)
    return found is not None and not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode)


def is_standard_output(name: str) -> bool:
    """Whether what is written to a name comes out where standard output goes."""
    descriptor = STANDARD_OUTPUT if name == STANDARD else descriptor_of(name)
    if descriptor == STANDARD_OUTPUT:
        return True
    try:
        out = os.fstat(STANDARD_OUTPUT)
        mine = os.stat(name) if descriptor is None else os.fstat(descriptor)
    except OSError:
        return False
    shared = identity(mine) == identity(out)
    return shared and (descriptor is not None or not stat.S_ISREG(out.st_mode))


def status(name: Name) -> os.stat_result | None:
    """What the system says of a file; None if there is none.

    Raises:
        OSError: the system does not let it be looked at, or its links go in a circle.
    """
    check_name(name)
    try:
        return os.stat(name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "its symbolic links lead in a circle", str(name)) from exc
        raise


def identity(found: os.stat_result) -> Identity:
    """What tells a file from every other."""
    return found.st_dev, found.st_ino


def identities(names: Iterable[str]) -> frozenset[Identity]:
    """Those of all names that stand for files; the others are left out."""
    found = set()
    for name in names:
        try:
            found.add(identity(Path(name).stat()))
        except (OSError, ValueError):
            continue
    return frozenset(found)
