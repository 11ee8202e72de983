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
from aecodec.format.digest import TYPE, PixelDigest, check_digest, has_digest, with_digest

PIXELS = np.random.default_rng(0).integers(0, 256, (50, 100)).astype(np.uint8)
STREAM = parse(WHOLE)


def digest_of(pixels: npt.NDArray[Any], *, rows: int = 7) -> bytes:
    """The digest of a picture that comes in pieces of so many rows."""
    digest = PixelDigest()
    for top in range(0, len(pixels), rows):
        digest.update(pixels[top : top + rows])
    return digest.result()


def test_a_file_holds_one_digest_beside_other_chunks() -> None:
    first = with_digest(STREAM, bytes(32))
    second = with_digest(first, digest_of(PIXELS))
    kinds = [chunk.type for chunk in second.ancillary]
    assert kinds == [b"note", TYPE]
    assert parse(serialize(second)) == second
    assert with_digest(second, None) == STREAM
    assert len(serialize(second)) == len(WHOLE) + 44


def test_pixels_are_compared_where_there_is_a_digest() -> None:
    right, wrong = digest_of(PIXELS), digest_of(255 - PIXELS)
    assert not has_digest(STREAM)
    check_digest(STREAM, wrong)
    stream = with_digest(STREAM, right)
    assert has_digest(stream)
    check_digest(stream, right)
    with pytest.raises(ChecksumError, match="the picture") as caught:
        check_digest(stream, wrong)
    assert caught.value.stored == hashlib.sha256(PIXELS.tobytes()).hexdigest()
    assert caught.value.computed == hashlib.sha256((255 - PIXELS).tobytes()).hexdigest()


def test_every_digest_of_a_file_counts() -> None:
    computed = digest_of(PIXELS)
    right, wrong = Chunk(TYPE, computed), Chunk(TYPE, bytes(32))
    check_digest(replace(STREAM, ancillary=(right, right)), computed)
    with pytest.raises(ChecksumError):
        check_digest(replace(STREAM, ancillary=(right, wrong)), computed)
    with pytest.raises(HeaderError, match="31 bytes"):
        check_digest(replace(STREAM, ancillary=(right, Chunk(TYPE, bytes(31)))), computed)


def test_the_digest_does_not_depend_on_byte_order_layout_or_pieces() -> None:
    sixteen_bit = PIXELS.astype(np.uint16) * 201
    assert digest_of(sixteen_bit) == hashlib.sha256(sixteen_bit.astype("<u2").tobytes()).digest()
    assert digest_of(sixteen_bit) == digest_of(sixteen_bit.astype(">u2"))
    assert digest_of(sixteen_bit) == digest_of(np.asfortranarray(sixteen_bit))
    assert digest_of(sixteen_bit) == digest_of(sixteen_bit, rows=50)
    assert digest_of(sixteen_bit) != digest_of(sixteen_bit.astype(np.uint8))
