"""Files behind URLs and in file objects, decoded whole and in parts."""

import json
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from conftest import make_picture
from PIL import Image
from shell import run_main

import aecodec
from aecodec.codec import Codec
from aecodec.format.tiling import Region
from aecodec.storage.arguments import opened_for_parts

fsspec = pytest.importorskip("fsspec")
URL = "memory://aecodec-tests/a.aec"
REGION = Region(10, 20, 50, 30)


@pytest.fixture(scope="module")
def packed(tiny_codec: Codec) -> bytes:
    return tiny_codec.compress(make_picture(300, 290), 80, tile_exponent=6)


@pytest.fixture
def remote(packed: bytes) -> Iterator[str]:
    fs = fsspec.filesystem("memory")
    fs.pipe("/aecodec-tests/a.aec", packed)
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


def test_a_region_of_a_url(tiny_codec: Codec, packed: bytes, remote: str) -> None:
    np.testing.assert_array_equal(
        tiny_codec.decompress_array(remote, region=REGION),
        tiny_codec.decompress_array(packed, region=REGION),
    )
    assert aecodec.read_info(remote) == aecodec.read_info(packed)
    assert tiny_codec.decompress(remote).size == (290, 300)


def test_the_command_line_takes_urls(
    remote: str,
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    packed: bytes,
) -> None:
    monkeypatch.chdir(tmp_path)
    local = tmp_path / "b.aec"
    local.write_bytes(packed)
    model = ("--model", tiny_weights)
    assert run_main("decompress", remote, local.as_uri(), "--region", str(REGION), *model) == 0
    with Image.open("a.png") as a, Image.open("b.png") as b:
        assert a.size == (50, 30)
        assert a.tobytes() == b.tobytes()
    assert run_main("verify", remote, *model) == 0
    capsys.readouterr()
    assert run_main("info", "--json", remote, "b.aec") == 0
    far, near = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (far.pop("checked"), near.pop("checked")) == (False, True)
    assert (far.pop("file"), near.pop("file")) == (remote, "b.aec")
    assert far == near


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("memory://aecodec-tests/none.aec", "none.aec"),
        ("nothing://host/a.aec", "nothing"),
    ],
)
def test_what_cannot_be_opened_gives_one_line(
    url: str, reason: str, remote: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for command in (
        ("info", url),
        ("decompress", url, "-o", tmp_path / "a.png", "--region", "0,0,1,1"),
        ("decompress", url, "-o", tmp_path / "a.png"),
    ):
        assert run_main(*command) == 1
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert url in err
        assert reason in err
    assert not list(tmp_path.iterdir())


def test_pipes_are_read_whole(tiny_codec: Codec, packed: bytes) -> None:
    found = tiny_codec.decompress_array(Pipe(packed), region=REGION)
    np.testing.assert_array_equal(found, tiny_codec.decompress_array(packed, region=REGION))
    assert aecodec.read_info(Pipe(packed)).width == 290


def test_standard_input_has_parts(
    packed: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(packed)
    with (tmp_path / "a").open("r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with opened_for_parts("-") as file:
            assert file.seek(0, 2) == len(packed)


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
    data = aecodec.compress(make_picture(20, 30))
    (tmp_path / "a.aec").write_bytes(data)
    assert aecodec.read_info(f"{server}/a.aec") == aecodec.read_info(data)
    decoded = aecodec.decompress_array(f"{server}/a.aec", region=aecodec.Region(3, 4, 5, 6))
    assert np.array_equal(decoded, aecodec.decompress_array(data)[4:10, 3:8])
    with pytest.raises(FileNotFoundError, match="404"):
        aecodec.read_info(f"{server}/none.aec")
    with pytest.raises(FileNotFoundError, match="Cannot connect"):
        aecodec.read_info("http://127.0.0.1:1/a.aec")
