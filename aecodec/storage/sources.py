"""Where an .aec file may lie: in memory, in a file, in a file object, behind a URL.

URLs are read through fsspec, of the extra `remote`, which knows http(s), s3, gs, memory and others.
File objects are read from their beginning, whatever their position is. Every string without "://"
is a path.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

from aecodec.errors import AecError, InputError, LimitError
from aecodec.format.chunks import DEFAULT_LIMITS, Buffer, Limits
from aecodec.format.reader import Seekable

_PIECE = 2**20
"""Bytes of one read where the size is not known before."""

Source = Buffer | str | os.PathLike[str] | BinaryIO | Seekable
"""The bytes of a file, its path or URL, or a file object."""


def read_all(source: Source, limits: Limits = DEFAULT_LIMITS) -> Buffer:
    """The bytes of a whole file.

    Raises:
        LimitError: it has more bytes than `limits.file_bytes`.
        InputError: the source is none, or its URL cannot be opened.
        OSError: the file cannot be read.
    """
    if isinstance(source, Buffer):
        return source
    with opened(source) as file:
        if can_seek(file):
            size = file.seek(0, os.SEEK_END)
            _check_size(size, limits)
            file.seek(0)
            return file.read(size)
        pieces = BytesIO()
        while piece := file.read(_PIECE):
            _check_size(pieces.write(piece) and pieces.tell(), limits)
        return pieces.getvalue()


@contextmanager
def opened(source: Source) -> Iterator[Seekable]:
    """A source as a file object, which is closed at the end of the block unless it is the source.

    Raises:
        InputError: the source is none, or its URL cannot be opened.
        OSError: the file cannot be read.
    """
    if isinstance(source, Buffer):
        yield BytesIO(source)
    elif is_url(source):
        with _Remote(source) as remote:
            yield remote
    elif isinstance(source, (str, os.PathLike)):
        with Path(source).open("rb") as file:
            yield file
    elif hasattr(source, "read") and not hasattr(source, "encoding"):
        yield source
    else:
        raise InputError(f"cannot read a file from {type(source).__name__}")


def is_url(source: object) -> TypeGuard[str]:
    """Whether a source is named by a URL."""
    return isinstance(source, str) and "://" in source


def base_name(url: str) -> str:
    """The last part of a URL's path, which may serve as the name of a file."""
    from urllib.parse import urlsplit

    return urlsplit(url.rpartition("::")[2]).path.rstrip("/").rpartition("/")[2] or "picture"


def can_seek(file: Seekable) -> bool:
    """Whether a file object can seek, so that parts of it can be read."""
    seekable = getattr(file, "seekable", None)
    return bool(seekable()) if seekable is not None else hasattr(file, "seek")


class _Remote:
    """A file behind a URL, whose every failure is an OSError or an InputError."""

    def __init__(self, url: str) -> None:
        try:
            import fsspec
        except ImportError as exc:
            reason = f"reading {url} needs fsspec: pip install 'aecodec[remote]'"
            raise InputError(reason) from exc
        self._url = url
        with self._named():
            self._file: Any = fsspec.open(url, "rb").open()

    def __enter__(self) -> "_Remote":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._file.close()

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def read(self, size: int = -1, /) -> bytes:
        with self._named():
            return bytes(self._file.read(size))

    def seek(self, offset: int, whence: int = 0, /) -> int:
        with self._named():
            return int(self._file.seek(offset, whence))

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turns the exceptions of each protocol into ours; most of theirs do not tell the URL."""
        try:
            yield
        except FileNotFoundError as exc:  # what fsspec says of any server that does not answer
            if exc.strerror:
                raise
            reason = str(exc.__cause__ or "no such file")
            raise FileNotFoundError(errno.ENOENT, reason, self._url) from exc
        except (AecError, OSError):
            raise
        except Exception as exc:
            reason = str(exc) or type(exc).__name__
            raise InputError(f"cannot read {self._url}: {reason}") from exc


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.file_bytes:
        raise LimitError(f"the file has {size} bytes or more, the limit is {limits.file_bytes}")
