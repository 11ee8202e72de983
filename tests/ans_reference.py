"""A second entropy decoder, in Python's integers, as SPECIFICATION.md, section 8, says."""

import struct

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class ReferenceWords:
    """Takes groups of symbols from words.

    Attributes:
        words: those that are left.
        state: the coder's.
    """

    def __init__(self, words: bytes) -> None:
        self.words = list(struct.unpack(f"<{len(words) // 4}I", words))
        self.state = 0
        for _ in range(min(2, len(self.words))):
            self.state = self.state << 32 | self.words.pop(0)

    def position(self, counts: list[int]) -> int:
        """Where in `counts` the next symbol stands."""
        r, start, position = self.state % 2**24, 0, 0
        while start + counts[position] <= r:
            start += counts[position]
            position += 1
        self.state = (self.state >> 24) * counts[position] + r - start
        self._refill()
        return position

    def uniform(self) -> int:
        """The next value, 0 to 65535, all of them equally likely."""
        r = self.state % 2**24
        self.state = (self.state >> 24) * 2**8 + r % 2**8
        self._refill()
        return r >> 8

    def _refill(self) -> None:
        if self.state < 2**32 and self.words:
            self.state = self.state << 32 | self.words.pop(0)

    def group(self, numbers: Ints, tables: list[tuple[int, list[int]]]) -> Ints:
        """The symbols of one group, given the table number of each."""
        symbols = np.zeros(len(numbers), np.int64)
        escapes = []
        for number in range(len(tables)):
            minimum, counts = tables[number]
            for place in np.flatnonzero(numbers == number):
                position = self.position(counts)
                symbols[place] = minimum + position
                if position == len(counts) - 1:
                    escapes.append(place)
        for place in sorted(escapes):
            symbols[place] = self.uniform() - 2**15
        return symbols
