"""The first group of a tile's words, which is its quality map; SPECIFICATION.md, section 9.6.

The coder is a stack: what is left after a group is a sequence of words like any other, so that
whoever codes latents sees words without a map.
"""

import numpy as np
import numpy.typing as npt

from aecodec.coding.ans import SymbolDecoder, SymbolEncoder, SymbolTable
from aecodec.errors import PayloadError
from aecodec.format.quality_map import Offsets, offsets_of, residuals

RADIUS = 20
"""Largest residual with a count of its own."""
_ESCAPE = 8
_HALVES = [1 << (22 - abs(k)) if k else 1 << 23 for k in range(-RADIUS, RADIUS + 1)]
RESIDUAL_TABLE = SymbolTable(-RADIUS, np.array([*_HALVES, _ESCAPE], np.int64))
"""The table of all residuals, the same for every model."""


def split_map(words: bytes, cells: tuple[int, int]) -> tuple[Offsets, bytes]:
    """Takes the map from the words of a tile.

    Args:
        words: of a tile with a map.
        cells: rows and columns of its cells.

    Returns:
        The offsets of the cells, and the words of the latents.

    Raises:
        PayloadError: no encoder writes such words.
    """
    decoder = SymbolDecoder(words)
    return _taken(decoder, cells), decoder.rest()


def split_cut_map(words: bytes, cells: tuple[int, int]) -> tuple[Offsets, bytes]:
    """The same from the first words of a tile: all offsets are 0 if those of the map are not whole.

    What follows a map that is not whole is left out.
    """
    try:
        decoder = SymbolDecoder(words)
        offsets = _taken(decoder, cells)
    except PayloadError:
        return np.zeros(cells, np.int32), b""
    if decoder.is_dry:
        return np.zeros(cells, np.int32), b""
    return offsets, decoder.rest()


def join_map(offsets: Offsets, words: bytes) -> bytes:
    """Puts a map before the words of the latents.

    Raises:
        InputError: an offset is out of range.
    """
    encoder = SymbolEncoder(words)
    found = residuals(offsets).reshape(-1)
    encoder.add(found, np.zeros(len(found), np.uint8), [RESIDUAL_TABLE])
    return encoder.words()


def map_bits(offsets: Offsets) -> npt.NDArray[np.float64]:
    """Ideal bits of the offset of each cell, `(rows, columns)`."""
    return RESIDUAL_TABLE.bits(residuals(offsets))


def _taken(decoder: SymbolDecoder, cells: tuple[int, int]) -> Offsets:
    rows, columns = cells
    found = decoder.take(np.zeros(rows * columns, np.uint8), [RESIDUAL_TABLE])
    return offsets_of(found.reshape(rows, columns))
