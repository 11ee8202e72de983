"""Checksums of decoded pixels."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import make_picture

from aecodec.codec import Codec
from aecodec.errors import ChecksumError, HeaderError
from aecodec.format.chunks import Chunk
from aecodec.format.container import parse, serialize
from aecodec.format.digest import TYPE, has_digest, with_digest
from aecodec.picture.pixels import Pixels

KINDS: dict[str, Pixels] = {
    "rgb": make_picture(70, 90),
    "gray": make_picture(70, 90)[..., 0],
    "rgba": np.dstack([make_picture(70, 90), np.arange(6300).reshape(70, 90) % 256]).astype(
        np.uint8
    ),
    "sixteen_bit": make_picture(40, 30).astype(np.uint16) * 201,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lossless", [False, True])
def test_files_with_a_checksum_verify(tiny_codec: Codec, kind: str, lossless: bool) -> None:
    plain = tiny_codec.compress(KINDS[kind], tile_exponent=6, lossless=lossless)
    data = tiny_codec.compress(KINDS[kind], tile_exponent=6, lossless=lossless, checksum=True)
    assert len(data) == len(plain) + 44
    assert has_digest(tiny_codec.verify(data))
    np.testing.assert_array_equal(
        tiny_codec.decompress_array(data), tiny_codec.decompress_array(plain)
    )


def test_other_pixels_are_noticed(tiny_codec: Codec) -> None:
    stream = parse(tiny_codec.compress(KINDS["rgb"]))
    assert not has_digest(tiny_codec.verify(serialize(stream)))
    with pytest.raises(ChecksumError, match="the picture"):
        tiny_codec.verify(serialize(with_digest(stream, bytes(32))))
    with pytest.raises(HeaderError, match="31 bytes"):
        tiny_codec.verify(serialize(replace(stream, ancillary=(Chunk(TYPE, bytes(31)),))))


def test_repair_drops_the_checksum_of_what_is_gone(tiny_codec: Codec) -> None:
    data = tiny_codec.compress(KINDS["rgb"], tile_exponent=6, checksum=True)
    whole, _ = tiny_codec.repair(data)
    assert whole == data
    broken, _ = tiny_codec.repair(data[:-60])
    assert not has_digest(tiny_codec.verify(broken))
