"""The coders of lossless tiles: exact, no larger than PNG, and safe on hostile data."""

import tracemalloc
import zlib
from contextlib import suppress
from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aecodec.coding.lossless import decode_pixels, encode_pixels, encode_png
from aecodec.errors import AecError, ChecksumError, LimitError, PayloadError
from aecodec.format.chunks import LosslessTile, PixelCoder

Pixels = npt.NDArray[np.uint8 | np.uint16]
SIZES = [(1, 1), (1, 40), (33, 1), (2, 3), (64, 64), (51, 77)]


def blocks(height: int, width: int) -> Pixels:
    """Few colours in large blocks, as in a drawing."""
    coarse = np.random.default_rng(3).integers(0, 4, (height // 8 + 1, width // 8 + 1, 3)) * 85
    return coarse.astype(np.uint8).repeat(8, 0).repeat(8, 1)[:height, :width]


def decode(tile: LosslessTile, like: Pixels) -> Pixels:
    return decode_pixels(tile, like.shape[0], like.shape[1], gray=like.ndim == 2)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("gray", [False, True])
def test_pixels_come_back_exactly(size: tuple[int, int], gray: bool) -> None:
    for pixels in (make_picture(*size), blocks(*size)):
        original = np.ascontiguousarray(pixels[:, :, 0]) if gray else pixels
        for tile in (encode_pixels(original), encode_png(original)):
            np.testing.assert_array_equal(decode(tile, original), original)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("gray", [False, True])
def test_data_are_smaller_than_the_png(size: tuple[int, int], gray: bool) -> None:
    pixels = blocks(*size)
    pixels = np.ascontiguousarray(pixels[:, :, 0]) if gray else pixels
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    assert len(encode_png(pixels).data) == file.tell() - 57
    assert len(encode_pixels(pixels).data) <= file.tell() - 57


def test_the_smaller_coder_wins() -> None:
    assert encode_pixels(make_picture(1, 2)).coder == PixelCoder.PNG
    assert encode_pixels(blocks(64, 64)).coder == PixelCoder.WEBP


def test_sides_beyond_webp_are_stored_as_png() -> None:
    pixels = np.zeros((16384, 1, 3), np.uint8)
    pixels[-1] = 9
    tile = encode_pixels(pixels)
    assert tile.coder == PixelCoder.PNG
    np.testing.assert_array_equal(decode(tile, pixels), pixels)


def webp(pixels: Pixels) -> LosslessTile:
    tile = encode_pixels(pixels)
    assert tile.coder == PixelCoder.WEBP
    return tile


def forged(tile: LosslessTile, data: bytes) -> LosslessTile:
    return LosslessTile(tile.checksum, tile.coder, data)


@pytest.mark.parametrize("size", [(63, 64), (64, 63), (16383, 16383)])
def test_another_size_is_refused_before_decoding(size: tuple[int, int]) -> None:
    pixels = blocks(64, 64)
    for tile in (webp(pixels), encode_png(pixels)):
        with pytest.raises(PayloadError, match=f"{size[1]} x {size[0]}"):
            decode_pixels(tile, *size, gray=False)


def test_a_tile_of_the_other_kind_of_picture_is_refused() -> None:
    pixels = blocks(64, 64)
    with pytest.raises(PayloadError, match="do not hold"):
        decode_pixels(encode_png(pixels), 64, 64, gray=True)
    with pytest.raises(ChecksumError):
        decode_pixels(webp(pixels), 64, 64, gray=True)


def test_other_kinds_of_webp_are_refused() -> None:
    pixels = blocks(64, 64)
    tile = webp(pixels)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=50)
    alpha = bytearray(tile.data)
    alpha[4] |= 0x10
    later = bytearray(tile.data)
    later[4] |= 0x20
    for data in (b"", b"\x2f", file.getvalue(), file.getvalue()[20:], bytes(alpha), bytes(later)):
        with pytest.raises(PayloadError, match="not VP8L without alpha"):
            decode(forged(tile, data), pixels)


@pytest.mark.parametrize("coder", PixelCoder)
def test_every_prefix_and_changed_byte_is_an_error(coder: PixelCoder) -> None:
    pixels = blocks(48, 64)
    tile = webp(pixels) if coder == PixelCoder.WEBP else encode_png(pixels)
    for size in range(len(tile.data)):
        with pytest.raises(AecError):
            decode(forged(tile, tile.data[:size]), pixels)
    for position in range(len(tile.data)):
        damaged = bytearray(tile.data)
        damaged[position] ^= 0xFF
        try:
            decoded = decode(forged(tile, bytes(damaged)), pixels)
        except AecError:
            continue
        np.testing.assert_array_equal(decoded, pixels)  # padding bits of VP8L


def test_png_data_end_with_their_stream() -> None:
    pixels = blocks(16, 24)
    tile = encode_png(pixels)
    with pytest.raises(PayloadError, match="do not hold"):
        decode(forged(tile, tile.data + b"\0"), pixels)


def test_bytes_behind_a_webp_stream_go_unnoticed() -> None:
    """The specification forbids them, but libwebp does not say where the stream ended."""
    pixels = blocks(64, 64)
    tile = webp(pixels)
    for more in (b"\0", b"more"):
        np.testing.assert_array_equal(decode(forged(tile, tile.data + more), pixels), pixels)


def test_flat_data_are_one_pixel() -> None:
    pixels = np.full((3, 4, 3), 7, np.uint8)
    tile = encode_pixels(pixels)
    assert (tile.coder, tile.data) == (PixelCoder.FLAT, b"\7\7\7")
    for data in (b"", b"\7", b"\7\7\7\7"):
        with pytest.raises(PayloadError, match="which is no pixel"):
            decode(forged(tile, data), pixels)


def test_a_deflate_bomb_takes_no_memory() -> None:
    pixels = blocks(16, 24)
    bomb = zlib.compress(bytes(100_000_000), 9)
    tracemalloc.start()
    try:
        with pytest.raises(PayloadError, match="do not hold 24 x 16 pixels"):
            decode(forged(encode_png(pixels), bomb), pixels)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_wrong_filter_is_an_error_of_the_package() -> None:
    rows = b"".join(bytes([9]) + bytes(72) for _ in range(16))
    tile = LosslessTile(0, PixelCoder.PNG, zlib.compress(rows))
    with pytest.raises(AecError):
        decode_pixels(tile, 16, 24, gray=False)


def test_the_checksum_is_that_of_the_pixels() -> None:
    pixels = blocks(64, 64)
    for tile in (webp(pixels), encode_png(pixels)):
        assert tile.checksum == zlib.crc32(pixels.tobytes())
        other = LosslessTile(tile.checksum ^ 1, tile.coder, tile.data)
        with pytest.raises(ChecksumError, match="decoded pixels"):
            decode(other, pixels)


def test_pillows_limit_is_an_error_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = blocks(64, 64)
    tile = webp(pixels)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 64)
    np.testing.assert_array_equal(decode(tile, pixels), pixels)  # and no warning
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with suppress(LimitError):  # newer ones of Pillow check this
        np.testing.assert_array_equal(decode(tile, pixels), pixels)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.binary(max_size=60), st.sampled_from(PixelCoder), st.booleans())
def test_any_data_decode_or_raise_aec_error(data: bytes, coder: PixelCoder, gray: bool) -> None:
    head = b"\x2f" + (9 | 6 << 14).to_bytes(4, "little") if coder == PixelCoder.WEBP else b"\x78"
    for candidate in (data, head + data):
        with pytest.raises(AecError):
            decode_pixels(LosslessTile(0, coder, candidate), 7, 10, gray=gray)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("what", ["noise", "smooth", "bytes", "flat"])
def test_lossless_coders_keep_16_bits(what: str, gray: bool) -> None:
    rng = np.random.default_rng(3)
    shape = (33, 20) if gray else (33, 20, 3)
    pixels = {
        "noise": rng.integers(0, 65536, shape),
        "smooth": np.broadcast_to(np.arange(20)[:, None] * 3000, (33, 20, 3))[..., : shape[-1]]
        if not gray
        else np.broadcast_to(np.arange(20) * 3000, shape),
        "bytes": rng.integers(0, 3, shape) * 257 * 80,
        "flat": np.full(shape, 1234),
    }[what].astype(np.uint16)
    coders = {"bytes": PixelCoder.WEBP, "flat": PixelCoder.FLAT}
    tile = encode_pixels(pixels)
    assert tile.coder == coders.get(what, PixelCoder.PNG)
    for each in (tile, encode_png(pixels)):
        found = decode_pixels(each, 33, 20, gray=gray, sixteen_bit=True)
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(found, pixels)
        with pytest.raises(AecError):
            decode_pixels(each, 33, 20, gray=gray, sixteen_bit=False)
        with pytest.raises(AecError):
            decode_pixels(each, 32, 20, gray=gray, sixteen_bit=True)
