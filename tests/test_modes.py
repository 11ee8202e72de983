"""Every mode of Pillow's comes out as gray or RGB of the same meaning, or is refused."""

import struct
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

import aecodec
from aecodec.cli import main
from aecodec.errors import InputError
from aecodec.modes import to_gray_or_rgb

RNG = np.random.default_rng(5)
RGB = RNG.integers(0, 256, (12, 10, 3), np.uint8)
COLOURED = Image.fromarray(RGB)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_gray_and_rgb_stay_the_same_object(mode: str) -> None:
    image = COLOURED.convert(mode)
    assert to_gray_or_rgb(image) is image


def test_bilevel_becomes_black_and_white_gray() -> None:
    bits = RNG.random((9, 7)) < 0.5
    result = to_gray_or_rgb(Image.fromarray(bits))
    assert result.mode == "L"
    assert np.array_equal(np.asarray(result), np.where(bits, 255, 0))


def test_a_palette_gives_its_colours() -> None:
    indices = RNG.integers(0, 3, (6, 5)).astype(np.uint8)
    colours = np.array([[255, 0, 10], [3, 200, 7], [0, 0, 0]], np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(colours.tobytes())
    result = to_gray_or_rgb(image)
    assert result.mode == "RGB"
    assert np.array_equal(np.asarray(result), colours[indices])


@pytest.mark.parametrize(
    ("mode", "plain"), [("RGBA", "RGB"), ("RGBa", "RGB"), ("LA", "L"), ("La", "L")]
)
def test_opaque_alpha_is_dropped_and_the_pixels_are_kept(mode: str, plain: str) -> None:
    image = COLOURED.convert("RGBA" if plain == "RGB" else "LA")
    result = to_gray_or_rgb(image if image.mode == mode else image.convert(mode))
    assert result.mode == plain
    assert np.array_equal(np.asarray(result), np.asarray(COLOURED.convert(plain)))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_one_transparent_pixel_is_refused(mode: str) -> None:
    image = COLOURED.convert(mode)
    alpha = image.getchannel("A")
    alpha.putpixel((3, 4), 254)
    image.putalpha(alpha)
    with pytest.raises(InputError, match="flatten its alpha"):
        to_gray_or_rgb(image)


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
    if used:
        with pytest.raises(InputError, match=f"mode {mode} with transparent pixels"):
            to_gray_or_rgb(opened)
        return
    result = to_gray_or_rgb(opened)
    assert "transparency" not in result.info
    assert np.array_equal(np.asarray(result), np.asarray(image.convert(result.mode)))


def test_cmyk_without_a_profile_is_converted_by_pillow() -> None:
    image = COLOURED.convert("CMYK")
    assert np.array_equal(np.asarray(to_gray_or_rgb(image)), np.asarray(image.convert("RGB")))


def test_cmyk_goes_through_its_own_profile() -> None:
    """In this profile's inks cyan prints red, which no formula without the profile knows."""
    image = Image.new("CMYK", (2, 1))
    image.putpixel((0, 0), (255, 0, 0, 0))
    image.info |= {"icc_profile": cyan_prints_red(), "exif": b"kept"}
    result = to_gray_or_rgb(image)
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


def test_cmyk_with_a_profile_that_does_not_fit_is_refused() -> None:
    image = COLOURED.convert("CMYK")
    image.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with pytest.raises(InputError, match="profile of this CMYK picture"):
        to_gray_or_rgb(image)
    image.info["icc_profile"] = b"no profile"
    with pytest.raises(InputError, match="profile of this CMYK picture"):
        to_gray_or_rgb(image)


@pytest.mark.parametrize("mode", ["I", "F", "I;16", "LAB"])
def test_modes_that_are_not_8_bit_colour_are_refused(mode: str) -> None:
    with pytest.raises(InputError, match=f"mode {mode} is not supported yet"):
        to_gray_or_rgb(Image.new(mode, (4, 4)))


@pytest.mark.parametrize(("mode", "taken"), [("I;16", False), ("I", False), ("CMYK", True)])
def test_a_colour_key_that_a_mode_cannot_have_changes_nothing(mode: str, taken: bool) -> None:
    image = Image.new(mode, (4, 4))
    image.info["transparency"] = 0
    if taken:
        assert to_gray_or_rgb(image).mode == "RGB"
        return
    with pytest.raises(InputError, match=f"mode {mode} is not supported yet"):
        to_gray_or_rgb(image)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_kept_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    source, packed = tmp_path / f"a.{kind.lower()}", tmp_path / "a.aec"
    frames = [Image.new("RGB", (20, 10), (level, 40, 40)) for level in (200, 90, 10)]
    options = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(source, kind, save_all=True, append_images=frames[1:], **options)
    with pytest.raises(SystemExit) as exit_:
        main(["compress", str(source), "-o", str(packed)])
    assert not exit_.value.code
    assert f"{source}: warning: only the first of 3 frames is kept" in capsys.readouterr().err
    first = aecodec.decompress_array(packed.read_bytes())
    assert np.abs(first.astype(int) - (200, 40, 40)).max() < 12
