"""What a caller may ask for: every wrong value and every contradiction is named at once."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from aecodec.errors import InputError
from aecodec.format.chunks import Header, PixelFormat
from aecodec.format.tiling import Region, View
from aecodec.options import DecodeOptions, EncodeOptions, Target, scale_of

NAN = float("nan")
HEADER = Header(30, 20, PixelFormat.RGB8, 10, 300, b"none")


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"quality": 101}, r"quality must lie in \[0, 100\], not 101"),
        ({"quality": -0.1}, "quality must lie"),
        ({"quality": NAN}, "quality must lie .* not nan"),
        ({"quality": "75"}, "quality must be a number, not str"),
        ({"quality": True}, "quality must be a number, not bool"),
        ({"quality": 1j}, "quality must be a number, not complex"),
        ({"effort": -1}, "effort must lie in 0 to 9, not -1"),
        ({"effort": 10}, "effort must lie in 0 to 9, not 10"),
        ({"effort": 1.0}, "effort must be a whole number, not float"),
        ({"effort": True}, "effort must be a whole number, not bool"),
        ({"effort": None}, "effort must be a whole number, not NoneType"),
        ({"max_error": 256}, "max_error must lie in 0 to 255, not 256"),
        ({"max_error": -1}, "max_error must lie"),
        ({"max_error": 2.5}, "max_error must be a whole number"),
        ({"alpha_quality": 100.5}, r"alpha quality must lie in \[0, 100\], not 100.5"),
        ({"alpha_quality": NAN}, "alpha quality must lie"),
        ({"alpha_quality": "all"}, "alpha quality must be a number"),
        ({"tile_exponent": 5}, "tile exponent must lie in 6 to 14, not 5"),
        ({"tile_exponent": 15}, "tile exponent must lie"),
        ({"tile_exponent": "6"}, "tile exponent must be a whole number"),
        ({"keep": ("gps", "icc", "")}, "cannot keep '', 'gps'; known are icc, exif, xmp"),
        ({"keep": "icc"}, r"keep takes a collection of names such as \('icc',\)"),
        ({"target": "psnr"}, "target must be a Target, not str"),
        ({"lossless": True, "max_error": 2}, "lossless and a max_error above 0 exclude"),
        ({"target": Target("bpp", 1), "quality": 3}, "a target and a quality exclude"),
        ({"target": Target("bpp", 1), "lossless": True}, "a target and lossless or max_error"),
        ({"target": Target("bpp", 1), "max_error": 0}, "a target and lossless or max_error"),
    ],
)
def test_wrong_wishes_of_encoding(wish: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        EncodeOptions(**wish)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"scale": 3}, "scale must be 1, 1/2, 1/4 or 1/8"),
        ({"scale": 0}, "scale must be"),
        ({"scale": NAN}, "scale must be"),
        ({"scale": True}, "scale must be"),
        ({"scale": "1/2"}, "scale must be"),
        ({"scale": None}, "scale must be"),
        ({"depth": 16}, "depth must be 8, or None"),
        ({"depth": "8"}, "depth must be 8"),
        ({"region": (0, 0, 1, 1)}, "region must be a Region, not tuple"),
    ],
)
def test_wrong_wishes_of_decoding(wish: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DecodeOptions(**wish)


@pytest.mark.parametrize("options", [EncodeOptions, DecodeOptions])
def test_unknown_wishes_are_named(options: Any) -> None:  # noqa: ANN401  # both classes
    with pytest.raises(TypeError, match="'speed'"):
        options(speed=3)
    with pytest.raises(TypeError, match="positional"):
        options(3)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("max_error", 3, "a target is one of size, bpp, psnr, ssim, not 'max_error'"),
        ("psnr", "30", "a target must be a number, not str"),
        ("size", True, "a target must be a number, not bool"),
        ("size", 0, "a size of 0 cannot be met"),
        ("bpp", NAN, "a bpp of nan cannot be met"),
        ("psnr", float("inf"), "a psnr of inf cannot be met"),
        ("ssim", 1, "a ssim of 1 cannot be met"),
    ],
)
def test_wrong_targets(kind: Any, value: Any, message: str) -> None:  # noqa: ANN401  # wrong on purpose
    with pytest.raises(InputError, match=message):
        Target(kind, value)


def test_numbers_of_numpy_are_numbers() -> None:
    plain = EncodeOptions(quality=50, effort=2, max_error=3)
    scalars: dict[str, Any] = {
        "quality": np.float32(50), "effort": np.int64(2), "max_error": np.uint8(3)
    }  # fmt: skip
    assert EncodeOptions(**scalars) == plain
    assert EncodeOptions(**scalars).quality_index == 200


def test_defaults_of_quality_depend_on_the_residual_layer() -> None:
    assert EncodeOptions().quality_index == 4 * 75
    assert EncodeOptions(lossless=True).quality_index == 4 * 25
    assert EncodeOptions(max_error=2).quality_index == 4 * 25
    assert EncodeOptions(max_error=2, quality=60).quality_index == 4 * 60


@pytest.mark.parametrize(
    ("options", "bound"),
    [
        (EncodeOptions(), None),
        (EncodeOptions(lossless=True), 0),
        (EncodeOptions(lossless=True, max_error=0), 0),
        (EncodeOptions(max_error=0), 0),
        (EncodeOptions(max_error=7), 7),
    ],
)
def test_bounds(options: EncodeOptions, bound: int | None) -> None:
    assert options.bound == bound


@pytest.mark.parametrize(
    ("value", "scale"),
    [(1, 1), (2, 2), (8.0, 8), (0.5, 2), (Fraction(1, 4), 4), (0.125, 8), (np.float64(0.5), 2)],
)
def test_scales(value: float, scale: int) -> None:
    assert scale_of(value) == scale


def test_a_view_is_of_the_whole_picture_or_a_part() -> None:
    assert DecodeOptions().view(HEADER) == View(Region(0, 0, 30, 20))
    view = DecodeOptions(region=Region(5, 3, 9, 8), scale=4, depth=8).view(HEADER)
    assert view == View(Region(5, 3, 9, 8), 4, eight_bit=True)
    assert view.corner == (0, 1)
    assert view.size == (3, 3)  # rows 3 to 11 and columns 5 to 14, in squares of four
    with pytest.raises(InputError, match="exceeds the picture of 30x20 pixels"):
        DecodeOptions(region=Region(0, 0, 31, 20)).view(HEADER)


@pytest.mark.parametrize(
    "wishes",
    [{"denoise": 5}, {"lossless": True}, {"max_error": 2}, {"target": Target("psnr", 35)}],
)
def test_what_is_near_the_original_takes_the_model_for_psnr(wishes: dict[str, Any]) -> None:
    assert EncodeOptions(**wishes).model_tune == "psnr"
    assert EncodeOptions(tune="visual", **wishes).model_tune == "visual"
