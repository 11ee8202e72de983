"""Which tiles become lossless, and what that means for their neighbours; with the tiny model."""

from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture
from PIL import Image

from aecodec.codec import Codec
from aecodec.coding.lossless import encode_pixels
from aecodec.encoder.tile_view import cut_pixels
from aecodec.errors import ChecksumError, LimitError, PayloadError
from aecodec.format.chunks import Header, Limits, LosslessTile, PixelCoder, PixelFormat, Tile
from aecodec.format.container import Stream, parse, serialize
from aecodec.format.tiling import tile_boxes

Pixels = npt.NDArray[np.uint8]


def kinds(data: bytes) -> str:
    """`L` for each lossless tile and `.` for each learned one."""
    return "".join("L" if isinstance(t, LosslessTile) else "." for t in parse(data).tiles)


def photo(height: int, width: int) -> Pixels:
    """A smooth picture whose noise no lossless coder can afford."""
    noise = np.random.default_rng(5).integers(-6, 7, (height, width, 3))
    picture: Pixels = np.clip(make_picture(height, width) + noise, 0, 255).astype(np.uint8)
    return picture


def flat(height: int, width: int) -> Pixels:
    return np.full((height, width, 3), (250, 10, 40), np.uint8)


def mixed() -> Pixels:
    """3x3 tiles of 64 pixels, cut off below and at the right; flat at 1 (top), 3 and 8."""
    pixels = photo(170, 180)
    pixels[:64, 64:128] = pixels[64:128, :64] = 250
    pixels[128:, 128:] = 7
    return pixels


@pytest.fixture(scope="module")
def mixed_data(tiny_codec: Codec) -> bytes:
    return tiny_codec.compress(mixed(), 30, tile_exponent=6)


def png_size(pixels: Pixels) -> int:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return file.tell()


def test_flat_tiles_are_lossless_and_others_learned(tiny_codec: Codec, mixed_data: bytes) -> None:
    pixels = mixed()
    assert kinds(mixed_data) == ".L.L....L"
    decoded = tiny_codec.decompress_array(mixed_data)
    for box in (np.s_[:64, 64:128], np.s_[64:128, :64], np.s_[128:, 128:]):
        np.testing.assert_array_equal(decoded[box], pixels[box])
    assert not np.array_equal(decoded, pixels)


def test_gray_tiles_too(tiny_codec: Codec) -> None:
    pixels = np.ascontiguousarray(mixed()[:, :, 1])
    data = tiny_codec.compress(pixels, 10, tile_exponent=6)
    decoded = tiny_codec.decompress_array(data)
    assert "L" in kinds(data)
    assert decoded.shape == pixels.shape
    np.testing.assert_array_equal(decoded[:64, 64:128], pixels[:64, 64:128])


def test_learned_tiles_do_not_see_their_lossless_neighbours(
    tiny_codec: Codec, mixed_data: bytes
) -> None:
    """Their words and pixels depend on nothing inside, so that no detail there can ring out."""
    second = mixed()
    second[:64, 64:128] = 5
    second[64:128, :64] = (0, 255, 0)
    a, b = mixed_data, tiny_codec.compress(second, 30, tile_exponent=6)
    assert kinds(a) == kinds(b)
    for tile, other in zip(parse(a).tiles, parse(b).tiles, strict=True):
        assert isinstance(tile, LosslessTile) or tile == other
    x, y = (tiny_codec.decompress_array(data) for data in (a, b))
    np.testing.assert_array_equal(x[:64, :64], y[:64, :64])
    np.testing.assert_array_equal(x[64:, 64:], y[64:, 64:])


def test_photographs_stay_learned_and_nothing_changes_for_them(tiny_codec: Codec) -> None:
    pixels = photo(100, 150)
    data = tiny_codec.compress(pixels, 50, tile_exponent=6)
    assert "L" not in kinds(data)
    assert data == tiny_codec.compress(pixels, 50, tile_exponent=6, lossless_tiles=False)


def test_lossless_tiles_can_be_refused(tiny_codec: Codec) -> None:
    assert kinds(tiny_codec.compress(flat(70, 80), 50)) == "L"
    assert kinds(tiny_codec.compress(flat(70, 80), 50, lossless_tiles=False)) == "."


def test_many_lossless_tiles_give_way_to_one(tiny_codec: Codec) -> None:
    """Each tile has its own tables; a PNG has them once."""
    pixels = np.tile(photo(8, 8), (25, 40, 1))
    header = Header(320, 200, PixelFormat.RGB8, 6, 0, b"tiny")
    tiled = [encode_pixels(pixels[box.slices(16)]).size for box in tile_boxes(header)]
    assert sum(tiled) > png_size(pixels) + 64
    data = tiny_codec.compress(pixels, 95, tile_exponent=6)
    header = parse(data).header
    assert (kinds(data), header.tile_side) == ("L", 512)
    assert len(data) <= png_size(pixels) + 64
    np.testing.assert_array_equal(tiny_codec.decompress_array(data), pixels)


def test_a_lossless_picture_needs_no_model(tiny_codec: Codec, tmp_path: Path) -> None:
    pixels = flat(30, 50)
    data = tiny_codec.compress(pixels)
    missing = Codec(tmp_path / "none.safetensors")
    np.testing.assert_array_equal(missing.decompress_array(data), pixels)
    np.testing.assert_array_equal(np.asarray(missing.decompress(data)), pixels)


def test_limits_hold_for_lossless_tiles(tiny_codec: Codec, tiny_weights: Path) -> None:
    with pytest.raises(LimitError):
        Codec(tiny_weights, limits=Limits(pixels=100)).decompress_array(
            tiny_codec.compress(flat(20, 20))
        )


def test_damaged_data_and_checksums_are_noticed(tiny_codec: Codec) -> None:
    def stripes(height: int, width: int) -> Pixels:
        pixels = flat(height, width)
        pixels[::2] = 9
        return pixels

    stream = parse(tiny_codec.compress(stripes(64, 64)))
    (tile,) = stream.tiles
    assert isinstance(tile, LosslessTile)
    assert tile.coder != PixelCoder.FLAT
    for changed, error in (
        (LosslessTile(tile.checksum ^ 1, tile.coder, tile.data), ChecksumError),
        (LosslessTile(tile.checksum, tile.coder, tile.data[:-6]), PayloadError),
        (LosslessTile(tile.checksum, PixelCoder(1 - tile.coder), tile.data), PayloadError),
        (LosslessTile(tile.checksum, PixelCoder.FLAT, tile.data), PayloadError),
        (encode_pixels(stripes(64, 65)), PayloadError),
        (encode_pixels(flat(64, 65)), ChecksumError),
    ):
        with pytest.raises(error):
            tiny_codec.decompress_array(serialize(Stream(stream.header, (changed,))))


def test_a_learned_tile_is_coded_the_same_wherever_its_neighbours_are(tiny_codec: Codec) -> None:
    """A learned tile with lossless ones on all sides is a picture of its own."""
    pixels = np.full((192, 192, 3), 200, np.uint8)
    pixels[64:128, 64:128] = photo(64, 64)
    data = tiny_codec.compress(pixels, 30, tile_exponent=6)
    assert kinds(data) == "LLLL.LLLL"
    alone = tiny_codec.compress(pixels[64:128, 64:128], 30, tile_exponent=6)
    (tile,) = parse(alone).tiles
    assert isinstance(tile, Tile)
    assert parse(data).tiles[4] == tile
    np.testing.assert_array_equal(
        tiny_codec.decompress_array(data)[64:128, 64:128], tiny_codec.decompress_array(alone)
    )


def test_pixels_of_lossless_tiles_are_hidden() -> None:
    pixels = photo(100, 90)
    mask = np.zeros((7, 6), np.bool_)
    mask[4:, 4:] = True
    cut = cut_pixels(pixels, (112, 96), mask)
    assert cut.shape == (112, 96, 3)
    assert (cut[64:, 64:] == 128).all()
    np.testing.assert_array_equal(cut[:64, :90], pixels[:64])
    np.testing.assert_array_equal(cut[100:, :64], pixels[[99] * 12, :64])
    deep = cut_pixels(pixels.astype(np.uint16) * 257, (112, 96), mask)
    np.testing.assert_array_equal(deep, cut.astype(np.uint16) * 257)
    corner = pixels[:64, :64]
    np.testing.assert_array_equal(cut_pixels(corner, (64, 64), mask[:4, :4]), corner)
