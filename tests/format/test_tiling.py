"""Tiles, windows and regions, compared with what is counted pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aecodec.errors import InputError
from aecodec.format.chunks import Header, PixelFormat
from aecodec.format.constants import STRIDE
from aecodec.format.tiling import (
    Box,
    Region,
    latent_grid,
    tile_box,
    tile_boxes,
    tile_sides,
    tiles_around,
    touches,
    with_halo,
)

GRID = Box(0, 0, 24, 20)
HALO = 4

headers = st.builds(
    Header,
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    pixel_format=st.just(PixelFormat.RGB8),
    tile_exponent=st.integers(6, 9),
    quality_index=st.just(0),
    model_id=st.just(b"demo"),
)
steady = settings(deadline=None, derandomize=True)


def owners(header: Header) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """The number of the tile of each latent of the picture."""
    rows = np.arange(-(-header.height // STRIDE)) * STRIDE // header.tile_side
    columns = np.arange(-(-header.width // STRIDE)) * STRIDE // header.tile_side
    return rows[:, None] * header.tile_columns + columns


@steady
@given(headers)
def test_tiles_divide_the_grid(header: Header) -> None:
    expected = owners(header)
    boxes = list(tile_boxes(header))
    assert len(boxes) == header.tile_count
    assert latent_grid(header.height, header.width) == Box(0, 0, *expected.shape)
    found = np.full(expected.shape, -1)
    pixels = np.zeros((header.height, header.width), np.int64)
    for number, box in enumerate(boxes):
        assert tile_box(header, number) == box
        assert (found[box.slices()] == -1).all()
        found[box.slices()] = number
        part = pixels[box.slices(STRIDE)]
        assert part.shape == tile_sides(header, number)
        part += 1
    np.testing.assert_array_equal(found, expected)
    assert (pixels == 1).all()


@steady
@given(headers, st.integers(0, 9), st.data())
def test_tiles_around_a_box_are_those_within_the_halo(
    header: Header, halo: int, data: st.DataObject
) -> None:
    expected = owners(header)
    height, width = expected.shape
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom = data.draw(st.integers(top + 1, height))
    right = data.draw(st.integers(left + 1, width))
    near = [
        expected[row, column]
        for row in range(height)
        for column in range(width)
        if top - halo <= row < bottom + halo and left - halo <= column < right + halo
    ]
    found = list(tiles_around(header, Box(top, left, bottom, right), halo))
    assert found == sorted(set(near))


@pytest.mark.parametrize(
    ("lossless", "expected"),
    [
        ((9, 9), Box(4, 4, 16, 16)),  # the tile itself does not count
        ((5, 9), Box(8, 4, 16, 16)),
        ((12, 9), Box(4, 4, 12, 16)),
        ((9, 5), Box(4, 8, 16, 16)),
        ((9, 12), Box(4, 4, 16, 12)),
        ((5, 5), Box(4, 4, 16, 16)),  # a corner
        ((20, 9), Box(4, 4, 16, 16)),  # too far
    ],
)
def test_windows_end_at_lossless_tiles(lossless: tuple[int, int], expected: Box) -> None:
    mask = np.zeros((GRID.height, GRID.width), np.bool_)
    top, left = (index // 4 * 4 for index in lossless)
    mask[top : top + 4, left : left + 4] = True
    box = Box(8, 8, 12, 12)
    assert with_halo(box, GRID, HALO, mask) == expected
    assert touches(box, GRID, HALO, mask) == (lossless != (20, 9))
    assert with_halo(box, GRID, HALO) == Box(4, 4, 16, 16)


def test_windows_at_the_border_of_the_picture() -> None:
    mask = np.zeros((GRID.height, GRID.width), np.bool_)
    mask[-4:, -4:] = True
    assert with_halo(Box(0, 0, 4, 4), GRID, HALO, mask) == Box(0, 0, 8, 8)
    assert with_halo(GRID, GRID, HALO, mask) == GRID
    assert with_halo(Box(0, 0, 4, 4), GRID, 0) == Box(0, 0, 4, 4)


def test_boxes_overlap_and_move() -> None:
    box = Box(2, 3, 10, 20)
    assert box.overlap(Box(8, 0, 30, 5)) == Box(8, 3, 10, 5)
    assert box.overlap(Box(10, 3, 12, 20)) is None
    assert box.relative_to(Box(2, 1, 40, 40)) == Box(0, 2, 8, 19)
    assert box.slices(16) == np.s_[32:160, 48:320]


def test_regions_lie_within_the_picture() -> None:
    region = Region(15, 16, 2, 1)
    region.check(17, 17)
    assert region.latents == Box(1, 0, 2, 2)
    assert str(region) == "15,16,2,1"
    assert region.slices() == np.s_[16:17, 15:17]
    for width, height in ((16, 17), (17, 16)):
        with pytest.raises(InputError, match="exceeds"):
            region.check(width, height)
    for wrong in (Region(-1, 0, 1, 1), Region(0, -1, 1, 1), Region(0, 0, 0, 1), Region(0, 0, 1, 0)):
        with pytest.raises(InputError, match="no region"):
            wrong.check(9, 9)
