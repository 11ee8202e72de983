"""Alpha of pictures: fewer levels, colours where nothing is visible, backgrounds."""

import numpy as np
import pytest
from conftest import make_picture
from hypothesis import given, settings
from hypothesis import strategies as st

from aecodec.errors import InputError
from aecodec.picture.alpha import (
    check_alpha_quality,
    level_count,
    over_background,
    with_fewer_levels,
    without_hidden,
)
from aecodec.picture.picture import Picture, to_picture
from aecodec.picture.pixels import Pixels, join, split

steady = settings(deadline=None, derandomize=True, max_examples=20)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (64, 33), (600, 41)])
def test_visible_colours_stay_and_hidden_ones_lie_between(
    shape: tuple[int, int], kind: type
) -> None:
    rng = np.random.default_rng(2)
    colour: Pixels = rng.integers(100, 120, (*shape, 3)).astype(kind)
    alpha: Pixels = (rng.random(shape) < 0.1).astype(kind)
    alpha[: shape[0] // 2] = 0
    alpha[-1, -1] = 1
    result = without_hidden(colour, alpha)
    np.testing.assert_array_equal(result[alpha > 0], colour[alpha > 0])
    assert result.min() >= 100
    assert result.max() < 120
    gray = without_hidden(np.ascontiguousarray(colour[:, :, 1]), alpha)
    np.testing.assert_array_equal(gray, result[:, :, 1])
    assert not without_hidden(colour, np.zeros_like(alpha)).any()


def test_a_fill_is_smooth_across_the_strips_that_it_is_made_in() -> None:
    rows = np.arange(700)[:, None] / 3 + np.zeros(50)
    colour: Pixels = rows.astype(np.uint8)
    alpha: Pixels = np.zeros((700, 50), np.uint8)
    alpha[:, 20:22] = 255
    filled = without_hidden(colour, alpha).astype(int)
    assert np.abs(np.diff(filled, axis=0)).max() <= 6


@steady
@given(st.integers(0, 2**32 - 1), st.floats(0, 99.5))
def test_fewer_levels_keep_transparent_and_opaque(seed: int, quality: float) -> None:
    rng = np.random.default_rng(seed)
    alpha: Pixels = rng.integers(0, 256, (40, 50)).astype(np.uint8)
    alpha[0, :2] = 0, 255
    result = with_fewer_levels(alpha, quality)
    assert len(np.unique(result)) <= level_count(quality)
    assert (result[alpha == 0] == 0).all()
    assert (result[alpha == 255] == 255).all()
    step = 255 / (level_count(quality) - 1)
    assert np.abs(result.astype(int) - alpha).max() <= step + 1


def test_pictures_check_their_alpha() -> None:
    colour: Pixels = make_picture(4, 5)
    clear: Pixels = np.zeros((4, 5), np.uint8)
    assert to_picture(Picture(colour, alpha=clear)).alpha is not None
    for wrong in (clear[:3], clear.astype(np.uint16)):
        with pytest.raises(InputError, match="does not fit"):
            to_picture(Picture(colour, alpha=wrong))
    with pytest.raises(InputError, match="beside its pixels"):
        to_picture(Picture(join(colour, clear)))


def test_split_and_join() -> None:
    pixels: Pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 4), np.uint8)
    colour, alpha = split(pixels)
    assert alpha is not None
    np.testing.assert_array_equal(join(colour, alpha), pixels)
    gray, clear = split(pixels[:, :, 2:])
    assert clear is not None
    assert gray.shape == clear.shape == (9, 11)


def test_backgrounds_show_through() -> None:
    pixels: Pixels = np.array([[[10, 200, 30, 255], [10, 200, 30, 0], [0, 0, 0, 128]]], np.uint8)
    flat = over_background(pixels, (255, 255, 255))
    assert flat.tolist() == [[[10, 200, 30], [255, 255, 255], [127, 127, 127]]]
    gray: Pixels = np.array([[[10, 255], [10, 0]]], np.uint8)
    assert over_background(gray, (7, 7, 7)).tolist() == [[10, 7]]
    assert over_background(gray, (7, 8, 9)).tolist() == [[[10, 10, 10], [7, 8, 9]]]
    assert over_background(flat, (0, 0, 0)) is flat


@pytest.mark.parametrize("wrong", [-1, 101, float("nan"), True, "50"])
def test_alpha_qualities_out_of_range_are_refused(wrong: float) -> None:
    with pytest.raises(InputError, match="alpha quality must"):
        check_alpha_quality(wrong)


def test_the_alpha_quality_of_a_picture_is_the_number_of_its_levels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 4), np.uint8)
    whole, coarse = to_picture(pixels), to_picture(pixels, alpha_quality=10)
    assert coarse.alpha is not None
    assert len(np.unique(coarse.alpha)) == level_count(10) == 4
    np.testing.assert_array_equal(whole.alpha, pixels[:, :, 3])


def test_hidden_colours_do_not_matter() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 4), np.uint8)
    pixels[5:20, 10:30, 3] = 0
    other = pixels.copy()
    other[5:20, 10:30, :3] = 77
    np.testing.assert_array_equal(to_picture(pixels).whole, to_picture(other).whole)
