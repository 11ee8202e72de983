"""Checksums of all decoded pixels: in the file, and compared."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from raw_files import WHOLE

from aecodec.errors import ChecksumError, HeaderError
from aecodec.format.chunks import Chunk
from aecodec.format.container import parse, serialize
from aecodec.format.digest import TYPE, PixelDigest, check_digest, with_digest

PIXELS = np.random.default_rng(0).integers(0, 256, (50, 100)).astype(np.uint8)
STREAM = parse(WHOLE)


def pixel_digest(pixels: npt.NDArray[Any]) -> bytes:
    digest = PixelDigest()
    digest.update(pixels)
    return digest.result()


def test_a_file_holds_one_digest_beside_other_chunks() -> None:
    first = with_digest(STREAM, bytes(32))
    second = with_digest(first, pixel_digest(PIXELS))
    kinds = [chunk.type for chunk in second.ancillary]
    assert kinds == [b"note", TYPE]
    assert parse(serialize(second)) == second
    assert with_digest(second, None) == STREAM
    assert len(serialize(second)) == len(WHOLE) + 44


def test_pixels_are_compared_where_there_is_a_digest() -> None:
    check_digest(STREAM, pixel_digest(PIXELS))
    stream = with_digest(STREAM, pixel_digest(PIXELS))
    check_digest(stream, pixel_digest(PIXELS))
    with pytest.raises(ChecksumError, match="the picture") as caught:
        check_digest(stream, pixel_digest(255 - PIXELS))
    assert caught.value.stored == hashlib.sha256(PIXELS.tobytes()).hexdigest()
    assert caught.value.computed == hashlib.sha256((255 - PIXELS).tobytes()).hexdigest()


def test_every_digest_of_a_file_counts() -> None:
    right, wrong = Chunk(TYPE, pixel_digest(PIXELS)), Chunk(TYPE, bytes(32))
    check_digest(replace(STREAM, ancillary=(right, right)), pixel_digest(PIXELS))
    with pytest.raises(ChecksumError):
        check_digest(replace(STREAM, ancillary=(right, wrong)), pixel_digest(PIXELS))
    with pytest.raises(HeaderError, match="31 bytes"):
        check_digest(
            replace(STREAM, ancillary=(right, Chunk(TYPE, bytes(31)))), pixel_digest(PIXELS)
        )


def test_the_digest_does_not_depend_on_byte_order_or_layout() -> None:
    sixteen_bit = PIXELS.astype(np.uint16) * 201
    assert pixel_digest(sixteen_bit) == hashlib.sha256(sixteen_bit.astype("<u2").tobytes()).digest()
    assert pixel_digest(sixteen_bit) == pixel_digest(sixteen_bit.astype(">u2"))
    assert pixel_digest(sixteen_bit) == pixel_digest(np.asfortranarray(sixteen_bit))
    assert pixel_digest(sixteen_bit) != pixel_digest(sixteen_bit.astype(np.uint8))
