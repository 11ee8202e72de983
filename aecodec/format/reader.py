"""Reads an .aec file in parts: its header, where its chunks are, and the tiles that are asked for.

A chunk's place follows from the lengths of all chunks before it, so that they are read on the way,
8 bytes each, up to the last tile that is needed. A file object that fetches its bytes from far away
should read ahead, as those of fsspec do.

What is not read is not checked: damage in other tiles, a missing end, bytes behind it.
"""

import os
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple, Protocol

from aecodec.errors import HeaderError, TruncatedError
from aecodec.format.chunks import (
    ALPH,
    CHUNK_BYTES,
    CHUNK_START_BYTES,
    DEFAULT_LIMITS,
    DONE,
    HEAD,
    HEAD_BYTES,
    HEADER_BYTES,
    LAYR,
    PIXL,
    RESI,
    TILE,
    TILE_TYPES,
    AnyTile,
    Chunk,
    Header,
    LayerHead,
    Limits,
    LosslessTile,
    RawChunk,
    ResidualTile,
    Tile,
    check_range,
    read_chunk,
    read_layer_head,
    read_lossless,
    read_residual,
    read_start,
    read_tile,
)
from aecodec.format.container import SIGNATURE, ChunkOrder, OptionalCount, Stream, parse_header


class Seekable(Protocol):
    """What is asked of a binary file object."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Goes to an offset and returns it."""


class Place(NamedTuple):
    """Where a chunk lies: its first byte, and the size of its payload."""

    type: bytes
    offset: int
    length: int


class FileReader:
    """A file of which only what is asked for is read.

    Attributes:
        header: its header.
    """

    def __init__(self, file: Seekable, limits: Limits = DEFAULT_LIMITS) -> None:
        """Reads the header.

        Raises what `container.parse_header` raises.
        """
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        file.seek(0)
        self.header = parse_header(file.read(HEADER_BYTES), limits)
        self._end = HEADER_BYTES
        self._order = ChunkOrder(self.header)
        self._optional = OptionalCount(limits)
        self._places = [Place(HEAD, len(SIGNATURE), HEAD_BYTES)]
        self._tiles: list[Place] = []
        self._alphas: list[Place] = []
        self._residuals: list[Place] = []
        self._ancillary: list[Chunk] = []
        self._layer: LayerHead | None = None
        self._learned_before: list[int] = []

    @property
    def layer(self) -> LayerHead | None:
        """What the file says of its residual layer, if it has one.

        Raises what `container.parse` raises, if it concerns what stands before the tiles.
        """
        self._walk(0)
        return self._layer

    def residual(self, number: int) -> ResidualTile:
        """Reads what a learned tile lacks.

        Raises what `container.parse` raises, if it concerns this residual or lengths before it.
        """
        self._walk(self.header.tile_count - 1)
        if not self._learned_before:
            learned = (place.type == TILE for place in self._tiles)
            self._learned_before = list(accumulate(learned, initial=0))
        before = self._learned_before[number]
        while len(self._residuals) <= before:
            self._advance()
        return read_residual(self._chunk(self._residuals[before], number))

    @property
    def ancillary(self) -> tuple[Chunk, ...]:
        """The optional chunks.

        Raises what `container.parse` raises, if it concerns these or lengths before a tile.
        """
        self._walk(0)
        return tuple(self._ancillary)

    def is_lossless(self, number: int) -> bool:
        """Whether a tile holds pixels.

        Raises what `container.parse` raises, if it concerns lengths before this tile.
        """
        self._walk(number)
        return self._tiles[number].type == PIXL

    def tile(self, number: int) -> AnyTile:
        """Reads one tile.

        Raises what `container.parse` raises, if it concerns this tile or lengths before it.
        """
        self._walk(number)
        return read_tile(self._chunk(self._tiles[number], number))

    def alpha(self, number: int) -> LosslessTile:
        """Reads the alpha of one tile of a picture that has alpha.

        Raises what `tile` raises.
        """
        self._walk(number)
        return read_lossless(self._chunk(self._alphas[number], number))

    def table(self) -> list[Place]:
        """All chunks of the file, of which only types and lengths have been read.

        Raises what `container.parse` raises, except for what stands in the chunks.
        """
        while self._places[-1].type != DONE:
            self._advance()
        if self._end != self._size:
            raise HeaderError(f"{self._size - self._end} trailing bytes after the DONE chunk")
        return list(self._places)

    def _walk(self, number: int) -> None:
        """Goes on until the place of a tile is known."""
        while len(self._tiles) <= number:
            self._advance()

    def _advance(self) -> None:
        """Goes on by one chunk, of which only what stands before the tiles is read."""
        place = self._start(self._end)
        self._order.check(place.type, place.offset)
        if place.type in TILE_TYPES:
            self._tiles.append(place)
        elif place.type == ALPH:
            self._alphas.append(place)
        elif place.type == RESI:
            self._residuals.append(place)
        elif place.type == LAYR:
            self._layer = read_layer_head(self._chunk(place, 0))
        elif place.type == DONE:
            check_range("length of the DONE chunk", place.length, 0, 0)
        else:
            self._optional.add(place.length)
            self._ancillary.append(Chunk(place.type, bytes(self._chunk(place, 0).payload)))
        self._places.append(place)
        self._end += CHUNK_BYTES + place.length

    def _start(self, offset: int) -> Place:
        what = f"chunk at byte {offset}"
        length, kind = read_start(memoryview(self._read(offset, CHUNK_START_BYTES, what)), offset)
        place = Place(kind, offset, length)
        self._check_available(offset + CHUNK_BYTES + length, offset, f"{kind.decode()} {what[:5]}")
        return place

    def _chunk(self, place: Place, number: int) -> RawChunk:
        data = self._read(place.offset, CHUNK_BYTES + place.length, f"chunk at byte {place.offset}")
        return read_chunk(memoryview(data), 0, number)

    def _read(self, offset: int, size: int, what: str) -> bytes:
        self._check_available(offset + size, offset, what)
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) != size:
            raise TruncatedError(what, needed=size, available=len(data))
        return data

    def _check_available(self, end: int, offset: int, what: str) -> None:
        """Checks before memory is reserved for a length that the file only claims."""
        if end > self._size:
            left = max(self._size - offset, 0)
            raise TruncatedError(what, needed=end - offset, available=left)


class Tiles(Protocol):
    """A file, of which tiles can be read; see `FileReader`."""

    @property
    def header(self) -> Header:
        """Its header."""

    def tile(self, number: int) -> AnyTile:
        """One tile, read anew each time."""

    def is_lossless(self, number: int) -> bool:
        """Whether a tile holds pixels."""

    def alpha(self, number: int) -> LosslessTile:
        """The alpha of one tile of a picture that has alpha, read anew each time."""

    @property
    def layer(self) -> LayerHead | None:
        """What the file says of its residual layer, if it has one."""

    def residual(self, number: int) -> ResidualTile:
        """What a learned tile lacks; only if there is a layer."""


@dataclass(frozen=True)
class StreamTiles:
    """The tiles of a parsed file."""

    stream: Stream

    @property
    def header(self) -> Header:
        """See `Tiles`."""
        return self.stream.header

    def tile(self, number: int) -> AnyTile:
        """See `Tiles`."""
        return self.stream.tiles[number]

    def is_lossless(self, number: int) -> bool:
        """See `Tiles`."""
        return isinstance(self.stream.tiles[number], LosslessTile)

    def alpha(self, number: int) -> LosslessTile:
        """See `Tiles`."""
        return self.stream.alphas[number]

    @property
    def layer(self) -> LayerHead | None:
        """See `Tiles`."""
        return None if self.stream.layer is None else self.stream.layer.head

    def residual(self, number: int) -> ResidualTile:
        """See `Tiles`."""
        if self.stream.layer is None:
            raise HeaderError("the file has no residual layer")
        return self.stream.layer.residuals[self._learned_before[number]]

    @cached_property
    def _learned_before(self) -> list[int]:
        """How many learned tiles come before each tile."""
        return list(accumulate((isinstance(t, Tile) for t in self.stream.tiles), initial=0))


class TileState(Enum):
    """What is left of a tile."""

    WHOLE = "whole"
    CUT = "cut off"
    DAMAGED = "damaged"
    MISSING = "missing"
