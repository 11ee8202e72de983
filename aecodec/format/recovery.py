"""Reads what is left of a file that was cut off or damaged; `container.parse` is the strict way.

SPECIFICATION.md, section 18.2. The header must be whole. After a damaged chunk, reading goes on at
the next place where a chunk with the right CRC-32 begins. Where alpha is lost, the picture is
opaque.
"""

import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache

from aecodec.errors import ChecksumError, FormatError, HeaderError, TruncatedError, UnsupportedError
from aecodec.format.chunks import (
    ALPH,
    CHUNK_BYTES,
    DEFAULT_LIMITS,
    DONE,
    HEADER_BYTES,
    LAYR,
    TILE,
    TILE_TYPES,
    AnyTile,
    Buffer,
    Chunk,
    Header,
    Limits,
    LosslessTile,
    PixelCoder,
    RawChunk,
    Tile,
    read_chunk,
    read_lossless,
    read_tile,
)
from aecodec.format.container import OptionalCount, Stream, open_view, parse, parse_header
from aecodec.format.reader import TileState
from aecodec.format.tiling import tile_sides

_LANDMARKS = (*TILE_TYPES, ALPH, DONE)
"""The types of chunks at which reading can go on."""
_EFFORT = 4
"""Bytes that the search for the next chunk may check, in sizes of the file."""
_FLAT_PIECE = 2**16
"""Samples of a flat tile that are held at a time."""

_NOTHING = Tile(0, b"")


@dataclass(frozen=True)
class Rescued:
    """What is left of a file.

    Attributes:
        stream: with as many tiles as the header says; what is lost is a tile without words, and
            a tile that was cut off has the words that are left. Lost alpha is opaque.
        states: of each tile.
        alphas: of each tile's alpha; none in a picture without alpha.
        layer_lost: whether there was a residual layer, which any damage makes useless.
    """

    stream: Stream
    states: tuple[TileState, ...]
    alphas: tuple[TileState, ...] = ()
    layer_lost: bool = False

    def report(self) -> list[str]:
        """A line for each tile that is not whole, and one for a lost layer."""
        columns = self.stream.header.tile_columns
        found = [(number, "", state) for number, state in enumerate(self.states)]
        found += [(number, "alpha of ", state) for number, state in enumerate(self.alphas)]
        lost = ["the residual layer is lost, so the picture is lossy"] if self.layer_lost else []
        return lost + [
            f"{what}tile {number} (row {number // columns}, column {number % columns}) "
            f"is {state.value}"
            for number, what, state in sorted(found, key=lambda each: each[0])
            if state is not TileState.WHOLE
        ]


def rescue(data: Buffer, limits: Limits = DEFAULT_LIMITS) -> Rescued:
    """Reads as many tiles as can be read.

    Raises:
        FormatError: signature or header are damaged or cut off.
        UnsupportedError: newer version or unknown pixel format.
        LimitError: the picture or its optional chunks exceed the limits.
    """
    with suppress(FormatError, UnsupportedError):
        whole = parse(data, limits)
        states = (TileState.WHOLE,) * len(whole.tiles)
        return Rescued(whole, states, states[: len(whole.alphas)])
    return _rescue_parts(data, limits)


def _rescue_parts(data: Buffer, limits: Limits) -> Rescued:
    view = open_view(data)
    header = parse_header(view, limits)
    scan = _Scan(view, header, limits)
    tiles, states = scan.run()
    missing = header.tile_count - len(tiles)
    tiles += [_NOTHING] * missing
    states += [TileState.MISSING] * missing
    if not header.pixel_format.has_alpha:
        stream = Stream(header, tuple(tiles), tuple(scan.ancillary))
        return Rescued(stream, tuple(states), layer_lost=scan.has_layer)
    found = scan.alphas + [TileState.MISSING] * (header.tile_count - len(scan.alphas))
    alphas = [
        _opaque(header, number) if isinstance(alpha, TileState) else alpha
        for number, alpha in enumerate(found)
    ]
    left = [alpha if isinstance(alpha, TileState) else TileState.WHOLE for alpha in found]
    stream = Stream(header, tuple(tiles), tuple(scan.ancillary), tuple(alphas))
    return Rescued(stream, tuple(states), tuple(left), scan.has_layer)


def _opaque(header: Header, number: int) -> LosslessTile:
    """Alpha that shows a tile."""
    height, width = tile_sides(header, number)
    form = header.pixel_format
    return _flat(form.maximum, height, width, sixteen_bit=form.is_sixteen_bit)


@lru_cache(maxsize=8)
def _flat(value: int, height: int, width: int, *, sixteen_bit: bool) -> LosslessTile:
    """Tiles of a picture have four sizes at most, however many there are."""
    return encode_flat(value, height, width, sixteen_bit=sixteen_bit)


class _Scan:
    """Walks over the chunks of a file, and over the gaps between those that can be read."""

    def __init__(self, view: memoryview, header: Header, limits: Limits) -> None:
        self._view, self._count = view, header.tile_count
        self._offset = HEADER_BYTES
        self._budget = _EFFORT * len(view)
        self._marks = dict.fromkeys(_LANDMARKS, 0)
        self._optional = OptionalCount(limits)
        self._tiles: list[AnyTile] = []
        self._states: list[TileState] = []
        self._has_alpha = header.pixel_format.has_alpha
        self.alphas: list[LosslessTile | TileState] = []
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
                if chunk.type == DONE:
                    break
        return self._tiles, self._states

    def _take(self, chunk: RawChunk) -> None:
        if chunk.type in TILE_TYPES:
            try:
                self._add(read_tile(chunk), TileState.WHOLE)
            except (HeaderError, UnsupportedError):  # whole, but not as the format has it
                self._add(_NOTHING, TileState.DAMAGED)
        elif chunk.type == ALPH:
            self._take_alpha(chunk)
        elif chunk.type == LAYR:
            self.has_layer = True
        elif not self._tiles and chunk.type[:1].islower():
            self._optional.add(len(chunk.payload))
            self.ancillary.append(Chunk(chunk.type, bytes(chunk.payload)))

    def _take_alpha(self, chunk: RawChunk) -> None:
        if not self._has_alpha:
            return
        if len(self.alphas) > len(self._tiles):  # its predecessor's tile is not there
            self._add(_NOTHING, TileState.DAMAGED)
        if len(self._tiles) < self._count:
            try:
                self.alphas.append(read_lossless(chunk))
            except (HeaderError, UnsupportedError):
                self.alphas.append(TileState.DAMAGED)

    def _add(self, tile: AnyTile, state: TileState) -> None:
        self._tiles.append(tile)
        self._states.append(state)
        if self._has_alpha and len(self.alphas) < len(self._tiles):
            cut = state is TileState.CUT
            self.alphas.append(TileState.CUT if cut else TileState.DAMAGED)

    def _skip(self) -> bool:
        """Goes on at the next sound chunk, if there is one; what lies before counts as a tile."""
        self._charge(self._offset)
        following = self._next_chunk(self._offset + 1)
        if following is None:
            return False
        self._offset = following
        waiting = len(self.alphas) > len(self._tiles)
        kind = bytes(self._view[following + 4 : following + 8])
        if self._has_alpha and not waiting and kind in TILE_TYPES:
            self.alphas.append(TileState.DAMAGED)
        else:
            self._add(_NOTHING, TileState.DAMAGED)
        return True

    def _next_chunk(self, start: int) -> int | None:
        while (offset := self._next_landmark(start)) is not None:
            self._charge(offset)
            if self._budget < 0:
                return None
            try:
                read_chunk(self._view, offset, 0)
            except FormatError:
                start = offset + 1
            else:
                return offset
        return None

    def _next_landmark(self, start: int) -> int | None:
        """Where the next chunk may begin; each byte is searched once, since `start` only rises."""
        for mark, position in self._marks.items():
            if 0 <= position < start + 4:
                self._marks[mark] = self._data.find(mark, start + 4)
        found = [position for position in self._marks.values() if position >= 0]
        return min(found) - 4 if found else None

    def _charge(self, offset: int) -> None:
        """Pays for checking what claims to be a chunk; one that cannot fit is not checked."""
        length = int.from_bytes(self._data[offset : offset + 4], "little")
        if length <= len(self._data) - offset:
            self._budget -= length

    @cached_property
    def _data(self) -> bytes:
        """The file as one piece that can be searched, copied once at most."""
        whole = self._view.obj
        if isinstance(whole, bytes) and len(whole) == len(self._view):
            return whole
        return bytes(self._view)

    def _cut(self) -> Tile:
        """The words that are left of a TILE at the end of the file."""
        kind = bytes(self._view[self._offset + 4 : self._offset + 8])
        if kind != TILE:
            return _NOTHING
        words = bytes(self._view[self._offset + CHUNK_BYTES :])  # crc is as long as checksum
        return Tile(0, words[: len(words) // 4 * 4])


def encode_flat(sample: int, height: int, width: int, *, sixteen_bit: bool) -> LosslessTile:
    """A gray tile or one of alpha, of equal samples; memory does not grow with its size."""
    data = sample.to_bytes(1 + sixteen_bit, "little")
    checksum, left = 0, height * width
    while left:
        count = min(left, _FLAT_PIECE)
        checksum = zlib.crc32(data * count, checksum)
        left -= count
    return LosslessTile(checksum, PixelCoder.FLAT, data)
