"""Pictures of 16 bits a sample: in and out of every kind of file without rounding to 8 bits."""

import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import make_picture
from PIL import Image

import aecodec
from aecodec.cli import main
from aecodec.codec import Codec
from aecodec.errors import AecError, InputError
from aecodec.format.chunks import LosslessTile, PixelFormat
from aecodec.format.container import parse
from aecodec.format.tiling import Region
from aecodec.options import Target
from aecodec.picture.metadata import Metadata, metadata_of
from aecodec.picture.metrics import pixels_ms_ssim, pixels_psnr
from aecodec.picture.picture import decode_picture, to_picture, to_pil
from aecodec.picture.pixels import rounded_to_bytes, shrink
from aecodec.picture.row_readers import open_netpbm
from aecodec.picture.writers import encode

Deep = npt.NDArray[np.uint16]
CHANNELS = [1, 2, 3, 4]
EIGHT_BIT_PSNR = 10 * np.log10(255**2 * 12)
"""dB; what rounding to 8 bits leaves of anything."""


def make_deep(height: int, width: int, channels: int, *, seed: int = 0) -> Deep:
    """Noise of all 16 bits on a smooth picture."""
    rng = np.random.default_rng(seed)
    smooth = np.dstack((make_picture(height, width, seed=seed), make_picture(height, width)))
    pixels = smooth[:, :, :channels].astype(np.uint16) * 256
    pixels += rng.integers(0, 256, pixels.shape, np.uint16)
    return pixels[:, :, 0] if channels == 1 else pixels


def visible(pixels: npt.NDArray[np.uint8 | np.uint16]) -> npt.NDArray[np.bool_]:
    has_alpha = pixels.ndim == 3 and pixels.shape[2] in (2, 4)
    return pixels[:, :, -1] > 0 if has_alpha else np.ones(pixels.shape[:2], np.bool_)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        main([str(each) for each in arguments])
    return int(exit_.value.code or 0)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_files_hold_the_pixels_exactly(channels: int, kind: str) -> None:
    pixels = make_deep(21, 33, channels)
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
        pixels = make_deep(70, 41, channels)
        found = pyvips.Image.new_from_buffer(encode(pixels, "PNG", Metadata()), "").numpy()
        np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_ppm_goes_in_and_out(channels: int, tmp_path: Path) -> None:
    pixels = make_deep(9, 11, channels)
    path = tmp_path / "a.ppm"
    path.write_bytes(encode(pixels, "PPM", Metadata()))
    np.testing.assert_array_equal(to_picture(path).pixels, pixels)
    with path.open("rb") as file:
        strips = open_netpbm(file)
        assert strips is not None
        assert strips.sixteen_bit
        np.testing.assert_array_equal(strips.rows(2, 7), pixels[2:7])


def test_colour_keys_of_16_bits_become_alpha() -> None:
    pixels = make_deep(8, 9, 3)
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
    sixteen_bit = make_deep(4, 6, channels)
    data = encode(sixteen_bit, "PNG", Metadata(exif=exif.tobytes()))
    eight_bit = BytesIO()
    Image.fromarray((sixteen_bit >> 8).astype(np.uint8)).save(eight_bit, "PNG", exif=exif)
    found = decode_picture(data, keep=()).pixels
    np.testing.assert_array_equal(found >> 8, decode_picture(eight_bit.getvalue(), keep=()).pixels)


def test_profiles_go_along_in_16_bit_tiff(tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encode(make_deep(8, 9, 3), "TIFF", Metadata(icc=profile, xmp=b"<x/>"))
    with Image.open(BytesIO(data)) as image:
        assert metadata_of(image).icc == profile
        assert metadata_of(image).xmp == b"<x/>"


def test_without_pyvips_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(make_deep(8, 9, 3), "PNG", Metadata())
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with pytest.raises(InputError, match=r"needs pyvips: pip install 'aecodec\[sixteen_bit\]'"):
        decode_picture(data)
    with pytest.raises(InputError, match=r"needs pyvips: pip install 'aecodec\[sixteen_bit\]'"):
        encode(make_deep(8, 9, 3), "TIFF", Metadata())
    assert decode_picture(encode(make_deep(8, 9, 1), "PNG", Metadata())).pixels.ndim == 2


def test_damaged_16_bit_files_are_named() -> None:
    data = encode(make_deep(30, 40, 3), "PNG", Metadata())
    rng = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(data[: rng.integers(30, len(data))])
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        try:
            decode_picture(bytes(damaged))
        except (AecError, OSError):
            continue


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("size", [(1, 1), (37, 70), (130, 65)])
def test_16_bits_in_are_16_bits_out(
    tiny_codec: Codec, size: tuple[int, int], channels: int
) -> None:
    pixels = make_deep(*size, channels)
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
    y = torch.randint(-48, 48, (1, 16, 3, 3), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        sixteen_bit = tiny_codec.model.synthesis(y, 200, maximum=65535) / 257
        eight_bit = tiny_codec.model.synthesis(y, 200, maximum=255)
    assert float((sixteen_bit - eight_bit).abs().max()) < 0.503
    pixels = make_deep(64, 96, 3)
    data = tiny_codec.compress(pixels, 95, lossless_tiles=False)
    low = tiny_codec.decompress_array(data) % 257
    assert len(np.unique(low)) > 200


def test_a_smooth_gradient_is_nearer_than_8_bits_can_be() -> None:
    """With the released model; the gradient has less than a step of 8 bits in 10 pixels."""
    ramp = np.linspace(20000, 26000, 256)[None, :] + np.linspace(0, 1500, 256)[:, None]
    pixels: Deep = np.dstack([ramp] * 3).astype(np.uint16)
    data = aecodec.compress(pixels, 100)
    decoded = aecodec.decompress_array(data)
    assert decoded.dtype == np.uint16
    assert pixels_psnr(pixels, decoded) > EIGHT_BIT_PSNR + 3
    assert len(data) < pixels.nbytes / 10


def test_lossless_tiles_have_16_bits(tiny_codec: Codec) -> None:
    rows = np.arange(64, dtype=np.uint16)[:, None, None] * 5 + 30000
    pixels = np.broadcast_to(rows, (64, 128, 3)).copy()
    pixels[:, 64:] = make_deep(64, 64, 3)
    data = tiny_codec.compress(pixels, 80, tile_exponent=6)
    assert isinstance(parse(data).tiles[0], LosslessTile)
    decoded = tiny_codec.decompress_array(data)
    np.testing.assert_array_equal(decoded[:, :64], pixels[:, :64])
    eight_bit = tiny_codec.decompress_array(data, depth=8)
    np.testing.assert_array_equal(eight_bit[:, :64], rounded_to_bytes(pixels[:, :64]))


@pytest.mark.parametrize("scale", [2, 8])
def test_parts_and_previews_have_16_bits(tiny_codec: Codec, scale: int) -> None:
    pixels = make_deep(75, 110, 4)
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
    pixels = make_deep(64, 64, 3)
    data, found = tiny_codec.compress_to(pixels, Target("psnr", 30.0))
    decoded = tiny_codec.decompress_array(data)
    assert found.measured == pytest.approx(pixels_psnr(pixels, decoded))
    eight_bit = rounded_to_bytes(pixels), rounded_to_bytes(decoded)
    assert found.measured == pytest.approx(pixels_psnr(*eight_bit), abs=0.1)
    wide = make_deep(170, 170, 1), make_deep(170, 170, 1, seed=1)
    bytes_of = [rounded_to_bytes(each) for each in wide]
    assert pixels_ms_ssim(*wide) == pytest.approx(pixels_ms_ssim(*bytes_of), abs=0.005)


def test_floats_are_coded_as_16_bits(tiny_codec: Codec) -> None:
    values = np.random.default_rng(0).random((20, 30, 3))
    sixteen_bit = np.floor(values * 65535 + 0.5).astype(np.uint16)
    expected = tiny_codec.compress(sixteen_bit, 60)
    assert tiny_codec.compress(values, 60) == expected
    assert tiny_codec.compress(torch.from_numpy(values).permute(2, 0, 1), 60) == expected


def test_pil_has_only_gray_of_16_bits(tiny_codec: Codec) -> None:
    gray = tiny_codec.compress(make_deep(20, 30, 1), 60)
    image = tiny_codec.decompress(gray)
    assert image.mode == "I;16"
    np.testing.assert_array_equal(np.asarray(image), tiny_codec.decompress_array(gray))
    for channels in (2, 3, 4):
        data = tiny_codec.compress(make_deep(20, 30, channels), 60)
        with pytest.raises(InputError, match=r"no mode for 16-bit pixels .* ask for depth 8"):
            tiny_codec.decompress(data)
        eight_bit = tiny_codec.decompress(data, depth=8)
        assert eight_bit.mode == {2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    with pytest.raises(InputError, match="depth must be 8"):
        tiny_codec.decompress_array(gray, depth=10)
    with pytest.raises(InputError, match="no mode"):
        to_pil(make_deep(2, 2, 3))


@pytest.mark.parametrize("channels", CHANNELS)
def test_the_command_line(
    tmp_path: Path, tiny_weights: Path, channels: int, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = make_deep(50, 40, channels)
    source, packed = tmp_path / "a.png", tmp_path / "a.aec"
    source.write_bytes(encode(pixels, "PNG", Metadata()))
    model = ("--model", tiny_weights)
    assert run("compress", source, *model) == 0
    data = packed.read_bytes()
    assert parse(data).header.pixel_format.is_sixteen_bit
    expected = Codec(tiny_weights).decompress_array(data)
    for name in ("out.png", "out.tiff"):
        assert run("decompress", packed, "-o", tmp_path / name, *model) == 0
        found = to_picture(tmp_path / name).whole
        if name == "out.tiff" and channels == 2:
            found = found[:, :, 1:][:, :, [0, 2]]
        shown = visible(expected)
        np.testing.assert_array_equal(found[shown], expected[shown])
    capsys.readouterr()
    assert run("decompress", packed, "-o", tmp_path / "a.jpg", *model) == 1
    said = capsys.readouterr().err
    assert ("--background" if channels in (2, 4) else "--depth 8") in said
    more = ("--depth", "8", "--background", "white")
    assert run("decompress", packed, "-o", tmp_path / "a.jpg", *more, *model) == 0
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.mode == ("L" if channels < 3 else "RGB")


def test_huge_16_bit_pictures_go_by_rows(
    tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = make_deep(140, 90, 3)
    source, packed, out = (tmp_path / name for name in ("a.ppm", "a.aec", "out.png"))
    source.write_bytes(encode(pixels, "PPM", Metadata()))
    monkeypatch.setattr("aecodec.strips.STRIP_PIXELS", 1)
    monkeypatch.setattr("aecodec.writers.STREAM_PIXELS", 1)
    assert run("compress", source, "--model", tiny_weights) == 0
    codec = Codec(tiny_weights)
    assert packed.read_bytes() == codec.compress(pixels)
    assert run("decompress", packed, "-o", out, "--model", tiny_weights) == 0
    np.testing.assert_array_equal(
        to_picture(out).pixels, codec.decompress_array(codec.compress(pixels))
    )


def test_gray_costs_no_more_than_the_same_picture_in_rgb() -> None:
    """With the released model: gray is its luma alone."""
    gray = make_picture(150, 200)[:, :, 0].copy()
    for quality in (10, 60, 95):
        alone = aecodec.compress(gray, quality)
        assert aecodec.read_info(alone).pixel_format is PixelFormat.GRAY8
        assert len(alone) <= len(aecodec.compress(np.dstack([gray] * 3), quality))
