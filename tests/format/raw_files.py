"""Files of chunks, written without the code under test."""

import struct
import zlib


def chunk(kind: bytes, payload: bytes = b"") -> bytes:
    """The bytes of a chunk."""
    crc = zlib.crc32(kind + payload)
    return struct.pack("<I", len(payload)) + kind + payload + struct.pack("<I", crc)


def head(
    width: int = 100,
    height: int = 50,
    pixel_format: int = 0,
    tile_exponent: int = 6,
    quality_index: int = 0,
) -> bytes:
    fields = (width, height, pixel_format, tile_exponent, quality_index, b"demo")
    return chunk(b"HEAD", struct.pack("<IIBBH4s", *fields))


SIGN = b"\x89AEC\x01\r\n\x1a"
HEAD = head()  # 100 x 50 in tiles of 64: two tiles
TILE = chunk(b"TILE", b"\0\0\0\0word")
PIXL = chunk(b"PIXL", b"\1\0\0\0\1data")
ALPH = chunk(b"ALPH", b"\1\0\0\0\2a")
CLEAR = head(64, pixel_format=5)  # one tile, with alpha
LAYR = chunk(b"LAYR", b"tabl\3")
RESI = chunk(b"RESI", b"\2\0\0\0more")
DONE = chunk(b"DONE")
NOTE = chunk(b"note", b"hi")
WHOLE = SIGN + HEAD + NOTE + TILE + TILE + DONE
