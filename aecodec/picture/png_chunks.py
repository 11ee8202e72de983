"""Chunks of PNG files, built and walked without decoding what they hold.

Source: PNG specification, third edition, section 5, https://www.w3.org/TR/png-3/.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, GRAY_ALPHA, RGB_ALPHA = 0, 2, 4, 6
"""Colour types of pictures without a palette."""

HEAD = struct.Struct(">IIBBBBB")
"""Payload of IHDR: width, height, bits a sample, colour type, compression, filter, interlacing."""
_START = struct.Struct(">I4s")
_CRC = struct.Struct(">I")


def build_chunk(kind: bytes, payload: bytes) -> bytes:
    """The bytes of a chunk."""
    crc = zlib.crc32(payload, zlib.crc32(kind))
    return _START.pack(len(payload), kind) + payload + _CRC.pack(crc)


def build_png(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The bytes of a file, from the type and the payload of each chunk."""
    return SIGNATURE + b"".join(build_chunk(kind, payload) for kind, payload in chunks)


def pack_head(width: int, height: int, depth: int, colour_type: int) -> bytes:
    """The payload of IHDR for a picture without interlacing."""
    return HEAD.pack(width, height, depth, colour_type, 0, 0, 0)


def walk_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yields type and payload size of each chunk, up to the end of the file.

    The file then stands at the payload, which the consumer may read, or not. Signature and
    checksums are not looked at, and sizes are what the file claims.
    """
    position = len(SIGNATURE)
    file.seek(position)
    while len(start := file.read(_START.size)) == _START.size:
        size, kind = _START.unpack(start)
        yield kind, size
        position += _START.size + size + _CRC.size
        file.seek(position)


def read_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields type and payload of each chunk of a whole file.

    Example:
        >>> data = build_png([(b"IHDR", pack_head(1, 1, 8, GRAY)), (b"IEND", b"")])
        >>> [(kind, len(payload)) for kind, payload in read_chunks(data)]
        [(b'IHDR', 13), (b'IEND', 0)]
    """
    file = BytesIO(data)
    for kind, size in walk_chunks(file):
        yield kind, file.read(size)
