"""The quality map: prediction, range, and what cells mean for positions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from aecodec.errors import HeaderError, InputError, PayloadError
from aecodec.format.chunks import (
    DEFAULT_LIMITS,
    HEAD,
    Header,
    PixelFormat,
    head_chunk,
    read_chunk,
    read_header,
)
from aecodec.format.quality_map import (
    LIMIT,
    Offsets,
    at_cells,
    cell_offsets,
    cell_qualities,
    offsets_of,
    residuals,
    spread,
    whole_cells,
)

shapes = arrays.array_shapes(min_dims=2, max_dims=2, max_side=7)
maps = arrays.arrays(np.int32, shapes, elements=st.integers(-LIMIT, LIMIT))


def predicted(d: Offsets, i: int, j: int) -> int:
    """Section 9.6, as the three cases of LOCO-I."""
    if i == 0 or j == 0:
        return int(d[i, j - 1] if j else d[i - 1, j] if i else 0)
    a, b, c = int(d[i, j - 1]), int(d[i - 1, j]), int(d[i - 1, j - 1])
    if c >= max(a, b):
        return min(a, b)
    return max(a, b) if c <= min(a, b) else a + b - c


@given(maps)
def test_residuals_are_what_the_prediction_lacks(d: Offsets) -> None:
    found = residuals(d)
    expected = [[d[i, j] - predicted(d, i, j) for j in range(d.shape[1])] for i in range(len(d))]
    assert found.tolist() == expected
    np.testing.assert_array_equal(offsets_of(found), d)


@pytest.mark.parametrize("d", [[[51]], [[-51]], [[50, 1]], [[-50], [-1]], [[32767]], [[-32768]]])
def test_offsets_out_of_range_are_refused(d: list[list[int]]) -> None:
    with pytest.raises(PayloadError, match="offset of a quality map is out of range"):
        offsets_of(np.array(d, np.int32))


def test_an_encoder_may_not_write_them() -> None:
    with pytest.raises(InputError, match=r"must lie in \[-50, 50\]"):
        residuals(np.array([[0, LIMIT + 1]], np.int32))


@given(maps, st.integers(0, 400))
def test_the_smallest_offsets_give_the_same_qualities(d: Offsets, index: int) -> None:
    cells = cell_qualities(index, d)
    assert cells.tolist() == np.clip(index + 8 * d, 0, 400).tolist()
    found = cell_offsets(index, cells)
    np.testing.assert_array_equal(cell_qualities(index, found), cells)
    assert (np.abs(found) <= np.abs(d)).all()


def test_qualities_between_steps_are_refused() -> None:
    with pytest.raises(InputError, match="whole steps away from index 100"):
        cell_offsets(100, np.array([[104]], np.int16))


@given(st.integers(1, 13), st.integers(1, 13))
def test_cells_are_spread_over_positions(height: int, width: int) -> None:
    rows, columns = -(-height // 4), -(-width // 4)
    cells = np.arange(rows * columns, dtype=np.int16).reshape(rows, columns)
    found = spread(cells, height, width)
    assert found.shape == (height, width)
    for (row, column), value in np.ndenumerate(found):
        assert value == cells[row // 4, column // 4]
    np.testing.assert_array_equal(at_cells(found), cells)
    padded = whole_cells(found)
    np.testing.assert_array_equal(padded, cells.repeat(4, 0).repeat(4, 1))


def test_head_says_whether_there_are_maps() -> None:
    flat = Header(3, 2, PixelFormat.GRAY8, 6, 400, b"demo")
    for header, low, high in (
        (flat, 0x90, 0x01),
        (Header(3, 2, PixelFormat.GRAY8, 6, 400, b"demo", has_quality_map=True), 0x90, 0x81),
    ):
        data = head_chunk(header)
        assert (data[4:8], data[18], data[19]) == (HEAD, low, high)
        assert read_header(read_chunk(memoryview(data), 0, 0), DEFAULT_LIMITS) == header


@pytest.mark.parametrize("bit", range(9, 15))
@pytest.mark.parametrize("flag", [0, 0x80])
def test_other_bits_of_the_field_are_refused(bit: int, flag: int) -> None:
    chunk = read_chunk(memoryview(head_chunk(Header(3, 2, PixelFormat.GRAY8, 6, 0, b"demo"))), 0, 0)
    payload = bytearray(chunk.payload)
    payload[11] = (1 << bit >> 8) | flag
    with pytest.raises(HeaderError, match=f"quality index is {1 << bit}, the format allows 0 to"):
        read_header(chunk._replace(payload=memoryview(payload)), DEFAULT_LIMITS)
