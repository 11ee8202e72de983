"""The entropy coder: what is coded comes back, golden words, and a second decoder."""

import numpy as np
import numpy.typing as npt
import pytest
from ans_reference import ReferenceWords
from hypothesis import given, settings
from hypothesis import strategies as st

from aecodec.coding.ans import (
    SYMBOL_MAX,
    SYMBOL_MIN,
    SymbolDecoder,
    SymbolEncoder,
    SymbolTable,
    frequency_counts,
)
from aecodec.errors import InputError, PayloadError, WeightsError

steady = settings(deadline=None, derandomize=True)

EXAMPLE = SymbolTable(-1, np.array([0x400000, 0x800000, 0x3FFFF0, 0x10]))
"""The table of SPECIFICATION.md, section 17.3."""
EXAMPLE_WORDS = bytes.fromhex("03 40 00 00 B0 1C 80 99")


def make_table(seed: int, size: int) -> SymbolTable:
    shares = np.random.default_rng(seed).exponential(1, size) ** 3
    return SymbolTable(-(size // 2), frequency_counts(shares, 1 + seed))


TABLES = [make_table(seed, size) for seed, size in enumerate((1, 2, 9, 81))]

groups = st.lists(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(-9, 9) | st.integers(SYMBOL_MIN, SYMBOL_MAX)),
        max_size=40,
    ),
    max_size=4,
)


def zeros(count: int) -> npt.NDArray[np.uint8]:
    return np.zeros(count, np.uint8)


@steady
@given(groups)
def test_both_decoders_give_back_what_was_coded(groups: list[list[tuple[int, int]]]) -> None:
    encoder = SymbolEncoder()
    pairs = [np.array(group, np.int32).reshape(-1, 2) for group in groups]
    for pair in pairs:
        encoder.add(pair[:, 1].copy(), pair[:, 0].astype(np.uint8), TABLES)
    decoder, reference = SymbolDecoder(encoder.words()), ReferenceWords(encoder.words())
    plain = [(table.minimum, table.counts.tolist()) for table in TABLES]
    for pair in pairs:
        numbers = pair[:, 0].astype(np.uint8)
        np.testing.assert_array_equal(decoder.take(numbers, TABLES), pair[:, 1])
        np.testing.assert_array_equal(reference.group(numbers.astype(np.int64), plain), pair[:, 1])
    decoder.finish()
    assert (reference.words, reference.state) == ([], 0)


def test_golden_words() -> None:
    encoder = SymbolEncoder()
    encoder.add(np.array([0, 1, 7], np.int32), zeros(3), [EXAMPLE])
    assert encoder.words() == EXAMPLE_WORDS
    decoder = SymbolDecoder(EXAMPLE_WORDS)
    assert decoder.take(zeros(3), [EXAMPLE]).tolist() == [0, 1, 7]
    decoder.finish()


def test_no_symbols_take_no_words() -> None:
    encoder = SymbolEncoder()
    encoder.add(np.zeros(0, np.int32), zeros(0), [EXAMPLE])
    assert encoder.words() == b""
    SymbolDecoder(b"").finish()


@pytest.mark.parametrize("words", [b"abc", b"\0\0\0\0", b"\0\0\0\0word"])
def test_words_that_no_encoder_writes(words: bytes) -> None:
    with pytest.raises(PayloadError):
        SymbolDecoder(words)


def test_words_that_are_left_are_noticed() -> None:
    decoder = SymbolDecoder(EXAMPLE_WORDS + b"more")
    decoder.take(zeros(3), [EXAMPLE])
    with pytest.raises(PayloadError, match="words are left"):
        decoder.finish()


@steady
@given(st.binary(max_size=80).map(lambda raw: raw[: len(raw) // 4 * 4]))
def test_any_words_decode_to_the_same_by_both_decoders(words: bytes) -> None:
    try:
        decoder = SymbolDecoder(words)
    except PayloadError:
        assert words[:4] == bytes(4)
        return
    found = decoder.take(zeros(50), [EXAMPLE])
    reference = ReferenceWords(words)
    expected = reference.group(zeros(50).astype(np.int64), [(-1, EXAMPLE.counts.tolist())])
    np.testing.assert_array_equal(found, expected)
    if reference.words or reference.state:
        with pytest.raises(PayloadError):
            decoder.finish()
    else:
        decoder.finish()


def test_a_dry_decoder_may_have_made_symbols_of_nothing() -> None:
    encoder = SymbolEncoder()
    encoder.add(np.arange(-40, 41, dtype=np.int32), zeros(81), [TABLES[3]])
    words = encoder.words()
    decoder = SymbolDecoder(words)
    assert not decoder.is_dry
    decoder.take(zeros(81), [TABLES[3]])
    assert decoder.is_dry


def test_bits_are_those_of_the_words() -> None:
    random = np.random.default_rng(0)
    table = TABLES[3]
    positions = random.choice(80, 20_000, p=table.counts[:80] / table.counts[:80].sum())
    symbols = (positions + table.minimum).astype(np.int32)
    symbols[:50] = 3000  # escapes
    encoder = SymbolEncoder()
    encoder.add(symbols, zeros(len(symbols)), [table])
    assert 8 * len(encoder.words()) == pytest.approx(table.bits(symbols).sum(), abs=64)


@pytest.mark.parametrize(
    ("symbols", "numbers", "message"),
    [
        ([1, 2], [0], "must match"),
        ([[1]], [[0]], "must match"),
        ([SYMBOL_MAX + 1], [0], "must lie in"),
        ([SYMBOL_MIN - 1], [0], "must lie in"),
        ([1], [1], "table number 1, but there are 1"),
    ],
)
def test_bad_input_is_named(symbols: list[int], numbers: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SymbolEncoder().add(np.array(symbols, np.int32), np.array(numbers, np.uint8), [EXAMPLE])


@pytest.mark.parametrize("counts", [[2**24], [0, 2**24], [1, 2**24], [-1, 2**24 + 1]])
def test_tables_of_other_sums_are_refused(counts: list[int]) -> None:
    with pytest.raises(WeightsError, match="sum to"):
        SymbolTable(0, np.array(counts))


def test_frequencies_become_counts() -> None:
    counts = frequency_counts(np.array([0.0, 3.0, 1.0]), 16)
    assert counts.sum() == 2**24
    assert counts.min() >= 1
    assert counts[3] == 16
    np.testing.assert_allclose(counts[1:3] / 2**24, [0.75, 0.25], atol=1e-5)
