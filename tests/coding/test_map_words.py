"""Maps as the first group of a tile's words."""

import numpy as np
import pytest
from ans_reference import ReferenceWords
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from aecodec.coding.ans import SymbolDecoder, SymbolEncoder, SymbolTable
from aecodec.coding.map_words import (
    RESIDUAL_TABLE,
    join_map,
    map_bits,
    split_cut_map,
    split_map,
)
from aecodec.errors import PayloadError
from aecodec.format.quality_map import LIMIT, Offsets, cell_qualities, residuals

TABLE = SymbolTable(-1, np.array([2**22, 2**23, 2**22 - 16, 16]))
shapes = arrays.array_shapes(min_dims=2, max_dims=2, max_side=6)
maps = arrays.arrays(np.int32, shapes, elements=st.integers(-LIMIT, LIMIT))
latents = st.lists(st.integers(-9, 9), max_size=60)


def words_of(symbols: list[int]) -> bytes:
    encoder = SymbolEncoder()
    encoder.add(np.array(symbols, np.int32), np.zeros(len(symbols), np.uint8), [TABLE])
    return encoder.words()


def test_the_table_is_that_of_the_specification() -> None:
    counts = RESIDUAL_TABLE.counts.tolist()
    assert (RESIDUAL_TABLE.minimum, len(counts), counts[-1]) == (-20, 42, 8)
    assert counts[20] == 2**23
    assert counts[:20] == counts[40:20:-1] == [2**k for k in range(2, 22)]


def test_the_example_of_the_specification() -> None:
    """Section 17.5."""
    words = bytes.fromhex("00 01 00 00 61 E7 F0 20 FC FF FF FE F8 FF FF C0")
    offsets, rest = split_map(words, (2, 3))
    assert (offsets.tolist(), rest) == ([[3, -4, -30], [2, 0, 0]], b"")
    assert residuals(offsets).tolist() == [[3, -7, -26], [-1, 4, 26]]
    assert cell_qualities(101, offsets).tolist() == [[125, 69, 0], [117, 101, 101]]
    assert join_map(offsets, b"") == words


@given(maps, latents)
def test_a_map_is_the_first_group(d: Offsets, symbols: list[int]) -> None:
    plain = words_of(symbols)
    words = join_map(d, plain)
    encoder = SymbolEncoder()
    flat = residuals(d).reshape(-1)
    encoder.add(flat, np.zeros(len(flat), np.uint8), [RESIDUAL_TABLE])
    encoder.add(np.array(symbols, np.int32), np.zeros(len(symbols), np.uint8), [TABLE])
    assert words == encoder.words()
    found, rest = split_map(words, (d.shape[0], d.shape[1]))
    np.testing.assert_array_equal(found, d)
    assert rest == plain


@given(maps)
def test_the_coder_in_plain_integers_reads_it(d: Offsets) -> None:
    source = ReferenceWords(join_map(d, b""))
    table = (-20, RESIDUAL_TABLE.counts.tolist())
    found = source.group(np.zeros(d.size, np.int64), [table])
    assert found.tolist() == residuals(d).reshape(-1).tolist()
    assert (source.state, len(source.words)) == (0, 0)


@given(st.binary(max_size=60), st.integers(1, 9), st.integers(1, 9))
def test_any_words_split_as_they_decode(data: bytes, first: int, second: int) -> None:
    words = data[: len(data) // 4 * 4]
    if words[:4] == b"\0" * 4:
        return
    whole, part = SymbolDecoder(words), SymbolDecoder(words)
    numbers = [np.zeros(count, np.uint8) for count in (first, second)]
    expected = [whole.take(each, [TABLE]).tolist() for each in numbers]
    begun = part.take(numbers[0], [TABLE]).tolist()
    rest = SymbolDecoder(part.rest())
    assert [begun, rest.take(numbers[1], [TABLE]).tolist()] == expected
    assert rest.rest() == whole.rest()


@given(maps, st.data())
def test_what_is_left_of_a_map(d: Offsets, data: st.DataObject) -> None:
    plain = words_of([0, 1, -1] * 40)
    words = join_map(d, plain)
    kept = words[: 4 * data.draw(st.integers(0, len(words) // 4))]
    found, rest = split_cut_map(kept, (d.shape[0], d.shape[1]))
    if found.any() or rest:
        np.testing.assert_array_equal(found, d)
    missing = len(words) - len(kept)
    if missing < len(plain) - 12:
        np.testing.assert_array_equal(found, d)
        assert plain.startswith(rest[:-8])


def test_a_bad_map_of_a_cut_tile_is_left_out() -> None:
    for words in (b"\0" * 8, join_map(np.full((1, 3), 50, np.int32), b"")[:4]):
        found, rest = split_cut_map(words, (1, 3))
        assert (found.tolist(), rest) == ([[0, 0, 0]], b"")


def test_offsets_out_of_range_and_bad_words_are_refused() -> None:
    encoder = SymbolEncoder()
    encoder.add(np.array([50, 1], np.int32), np.zeros(2, np.uint8), [RESIDUAL_TABLE])
    with pytest.raises(PayloadError, match="out of range"):
        split_map(encoder.words(), (1, 2))
    with pytest.raises(PayloadError, match="the first word is zero"):
        split_map(b"\0" * 4, (1, 2))


def test_a_flat_map_costs_a_bit_a_cell() -> None:
    assert map_bits(np.zeros((3, 5), np.int32)).tolist() == [[1.0] * 5] * 3
    steep = map_bits(np.array([[0, 50]], np.int32))
    assert steep[0, 1] == 24 - 3 + 16
    cost = len(join_map(np.zeros((16, 16), np.int32), words_of([0] * 900))) - len(
        words_of([0] * 900)
    )
    assert cost == 32
