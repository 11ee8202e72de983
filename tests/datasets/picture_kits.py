"""Small pictures as files, and files that are none or ask for too much."""

import struct
import zlib
from io import BytesIO

import numpy as np
from conftest import make_picture
from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def make_pictures(count: int, *, smallest: int = 64, largest: int = 300) -> dict[str, bytes]:
    """PNG and JPEG files by name, in folders of ten, seeded by their numbers."""
    sizes = np.random.default_rng(5).integers(smallest, largest, (count, 2), endpoint=True)
    files = {}
    for number, (height, width) in enumerate(sizes):
        kind = "jpg" if number % 3 == 2 else "png"
        file = BytesIO()
        pixels = make_picture(int(height), int(width), seed=number)
        Image.fromarray(pixels).save(file, {"jpg": "JPEG", "png": "PNG"}[kind])
        files[f"{number // 10}/{number:03d}.{kind}"] = file.getvalue()
    return files


def make_poisoned() -> dict[str, bytes]:
    """Files that must be refused, by name."""
    whole = _png(200, 150)
    return {
        "0/truncated.png": whole[: len(whole) // 2],
        "1/huge.png": _huge_header(),
        "2/empty.png": b"",
        "no-picture.jpg": b"<html>404 Not Found</html>\n",
        "1/cut.jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    }


def make_large(side: int) -> bytes:
    """A PNG of `side` by `side` pixels that takes little as a file and much in memory."""
    rows = np.zeros((side, side, 3), np.uint8)
    rows[::64, :, 1] = 200
    file = BytesIO()
    Image.fromarray(rows).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _png(height: int, width: int) -> bytes:
    file = BytesIO()
    Image.fromarray(make_picture(height, width)).save(file, "PNG")
    return file.getvalue()


def _huge_header() -> bytes:
    """A whole PNG whose header promises 60,000 by 60,000 pixels."""
    header = struct.pack(">2I5B", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1 << 16))
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
