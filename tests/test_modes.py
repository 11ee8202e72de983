"""Every mode of Pillow's comes out as gray or RGB of the same meaning, or is refused."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

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


@pytest.mark.parametrize(("mode", "plain"), [("RGBA", "RGB"), ("LA", "L")])
def test_opaque_alpha_is_dropped_and_the_pixels_are_kept(mode: str, plain: str) -> None:
    result = to_gray_or_rgb(COLOURED.convert(mode))
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
    ("mode", "key"), [("L", 7), ("RGB", (9, 8, 7)), ("P", 1)], ids=["L", "RGB", "P"]
)
@pytest.mark.parametrize("used", [True, False])
def test_a_transparent_colour_counts_where_it_is_used(
    mode: str, key: int | tuple[int, int, int], used: bool
) -> None:
    image = Image.new(mode, (4, 4), (2, 2, 2) if mode == "RGB" else 2)
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
