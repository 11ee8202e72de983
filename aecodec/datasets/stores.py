"""Where inputs and outputs of a run lie: a folder of this machine, or anything behind a URL.

A store has a root and knows files by their path below it, with slashes. A file is put whole or not
at all: on a file system under a temporary name that is renamed, and in an object store by the one
request whose success makes it visible.
"""

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from aecodec.datasets.retrying import patiently
from aecodec.errors import InputError
from aecodec.storage.files import replacing_path, write_bytes
from aecodec.storage.names import check_name
from aecodec.storage.sources import is_url

OBJECT_STORES = frozenset(
    {
        "abfs", "abfss", "adl", "az", "gcs", "gs", "memory", "obs", "oci", "oss", "r2", "s3", "s3a",
        "tos",
    }
)  # fmt: skip
"""Protocols whose objects appear at once and whole; all others have names that can be changed."""
S3 = ("s3", "s3a")
READ_ONLY = frozenset({"http", "https", "data", "github"})
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"} | dict.fromkeys(
    ("abfs", "abfss", "az", "adl"), "adlfs"
)
_S3 = ("s3", "s3a")
_ONE_TRY = {"retries": {"total_max_attempts": 1, "mode": "standard"}}
"""For botocore: `patiently` tries again, and tries within its tries would multiply."""

T = TypeVar("T")


class Store(Protocol):
    """A folder."""

    root: str

    def name(self, path: str) -> str:
        """A file's path or URL, as people and errors call it."""

    def local(self, path: str) -> Path | None:
        """Where a file lies on this machine; None if it is elsewhere."""

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder."""

    def is_folder(self) -> bool:
        """Whether the root is one; False if it is a file or there is none."""

    def read(self, path: str) -> bytes | None:
        """The bytes of a small file; None if there is none."""

    def write(self, path: str, data: bytes) -> None:
        """Puts a small file, in place of one that may be there."""

    def get(self, path: str, target: Path) -> None:
        """Copies a file to this machine."""

    def put(self, source: Path, path: str) -> None:
        """Puts a file of this machine, in place of one that may be there; it may be moved."""

    def names(self, folder: str) -> list[str]:
        """Names of the files right inside a folder, sorted; none if it does not exist."""

    def delete(self, path: str) -> None:
        """Takes a file away, if it is there."""


def store_of(name: str) -> Store:
    """The store of a folder, given by its path or URL.

    Raises:
        InputError: the URL is of a kind that cannot be opened.
    """
    check_name(name)
    if not is_url(name):
        return LocalStore(name)
    if "::" in name:
        raise InputError(f"{name}: chained URLs name no folder")
    parts = urlsplit(name)
    if parts.scheme in ("file", "local"):
        return LocalStore(url2pathname(parts.path))
    return RemoteStore(name)


class LocalStore:
    """A folder of this machine, or one that is mounted."""

    def __init__(self, root: str) -> None:
        """Looks at nothing yet; a relative path counts from the folder of this process."""
        self.root = root
        self._path = os.path.abspath(root)

    def name(self, path: str) -> str:
        """See `Store`."""
        return os.path.join(self.root, *path.split("/")) if path else self.root

    def local(self, path: str) -> Path:
        """See `Store`."""
        return Path(self._path, *path.split("/")) if path else Path(self._path)

    def exists(self, path: str) -> bool:
        """See `Store`."""
        return os.path.lexists(self.local(path))

    def is_folder(self) -> bool:
        """See `Store`."""
        return os.path.isdir(self._path)

    def read(self, path: str) -> bytes | None:
        """See `Store`."""
        try:
            return self.local(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, path: str, data: bytes) -> None:
        """See `Store`."""
        target = self.local(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(str(target), data)

    def get(self, path: str, target: Path) -> None:
        """See `Store`."""
        shutil.copyfile(self.local(path), target)

    def put(self, source: Path, path: str) -> None:
        """See `Store`."""
        target = self.local(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            source.replace(target)
        except OSError as exc:
            if exc.errno != errno.EXDEV:
                raise
            with replacing_path(target) as temporary:
                shutil.copyfile(source, temporary)

    def names(self, folder: str) -> list[str]:
        """See `Store`."""
        try:
            with os.scandir(self.local(folder)) as entries:
                return sorted(entry.name for entry in entries if entry.is_file())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def delete(self, path: str) -> None:
        """See `Store`."""
        with suppress(FileNotFoundError):
            self.local(path).unlink()


class RemoteStore:
    """What fsspec opens: object stores, servers of files, and read-only http."""

    def __init__(self, root: str) -> None:
        """Connects when it is first used, in each process anew."""
        self.root = root.rstrip("/")

    def __getstate__(self) -> dict[str, Any]:
        """The URL alone travels to other processes."""
        return {"root": self.root}

    @property
    def protocol(self) -> str:
        """The URL's."""
        return urlsplit(self.root).scheme

    @cached_property
    def system(self) -> Any:  # noqa: ANN401  # fsspec is not typed
        """The file system of fsspec."""
        return self._opened[0]

    @cached_property
    def base(self) -> str:
        """The root as `system` calls it."""
        return str(self._opened[1]).rstrip("/")

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        try:
            import fsspec

            alone: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
            if self.protocol in _S3:
                alone["config_kwargs"] = _ONE_TRY
            system, base = fsspec.core.url_to_fs(self.root, **alone)
            if self.protocol in _S3:
                system.retries = 1
        except ImportError as exc:
            package = _PACKAGES.get(self.protocol, "fsspec")
            reason = f"{self.root} needs a package: pip install {package} ({exc})"
            raise InputError(reason) from exc
        except ValueError as exc:  # an unknown protocol
            raise InputError(f"{self.root}: {exc}") from exc
        return system, base

    def at(self, path: str) -> str:
        """A file as `system` calls it."""
        return f"{self.base}/{path}" if path else self.base

    def name(self, path: str) -> str:
        """See `Store`."""
        return f"{self.root}/{path}" if path else self.root

    def local(self, path: str) -> None:
        """See `Store`."""

    def exists(self, path: str) -> bool:
        """See `Store`."""
        if self.protocol not in S3 or not path:
            return self._info(path) is not None
        bucket, _, key = self.at(path).partition("/")
        try:  # one request, where s3fs would also look for a folder
            self._do(path, partial(self.system.call_s3, "head_object", Bucket=bucket, Key=key))
        except FileNotFoundError:
            return False
        return True

    def is_folder(self) -> bool:
        """See `Store`; http serves pages of links in place of folders."""
        if self.protocol in ("http", "https"):
            return not Path(urlsplit(self.root).path).suffix
        found = self._info("")
        return found is not None and found.get("type") == "directory"

    def _info(self, path: str) -> dict[str, Any] | None:
        """What is known of a file; fsspec's own `exists` takes every failure for a no."""
        try:
            return self.info(path)
        except FileNotFoundError:
            return None

    def info(self, path: str) -> dict[str, Any]:
        """What fsspec tells of a file.

        Raises:
            OSError: it is not there, or cannot be reached.
        """
        found: dict[str, Any] = self._do(path, lambda: self.system.info(self.at(path)))
        return found

    def _do(
        self, path: str, action: Callable[[], T], *, size: int = 0,
        progress: Callable[[], int] | None = None,
    ) -> T:  # fmt: skip
        return patiently(self.name(path), action, size=size, progress=progress)

    def read(self, path: str) -> bytes | None:
        """See `Store`."""
        try:
            return bytes(self._do(path, lambda: self.system.cat_file(self.at(path))))
        except FileNotFoundError:
            return None

    def write(self, path: str, data: bytes) -> None:
        """See `Store`."""
        if self.protocol in OBJECT_STORES:
            self._do(path, lambda: self.system.pipe_file(self.at(path), data), size=len(data))
        else:
            self._renamed(path, lambda name: self.system.pipe_file(name, data), len(data))

    def get(self, path: str, target: Path) -> None:
        """See `Store`; each try writes a file of its own, since a stalled one may yet go on."""
        attempts: list[Path] = []

        def fetch() -> Path:
            attempt = target.with_name(f"{len(attempts)}-{target.name}")
            attempts.append(attempt)
            self.system.get_file(self.at(path), str(attempt))
            return attempt

        def progress() -> int:
            with suppress(OSError, IndexError):
                return attempts[-1].stat().st_size
            return 0

        self._do(path, fetch, progress=progress).replace(target)

    def put(self, source: Path, path: str) -> None:
        """See `Store`."""
        size = source.stat().st_size
        if self.protocol in OBJECT_STORES:
            self._do(path, lambda: self.system.put_file(str(source), self.at(path)), size=size)
        else:
            self._renamed(path, lambda name: self.system.put_file(str(source), name), size)

    def _renamed(self, path: str, send: Callable[[str], object], size: int) -> None:
        """Sends a file under a temporary name beside its own, then renames it."""
        if self.protocol in READ_ONLY:
            raise InputError(f"{self.protocol} is for inputs: nothing can be written there")
        target = self.at(path)
        folder = target.rpartition("/")[0]

        def do() -> None:
            temporary = f"{folder}/.aecodec.{os.urandom(8).hex()}.partial"
            self.system.makedirs(folder, exist_ok=True)
            try:
                send(temporary)
                with suppress(FileNotFoundError):
                    self.system.rm_file(target)
                self.system.mv(temporary, target)
            except BaseException:
                with suppress(Exception):
                    self.system.rm_file(temporary)
                raise

        self._do(path, do, size=size)

    def names(self, folder: str) -> list[str]:
        """See `Store`."""
        try:
            found = self._do(folder, lambda: self.system.ls(self.at(folder), detail=True))
        except FileNotFoundError:
            return []
        files = [each["name"] for each in found if each["type"] == "file"]
        return sorted(name.rpartition("/")[2] for name in files)

    def delete(self, path: str) -> None:
        """See `Store`."""
        with suppress(FileNotFoundError):
            self._do(path, lambda: self.system.rm_file(self.at(path)))
