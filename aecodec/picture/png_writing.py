"""PNG files, written from top to bottom, quickly where a search for the smallest file is in vain.

Photographs hardly repeat themselves: what a search for repetitions saves is a few hundredths, and
it takes most of the time. So a sample of each block of rows tells how to compress it.
"""

import zlib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from aecodec.picture.pixels import Pixels
from aecodec.picture.png_chunks import (
    GRAY,
    GRAY_ALPHA,
    RGB,
    RGB_ALPHA,
    SIGNATURE,
    build_chunk,
    pack_head,
)
from aecodec.picture.png_filters import AVERAGE, NONE, PAETH, SUB, UP, Bytes, filtered


class _Way(NamedTuple):
    """How bytes are filtered and compressed: filters to try, and zlib's level and strategy."""

    filters: tuple[int, ...]
    level: int
    strategy: int


_REPEATING = (NONE, SUB, UP, PAETH)
_SMOOTH = (SUB, UP, AVERAGE, PAETH)
_THOROUGH = _Way(_REPEATING, 6, zlib.Z_FILTERED)
_FAST = (_Way(_SMOOTH, 1, zlib.Z_RLE), _Way(_SMOOTH, 2, zlib.Z_DEFAULT_STRATEGY))
_MEMORY = 9
"""zlib's memory level, of which the highest makes the smallest files."""

_MIDDLE = _Way(_SMOOTH, 4, zlib.Z_FILTERED)
_TOLERANCE, _MIDDLE_TOLERANCE = 1.025, 1.06
"""How much larger than a thorough search's a sample may be that is compressed faster."""
_SIMPLE = 5
"""What compresses to less than its fifth repeats itself, and a search in it takes no time."""

_BLOCK_BYTES = 2**19
_SMALL_BYTES = 2**16
"""Blocks up to this size are searched thoroughly at once."""
_SAMPLE_BYTES, _SAMPLE_PART, _SAMPLE_RUNS = 2**14, 16, 4
"""A sample has so many bytes or this part of its block, in so many runs of rows."""
_FILTER_BYTES = 2**17
"""What is filtered at a time: little enough for a core's cache."""
_CHUNK_BYTES = 2**16
"""Compressed data that become a chunk."""
_ZLIB_HEAD = b"\x78\x9c"


def write_png(
    file: BinaryIO, size: tuple[int, int], bands: Iterable[Pixels], *,
    chunks: bytes = b"", level: int | None = None,
) -> None:  # fmt: skip
    """Writes a picture.

    Args:
        file: what to write to; it need not seek.
        size: height and width.
        bands: `(h, w)` to `(h, w, 4)`, uint8 or uint16, one below the other.
        chunks: whole chunks that are to stand before the pixels.
        level: zlib's, 0 to 9; None for what the pixels are worth.
    """
    stream, ready = _Stream(), bytearray()
    above: Bytes | None = None
    for band in bands:
        step = band.dtype.itemsize * (1 if band.ndim == 2 else band.shape[2])
        if above is None:
            file.write(_head(band, size) + chunks)
            above = np.zeros((1, size[1] * step), np.uint8)
        for block in _blocks(band):
            way = _way(block, above, step) if level is None else _explicit(level)
            for data in _filtered_parts(block, above, way.filters, step):
                ready += stream.add(data, way)
                if len(ready) >= _CHUNK_BYTES:
                    file.write(build_chunk(b"IDAT", bytes(ready)))
                    ready.clear()
            above = block[-1:]
    ready += stream.end()
    file.write(build_chunk(b"IDAT", bytes(ready)) + build_chunk(b"IEND", b""))


def _head(band: Pixels, size: tuple[int, int]) -> bytes:
    head = pack_head(size[1], size[0], 8 * band.dtype.itemsize, _colour_type(band))
    return SIGNATURE + build_chunk(b"IHDR", head)


def _colour_type(pixels: Pixels) -> int:
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    return {1: GRAY, 2: GRAY_ALPHA, 3: RGB, 4: RGB_ALPHA}[channels]


def _blocks(band: Pixels) -> Iterator[Bytes]:
    """The bytes of a band's rows, `(h, bytes)`, in blocks of about equal heights."""
    count = min(len(band), -(-band.nbytes // _BLOCK_BYTES))
    ends = [len(band) * number // count for number in range(count + 1)]
    for first, last in pairwise(ends):
        rows = band[first:last]
        big_endian = np.ascontiguousarray(rows, rows.dtype.newbyteorder(">"))
        yield big_endian.view(np.uint8).reshape(len(rows), -1)


def _filtered_parts(
    block: Bytes, above: Bytes, filters: tuple[int, ...], step: int
) -> Iterator[npt.NDArray[np.uint8]]:
    height = max(1, _FILTER_BYTES // block.shape[1])
    for first in range(0, len(block), height):
        yield filtered(block[first : first + height], above, filters, step)
        above = block[first : first + height][-1:]


def _explicit(level: int) -> _Way:
    """The way of a level that the user has chosen."""
    return _Way((NONE,) if level == 0 else _REPEATING, level, zlib.Z_FILTERED)


def _way(block: Bytes, above: Bytes, step: int) -> _Way:
    """The way that a block is worth."""
    if block.nbytes <= _SMALL_BYTES:
        return _THOROUGH
    fast = [_sampled(block, above, step, way) for way in _FAST]
    least = min(fast)
    if _SIMPLE * least < _sample_rows(block) * block.shape[1]:
        return _THOROUGH
    best = _sampled(block, above, step, _THOROUGH)
    if least <= _TOLERANCE * best:
        return _FAST[fast.index(least)]
    return _MIDDLE if least <= _MIDDLE_TOLERANCE * best else _THOROUGH


def _sampled(block: Bytes, above: Bytes, step: int, way: _Way) -> int:
    """How many bytes become of rows from a few places."""
    rows = _sample_rows(block)
    runs = min(_SAMPLE_RUNS, rows)
    length = rows // runs
    stream, size = _Stream(), 0
    for number in range(runs):
        first = (len(block) - length) * (2 * number + 1) // (2 * runs)
        before = block[first - 1 : first] if first else above
        part = filtered(block[first : first + length], before, way.filters, step)
        size += len(stream.add(part, way))
    return size + len(stream.end())


def _sample_rows(block: Bytes) -> int:
    """How many rows of a block tell how to compress it."""
    wanted: int = max(_SAMPLE_BYTES, block.nbytes // _SAMPLE_PART) // block.shape[1]
    return min(len(block), max(wanted, 1))


class _Stream:
    """One zlib stream whose parts are compressed in several ways.

    Each change of the way ends a raw stream at a whole byte, where another can follow.
    """

    def __init__(self) -> None:
        self._way: _Way | None = None
        self._deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        self._checksum = zlib.adler32(b"")

    def add(self, data: Bytes, way: _Way) -> bytes:
        """What can be written after these bytes."""
        written = b""
        if way != self._way:
            ended = self._way is not None
            written = self._deflater.flush(zlib.Z_SYNC_FLUSH) if ended else _ZLIB_HEAD
            self._deflater = zlib.compressobj(
                way.level, zlib.DEFLATED, -zlib.MAX_WBITS, _MEMORY, way.strategy
            )
            self._way = way
        self._checksum = zlib.adler32(data.data, self._checksum)
        return written + self._deflater.compress(data.data)

    def end(self) -> bytes:
        """The rest of the stream."""
        return self._deflater.flush() + self._checksum.to_bytes(4, "big")
