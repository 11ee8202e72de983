"""Words to latents: hyper-latents first, then the four passes; SPECIFICATION.md, section 9."""

import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from aecodec.coding.ans import SymbolDecoder, SymbolTable
from aecodec.coding.map_words import split_cut_map, split_map
from aecodec.decoder.networks import Levels, Means, Prior, Symbols, TilePasses, YHat
from aecodec.decoder.passes import take_quarter
from aecodec.decoder.prior_tables import Ints
from aecodec.errors import PayloadError
from aecodec.format.chunks import Header, Tile, check_crc
from aecodec.format.constants import (
    ACTIVATION_MAX,
    GROUP,
    MEAN_FRACTION,
    PASSES,
)
from aecodec.format.quality_map import Quality, cell_qualities, spread

MEAN_STEP = np.float32(1 / MEAN_FRACTION)

Floats = npt.NDArray[np.float32]
Observer = Callable[[Symbols, Levels], None]
Code = Callable[[int, Levels, Means], Symbols]
"""Number of a pass, its levels and its means in 1/16 step, to its symbols: all
`(4, h/2, w/2, M/4)`, 0 where nothing is coded."""


@dataclass(frozen=True)
class Grid:
    """Size of one tile's latents.

    Attributes:
        height: coded rows.
        width: coded columns.
    """

    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        """Coded rows and columns."""
        return self.height, self.width

    @property
    def padded(self) -> tuple[int, int]:
        """Rows and columns, rounded up to multiples of 4."""
        return -(-self.height // GROUP) * GROUP, -(-self.width // GROUP) * GROUP

    @property
    def hyper(self) -> tuple[int, int]:
        """Rows and columns of the hyper-latents."""
        height, width = self.padded
        return height // GROUP, width // GROUP

    def coded(self, number: int) -> npt.NDArray[np.bool_] | None:
        """Which symbols of a pass are coded, `(4, h/2, w/2, 1)`; None when all are."""
        height, width = self.padded
        if (height, width) == (self.height, self.width):
            return None
        inside = np.zeros((height, width, PASSES), np.bool_)
        inside[: self.height, : self.width] = True
        return take_quarter(inside, number)


def run_passes(passes: TilePasses, code: Code) -> YHat:
    """The four passes, for whoever reads or writes their symbols.

    Args:
        passes: of a tile.
        code: gives the symbols of a pass.

    Returns:
        `y_hat` `(h, w, M)` int16 in 1/16 step.
    """
    for number in range(PASSES):
        passes.put(code(number, *passes.predict()))
    return passes.latents()


def without_map(
    tile: Tile, grid: Grid, header: Header, *, is_cut: bool = False
) -> tuple[Tile, Quality]:
    """Takes the quality map from a tile of a file, if there is one.

    Args:
        tile: as it stands in the file.
        grid: size of the tile.
        header: of the file.
        is_cut: whether only the first words of the tile are left; a map that they do not hold
            whole has the picture's quality everywhere.

    Returns:
        The tile as `decode_latents` and `decode_prefix` take it, and the quality of its latents.

    Raises:
        PayloadError: the words do not fit the tile.
    """
    if not header.has_quality_map:
        return tile, header.quality_index
    offsets, words = (split_cut_map if is_cut else split_map)(tile.words, grid.hyper)
    cells = cell_qualities(header.quality_index, offsets)
    return replace(tile, words=words), spread(cells, *grid.size)


def decode_latents(
    prior: Prior, tile: Tile, grid: Grid, quality: Quality, *, observe: Observer | None = None
) -> YHat:
    """Decodes the latents of one tile.

    Args:
        prior: the exact prior.
        tile: what was coded, see `without_map`.
        grid: size of the tile.
        quality: row of the quality grid, or `(h, w)` rows.
        observe: called with the symbols and table numbers of each group, in their order.

    Returns:
        `y_hat` `(h, w, M)` int16 in 1/16 step.

    Raises:
        PayloadError: the words do not fit the tile.
        ChecksumError: the latents are not those that were encoded.
    """
    y_hat = None
    if observe is None:
        y_hat = prior.networks.decode(tile.words, grid.size, quality)
    if y_hat is None:
        y_hat = _decode_by_steps(prior, tile.words, grid, quality, observe)
    check_crc("decoded latents", tile.checksum, latents_checksum(y_hat))
    return y_hat


def _decode_by_steps(
    prior: Prior, words: bytes, grid: Grid, quality: Quality, observe: Observer | None
) -> YHat:
    decoder = SymbolDecoder(words)
    source = decoder if observe is None else _Observed(decoder, observe)
    z_hat = _take_hyper_latents(source, prior, grid)
    if z_hat.size and not -ACTIVATION_MAX <= z_hat.min() <= z_hat.max() < ACTIVATION_MAX:
        raise PayloadError("a hyper-latent is out of range")
    passes = prior.networks.begin(z_hat, grid.size, quality)
    y_hat = run_passes(passes, _taking(source, prior, grid))
    decoder.finish()
    return y_hat


def decode_prefix(prior: Prior, words: bytes, grid: Grid, quality: Quality) -> tuple[YHat, Floats]:
    """Decodes a tile of which only the first words are left.

    Passes that are not complete are replaced by their means, which the complete ones predict.

    Args:
        prior: the exact prior.
        words: any beginning of a tile's words, also none, a multiple of 4 bytes; see
            `without_map`.
        grid: size of the tile.
        quality: row of the quality grid, or `(h, w)` rows.

    Returns:
        `y_hat` `(h, w, M)` int16 in 1/16 step, and the hyper-latents, with which `encode_latents`
        makes a whole tile of it.
    """
    source = _Prefix(words)
    z_hat = _take_hyper_latents(source, prior, grid).clip(-ACTIVATION_MAX, ACTIVATION_MAX - 1)
    passes = prior.networks.begin(z_hat, grid.size, quality)
    y_hat = run_passes(passes, _taking(source, prior, grid))
    return y_hat, z_hat.astype(np.float32)


class _Source(Protocol):
    """What gives groups of symbols."""

    def take(self, numbers: Levels, tables: Sequence[SymbolTable]) -> Symbols:
        """One group, `(n,)`, given the table number of each symbol."""


@dataclass(frozen=True)
class _Observed:
    """A source that tells of each group."""

    source: _Source
    observe: Observer

    def take(self, numbers: Levels, tables: Sequence[SymbolTable]) -> Symbols:
        found = self.source.take(numbers, tables)
        self.observe(found, numbers)
        return found


class _Prefix:
    """Gives whole groups of symbols while words last, then zeros."""

    def __init__(self, words: bytes) -> None:
        self._decoder: SymbolDecoder | None = None
        with suppress(PayloadError):
            self._decoder = SymbolDecoder(words)

    def take(self, numbers: Levels, tables: Sequence[SymbolTable]) -> Symbols:
        if self._decoder is not None:
            symbols = self._decoder.take(numbers, tables)
            if not self._decoder.is_dry:
                return symbols
            self._decoder = None
        return np.zeros(len(numbers), np.int32)


def _take_hyper_latents(source: _Source, prior: Prior, grid: Grid) -> Ints:
    tables = prior.tables.hyper_tables
    symbols = source.take(hyper_numbers(len(tables), grid), tables)
    return symbols.astype(np.int64).reshape(*grid.hyper, len(tables))


def _taking(source: _Source, prior: Prior, grid: Grid) -> Code:
    """Takes the symbols of each pass from a source."""
    tables = prior.tables.scale_tables

    def take(number: int, levels: Levels, _means: Means) -> Symbols:
        coded = grid.coded(number)
        if coded is None:
            return source.take(levels.reshape(-1), tables).reshape(levels.shape)
        inside = np.broadcast_to(coded, levels.shape)
        symbols = np.zeros(levels.shape, np.int32)
        symbols[inside] = source.take(levels[inside], tables)
        return symbols

    return take


def latents_checksum(y_hat: YHat) -> int:
    """CRC-32 of `(h, w, M)` latents in 1/16 step; SPECIFICATION.md, section 9.5."""
    return zlib.crc32(np.ascontiguousarray(y_hat, "<i2").tobytes())


def hyper_numbers(channels: int, grid: Grid) -> Levels:
    """The table of each hyper-latent, which is its channel."""
    rows, columns = grid.hyper
    return np.tile(np.arange(channels, dtype=np.uint8), rows * columns)
