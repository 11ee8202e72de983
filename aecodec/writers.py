"""Writes pictures from top to bottom, a few rows at a time: PNG, and raw PPM and PGM."""

import struct
import zlib
from collections.abc import Iterable
from io import BytesIO
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from aecodec.images import Pixels
from aecodec.metadata import Metadata

STREAMED = ("PNG", "PPM")
"""Formats that `write_rows` knows, as Pillow calls them."""
STREAM_PIXELS = 2**25
"""Larger pictures are written so by the command line."""
_ROWS = 64
"""Rows that are filtered at a time."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SUB, _UP = 1, 2


def write_rows(
    file: BinaryIO, kind: str, size: tuple[int, int], bands: Iterable[Pixels], metadata: Metadata
) -> None:
    """Writes a picture.

    Args:
        file: where to; it need not seek.
        kind: out of `STREAMED`.
        size: height and width.
        bands: `(h, w, 3)` or `(h, w)` uint8, one below the other.
        metadata: what PNG is to carry; PPM carries none.
    """
    if kind == "PPM":
        for number, band in enumerate(bands):
            if not number:
                file.write(b"P%d\n%d %d\n255\n" % (5 if band.ndim == 2 else 6, size[1], size[0]))
            file.write(np.ascontiguousarray(band).data)
        return
    deflater = zlib.compressobj(6)
    previous: Pixels | None = None
    for band in bands:
        if previous is None:
            gray = band.ndim == 2
            head = struct.pack(">IIBBBBB", size[1], size[0], 8, 0 if gray else 2, 0, 0, 0)
            file.write(_SIGNATURE + _chunk(b"IHDR", head) + _metadata_chunks(metadata, gray=gray))
            previous = np.zeros_like(band[:1])
        for first in range(0, len(band), _ROWS):
            rows = band[first : first + _ROWS]
            data = deflater.compress(_filtered(rows, previous).data)
            previous = rows[-1:]
            if data:
                file.write(_chunk(b"IDAT", data))
    file.write(_chunk(b"IDAT", deflater.flush()) + _chunk(b"IEND", b""))


def _filtered(rows: Pixels, previous: Pixels) -> npt.NDArray[np.uint8]:
    """Rows with PNG's filters `Sub` or `Up`, whichever leaves smaller differences in a row."""
    left = np.zeros_like(rows)
    left[:, 1:] = rows[:, :-1]
    above = np.concatenate([previous, rows[:-1]])
    count = len(rows)
    sub, up = (rows - left).reshape(count, -1), (rows - above).reshape(count, -1)
    cost = [np.minimum(part, -part).sum(1, dtype=np.int64) for part in (sub, up)]
    chosen = (cost[1] < cost[0])[:, None]
    kinds = np.where(chosen, _UP, _SUB).astype(np.uint8)
    return np.concatenate([kinds, np.where(chosen, up, sub)], axis=1)


def _metadata_chunks(metadata: Metadata, *, gray: bool) -> bytes:
    """The chunks that Pillow writes for metadata."""
    file = BytesIO()
    Image.new("L" if gray else "RGB", (1, 1)).save(file, "PNG", **metadata.save_options("PNG"))
    data, offset, chunks = file.getvalue(), len(_SIGNATURE), []
    while offset < len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        if kind not in (b"IHDR", b"IDAT", b"IEND"):
            chunks.append(data[offset : offset + 12 + length])
        offset += 12 + length
    return b"".join(chunks)


def _chunk(kind: bytes, payload: bytes) -> bytes:
    crc = zlib.crc32(payload, zlib.crc32(kind))
    return struct.pack(">I4s", len(payload), kind) + payload + struct.pack(">I", crc)
