"""Writes pictures from top to bottom, a few rows at a time: PNG, and raw PPM and PGM."""

import struct
import zlib
from collections.abc import Iterable
from io import BytesIO
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from aecodec.alpha import Pixels, peak
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
        bands: `(h, w)` to `(h, w, 4)`, uint8 or uint16, one below the other; for PPM without alpha.
        metadata: what PNG is to carry; PPM carries none.
    """
    if kind == "PPM":
        for number, band in enumerate(bands):
            if not number:
                number_of_format = 5 if band.ndim == 2 else 6
                file.write(b"P%d\n%d %d\n%d\n" % (number_of_format, size[1], size[0], peak(band)))
            file.write(_big(band).tobytes())
        return
    deflater = zlib.compressobj(6)
    previous: npt.NDArray[np.uint8] | None = None
    for band in bands:
        if previous is None:
            gray = band.ndim == 2 or band.shape[2] == 2
            depth = 8 * band.dtype.itemsize
            head = struct.pack(">IIBBBBB", size[1], size[0], depth, _colour_type(band), 0, 0, 0)
            file.write(_SIGNATURE + _chunk(b"IHDR", head) + _metadata_chunks(metadata, gray=gray))
            previous = _as_bytes(np.zeros_like(band[:1]))
        for first in range(0, len(band), _ROWS):
            rows = _as_bytes(band[first : first + _ROWS])
            data = deflater.compress(_filtered(rows, previous).data)
            previous = rows[-1:]
            if data:
                file.write(_chunk(b"IDAT", data))
    file.write(_chunk(b"IDAT", deflater.flush()) + _chunk(b"IEND", b""))


def _colour_type(pixels: Pixels) -> int:
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    return {1: 0, 2: 4, 3: 2, 4: 6}[channels]


def _big(pixels: Pixels) -> npt.NDArray[np.uint8 | np.uint16]:
    """Samples in the order that both formats use: the most significant byte first."""
    return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">"))


def _as_bytes(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """`(h, w, b)`, each pixel's bytes, which PNG filters one by one."""
    height, width = pixels.shape[:2]
    return _big(pixels).view(np.uint8).reshape(height, width, -1)


def _filtered(
    rows: npt.NDArray[np.uint8], previous: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
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
