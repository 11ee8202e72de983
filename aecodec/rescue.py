"""Reads what is left of a file that was cut off or damaged; `container.parse` is the strict way.

The header must be whole. After a damaged chunk, reading goes on at the next place where a chunk
with the right CRC-32 begins.
"""

from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from aecodec.container import (
    DEFAULT_LIMITS,
    HEADER_BYTES,
    AnyTile,
    Buffer,
    Chunk,
    Header,
    Limits,
    RawChunk,
    Stream,
    Tile,
    open_view,
    parse,
    read_chunk,
    read_header,
    read_lossless,
    read_tile,
)
from aecodec.errors import (
    ChecksumError,
    FormatError,
    HeaderError,
    TruncatedError,
    UnsupportedError,
)

_SIGNATURE_BYTES = 8
_TILE_START = 12
"""Bytes before the words of a TILE: length, type, checksum."""
_LANDMARKS = (b"TILE", b"PIXL", b"DONE")
_EFFORT = 4
"""Bytes that the search for the next chunk may check, in sizes of the file."""


class TileState(Enum):
    """What is left of a tile."""

    WHOLE = "whole"
    CUT = "cut off"
    DAMAGED = "damaged"
    MISSING = "missing"


@dataclass(frozen=True)
class Rescued:
    """What is left of a file.

    Attributes:
        stream: with as many tiles as the header says; what is lost is a tile without words, and
            a tile that was cut off has the words that are left.
        states: of each tile.
        layer_lost: whether there was a residual layer, which is left out.
    """

    stream: Stream
    states: tuple[TileState, ...]
    layer_lost: bool = False

    def report(self) -> list[str]:
        """A line for each tile that is not whole, and one for a lost layer."""
        columns = self.stream.header.tile_columns
        lost = ["the residual layer is lost, the picture is lossy"] if self.layer_lost else []
        return lost + [
            f"tile {number} (row {number // columns}, column {number % columns}) is {state.value}"
            for number, state in enumerate(self.states)
            if state is not TileState.WHOLE
        ]


def rescue(data: Buffer, limits: Limits = DEFAULT_LIMITS) -> Rescued:
    """Reads as many tiles as can be read.

    Raises:
        FormatError: signature or header are damaged or cut off.
        UnsupportedError: newer version or unknown pixel format.
        LimitError: the picture exceeds the limits.
    """
    with suppress(FormatError, UnsupportedError):
        whole = parse(data, limits)
        return Rescued(whole, (TileState.WHOLE,) * len(whole.tiles))
    view = open_view(data)
    header = read_header(read_chunk(view, _SIGNATURE_BYTES, 0), limits)
    scan = _Scan(view, header)
    tiles, states = scan.run()
    missing = header.tile_count - len(tiles)
    tiles += [_NOTHING] * missing
    states += [TileState.MISSING] * missing
    stream = Stream(header, tuple(tiles), tuple(scan.ancillary))
    return Rescued(stream, tuple(states), scan.has_layer)


class _Scan:
    """Walks over the chunks of a file, and over the gaps between those that can be read."""

    def __init__(self, view: memoryview, header: Header) -> None:
        self._view, self._count = view, header.tile_count
        self._offset = HEADER_BYTES
        self._budget = _EFFORT * len(view)
        self._tiles: list[AnyTile] = []
        self._states: list[TileState] = []
        self.ancillary: list[Chunk] = []
        self.has_layer = False

    def run(self) -> tuple[list[AnyTile], list[TileState]]:
        while len(self._tiles) < self._count and self._offset < len(self._view):
            try:
                chunk = read_chunk(self._view, self._offset, len(self._tiles))
            except TruncatedError:
                if not self._skip():
                    self._add(self._cut(), TileState.CUT)
                    break
            except (ChecksumError, HeaderError):
                if not self._skip():
                    self._add(_NOTHING, TileState.DAMAGED)
                    break
            else:
                self._offset = chunk.end
                self._take(chunk)
                if chunk.type == b"DONE":
                    break
        return self._tiles, self._states

    def _take(self, chunk: RawChunk) -> None:
        if chunk.type == b"TILE":
            self._add(read_tile(chunk), TileState.WHOLE)
        elif chunk.type == b"PIXL":
            self._add(read_lossless(chunk), TileState.WHOLE)
        elif chunk.type == b"LAYR":
            self.has_layer = True
        elif not self._tiles and chunk.type[:1].islower():
            self.ancillary.append(Chunk(chunk.type, bytes(chunk.payload)))

    def _add(self, tile: AnyTile, state: TileState) -> None:
        self._tiles.append(tile)
        self._states.append(state)

    def _skip(self) -> bool:
        """Goes on at the next sound chunk, if there is one; what lies before counts as a tile."""
        following = self._next_chunk(self._offset + 1)
        if following is None:
            return False
        self._offset = following
        self._add(_NOTHING, TileState.DAMAGED)
        return True

    def _next_chunk(self, start: int) -> int | None:
        data = self._view.obj if isinstance(self._view.obj, bytes) else bytes(self._view)
        position = start + 4
        while True:
            found = [p for p in (data.find(mark, position) for mark in _LANDMARKS) if p >= 0]
            if not found:
                return None
            position = min(found) + 1
            offset = position - 5
            self._budget -= min(
                int.from_bytes(data[offset : offset + 4], "little"), len(data) - offset
            )
            if self._budget < 0:
                return None
            try:
                read_chunk(self._view, offset, 0)
            except FormatError:
                continue
            return offset

    def _cut(self) -> Tile:
        """The words that are left of a TILE at the end of the file."""
        start = self._offset + _TILE_START
        if bytes(self._view[self._offset + 4 : self._offset + 8]) != b"TILE":
            return _NOTHING
        words = bytes(self._view[start:])
        return Tile(0, words[: len(words) // 4 * 4])


_NOTHING = Tile(0, b"")
