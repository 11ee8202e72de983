"""The records of an .aec file and their bytes; SPECIFICATION.md, sections 2 to 4.

A record with a value that the format forbids raises `HeaderError` when it is made.
"""

import struct
import zlib
from dataclasses import astuple, dataclass, replace
from enum import IntEnum
from typing import NamedTuple

from aecodec.errors import ChecksumError, HeaderError, LimitError, TruncatedError, UnsupportedError
from aecodec.format.quality import QUALITY_INDEX_MAX, QUALITY_MAP_FLAG, QUALITY_STEPS

HEAD, LAYR, TILE, PIXL, ALPH, RESI, DONE = CRITICAL_TYPES = (
    b"HEAD", b"LAYR", b"TILE", b"PIXL", b"ALPH", b"RESI", b"DONE",
)  # fmt: skip
"""The types of all critical chunks that version 1 knows."""
TILE_TYPES = (TILE, PIXL)
"""The types of the chunks that hold the colours of a tile; each tile has one."""

_CHUNK_START = struct.Struct("<I4s")
_HEAD_FIELDS = struct.Struct("<IIBBH4s")
_PIXL_FIELDS = struct.Struct("<IB")
_LAYR_FIELDS = struct.Struct("<4sB")
_U32 = struct.Struct("<I")

CHUNK_START_BYTES = _CHUNK_START.size
"""Length and type of a chunk, which is what `read_start` needs."""
CHUNK_BYTES = CHUNK_START_BYTES + _U32.size
"""Size of a chunk beside its payload."""
HEAD_BYTES = _HEAD_FIELDS.size
"""Size of the payload of HEAD."""
HEADER_BYTES = 8 + CHUNK_BYTES + HEAD_BYTES
"""Size of signature and HEAD chunk, which is what `parse_header` needs."""

LENGTH_MAX = SIDE_MAX = 2**31 - 1
"""Largest payload of a chunk in bytes; largest width and height in pixels."""
TILE_EXPONENT_MIN, TILE_EXPONENT_MAX = 6, 14
BOUND_MAX = 255
"""Largest error bound of a residual layer."""

METADATA_KINDS = ("icc", "exif", "xmp", "resolution", "text", "iptc")
"""What optional chunks can carry of a picture's metadata; SPECIFICATION.md, section 4.2."""

Buffer = bytes | bytearray | memoryview


class PixelFormat(IntEnum):
    """What a pixel is; the values are those in the file."""

    GRAY8 = 0
    RGB8 = 1
    GRAY16 = 2
    RGB16 = 3
    GRAYA8 = 4
    RGBA8 = 5
    GRAYA16 = 6
    RGBA16 = 7

    @classmethod
    def of(cls, *, rgb: bool, sixteen_bit: bool, alpha: bool) -> "PixelFormat":
        """The format of colour or gray, 16 or 8 bits, with or without alpha."""
        return cls(rgb + 2 * sixteen_bit + 4 * alpha)

    @property
    def is_gray(self) -> bool:
        """Whether the colour is one sample rather than three."""
        return not self & 1

    @property
    def is_sixteen_bit(self) -> bool:
        """Whether samples have 16 bits rather than 8."""
        return bool(self & 2)

    @property
    def has_alpha(self) -> bool:
        """Whether there is an alpha sample."""
        return bool(self & 4)

    @property
    def maximum(self) -> int:
        """The largest sample, which is white or opaque."""
        return 65535 if self.is_sixteen_bit else 255

    @property
    def channels(self) -> int:
        """Samples of a pixel, 1 to 4."""
        return (1 if self.is_gray else 3) + self.has_alpha


class PixelCoder(IntEnum):
    """How a PIXL or ALPH is coded; the values are those in the file."""

    WEBP = 0
    PNG = 1
    FLAT = 2


@dataclass(frozen=True)
class Limits:
    """What a file may ask of its reader."""

    pixels: int = 178_956_970
    """Twice Pillow's `MAX_IMAGE_PIXELS`, above which Pillow itself refuses to open a picture."""
    file_bytes: int = 2**31 - 1
    metadata_bytes: int = 2**26
    """Bytes of all optional chunks together."""
    metadata_chunks: int = 4096
    """How many optional chunks; pictures have a handful."""

    def check_pixels(self, width: int, height: int) -> None:
        """Raises `LimitError` if a picture has more than `pixels`."""
        if width * height > self.pixels:
            picture = f"{width} x {height} = {width * height} pixels"
            raise LimitError(f"{picture}, the limit is {self.pixels}")

    def check_metadata(self, count: int, size: int) -> None:
        """Raises `LimitError` if so many optional chunks of `size` bytes in all are too many."""
        if count > self.metadata_chunks:
            raise LimitError(f"{count} optional chunks, the limit is {self.metadata_chunks}")
        if size > self.metadata_bytes:
            raise LimitError(f"{size} bytes of metadata, the limit is {self.metadata_bytes}")


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Header:
    """The fields of HEAD; TILEs hold quality maps if `has_quality_map`."""

    width: int
    height: int
    pixel_format: PixelFormat
    tile_exponent: int
    quality_index: int
    model_id: bytes
    has_quality_map: bool = False

    def __post_init__(self) -> None:
        check_range("width", self.width, 1, SIDE_MAX)
        check_range("height", self.height, 1, SIDE_MAX)
        check_range("tile exponent", self.tile_exponent, TILE_EXPONENT_MIN, TILE_EXPONENT_MAX)
        check_range("quality index", self.quality_index, 0, QUALITY_INDEX_MAX)
        check_range("size of the model id", len(self.model_id), 4, 4)

    @property
    def opaque(self) -> "Header":
        """The same without alpha."""
        form = self.pixel_format
        plain = PixelFormat.of(rgb=not form.is_gray, sixteen_bit=form.is_sixteen_bit, alpha=False)
        return replace(self, pixel_format=plain)

    @property
    def quality(self) -> float:
        """0 to 100, in quarters."""
        return self.quality_index / QUALITY_STEPS

    @property
    def tile_side(self) -> int:
        """Pixels, 64 to 16384."""
        return 1 << self.tile_exponent

    @property
    def tile_columns(self) -> int:
        """Tiles side by side, at least 1."""
        return -(-self.width // self.tile_side)

    @property
    def tile_rows(self) -> int:
        """Tiles one above the other, at least 1."""
        return -(-self.height // self.tile_side)

    @property
    def tile_count(self) -> int:
        """Tiles of the picture, 1 to 2^50."""
        return self.tile_columns * self.tile_rows


@dataclass(frozen=True)
class CodedWords:
    """What TILE and RESI hold: a checksum of what the words decode to, and words of 4 bytes."""

    checksum: int
    words: bytes

    def __post_init__(self) -> None:
        check_range("checksum of coded words", self.checksum, 0, 2**32 - 1)
        check_range("size of coded words", len(self.words), 0, LENGTH_MAX - _U32.size)
        if len(self.words) % 4:
            raise HeaderError(f"coded words have {len(self.words)} bytes, no multiple of 4")

    @property
    def size(self) -> int:
        """Bytes of its chunk."""
        return CHUNK_BYTES + _U32.size + len(self.words)


class Tile(CodedWords):
    """A TILE: the latents of a tile."""


class ResidualTile(CodedWords):
    """A RESI: what a learned tile lacks."""


@dataclass(frozen=True)
class LosslessTile:
    """A PIXL or ALPH: checksum of the pixels, and coded pixels."""

    checksum: int
    coder: PixelCoder
    data: bytes

    def __post_init__(self) -> None:
        check_range("checksum of a tile", self.checksum, 0, 2**32 - 1)
        check_range("size of a tile's data", len(self.data), 0, LENGTH_MAX - _PIXL_FIELDS.size)

    @property
    def size(self) -> int:
        """Bytes of its chunk."""
        return CHUNK_BYTES + _PIXL_FIELDS.size + len(self.data)


AnyTile = Tile | LosslessTile


@dataclass(frozen=True)
class LayerHead:
    """A LAYR: which tables, and the largest error of a sample."""

    tables_id: bytes
    bound: int

    def __post_init__(self) -> None:
        check_range("size of a tables id", len(self.tables_id), 4, 4)
        check_range("bound of a residual layer", self.bound, 0, BOUND_MAX)


@dataclass(frozen=True)
class Layer:
    """A residual layer: its head, and what each TILE lacks, in their order."""

    head: LayerHead
    residuals: tuple[ResidualTile, ...]


@dataclass(frozen=True)
class Chunk:
    """An optional chunk."""

    type: bytes
    payload: bytes

    def __post_init__(self) -> None:
        if not is_chunk_type(self.type) or self.type[:1].isupper():
            raise HeaderError(f"{self.type!r} is not the type of an optional chunk")
        check_range("size of an optional chunk", len(self.payload), 0, LENGTH_MAX)


class RawChunk(NamedTuple):
    """A chunk whose crc is right; `offset` and `end` in the file, `name` for messages."""

    type: bytes
    payload: memoryview
    offset: int
    end: int
    name: str


def read_chunk(view: memoryview, offset: int, tile: int) -> RawChunk:
    """Reads the chunk at `offset`, which, if it is a tile, is number `tile`."""
    start = offset + _CHUNK_START.size
    if start > len(view):
        raise TruncatedError(f"chunk at byte {offset}", needed=8, available=len(view) - offset)
    length, kind = read_start(view[offset:start], offset)
    name = f"{str(kind, 'ascii')} {tile if kind in (*TILE_TYPES, ALPH) else 'chunk'}"
    needed, available = length + _U32.size, len(view) - start
    if needed > available:
        raise TruncatedError(f"payload and crc of {name}", needed=needed, available=available)
    (stored,) = _U32.unpack_from(view, start + length)
    check_crc(name, stored, zlib.crc32(view[offset + 4 : start + length]))
    return RawChunk(kind, view[start : start + length], offset, start + needed, name)


def read_start(start: memoryview, offset: int) -> tuple[int, bytes]:
    """Length of the payload and type, from the first 8 bytes of the chunk at `offset`."""
    length, kind = _CHUNK_START.unpack(start)
    check_range(f"length of the chunk at byte {offset}", length, 0, LENGTH_MAX)
    if not is_chunk_type(kind):
        raise HeaderError(f"type {kind!r} of the chunk at byte {offset} is not four letters")
    if kind == HEAD:  # here, so that a reader of the first bytes alone does not call it cut off
        check_range("length of the HEAD chunk", length, HEAD_BYTES, HEAD_BYTES)
    return length, kind


def write_chunk(kind: bytes, payload: bytes) -> bytes:
    """A chunk's bytes."""
    crc = zlib.crc32(payload, zlib.crc32(kind))
    return b"".join((_CHUNK_START.pack(len(payload), kind), payload, _U32.pack(crc)))


def read_header(chunk: RawChunk, limits: Limits) -> Header:
    """The fields of a HEAD, checked."""
    if chunk.type != HEAD:
        raise HeaderError(f"the first chunk is not HEAD but {chunk.type!r}")
    width, height, code, tile_exponent, quality, model_id = _HEAD_FIELDS.unpack(chunk.payload)
    has_map, index = divmod(quality, QUALITY_MAP_FLAG)
    if code > max(PixelFormat):
        raise UnsupportedError(f"pixel format {code} is unknown")
    header = Header(width, height, PixelFormat(code), tile_exponent, index, model_id, bool(has_map))
    limits.check_pixels(width, height)
    return header


def read_tile(chunk: RawChunk) -> AnyTile:
    """The fields of a TILE or PIXL, checked."""
    return Tile(*_checksum_and_words(chunk)) if chunk.type == TILE else read_lossless(chunk)


def read_residual(chunk: RawChunk) -> ResidualTile:
    """The fields of a RESI, checked."""
    return ResidualTile(*_checksum_and_words(chunk))


def _checksum_and_words(chunk: RawChunk) -> tuple[int, bytes]:
    size = len(chunk.payload)
    if size < _U32.size or size % 4:
        raise HeaderError(f"{chunk.name} has {size} bytes, not a multiple of 4 and at least 4")
    return _U32.unpack_from(chunk.payload)[0], bytes(chunk.payload[_U32.size :])


def read_lossless(chunk: RawChunk) -> LosslessTile:
    """The fields of a PIXL or ALPH, checked."""
    size = len(chunk.payload)
    if size < _PIXL_FIELDS.size:
        raise HeaderError(f"{chunk.name} has {size} bytes, at least 5 are needed")
    checksum, code = _PIXL_FIELDS.unpack_from(chunk.payload)
    if code > max(PixelCoder):
        raise UnsupportedError(f"coder {code} of {chunk.name} is unknown")
    return LosslessTile(checksum, PixelCoder(code), bytes(chunk.payload[_PIXL_FIELDS.size :]))


def read_layer_head(chunk: RawChunk) -> LayerHead:
    """The fields of a LAYR, checked."""
    check_range(f"length of the {chunk.name}", len(chunk.payload), 5, 5)
    return LayerHead(*_LAYR_FIELDS.unpack(chunk.payload))


def head_chunk(header: Header) -> bytes:
    """The chunk HEAD."""
    *fields, index, model_id, has_map = astuple(header)
    return write_chunk(
        HEAD, _HEAD_FIELDS.pack(*fields, index + QUALITY_MAP_FLAG * has_map, model_id)
    )


def layer_chunk(head: LayerHead) -> bytes:
    """The chunk LAYR."""
    return write_chunk(LAYR, _LAYR_FIELDS.pack(head.tables_id, head.bound))


def tile_chunk(tile: AnyTile, alpha: LosslessTile | None = None) -> bytes:
    """The chunk of a tile, after that of its alpha if it has one."""
    before = b"" if alpha is None else _lossless_chunk(ALPH, alpha)
    if isinstance(tile, LosslessTile):
        return before + _lossless_chunk(PIXL, tile)
    return before + _words_chunk(TILE, tile)


def residual_chunk(residual: ResidualTile) -> bytes:
    """The chunk RESI of a learned tile."""
    return _words_chunk(RESI, residual)


def _words_chunk(kind: bytes, coded: CodedWords) -> bytes:
    return write_chunk(kind, _U32.pack(coded.checksum) + coded.words)


def _lossless_chunk(kind: bytes, tile: LosslessTile) -> bytes:
    return write_chunk(kind, _PIXL_FIELDS.pack(tile.checksum, tile.coder) + tile.data)


def check_crc(what: str, stored: int, computed: int) -> None:
    """Raises `ChecksumError` if two CRC-32 differ."""
    if stored != computed:
        raise ChecksumError(what, stored=f"{stored:08x}", computed=f"{computed:08x}")


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Raises `HeaderError` if a value lies outside what the format allows."""
    if not low <= value <= high:
        allowed = f"{low} to {high}" if low < high else str(low)
        raise HeaderError(f"{name} is {value}, the format allows {allowed}")


def is_chunk_type(kind: bytes) -> bool:
    """Whether four bytes are the type of a chunk."""
    return len(kind) == 4 and kind.isalpha()
