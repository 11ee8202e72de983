"""Profiles made from descriptions of colours are what a colour management system reads."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from aecodec.picture.color_description import (
    SRGB,
    Primaries,
    adobe_rgb,
    cicp_of,
    profile_of_chromaticities,
    profile_of_cicp,
    profile_of_gamma,
    profile_space,
)

RAMP = np.arange(256, dtype=np.uint8)


def to_srgb(profile: bytes, rgb: tuple[int, int, int]) -> tuple[int, ...]:
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    found = transform.apply(Image.new("RGB", (1, 1), rgb)).getpixel((0, 0))
    assert isinstance(found, tuple)
    return tuple(map(int, found))


@pytest.mark.parametrize("primaries", [1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22])
@pytest.mark.parametrize("transfer", [1, 4, 5, 6, 7, 8, 13, 14, 15, 16, 17, 18])
def test_white_and_black_stay_and_grays_have_no_hue(primaries: int, transfer: int) -> None:
    profile, line = profile_of_cicp((primaries, transfer))
    assert bool(line) == (transfer in (16, 18))
    if (primaries, transfer) == (1, 13):
        assert profile is None
        return
    assert profile is not None
    assert cicp_of(profile) == (primaries, transfer, 0, 1)
    assert profile_space(profile) == "RGB"
    for value in (0, 70, 130, 255):
        found = to_srgb(profile, (value,) * 3)
        assert max(found) - min(found) <= 2
        if value in (0, 255) and transfer != 17:
            assert abs(found[0] - value) <= 1


def test_known_colours() -> None:
    """By the matrices of P3 and Adobe RGB, red leaves sRGB, and a mixed colour moves as stated."""
    profile, _ = profile_of_cicp((12, 13))
    assert profile is not None
    assert np.abs(np.array(to_srgb(profile, (200, 100, 50))) - (215, 93, 31)).max() <= 1
    green = to_srgb(adobe_rgb(), (100, 200, 100))
    assert green[0] < 20
    linear = profile_of_gamma(1.0, None)
    assert linear is not None
    assert abs(to_srgb(linear, (128, 128, 128))[0] - 188) <= 1


def test_gray_has_a_profile_of_its_own_kind() -> None:
    for profile in (profile_of_cicp((9, 16), gray=True)[0], profile_of_gamma(1.0, None, gray=True)):
        assert profile is not None
        assert profile_space(profile) == "GRAY"
        loaded = ImageCms.ImageCmsProfile(BytesIO(profile))
        ImageCms.buildTransform(loaded, ImageCms.createProfile("sRGB"), "L", "RGB")
    assert profile_of_cicp((9, 13), gray=True) == (None, "")


def test_what_means_srgb_or_nothing_needs_no_profile() -> None:
    assert profile_of_cicp((2, 2)) == (None, "")
    assert profile_of_gamma(None, None) is None
    assert profile_of_gamma(2.2, SRGB) is None
    assert profile_of_gamma(2.19, Primaries((0.641, 0.33), (0.3, 0.6), (0.15, 0.06))) is None
    profile, line = profile_of_cicp((99, 13))
    assert profile is None
    assert "99/13" in line


def test_chromaticities_that_span_nothing_are_refused() -> None:
    assert profile_of_chromaticities((0.3, 0.3, *(0.2, 0.2) * 3)) is None
    assert profile_of_chromaticities((0.0,) * 8) is None
    assert profile_of_chromaticities((0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)) is not None


@pytest.mark.parametrize("junk", [b"", b"short", bytes(200), b"\xff" * 500])
def test_junk_has_no_colour_space(junk: bytes) -> None:
    assert profile_space(junk) is None
    assert cicp_of(junk) is None
