"""Bad .aec files: each gives one line that names it, and leaves nothing behind."""

import errno
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture
from PIL import Image
from shell import ENVIRONMENT, Shell, assert_one_line

from aecodec.format.chunks import Header, PixelFormat, Tile
from aecodec.format.container import Stream, parse, serialize

HEAD = slice(8, 36)
"""Where the HEAD chunk stands in a file."""

Change = Callable[[bytes], bytes]


def with_head(data: bytes, width: int, height: int) -> bytes:
    """The file with another size in its header, and the right CRC."""
    head = bytearray(data[HEAD])
    struct.pack_into("<II", head, 8, width, height)
    struct.pack_into("<I", head, 24, zlib.crc32(head[4:24]))
    return data[: HEAD.start] + bytes(head) + data[HEAD.stop :]


def truncated_png() -> bytes:
    file = BytesIO()
    Image.fromarray(make_picture(50, 60)).save(file, "PNG")
    return file.getvalue()[:-4000]


def unknown_model(data: bytes) -> bytes:
    stream = parse(data)
    return serialize(replace(stream, header=replace(stream.header, model_id=b"none")))


def wrong_checksum(data: bytes) -> bytes:
    stream = parse(data)
    (tile,) = stream.tiles
    return serialize(replace(stream, tiles=(replace(tile, checksum=tile.checksum ^ 1),)))


def noise(data: bytes) -> bytes:
    stream = parse(data)
    words = np.random.default_rng(0).bytes(400)
    return serialize(replace(stream, tiles=(Tile(stream.tiles[0].checksum, words),)))


BAD_STREAMS: dict[str, tuple[Change, str]] = {
    "empty": (lambda _: b"", "truncated"),
    "text": (lambda _: b"Dear reader,\n", "not an .aec file"),
    "png": (lambda _: truncated_png(), "not an .aec file"),
    "truncated": (lambda d: d[:-20], "truncated"),
    "half of the header": (lambda d: d[:20], "truncated"),
    "flipped bit": (lambda d: d[:60] + bytes([d[60] ^ 4]) + d[61:], "checksum"),
    "trailing bytes": (lambda d: d + b"\0", "trailing"),
    "newer version": (lambda d: d[:4] + b"\2" + d[5:], "version 2"),
    "no width": (lambda d: with_head(d, 0, 20), "width is 0"),
    "no height": (lambda d: with_head(d, 30, 0), "height is 0"),
    "wide": (lambda d: with_head(d, 2**32 - 1, 20), "width is 4294967295"),
    "high": (lambda d: with_head(d, 30, 2**32 - 1), "height is 4294967295"),
    "largest": (lambda d: with_head(d, 2**31 - 1, 2**31 - 1), "limit"),
    "more tiles": (lambda d: with_head(d, 12_000, 12_000), "tiles"),
}

BAD_PAYLOADS: dict[str, tuple[Change, str]] = {
    "unknown model": (unknown_model, "6e6f6e65"),
    "wrong checksum": (wrong_checksum, "checksum"),
    "noise": (noise, ""),
}


@pytest.mark.parametrize("command", ["decompress", "verify", "info"])
@pytest.mark.parametrize("fault", BAD_STREAMS)
def test_bad_streams_are_named(shell: Shell, compressed: bytes, fault: str, command: str) -> None:
    change, reason = BAD_STREAMS[fault]
    shell.file("img.aec", change(compressed))
    before = shell.listing()
    run = shell.run if command == "info" else shell.model
    assert_one_line(run(command, "img.aec"), 1, "aecodec: img.aec: ", reason)
    assert shell.listing() == before


@pytest.mark.parametrize("command", ["decompress", "verify"])
@pytest.mark.parametrize("fault", BAD_PAYLOADS)
def test_bad_payloads_are_named(shell: Shell, compressed: bytes, fault: str, command: str) -> None:
    change, reason = BAD_PAYLOADS[fault]
    shell.file("img.aec", change(compressed))
    before = shell.listing()
    assert_one_line(shell.model(command, "img.aec"), 1, "aecodec: img.aec: ", reason)
    assert shell.listing() == before


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of resources")
def test_sizes_of_bad_headers_are_not_allocated(shell: Shell) -> None:
    """A header that promises the largest picture costs no memory, and no torch."""
    header = Header(2**31 - 1, 1, PixelFormat.RGB8, 14, 0, b"none")
    tile = Tile(0, b"")
    small = serialize(Stream(replace(header, width=1), (tile,)))
    shell.file("img.aec", with_head(small, 2**31 - 1, 2**31 - 1))
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29));"
        "from aecodec.cli import main; main(['decompress', 'img.aec'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=ENVIRONMENT
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "limit" in done.stderr


def test_one_bad_input_does_not_stop_the_others(shell: Shell, compressed: bytes) -> None:
    for name in ("a.png", "c.png"):
        shell.picture(name)
    shell.file("b.png", b"Dear reader,\n")
    result = shell.model("compress", "a.png", "b.png", "c.png")
    assert result.code == 1
    assert result.out.count("\n") == 3  # and a summary
    assert result.err.count("\n") == 1
    assert result.err.startswith("aecodec: b.png: ")
    assert sorted(shell.listing()) == ["a.aec", "a.png", "b.png", "c.aec", "c.png"]
    shell.file("b.aec", compressed[:-1])
    for arguments in (("info", "a.aec", "b.aec"), ("verify", "a.aec", "b.aec", "--model", "")):
        arguments = (*arguments[:-1], str(shell.weights)) if arguments[-1] == "" else arguments
        result = shell.run(*arguments)
        assert (result.code, result.err.count("\n")) == (1, 1)
        assert result.out.startswith("a.aec: ")
        assert "b.aec: truncated" in result.err


@pytest.mark.parametrize("command", ["compress", "decompress", "verify", "info"])
def test_missing_files_and_folders_are_named(shell: Shell, command: str) -> None:
    (shell.folder / "folder.png").mkdir()
    assert_one_line(shell.run(command, "./none.png"), 1, "./none.png: No such file or directory\n")
    converts = command in ("compress", "decompress")
    result = shell.run(command, "folder.png", *(["-o", "out.png"] if converts else []))
    reason = "is a folder; --recursive works on the files in it" if converts else "Is a directory"
    assert_one_line(result, 1, f"folder.png: {reason}\n")
    assert shell.listing() == {}


@pytest.mark.parametrize("command", ["compress", "decompress", "verify", "info"])
def test_unreadable_files_are_named(
    shell: Shell, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shell.file("img.bin", b"data")
    path.chmod(0)
    if os.access(path, os.R_OK):  # the superuser reads everything

        def refuse(self: Path, *_mode: str) -> bytes:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

        monkeypatch.setattr(Path, "read_bytes", refuse)
        monkeypatch.setattr(Path, "open", refuse)
    result = shell.run(command, "img.bin")
    assert_one_line(result, 1, "aecodec: img.bin: Permission denied\n")
    monkeypatch.undo()
    assert os.listdir(shell.folder) == ["img.bin"]
