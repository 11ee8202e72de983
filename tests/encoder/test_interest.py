"""Which quality each cell of a picture gets: regions of interest, masks, the variance boost."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from conftest import make_picture, make_sixteen_bit
from exif_bytes import make_exif, short
from PIL import Image

from aecodec.encoder.picture_quality import PictureQuality, lambda_of
from aecodec.encoder.quality_map import boost_of, interests, mapped, quality_of, quantized
from aecodec.encoder.variance_boost import FLOOR, MIDDLE, activities, boosts
from aecodec.errors import InputError
from aecodec.format.chunks import Header, PixelFormat
from aecodec.format.interest import Interest, Roi, RoiMask
from aecodec.format.quality import lmbda
from aecodec.format.tiling import Box, Region
from aecodec.models.registry import MODELS
from aecodec.options import BOOSTS, EncodeOptions
from aecodec.picture.metadata import Metadata, turned
from aecodec.picture.picture import Picture
from aecodec.picture.pixels import Pixels
from aecodec.picture.row_readers import PictureRows


def rows_of(pixels: Pixels, orientation: int = 1) -> PictureRows:
    exif = make_exif({274: short(orientation)}) if orientation > 1 else None
    return PictureRows(Picture(pixels, Metadata(exif=exif)))


def header_of(source: PictureRows, index: int = 200) -> Header:
    form = PixelFormat.of(rgb=not source.gray, sixteen_bit=source.sixteen_bit, alpha=False)
    return Header(source.width, source.height, form, 10, index, b"demo")


def png(levels: Pixels) -> bytes:
    file = BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return file.getvalue()


def cells(source: PictureRows, *wishes: Interest) -> list[list[float]]:
    found: list[list[float]] = interests(source, wishes).tolist()
    return found


def test_a_region_has_all_cells_that_it_touches() -> None:
    source = rows_of(make_picture(150, 200))
    found = cells(source, Roi(Region(63, 64, 2, 65), 20))
    assert found == [[0, 0, 0, 0], [20, 20, 0, 0], [20, 20, 0, 0]]
    assert cells(source, Roi(Region(199, 149, 1, 1), -7.5))[2] == [0, 0, 0, -7.5]


def test_the_largest_offset_counts_whatever_its_sign() -> None:
    source = rows_of(make_picture(64, 192))
    left, middle, right = Region(0, 0, 128, 9), Region(64, 0, 64, 9), Region(64, 0, 128, 9)
    assert cells(source, Roi(left, 10), Roi(right, -20)) == [[10, -20, -20]]
    assert cells(source, Roi(right, -20), Roi(left, 10)) == [[10, -20, -20]]
    for order in (1, -1):
        wishes = [Roi(left, 10), Roi(middle, -10)][::order]
        assert cells(source, *wishes) == [[10, 10, 0]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_places_are_those_of_the_picture_as_it_is_shown(orientation: int) -> None:
    stored = make_picture(140, 210)
    shown = turned(np.arange(140 * 210).reshape(140, 210), orientation)
    source = rows_of(stored, orientation)
    region = Region(70, 5, 30, 40)
    inside = np.isin(np.arange(140 * 210).reshape(140, 210), shown[region.slices()])
    expected = [
        [20 * inside[top : top + 64, left : left + 64].any() for left in range(0, 210, 64)]
        for top in range(0, 140, 64)
    ]
    assert cells(source, Roi(region, 20)) == expected
    mask = np.zeros(shown.shape, np.uint8)
    mask[region.slices()] = 255
    assert cells(source, RoiMask(png(mask), 20)) == expected
    assert cells(source, RoiMask.of(mask == 255, 20)) == expected


def test_a_mask_has_a_part_of_the_offset() -> None:
    source, mask = rows_of(make_picture(64, 192)), np.zeros((64, 192), np.uint8)
    mask[0, 0], mask[63, 128] = 51, 255
    assert cells(source, RoiMask.of(mask, -20)) == [[pytest.approx(-4), 0, -20]]
    deep = mask.astype(np.uint16) * 257
    assert cells(source, RoiMask(png(deep), -20)) == cells(source, RoiMask.of(mask, -20))
    colour = np.repeat(mask[:, :, None], 3, axis=2)
    assert cells(source, RoiMask(png(colour), -20)) == cells(source, RoiMask.of(mask, -20))


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (Roi(Region(150, 0, 60, 60), 5), "region 150,0,60,60 exceeds the picture of 200x100"),
        (Roi(Region(-1, 0, 60, 60), 5), "is no region"),
        (RoiMask(b"GIF", 5, "m.png"), "m.png: "),
        (RoiMask.of(np.zeros((200, 100), np.uint8), 5), "has 100x200 pixels, .* with 200x100"),
        (
            RoiMask(png(np.full((100, 200, 2), 9, np.uint8)), 5, "a"),
            "a: a mask has no transparency",
        ),
    ],
)
def test_places_that_are_not_in_the_picture(wish: Interest, message: str) -> None:
    with pytest.raises(InputError, match=message):
        interests(rows_of(make_picture(100, 200)), [wish])


def test_a_mask_of_a_turned_picture_has_its_size_as_shown() -> None:
    mask = RoiMask.of(np.zeros((100, 200), np.uint8), 5)
    with pytest.raises(InputError, match="has 200x100 pixels, the picture is shown with 100x200"):
        interests(rows_of(make_picture(100, 200), 6), [mask])


ANY_ROI: Any = Roi
ANY_MASK: Any = RoiMask
ANY_OPTIONS: Any = EncodeOptions
"""Called with what they must refuse."""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ANY_ROI((1, 2, 3, 4), 5), "roi takes a Region, not tuple"),
        (lambda: ANY_ROI(Region(0, 0, 1, 1), "5"), "the offset of a region must be a number"),
        (lambda: Roi(Region(0, 0, 1, 1), float("nan")), r"lie in \[-100, 100\], not nan"),
        (lambda: ANY_MASK("mask.png", 5), "a mask takes the bytes of a file, not str"),
        (lambda: RoiMask(b"", -101), "the offset of a mask must lie in"),
        (lambda: RoiMask.of(np.zeros((4, 4, 3), np.uint8), 5), "of uint8 or bool, not of uint8"),
        (lambda: ANY_MASK.of([[1]], 5), "of uint8 or bool, not of list"),
        (lambda: ANY_OPTIONS(roi=Roi(Region(0, 0, 1, 1), 5)), "a list of Roi and RoiMask"),
        (lambda: ANY_OPTIONS(roi=[Region(0, 0, 1, 1)]), "not Region"),
        (lambda: EncodeOptions(variance_boost=11), r"lie in \[0, 10\], not 11"),
        (lambda: EncodeOptions(variance_boost=True), "must be a number, not bool"),
    ],
)
def test_wishes_are_checked_when_they_are_made(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(InputError, match=message):
        make()


def test_no_map_where_all_cells_are_equal() -> None:
    source = rows_of(make_picture(150, 200))
    header, whole = header_of(source), Region(0, 0, 200, 150)
    plain = mapped(header, source, EncodeOptions())
    assert (plain.index, plain.cells, plain.map_index) == (200, None, None)
    higher = mapped(header, source, EncodeOptions(roi=[Roi(whole, 21)]))
    assert (higher.index, higher.cells) == (280, None)  # a step is 2 units, halves go to even
    best = replace(header, quality_index=400)
    assert mapped(best, source, EncodeOptions(roi=[Roi(Region(0, 0, 9, 9), 21)])).cells is None
    some = mapped(header, source, EncodeOptions(roi=[Roi(Region(0, 0, 9, 9), -20)]))
    assert some.map_index == 200
    assert some.cells is not None
    assert some.cells.tolist() == [[120, 200, 200, 200], *[[200] * 4] * 2]


def test_what_is_stored_exactly_has_no_map() -> None:
    source = rows_of(make_sixteen_bit(150, 200, 3))
    options = EncodeOptions(roi=[Roi(Region(0, 0, 9, 9), 21)], lossless=True)
    assert mapped(header_of(source), source, options).cells is None
    assert mapped(header_of(source), source, replace(options, lossless=False)).cells is not None
    with pytest.raises(InputError, match="exceeds the picture"):
        mapped(header_of(source), source, replace(options, roi=[Roi(Region(0, 0, 201, 9), 1)]))


def test_qualities_of_a_box() -> None:
    offsets = np.array([[0, 5], [-5, 0]], np.int32)
    quality = quality_of(200, offsets)
    assert quality.of(Box(0, 0, 4, 4)) == 200
    assert quality.of(Box(0, 4, 4, 7)) == 240
    found = quality.of(Box(3, 2, 6, 6))
    assert not isinstance(found, int)
    assert found.tolist() == [[200, 200, 240, 240], [160, 160, 200, 200], [160, 160, 200, 200]]
    hidden = np.zeros((3, 4), np.bool_)
    hidden[1:] = True
    hidden[:, 2:] = True
    assert quality.of(Box(3, 2, 6, 6), hidden) == 200
    assert PictureQuality(17).of(Box(0, 0, 9, 9), None) == 17


def test_lambda_of_each_latent() -> None:
    found = lambda_of(np.array([[0, 400], [200, 1]], np.int16))
    expected = [[lmbda(0), lmbda(1)], [lmbda(0.5), lmbda(0.0025)]]
    np.testing.assert_array_equal(found, expected)
    assert lambda_of(400) == lmbda(1)


def test_activities_are_logarithms_of_the_mean_variance() -> None:
    pixels = make_picture(64, 150, seed=3)
    luma = pixels @ np.array([0.25, 0.5, 0.25])
    found = activities(pixels)
    assert found.shape == (3,)
    for cell, start in enumerate((0, 64)):
        blocks = luma[:, start : start + 64].reshape(8, 8, 8, 8)
        expected = 64 * np.log2(blocks.var((1, 3)).mean() + FLOOR)
        assert found[cell] in (int(expected), int(expected) - 1, int(expected) + 1)
    np.testing.assert_array_equal(activities(pixels.astype(np.uint16) * 257), found)
    gray = np.ascontiguousarray(pixels[:, :, 0])
    np.testing.assert_array_equal(activities(gray), activities(np.stack([gray] * 3, axis=2)))


def test_smooth_cells_rise_and_busy_ones_fall() -> None:
    pixels = np.full((70, 130, 3), 90, np.uint8)
    pixels[:64, 64:128] = np.random.default_rng(0).integers(0, 256, (64, 64, 1))
    found = boosts(rows_of(pixels), 3.0)
    assert found.shape == (2, 3)
    smooth = 3.0 * (MIDDLE - np.log2(FLOOR))
    np.testing.assert_array_equal(found, [[smooth, found[0, 1], smooth], [smooth] * 3])
    assert found[0, 1] < -5
    np.testing.assert_array_equal(boosts(rows_of(pixels), 6.0), 2 * found)


def test_the_boost_and_regions_add_up() -> None:
    source = rows_of(np.full((64, 128, 3), 90, np.uint8))
    source.picture.pixels[:, 64:] = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    header, roi = header_of(source), [Roi(Region(0, 0, 9, 9), 10)]
    boosted = mapped(header, source, EncodeOptions(variance_boost=2))
    both = mapped(header, source, EncodeOptions(variance_boost=2, roi=roi))
    assert boosted.cells is not None
    assert both.cells is not None
    assert (both.cells - boosted.cells).tolist() == [[40, 0]]


def test_cells_keep_what_their_neighbours_predict() -> None:
    steps = np.array([[0.2, 0.7, 1.3], [0.9, 2.0, 1.3]])
    assert quantized(steps).tolist() == [[0, 0, 1], [0, 2, 2]]
    flat = np.random.default_rng(0).uniform(4.6, 5.7, (9, 9))
    assert np.unique(quantized(flat)).tolist() == [5]


def test_no_offset_is_far_from_what_a_cell_asks_for() -> None:
    steps = np.random.default_rng(1).normal(0, 8, (20, 30))
    found = quantized(steps)
    assert np.abs(found - steps).max() <= 1.0 + 1 / 64
    assert np.abs(quantized(100 * steps)).max() <= 50


def test_each_released_model_has_its_strength_of_the_variance_boost() -> None:
    for model in MODELS:
        assert model.tune is not None
        assert boost_of(model.model_id, EncodeOptions()) == BOOSTS[model.tune]
        assert boost_of(model.model_id, EncodeOptions(variance_boost=2.5)) == 2.5
    assert boost_of(b"mine", EncodeOptions()) == 0
    assert BOOSTS["visual"] > BOOSTS["psnr"] == 0
