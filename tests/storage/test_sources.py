"""Files behind URLs and in file objects: read through fsspec, in parts, with one clear error."""

import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from aecodec.errors import InputError, LimitError
from aecodec.format.chunks import Limits
from aecodec.storage.sources import base_name, can_seek, opened, read_all

fsspec = pytest.importorskip("fsspec")
URL = "memory://aecodec-tests/a.aec"
PACKED = bytes(range(256)) * 100


@pytest.fixture
def remote() -> Iterator[str]:
    fs = fsspec.filesystem("memory")
    fs.pipe("/aecodec-tests/a.aec", PACKED)
    yield URL
    fs.rm("/aecodec-tests", recursive=True)


class Pipe:
    """A file object that cannot seek, and gives a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._file = BytesIO(data)

    def read(self, size: int = -1, /) -> bytes:
        """Up to 1000 bytes."""
        return self._file.read(1000 if size < 0 else min(size, 1000))

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """What it cannot."""
        raise OSError("not seekable")

    def seekable(self) -> bool:
        """No."""
        return False


def test_without_fsspec_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(InputError, match=r"pip install 'aecodec\[remote\]'"):
        read_all(URL)


def test_failures_of_a_protocol_name_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd(Exception):
        pass

    def fail(*_arguments: Any, **_options: Any) -> None:  # noqa: ANN401  # as fsspec's
        raise Odd("503, message='busy'")

    monkeypatch.setattr(fsspec, "open", fail)
    with pytest.raises(InputError, match=r"cannot read memory://.*503"):
        read_all(URL)


@pytest.mark.parametrize("make", [BytesIO, Pipe])
def test_files_beyond_the_limit_are_not_read(make: Any) -> None:  # noqa: ANN401  # both classes
    with pytest.raises(LimitError, match="the limit is 1000"):
        read_all(make(PACKED), Limits(file_bytes=1000))
    assert read_all(make(PACKED), Limits(file_bytes=len(PACKED))) == PACKED


@pytest.mark.parametrize("source", [None, 3, ["a.aec"]])
def test_other_things_are_no_sources(source: Any) -> None:  # noqa: ANN401  # wrong on purpose
    with pytest.raises(InputError, match="cannot read a file from"):
        read_all(source)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://host/x/y.aec?token=a/b", "y.aec"),
        ("s3://bucket/y.aec", "y.aec"),
        ("simplecache::https://host/y.aec", "y.aec"),
        ("https://host", "picture"),
    ],
)
def test_names_of_urls(url: str, name: str) -> None:
    assert base_name(url) == name


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A real HTTP server of the folder, which answers no ranges; its URL."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_http_reads_files_and_says_why_it_cannot(tmp_path: Path, server: str) -> None:
    pytest.importorskip("aiohttp", reason="fsspec reads http with aiohttp")
    (tmp_path / "a.aec").write_bytes(PACKED)
    assert read_all(f"{server}/a.aec") == PACKED
    with pytest.raises(FileNotFoundError, match="404"):
        read_all(f"{server}/none.aec")
    with pytest.raises(FileNotFoundError, match="Cannot connect"):
        read_all("http://127.0.0.1:1/a.aec")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_are_their_own_source(kind: Any) -> None:  # noqa: ANN401  # three types
    assert read_all(kind(PACKED)) == PACKED
    with opened(kind(PACKED)) as file:
        file.seek(256)
        assert file.read(2) == b"\x00\x01"


def test_paths_and_urls_have_parts(tmp_path: Path, remote: str) -> None:
    (tmp_path / "a.aec").write_bytes(PACKED)
    for source in (tmp_path / "a.aec", str(tmp_path / "a.aec"), remote):
        assert read_all(source) == PACKED
        with opened(source) as file:
            assert can_seek(file)
            file.seek(256 + 65)
            assert file.read(2) == b"AB"


def test_a_dash_is_a_path_like_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-").write_bytes(PACKED)
    assert read_all("-") == PACKED


def test_file_objects_stay_open_and_are_read_from_their_beginning() -> None:
    file = BytesIO(PACKED)
    file.seek(100)
    assert read_all(file) == PACKED
    assert not file.closed
    assert not can_seek(Pipe(PACKED))
