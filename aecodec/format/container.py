"""Turns a `Stream` into bytes and back, checking every field and CRC-32; opens no file.

SPECIFICATION.md, sections 2 to 6, says which bytes are a file and which faults must be noticed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aecodec.errors import HeaderError, LimitError, SignatureError, TruncatedError, UnsupportedError
from aecodec.format.chunks import (
    ALPH,
    CRITICAL_TYPES,
    DEFAULT_LIMITS,
    DONE,
    HEAD,
    HEADER_BYTES,
    LAYR,
    RESI,
    TILE,
    TILE_TYPES,
    AnyTile,
    Buffer,
    Chunk,
    Header,
    Layer,
    LayerHead,
    Limits,
    LosslessTile,
    RawChunk,
    ResidualTile,
    check_range,
    head_chunk,
    layer_chunk,
    read_chunk,
    read_header,
    read_layer_head,
    read_lossless,
    read_residual,
    read_tile,
    residual_chunk,
    tile_chunk,
    write_chunk,
)

VERSION = 1
SIGNATURE = b"\x89AEC" + bytes([VERSION]) + b"\r\n\x1a"


class OptionalCount:
    """Counts optional chunks and their bytes, one chunk after the other."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._count = self._size = 0

    def add(self, size: int) -> None:
        """Takes note of one more, before its payload is copied.

        Raises:
            LimitError: these are too many, or too many bytes.
        """
        self._count += 1
        self._size += size
        self._limits.check_metadata(self._count, self._size)


@dataclass(frozen=True)
class Stream:
    """A whole file.

    Attributes:
        header: HEAD.
        tiles: each TILE or PIXL.
        ancillary: the optional chunks.
        alphas: each ALPH; none in a picture without alpha.
        layer: LAYR and each RESI; None without them.

    Raises:
        HeaderError: tiles or residuals are not as many as they should be.
    """

    header: Header
    tiles: tuple[AnyTile, ...]
    ancillary: tuple[Chunk, ...] = ()
    alphas: tuple[LosslessTile, ...] = ()
    layer: Layer | None = None

    def __post_init__(self) -> None:
        count = self.header.tile_count
        if len(self.tiles) != count:
            raise HeaderError(f"{len(self.tiles)} tiles, the header asks {count}")
        wanted = count if self.header.pixel_format.has_alpha else 0
        if len(self.alphas) != wanted:
            raise HeaderError(f"{len(self.alphas)} tiles of alpha, the header asks {wanted}")
        if self.layer is not None:
            if self.header.pixel_format.is_sixteen_bit:
                raise HeaderError("a residual layer in a 16-bit picture")
            found, learned = len(self.layer.residuals), count - self.lossless_count
            if found != learned:
                raise HeaderError(f"{found} residuals, {learned} learned tiles")

    def tile_chunks(self) -> Iterator[bytes]:
        """The chunks of each tile together."""
        for number, tile in enumerate(self.tiles):
            alpha = self.alphas[number] if self.alphas else None
            yield tile_chunk(tile, alpha)

    @property
    def lossless_count(self) -> int:
        """Tiles that hold pixels."""
        return sum(isinstance(tile, LosslessTile) for tile in self.tiles)


def parse(data: Buffer, limits: Limits = DEFAULT_LIMITS) -> Stream:
    """Reads a whole file and checks everything but the meaning of the tiles.

    Args:
        data: the file. Memory is proportional to its size, whatever its fields say.
        limits: what the file may ask for.

    Raises:
        FormatError: the bytes break a rule; SPECIFICATION.md, section 5, says which subclass.
        UnsupportedError: newer version, unknown pixel format or unknown critical chunk.
        LimitError: the file or its picture exceeds the limits.

    Example:
        >>> from aecodec.format.chunks import PixelFormat, Tile
        >>> header = Header(3, 2, PixelFormat.GRAY8, 10, 101, b"demo")
        >>> data = serialize(Stream(header, (Tile(0, b"word"),)))
        >>> len(data), parse(data).tiles
        (68, (Tile(checksum=0, words=b'word'),))
        >>> parse_header(data[:HEADER_BYTES]) == header
        True
        >>> chunk_table(data)
        [('HEAD', 8, 16), ('TILE', 36, 8), ('DONE', 56, 0)]
    """
    view = open_view(data)
    if len(view) > limits.file_bytes:
        raise LimitError(f"the file has {len(view)} bytes, the limit is {limits.file_bytes}")
    chunks = _chunks(view)
    header = read_header(next(chunks), limits)
    order, optional = ChunkOrder(header), OptionalCount(limits)
    tiles: list[AnyTile] = []
    alphas: list[LosslessTile] = []
    ancillary: list[Chunk] = []
    residuals: list[ResidualTile] = []
    layer: LayerHead | None = None
    for chunk in chunks:
        order.check(chunk.type, chunk.offset)
        if chunk.type in TILE_TYPES:
            tiles.append(read_tile(chunk))
        elif chunk.type == ALPH:
            alphas.append(read_lossless(chunk))
        elif chunk.type == LAYR:
            layer = read_layer_head(chunk)
        elif chunk.type == RESI:
            residuals.append(read_residual(chunk))
        elif chunk.type == DONE:
            check_range(f"length of the {chunk.name}", len(chunk.payload), 0, 0)
        else:
            optional.add(len(chunk.payload))
            ancillary.append(Chunk(chunk.type, bytes(chunk.payload)))
    whole_layer = None if layer is None else Layer(layer, tuple(residuals))
    return Stream(header, tuple(tiles), tuple(ancillary), tuple(alphas), whole_layer)


def parse_header(data: Buffer, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Reads HEAD from the first `HEADER_BYTES` of a file or more; what follows is not looked at.

    Raises what `parse` raises; `limits.file_bytes` does not count here.
    """
    return read_header(next(_chunks(open_view(data))), limits)


def serialize(stream: Stream) -> bytes:
    """Writes a stream as a file, which `parse` turns into the same stream."""
    layer = stream.layer
    start = opening(stream.header, stream.ancillary, None if layer is None else layer.head)
    end = closing(() if layer is None else layer.residuals)
    return b"".join((start, *stream.tile_chunks(), end))


def check_optional(chunks: Iterable[Chunk], limits: Limits) -> None:
    """Raises `LimitError` if `parse` would refuse a file with these optional chunks."""
    optional = OptionalCount(limits)
    for chunk in chunks:
        optional.add(len(chunk.payload))


def opening(
    header: Header, ancillary: Iterable[Chunk] = (), layer: LayerHead | None = None
) -> bytes:
    """What a file begins with: all before the first tile."""
    parts = [SIGNATURE, head_chunk(header)]
    if layer is not None:
        parts.append(layer_chunk(layer))
    return b"".join((*parts, *(write_chunk(chunk.type, chunk.payload) for chunk in ancillary)))


def closing(residuals: Iterable[ResidualTile] = ()) -> bytes:
    """What a file ends with: all behind the last tile.

    Args:
        residuals: one for each learned tile of a file with a residual layer, in their order.
    """
    return b"".join((*map(residual_chunk, residuals), write_chunk(DONE, b"")))


def chunk_table(data: Buffer) -> list[tuple[str, int, int]]:
    """Lists type, offset in the file and size of the payload of each chunk, for people.

    Raises what `parse` raises, but does not check which chunks there are, nor what they hold.
    """
    chunks = _chunks(open_view(data))
    return [(str(chunk.type, "ascii"), chunk.offset, len(chunk.payload)) for chunk in chunks]


class ChunkOrder:
    """Checks, chunk by chunk, that each one behind HEAD may stand where it does.

    See SPECIFICATION.md, sections 2.4 and 5.2. What the chunks hold is not looked at.
    """

    def __init__(self, header: Header) -> None:
        self._header = header
        self._tiles = self._learned = self._residuals = 0
        self._layer = self._waiting = False

    def check(self, kind: bytes, offset: int) -> None:
        """Takes the type of the next chunk, and where it begins.

        Raises:
            HeaderError: it must not stand here, or others should stand before it.
            UnsupportedError: it is critical and unknown.
        """
        name = f"{str(kind, 'ascii')} chunk at byte {offset}"
        if kind[:1].isupper() and kind not in CRITICAL_TYPES:
            raise UnsupportedError(f"critical {name} is unknown")
        if self._waiting and kind not in TILE_TYPES:
            raise HeaderError(f"{name} follows an ALPH, which a TILE or PIXL must follow")
        if kind in (*TILE_TYPES, ALPH):
            self._check_tile(kind, name)
        elif kind in (RESI, DONE):
            self._check_end(kind, name)
        elif kind == LAYR:
            self._check_layer(offset, name)
        elif kind == HEAD:
            raise HeaderError(f"a second {name}")
        elif self._tiles:
            raise HeaderError(f"optional {name} follows a tile")

    def _check_tile(self, kind: bytes, name: str) -> None:
        wanted, has_alpha = self._header.tile_count, self._header.pixel_format.has_alpha
        if self._tiles == wanted:
            raise HeaderError(f"{name} begins one more tile than the {wanted} of the header")
        if kind == ALPH and not has_alpha:
            raise HeaderError(f"{name} in a picture without alpha")
        if kind != ALPH and has_alpha and not self._waiting:
            raise HeaderError(f"{name} without an ALPH before it")
        self._waiting = kind == ALPH
        self._tiles += kind != ALPH
        self._learned += kind == TILE

    def _check_end(self, kind: bytes, name: str) -> None:
        if self._tiles != self._header.tile_count:
            wanted = self._header.tile_count
            raise HeaderError(f"{name} follows {self._tiles} tiles, the header asks {wanted}")
        if kind == RESI and not self._layer:
            raise HeaderError(f"{name} in a file without LAYR")
        self._residuals += kind == RESI
        missing = self._learned - self._residuals if self._layer else 0
        if missing < 0 or (kind == DONE and missing):
            found = f"{self._residuals} residuals up to the {name}"
            raise HeaderError(f"{found}, but {self._learned} learned tiles")

    def _check_layer(self, offset: int, name: str) -> None:
        if offset != HEADER_BYTES:
            raise HeaderError(f"{name} does not follow HEAD")
        if self._header.pixel_format.is_sixteen_bit:
            raise HeaderError(f"{name} in a 16-bit picture")
        self._layer = True


def open_view(data: Buffer) -> memoryview:
    """Checks the signature and returns the data as single bytes, copied only if they have gaps."""
    view = memoryview(data)
    view = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
    found = bytes(view[: len(SIGNATURE)])
    expected = SIGNATURE[: len(found)]
    if found[:4] != expected[:4] or found[5:] != expected[5:]:
        raise SignatureError(f"not an .aec file: it begins with {found.hex(' ')}")
    if len(found) < len(SIGNATURE):
        raise TruncatedError("signature", needed=len(SIGNATURE), available=len(found))
    version = found[4]
    if version == 0:
        raise HeaderError("version 0 is invalid")
    if version > VERSION:
        raise UnsupportedError(f"format version {version}, this build reads up to {VERSION}")
    return view


def _chunks(view: memoryview) -> Iterator[RawChunk]:
    """Yields each chunk up to DONE, whole and with the right crc; then nothing may follow."""
    offset, tile, kind = len(SIGNATURE), 0, b""
    while kind != DONE:
        chunk = read_chunk(view, offset, tile)
        yield chunk
        offset, kind = chunk.end, chunk.type
        tile += kind in TILE_TYPES
    if offset != len(view):
        raise HeaderError(f"{len(view) - offset} trailing bytes after the DONE chunk")
