"""Every mode of Pillow's comes out as an array of the same meaning, or is refused."""

import struct
from io import BytesIO
from itertools import product

import numpy as np
import pytest
from PIL import Image, ImageCms

from aecodec.errors import InputError
from aecodec.picture.picture import LossWarning, to_picture
from aecodec.picture.pillow_modes import conversions, to_array, to_plain

RNG = np.random.default_rng(5)
RGB = RNG.integers(0, 256, (12, 10, 3), np.uint8)
COLOURED = Image.fromarray(RGB)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_gray_and_rgb_stay_the_same_object(mode: str) -> None:
    image = COLOURED.convert(mode)
    assert to_plain(image) is image


def test_bilevel_becomes_black_and_white_gray() -> None:
    bits = RNG.random((9, 7)) < 0.5
    result = to_plain(Image.fromarray(bits))
    assert result.mode == "L"
    assert np.array_equal(np.asarray(result), np.where(bits, 255, 0))


def test_a_palette_gives_its_colours() -> None:
    indices = RNG.integers(0, 3, (6, 5)).astype(np.uint8)
    colours = np.array([[255, 0, 10], [3, 200, 7], [0, 0, 0]], np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(colours.tobytes())
    result = to_plain(image)
    assert result.mode == "RGB"
    assert np.array_equal(np.asarray(result), colours[indices])


@pytest.mark.parametrize(
    ("mode", "plain"), [("RGBA", "RGB"), ("RGBa", "RGB"), ("LA", "L"), ("La", "L"), ("PA", "RGB")]
)
def test_opaque_alpha_is_dropped_and_the_pixels_are_kept(mode: str, plain: str) -> None:
    image = COLOURED.convert("RGBA" if plain == "RGB" else "LA")
    if mode == "PA":
        image = COLOURED.convert("P").convert("PA")
    picture = to_picture(image if image.mode == mode else image.convert(mode))
    assert picture.alpha is None
    expected = COLOURED.convert("P").convert("RGB") if mode == "PA" else COLOURED.convert(plain)
    assert np.array_equal(picture.pixels, np.asarray(expected))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La"])
def test_alpha_is_kept(mode: str) -> None:
    gray = mode in ("LA", "La")
    image = COLOURED.convert("LA" if gray else "RGBA")
    image.putalpha(Image.fromarray(RNG.integers(1, 255, (12, 10), np.uint8)))
    if mode == "PA":
        alpha = image.getchannel("A")
        image = COLOURED.convert("P").convert("PA")
        image.putalpha(alpha)
    given = image if image.mode == mode else image.convert(mode)
    picture = to_picture(given)
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, np.asarray(image.getchannel("A")))
    expected = given.convert("LA" if gray else "RGBA")  # as Pillow undoes multiplied colours
    assert np.array_equal(picture.whole, np.asarray(expected))


@pytest.mark.parametrize(
    ("mode", "key"),
    [("1", 255), ("L", 7), ("RGB", (9, 8, 7)), ("P", 1)],
    ids=["1", "L", "RGB", "P"],
)
@pytest.mark.parametrize("used", [True, False])
def test_a_transparent_colour_counts_where_it_is_used(
    mode: str, key: int | tuple[int, int, int], used: bool
) -> None:
    image = Image.new(mode, (4, 4), (2, 2, 2) if mode == "RGB" else 2 if mode != "1" else 0)
    if mode == "P":
        image.putpalette([0, 0, 0, 50, 50, 50, 90, 90, 90])
    if used:
        image.putpixel((1, 1), key)
    stored = BytesIO()
    image.save(stored, "PNG", transparency=key)
    opened = Image.open(stored)
    opened.load()
    expected = opened.convert("LA" if mode in ("1", "L") else "RGBA")
    picture = to_picture(opened)
    visible = np.asarray(expected)[:, :, -1]
    assert (picture.alpha is not None) == used == bool((visible == 0).any())
    if picture.alpha is not None:
        assert np.array_equal(picture.alpha, visible)
    colours = np.asarray(image.convert("L" if mode in ("1", "L") else "RGB"))
    assert np.array_equal(picture.pixels[visible > 0], colours[visible > 0])


def test_cmyk_without_a_profile_is_converted_by_pillow() -> None:
    image = COLOURED.convert("CMYK")
    assert np.array_equal(np.asarray(to_plain(image)), np.asarray(image.convert("RGB")))


def test_cmyk_goes_through_its_own_profile() -> None:
    """In this profile's inks cyan prints red, which no formula without the profile knows."""
    image = Image.new("CMYK", (2, 1))
    image.putpixel((0, 0), (255, 0, 0, 0))
    image.info |= {"icc_profile": cyan_prints_red(), "exif": b"kept"}
    result = to_plain(image)
    red, paper = np.asarray(result)[0].astype(int)
    assert red[0] > 200
    assert red[1:].max() < 60
    assert paper.min() > 240
    assert result.info == {"exif": b"kept"}


def cyan_prints_red() -> bytes:
    """A CMYK profile (ICC.1:2001-04, lut8Type, 2 grid points); black prints black, others nothing.

    Without a black, perceptual intent would take red, the darkest colour, for the black point.
    """
    ramp = bytes(range(256))
    red, black, paper = (136, 208, 195), (0, 128, 128), (255, 128, 128)  # L, a + 128, b + 128
    inks = product((0, 1), repeat=4)  # cyan changes slowest, black fastest
    nodes = b"".join(bytes(black if ink[3] else red if ink[0] else paper) for ink in inks)
    matrix = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + nodes + ramp * 3
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)  # D50
    tags = [(b"wtpt", white), (b"A2B0", lut)]
    offset, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags:
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = bytearray(128)
    head[:4] = struct.pack(">I", offset + len(body))
    head[8:12] = bytes([2, 0x40, 0, 0])
    head[12:24] = b"prtrCMYKLab "
    head[36:40] = b"acsp"
    head[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    return bytes(head) + struct.pack(">I", len(tags)) + table + body


def test_cmyk_with_a_profile_that_does_not_fit_is_converted_without_it() -> None:
    image = COLOURED.convert("CMYK")
    plain = np.asarray(image.convert("RGB"))
    assert conversions(image) == ["CMYK is converted to RGB"]
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    damaged = cyan_prints_red()[:200]
    for profile in (srgb, b"no profile", damaged):
        image.info["icc_profile"] = profile
        assert np.array_equal(np.asarray(to_plain(image)), plain)
        assert "does not fit CMYK pixels" in conversions(image)[1]
    image.info["icc_profile"] = cyan_prints_red()
    assert conversions(image) == ["CMYK is converted to RGB"]


def test_lab_goes_through_its_colour_space() -> None:
    image = ImageCms.applyTransform(
        COLOURED,
        ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
        ),
    )
    assert image is not None
    assert image.mode == "LAB"
    with pytest.warns(LossWarning, match=r"L\*a\*b\* is converted to RGB"):
        difference = to_picture(image).pixels.astype(int) - RGB
    assert np.abs(difference).mean() < 3  # 8-bit L*a*b* is coarse


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B"])
def test_16_bit_gray_stays(mode: str) -> None:
    sixteen_bit = RNG.integers(0, 65536, (6, 5)).astype(np.uint16)
    data = sixteen_bit.astype(">u2" if mode == "I;16B" else "<u2").tobytes()
    result = to_array(Image.frombytes(mode, (5, 6), data))
    assert result.dtype == np.uint16
    assert np.array_equal(result, sixteen_bit)


def test_mode_i_is_16_bit_gray_if_it_lies_in_that_range() -> None:
    sixteen_bit = RNG.integers(0, 65536, (6, 5)).astype(np.int32)
    result = to_array(Image.fromarray(sixteen_bit))
    assert result.dtype == np.uint16
    assert np.array_equal(result, sixteen_bit)
    for wrong in (-1, 65536):
        sixteen_bit[2, 2] = wrong
        with pytest.raises(InputError, match="mode I must lie in 0 to 65535"):
            to_array(Image.fromarray(sixteen_bit))


def test_mode_f_is_a_part_of_65535() -> None:
    image = Image.fromarray(np.array([[0, 0.5, 1]], np.float32))
    assert to_array(image).tolist() == [[0, 32768, 65535]]
    for wrong in (-0.01, 1.01, float("nan")):
        with pytest.raises(InputError, match=r"mode F must be finite and lie in \[0, 1\]"):
            to_array(Image.fromarray(np.full((2, 2), wrong, np.float32)))


def test_a_transparent_16_bit_gray_becomes_alpha() -> None:
    sixteen_bit = np.array([[7, 8, 7]], np.uint16)
    stored = BytesIO()
    Image.fromarray(sixteen_bit).save(stored, "PNG", transparency=7)
    with Image.open(stored) as opened:
        picture = to_picture(opened)
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 65535, 0]]
    assert picture.pixels[0, 1] == 8


def test_modes_without_a_meaning_are_refused() -> None:
    image = Image.new("L", (4, 4))
    image._mode = "BGR;15"  # no mode that Pillow still makes
    with pytest.raises(InputError, match="mode BGR;15 is not supported"):
        to_plain(image)


def test_a_colour_key_that_a_mode_cannot_have_changes_nothing() -> None:
    image = Image.new("CMYK", (4, 4))
    image.info["transparency"] = 0
    assert to_plain(image).mode == "RGB"
