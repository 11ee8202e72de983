"""Codes integers under tabulated distributions with constriction's ANS coder.

SPECIFICATION.md, section 8, says what words mean. Source of the coder: Duda, "Asymmetric numeral
systems", arXiv:1311.2540; Bamler, "Understanding Entropy Coding With Asymmetric Numeral Systems",
arXiv:2201.01741.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import constriction
import numpy as np
import numpy.typing as npt

from aecodec.errors import InputError, PayloadError, WeightsError

PRECISION = 24
"""Bits of a probability; the counts of every table sum to 2**PRECISION."""
SYMBOL_MIN, SYMBOL_MAX = -(2**15), 2**15 - 1
ESCAPE_RANGE = 2**16
"""Values that can follow an escape."""

Symbols = npt.NDArray[np.int32]
TableNumbers = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SymbolTable:
    """Frozen distribution of one kind of symbol.

    Attributes:
        minimum: the symbol of the first count.
        counts: `(n + 1,)` int64, each at least 1, sum 2**24; the last is the escape's.

    Raises:
        WeightsError: a count is below 1 or the sum is wrong.
    """

    minimum: int
    counts: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if len(self.counts) < 2 or self.counts.min() < 1 or self.counts.sum() != 2**PRECISION:
            raise WeightsError("a symbol table's counts must be positive and sum to 2**24")

    @property
    def escape(self) -> int:
        """Position of the escape, which is also the number of ordinary symbols."""
        return len(self.counts) - 1

    @cached_property
    def model(self) -> Any:  # noqa: ANN401  # constriction has no types
        """The same distribution as constriction's entropy model.

        `perfect=True` keeps probabilities that are multiples of 2**-24 as they are;
        `perfect=False` would round them its own way.
        """
        probabilities = self.counts / float(2**PRECISION)
        return constriction.stream.model.Categorical(probabilities, perfect=True)

    def bits(self, symbols: Symbols) -> npt.NDArray[np.float64]:
        """Ideal code length of each symbol, with what follows an escape."""
        positions = self.positions(symbols)
        bits: npt.NDArray[np.float64] = PRECISION - np.log2(self.counts[positions])
        bits[positions == self.escape] += np.log2(ESCAPE_RANGE)
        return bits

    def positions(self, symbols: Symbols) -> Symbols:
        """Positions in `counts`; whatever lies outside becomes the escape."""
        return _positions(symbols, np.int32(self.minimum), np.int32(self.escape))


class SymbolEncoder:
    """Collects groups of symbols in the order of decoding and turns them into words.

    Example:
        >>> table = SymbolTable(-1, np.array([2**22, 2**23, 2**22 - 16, 16]))
        >>> encoder = SymbolEncoder()
        >>> encoder.add(np.array([0, 1, 7], np.int32), np.zeros(3, np.uint8), [table])
        >>> words = encoder.words()
        >>> len(words)
        8
        >>> SymbolDecoder(words).take(np.zeros(3, np.uint8), [table])
        array([0, 1, 7], dtype=int32)
    """

    def __init__(self, following: bytes = b"") -> None:
        """Begins with no group; `following` are the words of what a decoder takes afterwards."""
        self._groups: list[tuple[Symbols, Any]] = []
        self._following = following

    def add(self, symbols: Symbols, numbers: TableNumbers, tables: Sequence[SymbolTable]) -> None:
        """Adds one group.

        Args:
            symbols: `(n,)` int32 in [SYMBOL_MIN, SYMBOL_MAX].
            numbers: `(n,)` uint8, the table of each symbol.
            tables: the distributions.

        Raises:
            InputError: shapes differ, or a symbol or number is out of range.
        """
        if symbols.ndim != 1 or symbols.shape != numbers.shape:
            raise InputError(f"symbols {symbols.shape} and numbers {numbers.shape} must match")
        if not len(symbols):
            return
        if symbols.min() < SYMBOL_MIN or symbols.max() > SYMBOL_MAX:
            raise InputError(f"symbols must lie in [{SYMBOL_MIN}, {SYMBOL_MAX}]")
        order, counts = _by_table(numbers, len(tables))
        escapes = np.repeat(np.array([t.escape for t in tables], np.int32), counts)
        minima = np.repeat(np.array([t.minimum for t in tables], np.int32), counts)
        positions = _positions(symbols[order], minima, escapes)
        start = 0
        for number in np.flatnonzero(counts).tolist():
            stop = start + int(counts[number])
            self._groups.append((positions[start:stop], tables[number].model))
            start = stop
        places = np.sort(order[positions == escapes])
        if len(places):
            values = symbols[places].astype(np.int32) - np.int32(SYMBOL_MIN)
            self._groups.append((values, _UNIFORM))

    def words(self) -> bytes:
        """All groups as little-endian uint32, in the order in which a decoder takes them."""
        coder = _coder_of(self._following)
        for positions, model in reversed(self._groups):
            coder.encode_reverse(positions, model)
        return _words_of(coder)


class SymbolDecoder:
    """Takes groups of symbols from words, in the order in which they were added."""

    def __init__(self, words: bytes) -> None:
        """Starts at the first word.

        Raises:
            PayloadError: no encoder writes such words.
        """
        self._coder = _coder_of(words)

    def take(self, numbers: TableNumbers, tables: Sequence[SymbolTable]) -> Symbols:
        """Decodes one group, `(n,)` int32, given the table number of each symbol.

        Any words decode to something; the caller compares the checksum of the latents.
        """
        order, counts = _by_table(numbers, len(tables))
        sorted_symbols = np.empty(len(numbers), np.int32)
        escapes: list[npt.NDArray[np.intp]] = []
        start = 0
        for number in np.flatnonzero(counts).tolist():
            table, count = tables[number], int(counts[number])
            positions = self._coder.decode(table.model, count)
            if positions.max() == table.escape:
                escapes.append(order[start : start + count][positions == table.escape])
            np.add(positions, np.int32(table.minimum), out=sorted_symbols[start : start + count])
            start += count
        symbols = np.empty_like(sorted_symbols)
        symbols[order] = sorted_symbols
        if escapes:
            places = np.sort(np.concatenate(escapes))
            values = self._coder.decode(_UNIFORM, len(places))
            symbols[places] = values + np.int32(SYMBOL_MIN)
        return symbols

    @property
    def is_dry(self) -> bool:
        """Whether no word is left to take, so that symbols may have been made of nothing."""
        return int(self._coder.num_words()) <= 2

    def rest(self) -> bytes:
        """What is not taken yet, as words that another decoder takes."""
        return _words_of(self._coder)

    def finish(self) -> None:
        """Checks that everything was taken.

        Raises:
            PayloadError: words or a part of the state are left.
        """
        if not self._coder.is_empty():
            raise PayloadError("symbols are complete, but words are left")


def frequency_counts(probabilities: npt.NDArray[np.float64], escape: int) -> npt.NDArray[np.int64]:
    """Probabilities to counts that sum to 2**24, each at least 1, plus the escape's.

    Args:
        probabilities: `(n,)`, non-negative; rescaled to what the escape leaves.
        escape: count of the escape.

    Returns:
        `(n + 1,)` int64. What rounding down leaves goes to the most probable symbol.
    """
    room = 2**PRECISION - escape - len(probabilities)
    scaled = np.floor(probabilities / probabilities.sum() * room).astype(np.int64) + 1
    scaled[np.argmax(scaled)] += 2**PRECISION - escape - scaled.sum()
    return np.append(scaled, escape)


def _coder_of(words: bytes) -> Any:  # noqa: ANN401  # constriction has no types
    """A coder that holds words in the order in which a decoder takes them.

    Raises:
        PayloadError: no encoder writes such words.
    """
    if len(words) % 4:
        raise PayloadError(f"{len(words)} bytes of words are not a multiple of 4")
    stack = np.frombuffer(words, "<u4").astype(np.uint32)[::-1]
    try:
        return constriction.stream.stack.AnsCoder(np.ascontiguousarray(stack))
    except ValueError as exc:
        raise PayloadError("the first word is zero") from exc


def _words_of(coder: Any) -> bytes:  # noqa: ANN401  # constriction has no types
    return bytes(np.ascontiguousarray(coder.get_compressed()[::-1]).astype("<u4").tobytes())


def _positions(
    symbols: Symbols, minima: "Symbols | np.int32", escapes: "Symbols | np.int32"
) -> Symbols:
    """Positions in tables that begin at `minima`, or `escapes` where they have none."""
    positions = symbols.astype(np.int32) - minima
    return np.where((positions < 0) | (positions >= escapes), escapes, positions)


def _by_table(numbers: TableNumbers, tables: int) -> tuple[npt.NDArray[np.intp], Symbols]:
    """Order that sorts by table number (stable), and how many symbols each table has."""
    if len(numbers) and int(numbers.max()) >= tables:
        raise InputError(f"table number {int(numbers.max())}, but there are {tables} tables")
    order = np.argsort(numbers, kind="stable")
    bounds = np.searchsorted(numbers[order], np.arange(tables + 1))
    return order, np.diff(bounds).astype(np.int32)


_UNIFORM = constriction.stream.model.Uniform(ESCAPE_RANGE)
