"""The residual layer of whole files: exact or bounded, on top of a lossy picture."""

import struct
import zlib

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture

from aecodec.codec import Codec
from aecodec.errors import InputError, TruncatedError, UnsupportedError
from aecodec.format.chunks import LosslessTile, PixelCoder
from aecodec.format.container import chunk_table, parse
from aecodec.format.tiling import Region

Pixels = npt.NDArray[np.uint8]


@pytest.fixture
def only_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tile is stored: small ones, and those of a tiny model, would be."""
    huge = LosslessTile(0, PixelCoder.PNG, bytes(10**6))
    monkeypatch.setattr("aecodec.encoder.residual_layer.encode_pixels", lambda *_, **__: huge)


@pytest.mark.usefixtures("only_layers")
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("bound", [0, 3])
def test_files_keep_their_promise(tiny_codec: Codec, gray: bool, bound: int) -> None:
    picture = make_picture(75, 150, seed=2)
    pixels = np.ascontiguousarray(picture[:, :, 0]) if gray else picture
    data = tiny_codec.compress(pixels, max_error=bound, tile_exponent=6)
    decoded = tiny_codec.decompress_array(data)
    assert np.abs(decoded.astype(int) - pixels).max() <= bound
    part = tiny_codec.decompress_array(data, region=Region(50, 30, 70, 40))
    np.testing.assert_array_equal(part, decoded[30:70, 50:120])


@pytest.mark.usefixtures("only_layers")
def test_a_larger_bound_takes_fewer_bytes(tiny_codec: Codec) -> None:
    picture = make_picture(90, 120, seed=2)
    sizes = [len(tiny_codec.compress(picture, max_error=bound)) for bound in (0, 1, 3, 8)]
    assert sizes == sorted(sizes, reverse=True)


def test_stored_tiles_take_the_place_of_larger_ones(tiny_codec: Codec) -> None:
    picture = make_picture(128, 128)
    picture[:, 64:] = 17
    data = tiny_codec.compress(picture, lossless=True, tile_exponent=6)
    stream = parse(data)
    assert stream.lossless_count >= 2
    assert stream.layer is not None
    assert len(stream.layer.residuals) == 4 - stream.lossless_count
    np.testing.assert_array_equal(tiny_codec.decompress_array(data), picture)


@pytest.mark.usefixtures("only_layers")
def test_alpha_and_visible_colours_are_exact(tiny_codec: Codec) -> None:
    rng = np.random.default_rng(1)
    alpha = rng.choice([0, 90, 255], (40, 50, 1)).astype(np.uint8)
    picture = np.dstack((make_picture(40, 50), alpha))
    decoded = tiny_codec.decompress_array(tiny_codec.compress(picture, lossless=True))
    np.testing.assert_array_equal(decoded[:, :, 3], alpha[:, :, 0])
    visible = alpha[:, :, 0] > 0
    np.testing.assert_array_equal(decoded[visible], picture[visible])


def test_sixteen_bit_pictures_are_stored(tiny_codec: Codec) -> None:
    picture = np.random.default_rng(1).integers(0, 2**16, (20, 30, 3)).astype(np.uint16)
    data = tiny_codec.compress(picture, lossless=True)
    assert parse(data).layer is None
    np.testing.assert_array_equal(tiny_codec.decompress_array(data), picture)


@pytest.mark.usefixtures("only_layers")
def test_the_lossy_part_decodes_alone(tiny_codec: Codec) -> None:
    picture = make_picture(75, 110, seed=2)
    whole = tiny_codec.compress(picture, 60, max_error=0, tile_exponent=6)
    assert parse(whole).lossless_count == 0
    plain = tiny_codec.compress(picture, 60, tile_exponent=6, lossless_tiles=False)
    expected = tiny_codec.decompress_array(plain)
    np.testing.assert_array_equal(tiny_codec.decompress_array(whole, lossy=True), expected)
    first = next(offset for kind, offset, _ in chunk_table(whole) if kind == "RESI")
    with pytest.raises(TruncatedError):
        tiny_codec.decompress_array(whole[: first + 40])
    left = tiny_codec.decompress_array(whole[: first + 40], allow_truncated=True)
    np.testing.assert_array_equal(left, expected)
    exact = tiny_codec.decompress_array(whole, allow_truncated=True)
    np.testing.assert_array_equal(exact, picture)
    repaired, found = tiny_codec.repair(whole[: first + 40])
    assert parse(repaired).layer is None
    assert found.report() == ["the residual layer is lost, so the picture is lossy"]
    np.testing.assert_array_equal(tiny_codec.decompress_array(repaired), expected)


@pytest.mark.usefixtures("only_layers")
def test_smaller_pictures_are_means_of_the_exact_one(tiny_codec: Codec) -> None:
    picture = make_picture(64, 96, seed=2)
    data = tiny_codec.compress(picture, lossless=True)
    half = tiny_codec.decompress_array(data, scale=2).astype(int)
    means = picture.reshape(32, 2, 48, 2, 3).mean((1, 3))
    assert np.abs(half - means).max() <= 0.5


@pytest.mark.parametrize("wish", [{"max_error": 256}, {"max_error": -1}, {"max_error": 1.5}])
def test_impossible_bounds(tiny_codec: Codec, wish: dict[str, int]) -> None:
    with pytest.raises(InputError, match="max_error"):
        tiny_codec.compress(make_picture(16, 16), **wish)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.usefixtures("only_layers")
def test_unknown_tables_are_named(tiny_codec: Codec) -> None:
    data = tiny_codec.compress(make_picture(30, 30), max_error=1)
    assert parse(data).layer is not None
    changed = bytearray(data)
    changed[44] ^= 1
    changed[49:53] = struct.pack("<I", zlib.crc32(changed[40:49]))
    with pytest.raises(UnsupportedError, match="residual tables"):
        tiny_codec.decompress_array(bytes(changed))
