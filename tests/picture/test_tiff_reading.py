"""TIFF: what is refused, what is converted, what it says of its picture, and raw photos."""

import struct
import sys
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from conftest import make_picture
from PIL import ExifTags, Image, ImageCms
from variants import HEIGHT, WIDTH, TiffForm, assemble_tiff, make_samples, write_tiff

from aecodec.errors import InputError, LimitError
from aecodec.format.chunks import Limits
from aecodec.picture.color_description import profile_space
from aecodec.picture.decoding import read_picture
from aecodec.picture.orientation import orientation_in
from aecodec.picture.pixels import rescaled
from aecodec.picture.reading import Reading, Wishes
from aecodec.picture.tiff_tags import Directories

RGB = make_picture(24, 32)


def read(data: bytes) -> Reading:
    return read_picture(data, Wishes())


def saved(image: Image.Image, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, "TIFF", **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "channels", "form", "message"),
    [
        ("u4", 1, TiffForm(1, 32), "32-bit integers"),
        ("i4", 3, TiffForm(2, 32, 2), "32-bit integers"),
        ("i2", 1, TiffForm(1, 16, 2), "samples are negative"),
        ("f4", 1, TiffForm(0, 32, 3), "WhiteIsZero"),
        ("u2", 4, TiffForm(5, 16), "CMYK with 16 bits"),
        ("u2", 3, TiffForm(8, 16), r"L\*a\*b\* with 16 bits"),
        ("u1", 3, TiffForm(32845), "LogLuv"),
        ("u1", 1, TiffForm(4), "a mask"),
        ("u2", 1, TiffForm(3, 16, tags={320: (3, (0,) * 30)}), "palette of 16 bits"),
        ("u1", 1, TiffForm(3, 8, tags={320: (3, (0,) * 30)}), "palette of a TIFF has another size"),
        ("u1", 2, TiffForm(2), "2 samples that needs more"),
        ("u1", 3, TiffForm(2, tags={258: (3, (8, 8, 16))}), "differ in type"),
        ("u1", 3, TiffForm(2, tags={256: (4, (0,))}), "without a size"),
        ("u1", 3, TiffForm(2, tags={259: (3, (34712,)), 284: (3, (2,))}), "separate planes"),
        ("u1", 3, TiffForm(2, tags={259: (3, (8,))}), "part 1 of a TIFF"),
        ("u1", 3, TiffForm(2, tags={257: (4, (99,)), 278: (4, (13,))}), "1 of 8 parts"),
        ("u1", 3, TiffForm(2, tags={259: (3, (8,)), 317: (3, (7,))}), "part 1 of a TIFF"),
        ("u1", 1, TiffForm(32803), "raw photo: develop|a raw photo"),
    ],
)
def test_what_is_not_read_right_is_refused_in_one_line(
    kind: str, channels: int, form: TiffForm, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(write_tiff(make_samples(kind, channels), form))
    assert "\n" not in str(caught.value)


def test_values_beyond_white_and_no_numbers_are_refused() -> None:
    for wrong in (1.01, -0.01, float("nan"), float("inf")):
        samples = make_samples("f4", 3)
        samples[3, 4, 1] = wrong
        with pytest.raises(
            InputError, match=r"floating numbers must be finite and lie in \[0, 1\]"
        ):
            read(write_tiff(samples, TiffForm(2, 32, 3)))


@pytest.mark.parametrize("bits", [3, 5, 10, 12, 14, 15])
def test_any_number_of_bits_fills_the_range(bits: int) -> None:
    samples = make_samples("u2", 3, bits)
    found = read(write_tiff(samples, TiffForm(2, bits)))
    np.testing.assert_array_equal(found.pixels, rescaled(samples, 2**bits - 1))
    assert found.pixels.dtype == (np.uint8 if bits < 8 else np.uint16)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
@pytest.mark.parametrize("predictor", [1, 3])
def test_floating_numbers_are_rounded_with_a_line(kind: str, predictor: int) -> None:
    samples = make_samples(kind, 3)
    bits = 8 * samples.itemsize
    form = TiffForm(2, bits, 3, compression=8, predictor=predictor, big_endian=kind == "f2")
    found = read(write_tiff(samples, form))
    expected = np.floor(samples.astype(np.float64) * 65535 + 0.5)
    np.testing.assert_array_equal(found.pixels, expected)
    assert found.losses == ("floating numbers are rounded to 16 bits",)
    exact = (make_samples("u2", 3) / np.float64(65535)).astype("f4")
    assert read(write_tiff(exact, TiffForm(2, 32, 3))).losses == ()


def test_signed_samples_that_are_not_negative_stay() -> None:
    samples = make_samples("i2", 1, 15)
    found = read(write_tiff(samples, TiffForm(1, 16, 2)))
    np.testing.assert_array_equal(found.pixels, samples[:, :, 0])


def test_palettes_of_8_and_16_bits() -> None:
    indices = make_samples("u1", 1, 4)
    colours = np.random.default_rng(0).integers(0, 256, (3, 16))
    expected = colours.T[indices[:, :, 0]]
    for factor in (257, 256, 1):
        table = tuple((colours * factor).ravel().tolist())
        found = read(write_tiff(indices, TiffForm(3, 4, tags={320: (3, table)})))
        np.testing.assert_array_equal(found.pixels, expected)
        assert found.losses == ()
    deep = tuple((colours * 256 + 9).ravel().tolist())
    assert "16 bits, of which 8" in read(
        write_tiff(indices, TiffForm(3, 4, tags={320: (3, deep)}))
    ).losses[0]  # fmt: skip


def test_samples_without_a_meaning_are_left_out_at_every_depth() -> None:
    for kind, bits in (("u1", 8), ("u2", 16)):
        for form in (TiffForm(2, bits), TiffForm(2, bits, extra=(0,))):
            samples = make_samples(kind, 4)
            found = read(write_tiff(samples, form))
            np.testing.assert_array_equal(found.pixels, samples[:, :, :3])
            assert found.losses == (
                "left out: 1 sample a pixel that mean neither colour nor alpha",
            )


@pytest.mark.parametrize(("across", "down"), [(1, 1), (2, 1), (2, 2), (4, 2)])
@pytest.mark.parametrize("compression", [1, 8])
def test_ycbcr_with_colours_of_lower_resolution(across: int, down: int, compression: int) -> None:
    height, width = 16, 24
    ycbcr = np.asarray(Image.fromarray(make_picture(height, width)).convert("YCbCr"))
    small = ycbcr[::down, ::across, 1:]
    luma = ycbcr[:, :, 0].reshape(height // down, down, width // across, across).swapaxes(1, 2)
    blocks = np.concatenate([luma.reshape(*luma.shape[:2], -1), small], axis=2)
    tags: dict[int, Any] = {
        256: (4, (width,)), 257: (4, (height,)), 258: (3, (8, 8, 8)), 277: (3, (3,)),
        278: (4, (height,)), 339: (3, (1, 1, 1)), 530: (3, (across, down)),
    }  # fmt: skip
    form = TiffForm(6, compression=compression, part=blocks.shape[:2], tags=tags)
    whole = np.dstack((ycbcr[:, :, :1], small.repeat(down, 0).repeat(across, 1)))
    expected = np.asarray(Image.fromarray(whole, "YCbCr").convert("RGB")).astype(int)
    assert np.abs(read(write_tiff(blocks, form)).pixels - expected).max() <= 1


@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
def test_other_colour_spaces_are_converted_with_a_line(mode: str) -> None:
    image = Image.fromarray(RGB)
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        transform = ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
        image = ImageCms.applyTransform(image, transform) or image
        image.info.clear()
    else:
        image = image.convert(mode)
    reading = read(saved(image))
    assert np.abs(reading.pixels.astype(int) - RGB).mean() < 3
    assert len(reading.losses) == 1
    assert reading.losses[0].endswith("is converted to RGB")


@pytest.mark.parametrize("compression", ["jpeg", "group3", "group4", "tiff_ccitt"])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("vips", [True, False])
def test_compressions_that_know_samples(
    compression: str, orientation: int, vips: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image.fromarray(RGB)
    image = image if compression == "jpeg" else image.convert("1")
    data = saved(image, compression=compression, tiffinfo={274: orientation})
    if not vips:
        monkeypatch.setitem(sys.modules, "pyvips", None)
    with Image.open(BytesIO(data)) as opened:
        opened.load()
        expected = np.asarray(opened if compression == "jpeg" else opened.convert("L"))
    np.testing.assert_array_equal(read(data).pixels, expected)


@pytest.mark.parametrize("compression", ["zstd", "lzma", "tiff_lzw", "tiff_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_compressions_of_bytes_are_read_as_pillow_reads_them(compression: str, mode: str) -> None:
    """Also those that one build of libtiff knows and another does not."""
    gray = Image.fromarray(RGB).convert("L")
    image = gray.convert("I;16") if mode == "I;16" else Image.fromarray(RGB).convert(mode)
    try:
        data = saved(image, compression=compression)
    except OSError:
        pytest.skip(f"this Pillow does not write {compression}")
    with Image.open(BytesIO(data)) as opened:
        form = {"1": "L", "P": "RGB", "CMYK": "RGB"}.get(mode, mode)
        expected = np.asarray(opened if form == mode else opened.convert(form))
    np.testing.assert_array_equal(read(data).pixels, expected)


@pytest.mark.parametrize("vips", [True, False])
def test_old_jpeg_in_a_tiff(vips: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not vips:
        monkeypatch.setitem(sys.modules, "pyvips", None)
    file = BytesIO()
    Image.fromarray(RGB).save(file, "JPEG", quality=95, subsampling=0)
    stream = file.getvalue()
    tags: dict[int, Any] = {
        256: (4, (32,)), 257: (4, (24,)), 258: (3, (8, 8, 8)), 259: (3, (6,)), 262: (3, (6,)),
        277: (3, (3,)), 278: (4, (24,)), 512: (3, (1,)), 513: (4, (8,)), 514: (4, (len(stream),)),
        530: (3, (1, 1)),
    }  # fmt: skip
    found = read(assemble_tiff(tags, [stream], (273, 279)))
    with Image.open(file) as opened:
        np.testing.assert_array_equal(found.pixels, np.asarray(opened))


def test_strips_without_a_stated_size_go_to_the_end() -> None:
    samples = make_samples("u1", 3)
    data = bytearray(write_tiff(samples, TiffForm(2)))
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    places = [start + 2 + 12 * number for number in range(count)]
    place = next(at for at in places if struct.unpack_from("<H", data, at) == (279,))
    struct.pack_into("<HHII", data, place, 279, 4, 1, 0)
    np.testing.assert_array_equal(read(bytes(data)).pixels, samples)
    struct.pack_into("<H", data, place, 280)
    np.testing.assert_array_equal(read(bytes(data)).pixels, samples)


def test_exif_and_gps_keep_their_bytes() -> None:
    exif = Image.Exif()
    exif[271] = "Maker"
    exif[315] = b"M\xf6we".decode("latin-1")
    exif.get_ifd(ExifTags.IFD.Exif)[36867] = "2024:01:02 03:04:05"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[1] = "N"
    exif[274] = 6
    reading = read(saved(Image.fromarray(RGB), exif=exif.tobytes(), dpi=(300, 150)))
    assert reading.pixels.shape == (32, 24, 3)
    assert reading.metadata.resolution == pytest.approx((300, 150))
    assert orientation_in(reading.metadata) == 1
    found = Image.Exif()
    assert reading.metadata.exif is not None
    found.load(reading.metadata.exif)
    assert found[271] == "Maker"
    assert not {256, 274} & set(found)
    assert found.get_ifd(ExifTags.IFD.Exif)[36867] == "2024:01:02 03:04:05"
    assert found.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"


def test_odd_types_and_texts_of_tags_stay_as_they_are() -> None:
    tags: dict[int, Any] = {
        271: (7, tuple(b"M\xf6we in Latin-1\0")), 315: (3, (1, 2, 3)), 33432: (1, (65,)),
        700: (7, tuple(b"<x/>")), 33723: (7, tuple(b"\x1c\x02\x50\0\x03Ann\0\0\0")),
        34675: (7, tuple(b"profile" * 30)), 37724: (7, (1,)), 33550: (7, (1,)),
    }  # fmt: skip
    for big_endian in (False, True):
        form = TiffForm(2, big_endian=big_endian, big_tiff=big_endian, tags=tags)
        reading = read(write_tiff(make_samples("u1", 3), form))
        found = reading.metadata
        assert found.exif is not None
        first = next(Directories(found.exif).chain())
        assert first.data(271) == b"M\xf6we in Latin-1\0"
        assert first.integers(315) == (1, 2, 3)
        assert first.integers(33432) == (65,)
        assert (found.xmp, found.iptc) == (b"<x/>", b"\x1c\x02\x50\0\x03Ann")
        assert found.icc == b"profile" * 30
        assert set(reading.losses) == {
            "the layers of Photoshop are left out", "the coordinates of GeoTIFF are left out",
        }  # fmt: skip


def test_primaries_and_transfer_functions_become_a_profile() -> None:
    white, wide = (31270, 100000, 32900, 100000), (
        70800, 100000, 29200, 100000, 17000, 100000, 79700, 100000, 13100, 100000, 4600, 100000,
    )  # fmt: skip
    tags: dict[int, Any] = {318: (5, white), 319: (5, wide)}
    reading = read(write_tiff(make_samples("u1", 3), TiffForm(2, tags=tags)))
    assert reading.metadata.icc is not None
    assert profile_space(reading.metadata.icc) == "RGB"
    linear = {301: (3, tuple(range(0, 65536, 257)))}
    gray = read(write_tiff(make_samples("u1", 1), TiffForm(1, tags=linear)))
    assert gray.metadata.icc is not None
    assert profile_space(gray.metadata.icc) == "GRAY"
    broken: dict[int, Any] = {301: (3, (1, 2, 3))}
    assert (
        "wrong size" in read(write_tiff(make_samples("u1", 1), TiffForm(1, tags=broken))).losses[0]
    )


def test_raw_photos_and_previews_are_refused() -> None:
    dng: dict[int, Any] = {50706: (1, (1, 4, 0, 0)), 254: (4, (1,))}
    with pytest.raises(InputError, match=r"raw photo \(DNG\)"):
        read(write_tiff(make_samples("u1", 3), TiffForm(2, tags=dng)))
    preview = write_tiff(make_samples("u1", 3), TiffForm(2, tags={254: (4, (1,))}))
    assert read(preview).pixels.shape == (HEIGHT, WIDTH, 3)
    (start,) = struct.unpack_from("<I", preview, 4)
    (count,) = struct.unpack_from("<H", preview, start)
    for photometric, message in ((32803, "a raw photo"), (2, "only a preview of a larger one")):
        second: dict[int, Any] = {256: (4, (999,)), 257: (4, (999,)), 262: (3, (photometric,))}
        shifted = assemble_tiff(second, [b"x"], (273, 279))
        body = shifted[8:]
        place = len(preview)
        (inner,) = struct.unpack_from("<I", shifted, 4)
        data = bytearray(preview + body)
        struct.pack_into("<I", data, start + 2 + 12 * count, place + inner - 8)
        with pytest.raises(InputError, match=message):
            read(bytes(data))


def test_pages_are_counted_without_smaller_copies() -> None:
    image = Image.fromarray(RGB)
    reading = read(saved(image, save_all=True, append_images=[image, image]))
    assert reading.frames == 3
    assert reading.losses == ("only the first of 3 frames is kept",)
    pyvips = pytest.importorskip("pyvips", exc_type=ImportError)
    pyramid = pyvips.Image.new_from_array(make_picture(300, 300)).tiffsave_buffer(
        pyramid=True, tile=True, tile_width=64, tile_height=64, compression="lzw"
    )
    assert read(pyramid).losses == ()
    np.testing.assert_array_equal(read(pyramid).pixels, make_picture(300, 300))


def test_sizes_beyond_the_limits_are_refused_before_anything_is_made() -> None:
    tags: dict[int, Any] = {256: (4, (2**20,)), 257: (4, (2**20,))}
    with pytest.raises(LimitError, match="1048576 x 1048576"):
        read(write_tiff(make_samples("u1", 1), TiffForm(1, tags=tags)))
    tiles: dict[int, Any] = {322: (4, (2**20,)), 323: (4, (2**20,))}
    with pytest.raises(LimitError):
        read(write_tiff(make_samples("u1", 1), TiffForm(1, tiled=True, part=(16, 32), tags=tiles)))
    small = Wishes(limits=Limits(pixels=100))
    with pytest.raises(LimitError):
        read_picture(saved(Image.fromarray(RGB)), small)


def test_directories_that_go_in_circles_end() -> None:
    data = bytearray(write_tiff(make_samples("u1", 1), TiffForm(1)))
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    struct.pack_into("<I", data, start + 2 + 12 * count, start)
    assert read(bytes(data)).frames == 1
