"""Turns a `Stream` into bytes and back, checking every field and CRC-32; opens no file.

This text specifies the .aec format, version 1: bytes and fields. The content of tiles is specified
in `aecodec/latents.py` (order, checksum), `aecodec/entropy.py` (words) and `aecodec/lossless.py`
(pixels), the exact arithmetic of the model that predicts it in `aecodec/integer.py`.

1. Conventions. Integers are unsigned and little-endian; u8, u16, u32 have 1, 2, 4 bytes. Offsets
and sizes are in bytes; bytes in tables and section 7 are hexadecimal. CRC-32 is that of zlib and
PNG: polynomial 04C11DB7, bits reflected, initial value and final XOR FFFFFFFF; the ASCII string
"123456789" has CBF43926.

2. File. The signature, then chunks in this order, with nothing before, between or after them:

    signature, HEAD, LAYR or not, any number of optional chunks, n tiles, RESIs, DONE

where a tile is one chunk, TILE or PIXL, and in a picture with alpha two: ALPH, then TILE or PIXL.

The signature names the format and, as in PNG, shows damage by transfers in text mode:

    offset  size  bytes     meaning
    0       1     89        has its high bit set, which a 7-bit transfer clears
    1       3     41 45 43  "AEC"
    4       1     01        the version, see section 6
    5       3     0D 0A 1A  a line end, which a conversion of line ends changes; end of text

Each chunk is:

    offset      size    name     meaning and allowed values
    0           4       length   u32, size of the payload, 0 to 2147483647 (2^31 - 1)
    4           4       type     four ASCII letters, each A-Z or a-z; case matters
    8           length  payload  as its type says
    8 + length  4       crc      u32, CRC-32 of type and payload (the length is not covered)

A type that begins with a capital is critical: a decoder that does not know it must refuse the
file. Any other is optional: a decoder that does not know it skips it and decodes the same pixels.

3. Critical chunks. HEAD is the first chunk and DONE, with an empty payload, the last; they stand
nowhere else. The payload of HEAD has 16 bytes:

    offset  size  name           meaning and allowed values
    0       4     width          u32, pixels, 1 to 2147483647
    4       4     height         u32, pixels, 1 to 2147483647
    8       1     pixel format   u8, the sum of 1 for RGB rather than gray, 2 for 16 bits a sample
                                 rather than 8, and 4 for an alpha channel; above 7 for later use
    9       1     tile exponent  u8, e from 6 to 14: tiles are squares of 2^e pixels a side
    10      2     quality index  u16, 0 to 400; the quality is a quarter of it, 0 to 100
    12      4     model id       any 4 bytes; says which weights and tables decode the tiles

Each of the n tiles has one TILE or PIXL. There are columns = width / 2^e and rows =
height / 2^e, both rounded up, and n = columns * rows, which can exceed 32 bits. Tile i, counted
from 0, covers row floor(i / columns) and column i mod columns: left to right, then top to bottom.
Tiles at the right and bottom edge cover what is left of the picture. A TILE holds latents; its
payload has 4 + 4k bytes, k >= 0:

    offset  size  name      meaning and allowed values
    0       4     checksum  u32, any value; of the latents that the words decode to
    4       4k    words     k times u32, any values; entropy-coded

A PIXL holds the pixels themselves, losslessly coded; its payload has 5 + k bytes, k >= 0:

    offset  size  name      meaning and allowed values
    0       4     checksum  u32, any value; of the pixels that the data decode to
    4       1     coder     u8, 0 = WebP, 1 = PNG, 2 = flat; others are for later use
    5       k     data      any bytes, see `aecodec/lossless.py`

An ALPH holds the alpha samples of the tile whose TILE or PIXL follows it, as a PIXL of a gray
picture of the same depth holds its pixels, with the same payload. 0 is transparent, the largest
sample opaque. Colours are not multiplied by alpha; those of pixels whose alpha is 0 mean nothing,
and an encoder puts there what costs little.

To the transforms of a neighbouring TILE it is outside the picture, as `aecodec/windows.py` says.

A LAYR says that the file has a residual layer, which brings the pixels of every TILE within an
error bound of the original; without it and the RESIs the file is a complete lossy picture. Its
payload has 5 bytes:

    offset  size  name      meaning and allowed values
    0       4     tables    any 4 bytes; says which tables decode the words
    4       1     bound     u8, largest error of a sample; 0: the pixels are exact

16-bit pictures have no LAYR. With one, there is one RESI for each TILE, in their order, behind all
tiles; a PIXL needs none. The payload of a RESI has 4 + 4k bytes, k >= 0:

    offset  size  name      meaning and allowed values
    0       4     checksum  u32, any value; of the tile's final pixels
    4       4k    words     k times u32, any values; see `aecodec/residual.py`

4. Optional chunks stand between HEAD or LAYR and the first tile, so that a reader of metadata can
stop there. Version 1 defines six. Of each type the first that is not empty counts, but for text:

    iccp  an ICC profile: how the pixels' numbers mean colours
    exif  EXIF: a TIFF structure from its byte order mark on. Its orientation says how to turn the
          decoded pixels for display
    xmpd  an XMP packet, UTF-8
    phys  16 bytes: dots per inch across and down, two IEEE 754 binary64, little-endian; a reader
          ignores it unless both lie in [0.01, 65535]
    text  a comment: a keyword, UTF-8, a zero byte, and the comment, UTF-8; each one counts that
          has a zero byte, but not as its first
    csum  SHA-256 of the decoded pixels, see `aecodec/checksums.py`; each one counts

Their payloads are any bytes; decoding pixels never depends on them. Types may repeat. Programs that
rewrite a file keep their order.

5. A decoder must reject a file with any of these faults (left: the exception raised here):

    TruncatedError    the file ends before DONE is complete
    SignatureError    another signature, apart from the version
    ChecksumError     a wrong crc
    UnsupportedError  a version above the decoder's own; an unknown pixel format, coder of a PIXL or
                      ALPH, or critical chunk
    HeaderError       version 0; a length above 2147483647; a type that is not four letters; HEAD
                      not first, or repeated; a payload of HEAD, TILE, PIXL, ALPH, LAYR, RESI or
                      DONE of another size than section 3 says; a width, height, tile exponent or
                      quality index out of range; a LAYR that does not follow HEAD, or in a 16-bit
                      picture; a RESI without a LAYR; with one, not as many RESIs as TILEs; a
                      chunk of a tile after a RESI; an optional chunk after a tile, ALPH or RESI;
                      fewer or more than n tiles; an ALPH in a picture without alpha, or not right
                      before a TILE or PIXL, or one of these without it in a picture with alpha;
                      bytes after DONE

and, beyond this module, an unknown model id where a TILE needs it, unknown tables of a LAYR, data
of a PIXL or ALPH or words of a RESI that break their rules, and a tile, ALPH or RESI that
contradicts its checksum. Of several faults any may be reported, but no payload is believed before
its crc is checked, and no memory is reserved in proportion to a field. Decoders may refuse sizes
above a limit of theirs (LimitError), and likewise more optional chunks than a limit that is 4096 or
higher.

So every strict prefix of a file is truncated; a flipped bit is noticed, but for a chance of 2^-32
in a length; and fields are written in one way only: what parses serializes to the same bytes.

6. Versions. The version rises when bytes come to mean something else: another signature, chunk
layout, field of HEAD, order of chunks, or meaning of TILE, PIXL or ALPH. A decoder of version v
decodes versions 1 to v and refuses others. New optional chunk types, which older decoders skip, and
new critical types, pixel formats, coders and model ids, which they refuse by name, do not raise it.

7. A complete file of 68 bytes: 3 x 2 pixels, RGB, quality 25.25, one tile of one word (a picture
of one tile costs 64 bytes beside its words). No model is called "demo": its tile means nothing.

    89 41 45 43 01 0D 0A 1A    signature, version 1
    10 00 00 00  48 45 41 44   length 16, type HEAD
    03 00 00 00  02 00 00 00   width 3, height 2
    01  0A  65 00              pixel format RGB, tile exponent 10, quality index 101
    64 65 6D 6F  E9 E3 F3 AD   model id "demo", crc
    08 00 00 00  54 49 4C 45   length 8, type TILE
    78 56 34 12                checksum 12345678
    EF BE AD DE  E2 49 4B 78   word DEADBEEF, crc
    00 00 00 00  44 4F 4E 45   length 0, type DONE
    1F 0D B8 26                crc
"""

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass

from aecodec.errors import HeaderError, LimitError, SignatureError, TruncatedError, UnsupportedError
from aecodec.format.chunks import (
    _ALPH,
    _DONE,
    _HEAD,
    _HEAD_FIELDS,
    _LAYR,
    _LAYR_FIELDS,
    _OF_TILES,
    _PIXL,
    _RESI,
    _TILE,
    _U32,
    DEFAULT_LIMITS,
    HEADER_BYTES,
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
    read_chunk,
    read_header,
    read_layer_head,
    read_lossless,
    read_residual,
    read_tile,
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
    """A whole file; `HeaderError` if tiles or residuals are not as many as they should be.

    Attributes:
        header: HEAD.
        tiles: each TILE or PIXL.
        ancillary: the optional chunks.
        alphas: each ALPH; none in a picture without alpha.
        layer: LAYR and each RESI; None without them.
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

    def tile_chunks(self) -> "Iterator[bytes]":
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
        FormatError: the bytes break a rule; section 5 says which subclass.
        UnsupportedError: newer version, unknown pixel format or unknown critical chunk.
        LimitError: the file or its picture exceeds the limits.

    Example:
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
    order, layer = TileOrder(header), _LayerReader()
    tiles: list[AnyTile] = []
    alphas: list[LosslessTile] = []
    ancillary: list[Chunk] = []
    optional = OptionalCount(limits)
    for chunk in chunks:
        order.check(chunk.type, chunk.offset)
        if chunk.type in (_LAYR, _RESI):
            layer.take(chunk)
        elif chunk.type == _ALPH:
            alphas.append(read_lossless(chunk))
        elif chunk.type in (_TILE, _PIXL):
            tiles.append(read_tile(chunk) if chunk.type == _TILE else read_lossless(chunk))
        elif chunk.type == _DONE:
            check_range(f"length of the {chunk.name}", len(chunk.payload), 0, 0)
        elif chunk.type == _HEAD:
            raise HeaderError(f"a second HEAD chunk at byte {chunk.offset}")
        elif chunk.type[:1].isupper():
            raise UnsupportedError(f"critical {chunk.name} at byte {chunk.offset} is unknown")
        else:
            optional.add(len(chunk.payload))
            ancillary.append(Chunk(chunk.type, bytes(chunk.payload)))
    return Stream(header, tuple(tiles), tuple(ancillary), tuple(alphas), layer.result)


def parse_header(data: Buffer, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Reads HEAD from the first `HEADER_BYTES` of a file or more; what follows is not looked at.

    Raises what `parse` raises; `limits.file_bytes` does not count here.
    """
    return read_header(next(_chunks(open_view(data))), limits)


def serialize(stream: Stream) -> bytes:
    """Writes a stream as a file, which `parse` turns into the same stream."""
    head = None if stream.layer is None else stream.layer.head
    residuals = () if stream.layer is None else stream.layer.residuals
    start = opening(stream.header, stream.ancillary, head)
    return b"".join((start, *stream.tile_chunks(), closing(residuals)))


def check_optional(chunks: Iterable[Chunk], limits: Limits) -> None:
    """Raises `LimitError` if `parse` would refuse a file with these optional chunks."""
    optional = OptionalCount(limits)
    for chunk in chunks:
        optional.add(len(chunk.payload))


def opening(header: Header, ancillary: tuple[Chunk, ...], head: LayerHead | None = None) -> bytes:
    """What a file begins with: all before the first tile."""
    parts = [SIGNATURE, write_chunk(_HEAD, _HEAD_FIELDS.pack(*astuple(header)))]
    if head is not None:
        parts.append(write_chunk(_LAYR, _LAYR_FIELDS.pack(head.tables_id, head.bound)))
    return b"".join((*parts, *(write_chunk(chunk.type, chunk.payload) for chunk in ancillary)))


def closing(residuals: Iterable[ResidualTile] = ()) -> bytes:
    """What a file ends with: all behind the last tile."""
    parts = (write_chunk(_RESI, _U32.pack(each.checksum) + each.words) for each in residuals)
    return b"".join((*parts, write_chunk(_DONE, b"")))


def chunk_table(data: Buffer) -> list[tuple[str, int, int]]:
    """Lists type, offset in the file and size of the payload of each chunk, for people.

    Raises what `parse` raises, but does not check which chunks there are, nor what they hold.
    """
    chunks = _chunks(open_view(data))
    return [(str(chunk.type, "ascii"), chunk.offset, len(chunk.payload)) for chunk in chunks]


class TileOrder:
    """Checks, chunk by chunk, that those of tiles follow each other as section 2 says."""

    def __init__(self, header: Header) -> None:
        self._alpha = header.pixel_format.has_alpha
        self._started = self._waiting = self._layer = self._ended = False

    def check(self, kind: bytes, offset: int) -> None:
        """Takes the type of the next chunk.

        Raises:
            HeaderError: it must not stand here.
        """
        name = f"{str(kind, 'ascii')} at byte {offset}"
        if kind == _ALPH and not self._alpha:
            raise HeaderError(f"{name} in a picture without alpha")
        if self._waiting and (kind in (_HEAD, _ALPH, _DONE) or kind[:1].islower()):
            raise HeaderError(f"{name} follows an ALPH, which a TILE or PIXL must follow")
        if kind in (_TILE, _PIXL) and self._alpha and not self._waiting:
            raise HeaderError(f"{name} without an ALPH before it")
        if self._started and not kind[:1].isupper():
            raise HeaderError(
                f"optional {str(kind, 'ascii')} chunk at byte {offset} follows a tile"
            )
        self._check_layer(kind, offset, name)
        self._waiting = kind == _ALPH
        self._started = self._started or kind in _OF_TILES

    def _check_layer(self, kind: bytes, offset: int, name: str) -> None:
        if kind == _LAYR and offset != HEADER_BYTES:
            raise HeaderError(f"{name} does not follow HEAD")
        if kind == _RESI and (not self._layer or self._waiting):
            raise HeaderError(f"{name} has no LAYR, or follows an ALPH")
        if self._ended and kind in _OF_TILES:
            raise HeaderError(f"{name} follows a RESI")
        self._layer = self._layer or kind == _LAYR
        self._ended = self._ended or kind == _RESI
        self._started = self._started or kind == _RESI


class _LayerReader:
    """Collects the chunks of a residual layer."""

    def __init__(self) -> None:
        self._head: LayerHead | None = None
        self._residuals: list[ResidualTile] = []

    def take(self, chunk: RawChunk) -> None:
        """Takes note of the next LAYR or RESI."""
        if chunk.type == _LAYR:
            self._head = read_layer_head(chunk)
        else:
            self._residuals.append(read_residual(chunk))

    @property
    def result(self) -> Layer | None:
        """The layer, if there is one."""
        return None if self._head is None else Layer(self._head, tuple(self._residuals))


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
    while kind != _DONE:
        chunk = read_chunk(view, offset, tile)
        yield chunk
        offset, kind = chunk.end, chunk.type
        tile += kind in (_TILE, _PIXL)
    if offset != len(view):
        raise HeaderError(f"{len(view) - offset} trailing bytes after the DONE chunk")
