"""What each place of a picture costs under the model, from the symbols that its coder sees."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aecodec.coding.ans import SymbolTable
from aecodec.coding.map_words import map_bits
from aecodec.decoder.latents import Floats, Grid
from aecodec.decoder.networks import Levels, Symbols
from aecodec.decoder.prior_tables import PriorTables
from aecodec.format.constants import GROUP, PASS_POSITION, PASSES
from aecodec.format.quality_map import Offsets


class CodeLengths:
    """Bits of symbols under many tables at once; the same as `SymbolTable.bits` of each."""

    def __init__(self, tables: Sequence[SymbolTable]) -> None:
        """Takes the distributions, which symbols name by their number."""
        sizes = np.array([len(table.counts) for table in tables])
        self._starts = np.cumsum(sizes) - sizes
        self._minima = np.array([table.minimum for table in tables], np.int64)
        self._escapes = np.array([table.escape for table in tables], np.int64)
        self._bits = np.concatenate([_bits(table) for table in tables])

    def __call__(self, symbols: Symbols, numbers: Levels) -> Floats:
        """Bits of each symbol, `(n,)`, given the number of its table."""
        escapes = self._escapes[numbers]
        positions = symbols - self._minima[numbers]
        outside = (positions < 0) | (positions >= escapes)
        bits: Floats = self._bits[self._starts[numbers] + np.where(outside, escapes, positions)]
        return bits


class PlaceBits:
    """Collects the groups of symbols of one tile, and says what each place costs."""

    def __init__(self, tables: PriorTables, grid: Grid) -> None:
        """Takes the tables of the tile's model, and its size."""
        self._grid, self._channels = grid, tables.latent_channels
        self._latent = CodeLengths(tables.scale_tables)
        self._hyper = CodeLengths(tables.hyper_tables)
        self._bits = np.zeros(grid.padded, np.float32)
        self._next = 0

    def add_map(self, offsets: Offsets) -> None:
        """Adds the quality map, whose bits belong to 16 places in equal parts."""
        self._add_cells(map_bits(offsets))

    def add_hyper(self, symbols: Symbols, numbers: Levels) -> None:
        """Adds the hyper-latents, whose bits belong to 16 places in equal parts."""
        self._add_cells(self._hyper(symbols, numbers).reshape(*self._grid.hyper, -1).sum(2))

    def _add_cells(self, bits: npt.NDArray[np.floating]) -> None:
        self._bits += (bits / GROUP**2).repeat(GROUP, 0).repeat(GROUP, 1)

    def add_pass(self, symbols: Symbols, levels: Levels) -> None:
        """Adds the coded symbols of the next pass, see `decoder.latents.Observer`."""
        height, width = self._grid.padded
        shape = PASSES, height // 2, width // 2, self._channels // PASSES
        bits, coded = self._latent(symbols, levels), self._grid.coded(self._next)
        if coded is None:
            full = bits.reshape(shape)
        else:
            full = np.zeros(shape, np.float32)
            full[np.broadcast_to(coded, shape)] = bits
        for quarter, place in enumerate(PASS_POSITION[self._next]):
            self._bits[place >> 1 :: 2, place & 1 :: 2] += full[quarter].sum(2)
        self._next += 1

    @property
    def bits(self) -> Floats:
        """`(h, w)`, what each place of the tile costs."""
        return self._bits[: self._grid.height, : self._grid.width]


def _bits(table: SymbolTable) -> npt.NDArray[np.float32]:
    ordinary = np.arange(table.minimum, table.minimum + len(table.counts), dtype=np.int32)
    return table.bits(ordinary).astype(np.float32)
