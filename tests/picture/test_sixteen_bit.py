"""Pictures of 16 bits a sample: in and out of every kind of file without rounding to 8 bits."""

import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from conftest import make_sixteen_bit
from PIL import Image

from aecodec.errors import AecError, InputError
from aecodec.picture.metadata import Metadata, metadata_of
from aecodec.picture.metrics import pixels_ms_ssim, pixels_psnr
from aecodec.picture.picture import decode_picture, to_picture, to_pil
from aecodec.picture.pixels import exact_eight_bit, little_endian, to_eight_bit, to_sixteen_bit
from aecodec.picture.row_readers import open_rows
from aecodec.picture.writers import encode

CHANNELS = [1, 2, 3, 4]


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_files_hold_the_pixels_exactly(channels: int, kind: str) -> None:
    pixels = make_sixteen_bit(21, 33, channels)
    data = encode(pixels, kind, Metadata(resolution=(300.0, 300.0)))
    picture = decode_picture(data)
    expected = pixels
    if (kind, channels) == ("TIFF", 2):  # gray with alpha is RGB in TIFF
        expected = pixels[:, :, [0, 0, 0, 1]]
    assert picture.whole.dtype == np.uint16
    np.testing.assert_array_equal(picture.whole, expected)
    assert picture.metadata.resolution == pytest.approx((300, 300), abs=0.1)


def test_16_bit_png_is_what_others_read() -> None:
    """libpng, by way of libvips, checks every filter and checksum."""
    pyvips = pytest.importorskip("pyvips")
    for channels in CHANNELS:
        pixels = make_sixteen_bit(70, 41, channels)
        found = pyvips.Image.new_from_buffer(encode(pixels, "PNG", Metadata()), "").numpy()
        np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_ppm_goes_in_and_out(channels: int, tmp_path: Path) -> None:
    pixels = make_sixteen_bit(9, 11, channels)
    path = tmp_path / "a.ppm"
    path.write_bytes(encode(pixels, "PPM", Metadata()))
    np.testing.assert_array_equal(to_picture(path).pixels, pixels)
    with open_rows(path) as source:
        assert source is not None
        assert source.sixteen_bit
        np.testing.assert_array_equal(source.rows(2, 7), pixels[2:7])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises((InputError, OSError), match=r"truncated|ends before row 9"):
        to_picture(path)


def test_colour_keys_of_16_bits_become_alpha() -> None:
    pixels = make_sixteen_bit(8, 9, 3)
    pixels[2, 3] = 700, 800, 900
    png = encode(pixels, "PNG", Metadata())
    key = b"tRNS" + np.array([700, 800, 900], ">u2").tobytes()
    chunk = b"\0\0\0\6" + key + zlib.crc32(key).to_bytes(4, "big")
    picture = decode_picture(png[:33] + chunk + png[33:])
    assert picture.alpha is not None
    assert picture.alpha[2, 3] == 0
    assert (picture.alpha == 0).sum() == 1
    shown = picture.alpha > 0
    np.testing.assert_array_equal(picture.pixels[shown], pixels[shown])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_pictures_are_turned_like_others(orientation: int, channels: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    sixteen_bit = make_sixteen_bit(4, 6, channels)
    data = encode(sixteen_bit, "PNG", Metadata(exif=exif.tobytes()))
    eight_bit = BytesIO()
    Image.fromarray((sixteen_bit >> 8).astype(np.uint8)).save(eight_bit, "PNG", exif=exif)
    found = decode_picture(data, keep=()).pixels
    np.testing.assert_array_equal(found >> 8, decode_picture(eight_bit.getvalue(), keep=()).pixels)


def test_profiles_go_along_in_16_bit_tiff(tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encode(make_sixteen_bit(8, 9, 3), "TIFF", Metadata(icc=profile, xmp=b"<x/>"))
    with Image.open(BytesIO(data)) as image:
        assert metadata_of(image).icc == profile
        assert metadata_of(image).xmp == b"<x/>"


def test_without_pyvips_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(make_sixteen_bit(8, 9, 3), "PNG", Metadata())
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with pytest.raises(InputError, match=r"needs pyvips: pip install 'aecodec\[vips\]'"):
        decode_picture(data)
    with pytest.raises(InputError, match=r"needs pyvips: pip install 'aecodec\[vips\]'"):
        encode(make_sixteen_bit(8, 9, 3), "TIFF", Metadata())
    assert decode_picture(encode(make_sixteen_bit(8, 9, 1), "PNG", Metadata())).pixels.ndim == 2


def test_damaged_16_bit_files_are_named() -> None:
    data = encode(make_sixteen_bit(30, 40, 3), "PNG", Metadata())
    rng = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(data[: rng.integers(30, len(data))])
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        try:
            decode_picture(bytes(damaged))
        except (AecError, OSError):
            continue


def test_pil_has_only_gray_of_16_bits() -> None:
    assert to_pil(make_sixteen_bit(2, 2, 1)).mode == "I;16"
    with pytest.raises(InputError, match=r"no mode for 16-bit pixels .* ask for depth 8"):
        to_pil(make_sixteen_bit(2, 2, 3))


def test_depths_change_without_loss_where_they_can() -> None:
    pixels = make_sixteen_bit(9, 8, 3)
    eight_bit = to_eight_bit(pixels)
    assert np.abs(eight_bit - pixels / 257).max() <= 0.5
    assert exact_eight_bit(pixels) is None
    np.testing.assert_array_equal(exact_eight_bit(to_sixteen_bit(eight_bit)), eight_bit)
    assert exact_eight_bit(eight_bit) is to_eight_bit(eight_bit) is eight_bit
    assert little_endian(np.array([[258, 772]], ">u2")).view(np.uint8).tolist() == [[2, 1, 4, 3]]


def test_metrics_are_in_the_pictures_own_steps() -> None:
    wide = make_sixteen_bit(170, 170, 1), make_sixteen_bit(170, 170, 1, seed=1)
    narrow = to_eight_bit(wide[0]), to_eight_bit(wide[1])
    assert pixels_psnr(*wide) == pytest.approx(pixels_psnr(*narrow), abs=0.1)
    assert pixels_ms_ssim(*wide) == pytest.approx(pixels_ms_ssim(*narrow), abs=0.005)
