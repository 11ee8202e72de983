"""Pictures of 16 bits a sample: through the codec without rounding to 8 bits."""

from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import make_picture, make_sixteen_bit

import aecodec
from aecodec.codec import Codec
from aecodec.errors import InputError
from aecodec.format.chunks import LosslessTile, PixelFormat
from aecodec.format.container import parse
from aecodec.format.tiling import Region
from aecodec.options import Target
from aecodec.picture.metrics import pixels_ms_ssim, pixels_psnr
from aecodec.picture.picture import to_pil
from aecodec.picture.pixels import shrink, to_eight_bit

CHANNELS = [1, 2, 3, 4]
EIGHT_BIT_PSNR = 10 * np.log10(255**2 * 12)
"""dB; what rounding to 8 bits leaves of anything."""


def visible(pixels: npt.NDArray[np.uint8 | np.uint16]) -> npt.NDArray[np.bool_]:
    has_alpha = pixels.ndim == 3 and pixels.shape[2] in (2, 4)
    return pixels[:, :, -1] > 0 if has_alpha else np.ones(pixels.shape[:2], np.bool_)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("size", [(1, 1), (37, 70), (130, 65)])
def test_16_bits_in_are_16_bits_out(
    tiny_codec: Codec, size: tuple[int, int], channels: int
) -> None:
    pixels = make_sixteen_bit(*size, channels)
    data = tiny_codec.compress(pixels, 95, tile_exponent=6, lossless_tiles=False)
    decoded = tiny_codec.decompress_array(data)
    assert decoded.shape == pixels.shape
    assert decoded.dtype == np.uint16
    shown = visible(pixels)
    error = np.abs(decoded[shown].astype(float) - pixels[shown])
    assert error.mean() < 12 * 257
    form = aecodec.read_info(data).pixel_format
    assert form.is_sixteen_bit
    assert form.channels == channels
    eight_bit = tiny_codec.decompress_array(data, depth=8)
    assert eight_bit.dtype == np.uint8
    assert np.abs(eight_bit - decoded / 257).max() <= 0.51


def test_nothing_is_rounded_to_8_bits_on_the_way(tiny_codec: Codec) -> None:
    """What 16 bits show of the synthesis lies within half a step of what 8 bits show."""
    y = np.random.default_rng(0).integers(-48, 48, (3, 3, 16), np.int16)
    sixteen_bit, eight_bit = (
        tiny_codec.encoder.decoder.synthesis.pixels(
            y, 200, scale=1, inside=(48, 48), sixteen_bit=deep, gray=False
        )
        for deep in (True, False)
    )
    assert np.abs(sixteen_bit / 257 - eight_bit).max() < 0.503
    pixels = make_sixteen_bit(64, 96, 3)
    data = tiny_codec.compress(pixels, 95, lossless_tiles=False)
    low = tiny_codec.decompress_array(data) % 257
    assert len(np.unique(low)) > 200


def test_a_smooth_gradient_is_nearer_than_8_bits_can_be() -> None:
    """With the released model; the gradient has less than a step of 8 bits in 10 pixels."""
    ramp = np.linspace(20000, 26000, 256)[None, :] + np.linspace(0, 1500, 256)[:, None]
    pixels: npt.NDArray[np.uint16] = np.dstack([ramp] * 3).astype(np.uint16)
    data = aecodec.compress(pixels, 100, tune="psnr")
    decoded = aecodec.decompress_array(data)
    assert decoded.dtype == np.uint16
    assert pixels_psnr(pixels, decoded) > EIGHT_BIT_PSNR + 3
    assert len(data) < pixels.nbytes / 10


def test_lossless_tiles_have_16_bits(tiny_codec: Codec) -> None:
    rows = np.arange(64, dtype=np.uint16)[:, None, None] * 5 + 30000
    pixels = np.broadcast_to(rows, (64, 128, 3)).copy()
    pixels[:, 64:] = make_sixteen_bit(64, 64, 3)
    data = tiny_codec.compress(pixels, 80, tile_exponent=6)
    assert isinstance(parse(data).tiles[0], LosslessTile)
    decoded = tiny_codec.decompress_array(data)
    np.testing.assert_array_equal(decoded[:, :64], pixels[:, :64])
    eight_bit = tiny_codec.decompress_array(data, depth=8)
    np.testing.assert_array_equal(eight_bit[:, :64], to_eight_bit(pixels[:, :64]))


@pytest.mark.parametrize("scale", [2, 8])
def test_parts_and_previews_have_16_bits(tiny_codec: Codec, scale: int) -> None:
    pixels = make_sixteen_bit(75, 110, 4)
    data = tiny_codec.compress(pixels, 90, tile_exponent=6)
    whole = tiny_codec.decompress_array(data, scale=scale)
    assert whole.dtype == np.uint16
    alpha = tiny_codec.decompress_array(data)[:, :, 3]
    np.testing.assert_array_equal(whole[:, :, 3], shrink(alpha, scale))
    means = alpha[: 64 // scale * scale, :64].reshape(64 // scale, scale, 64 // scale, scale)
    inner = whole[: 64 // scale, : 64 // scale, 3]
    assert np.abs(means.mean((1, 3)) - inner).max() <= 0.51
    part = tiny_codec.decompress_array(BytesIO(data), region=Region(16, 16, 40, 40), scale=scale)
    inside = whole[16 // scale : 56 // scale, 16 // scale : 56 // scale]
    assert np.abs(part.astype(int) - inside).max() <= 4  # float windows of another shape


def test_targets_are_in_the_pictures_own_steps(tiny_codec: Codec) -> None:
    pixels = make_sixteen_bit(64, 64, 3)
    data, found = tiny_codec.compress_to(pixels, Target("psnr", 30.0))
    decoded = tiny_codec.decompress_array(data)
    assert found.measured == pytest.approx(pixels_psnr(pixels, decoded))
    eight_bit = to_eight_bit(pixels), to_eight_bit(decoded)
    assert found.measured == pytest.approx(pixels_psnr(*eight_bit), abs=0.1)
    wide = make_sixteen_bit(170, 170, 1), make_sixteen_bit(170, 170, 1, seed=1)
    bytes_of = [to_eight_bit(each) for each in wide]
    assert pixels_ms_ssim(*wide) == pytest.approx(pixels_ms_ssim(*bytes_of), abs=0.005)


def test_floats_are_coded_as_16_bits(tiny_codec: Codec) -> None:
    values = np.random.default_rng(0).random((20, 30, 3))
    sixteen_bit = np.floor(values * 65535 + 0.5).astype(np.uint16)
    expected = tiny_codec.compress(sixteen_bit, 60)
    assert tiny_codec.compress(values, 60) == expected
    assert tiny_codec.compress(torch.from_numpy(values).permute(2, 0, 1), 60) == expected


def test_pil_has_only_gray_of_16_bits(tiny_codec: Codec) -> None:
    gray = tiny_codec.compress(make_sixteen_bit(20, 30, 1), 60)
    image = tiny_codec.decompress(gray)
    assert image.mode == "I;16"
    np.testing.assert_array_equal(np.asarray(image), tiny_codec.decompress_array(gray))
    for channels in (2, 3, 4):
        data = tiny_codec.compress(make_sixteen_bit(20, 30, channels), 60)
        with pytest.raises(InputError, match=r"no mode for 16-bit pixels .* ask for depth 8"):
            tiny_codec.decompress(data)
        eight_bit = tiny_codec.decompress(data, depth=8)
        assert eight_bit.mode == {2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    with pytest.raises(InputError, match="depth must be 8"):
        tiny_codec.decompress_array(gray, depth=10)
    with pytest.raises(InputError, match="no mode"):
        to_pil(make_sixteen_bit(2, 2, 3))


def test_gray_costs_no_more_than_the_same_picture_in_rgb() -> None:
    """With the released model: gray is its luma alone."""
    gray = make_picture(150, 200)[:, :, 0].copy()
    for quality in (10, 60, 95):
        alone = aecodec.compress(gray, quality)
        assert aecodec.read_info(alone).pixel_format is PixelFormat.GRAY8
        assert len(alone) <= len(aecodec.compress(np.dstack([gray] * 3), quality))
