"""Chunks of PNG files against those that Pillow writes and reads."""

import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from aecodec.picture.png_chunks import (
    GRAY,
    HEAD,
    RGB,
    SIGNATURE,
    build_png,
    pack_head,
    read_chunks,
    walk_chunks,
)


def png(width: int = 30, height: int = 20) -> bytes:
    file = BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


def test_a_file_is_made_of_its_chunks() -> None:
    data = png()
    chunks = list(read_chunks(data))
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    assert chunks[0][1] == pack_head(30, 20, 8, RGB)
    assert HEAD.unpack(chunks[0][1]) == (30, 20, 8, RGB, 0, 0, 0)
    assert build_png(chunks) == data


def test_pillow_reads_what_is_built() -> None:
    head, rows = pack_head(2, 1, 8, GRAY), zlib.compress(b"\0\x07\x09")
    data = build_png([(b"IHDR", head), (b"IDAT", rows), (b"IEND", b"")])
    with Image.open(BytesIO(data)) as image:
        assert np.asarray(image).tolist() == [[7, 9]]


def test_payloads_may_be_left_unread() -> None:
    file = BytesIO(png())
    found = []
    for kind, size in walk_chunks(file):
        found.append((kind, size))
        file.read(size // 2)
    assert found == [(kind, len(payload)) for kind, payload in read_chunks(png())]


@pytest.mark.parametrize("data", [b"", SIGNATURE, SIGNATURE + b"\0\0\0\x01IDA"])
def test_a_file_that_is_cut_has_fewer_chunks(data: bytes) -> None:
    assert list(read_chunks(data)) == []
