"""Reads PNG and TIFF from top to bottom, in memory that does not grow with their height.

libvips decodes the pixels (package pyvips, of the extra `vips`). Pillow reads the metadata, as it
does of smaller pictures. Files that do not allow this are left to those who read all at once.


Pictures of which a few rows can be read: raw PPM and PGM of 8 or 16 bits.

Source: netpbm, https://netpbm.sourceforge.net/doc/ppm.html.
"""

import re
import struct
import zlib
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace
from io import SEEK_CUR, BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from aecodec.errors import InputError
from aecodec.format.chunks import DEFAULT_LIMITS, METADATA_KINDS
from aecodec.picture.metadata import Metadata, metadata_of
from aecodec.picture.pixels import DAMAGE, Pixels

_PNG = b"\x89PNG\r\n\x1a\n"

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_LATE = (b"tEXt", b"zTXt", b"iTXt", b"eXIf")
"""Metadata that PNG allows behind the pixels."""

_UNSUITED = (b"tRNS", b"acTL")
"""Transparency, and animation."""

_GRAY, _RGB = 0, 2

_BITS, _PHOTOMETRIC, _ORIENTATION, _PLANAR = 258, 262, 274, 284

_PIECE = 64
"""Rows that are decoded at a time."""

STRIP_PIXELS = 2**25
"""Larger pictures are read so by the command line."""

_HEAD = re.compile(rb"P([56])" + 3 * rb"(?:\s|#[^\n]*\n)+?(\d{1,10})" + rb"\s")

_HEAD_BYTES = 4096


@dataclass(frozen=True)
class _Facts:
    """Size, channels and metadata of a picture."""

    width: int
    height: int
    gray: bool
    metadata: Metadata


class ScanlineSource:
    """An open picture.

    Attributes:
        height: rows.
        width: columns.
        gray: whether it has one channel rather than three.
        sixteen_bit: whether its samples have 16 bits: never.
        metadata: what is to be kept of what it says about itself.
    """

    sixteen_bit = False

    def __init__(self, path: Path, facts: _Facts) -> None:
        self._path = path
        self.width, self.height, self.gray = facts.width, facts.height, facts.gray
        self.metadata = facts.metadata
        self._pieces: deque[Pixels] = deque()
        self._first = self._end = 0
        self._tops: list[int] = []
        self._region: Any = None

    def rows(self, top: int, bottom: int) -> Pixels:
        """Rows from `top` on, without `bottom`, `(h, w, 3)` or `(h, w)`.

        Fast if `top` rises, or goes back to the last but one; any other goes through the file anew.

        Raises:
            InputError: the file is damaged.
        """
        if self._region is None or top < self._first:
            self._open()
        while self._end < bottom:
            self._pieces.append(self._fetch(min(_PIECE, self.height - self._end)))
            self._end += len(self._pieces[-1])
            self._forget(top)
        shape = (bottom - top, self.width) if self.gray else (bottom - top, self.width, 3)
        result, start = np.empty(shape, np.uint8), self._first
        for piece in self._pieces:
            low, high = max(start, top), min(start + len(piece), bottom)
            if low < high:
                result[low - top : high - top] = piece[low - start : high - start]
            start += len(piece)
        self._tops = sorted({*self._tops, top})[-2:]
        return result

    def _forget(self, top: int) -> None:
        """Drops what lies above both the rows that are wanted and those before them."""
        keep = min([top, *self._tops[-1:]])
        while self._first + len(self._pieces[0]) <= keep:
            self._first += len(self._pieces.popleft())

    def _open(self) -> None:
        import pyvips

        self._pieces.clear()
        self._first = self._end = 0
        try:
            image = pyvips.Image.new_from_file(
                str(self._path), access="sequential", fail_on="error", revalidate=True
            )
            found = (image.width, image.height, image.bands, image.format)
            self._region = pyvips.Region.new(image)
        except pyvips.Error as exc:
            raise _damage(exc) from exc
        expected = (self.width, self.height, 1 if self.gray else 3, "uchar")
        if found != expected:
            raise InputError(f"libvips sees another picture: {found} instead of {expected}")

    def _fetch(self, count: int) -> Pixels:
        import pyvips

        try:
            data = self._region.fetch(0, self._end, self.width, count)
        except pyvips.Error as exc:
            raise _damage(exc) from exc
        shape = (count, self.width) if self.gray else (count, self.width, 3)
        return np.frombuffer(data, np.uint8).reshape(shape)


def open_scanlines(
    path: Path, *, least: int = 1, keep: Collection[str] = METADATA_KINDS
) -> ScanlineSource | None:
    """A picture that can be read from top to bottom; None if it cannot.

    That takes pyvips and a PNG without interlacing, or a TIFF with one page and interleaved
    samples, of 8-bit gray or RGB without transparency, that need not be turned.

    Args:
        path: of the file.
        least: pixels; None for smaller pictures.
        keep: which metadata to keep, out of `METADATA_KINDS`.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        magic = file.read(len(_PNG))
        file.seek(0)
        try:
            if magic == _PNG:
                found = _png_facts(file, keep)
            elif magic.startswith(_TIFF):
                found = _tiff_facts(file)
            else:
                return None
        except (*DAMAGE, OSError):  # who reads all at once says what is wrong
            return None
    if found is None or found.width * found.height < least:
        return None
    try:
        import pyvips
    except (ImportError, OSError):  # the package, or the library that it needs
        return None
    found = replace(found, metadata=found.metadata.select(keep))
    return ScanlineSource(path, found) if pyvips.at_least_libvips(8, 13) else None


def _png_facts(file: BinaryIO, keep: Collection[str]) -> _Facts | None:
    """What a PNG says before its pixels; None if they, or what is behind them, do not suit.

    Pillow decodes the pixels before it tells of texts, so it is given one pixel with the same
    metadata.
    """
    limits = DEFAULT_LIMITS
    file.seek(len(_PNG))
    before: list[tuple[bytes, bytes]] = []
    size, pixels = 0, False
    while len(start := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", start)
        pixels |= kind == b"IDAT"
        if kind in _UNSUITED or (pixels and kind in _LATE):
            return None
        if pixels:
            file.seek(length + 4, SEEK_CUR)
            continue
        size += length
        if size > limits.metadata_bytes or len(before) >= limits.metadata_chunks:
            return None
        before.append((kind, file.read(length)))
        file.seek(4, SEEK_CUR)
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", before[0][1])
    if not pixels or depth != 8 or colour not in (_GRAY, _RGB) or interlace:
        return None
    one = struct.pack(">IIBBBBB", 1, 1, 8, colour, 0, 0, 0)
    content = (b"IDAT", zlib.compress(bytes(1 + (3 if colour == _RGB else 1))))
    chunks = [(b"IHDR", one), *before[1:], content, (b"IEND", b"")]
    with PngImageFile(BytesIO(_PNG + b"".join(_png_chunk(*chunk) for chunk in chunks))) as image:
        image.load()
        if "exif" not in keep and image.getexif().get(_ORIENTATION, 1) != 1:
            return None
        return _Facts(width, height, colour == _GRAY, metadata_of(image))


def _tiff_facts(file: BinaryIO) -> _Facts | None:
    """What a TIFF says; None if its pixels do not suit, or if Pillow would turn them."""
    with TiffImageFile(file) as image:
        tags = image.tag_v2
        plain = image.mode in ("L", "RGB") and tags.get(_PHOTOMETRIC) in (1, 2)
        eight = set(tags.get(_BITS, (1,))) == {8} and tags.get(_PLANAR, 1) == 1
        turned = tags.get(_ORIENTATION, 1) != 1
        if not plain or not eight or turned or image.n_frames > 1:
            return None
        return _Facts(image.width, image.height, image.mode == "L", metadata_of(image))


def _png_chunk(kind: bytes, payload: bytes) -> bytes:
    """A chunk of a PNG."""
    crc = zlib.crc32(payload, zlib.crc32(kind))
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", crc)


def _damage(exc: Exception) -> InputError:
    return InputError(f"damaged picture: {(str(exc).strip().splitlines() or ['?'])[-1]}")


class NetpbmSource:
    """An open PPM or PGM.

    Attributes:
        height: rows.
        width: columns.
        gray: whether it is a PGM.
        sixteen_bit: whether its samples have 16 bits.
    """

    def __init__(
        self, file: BinaryIO, size: tuple[int, int], *, gray: bool, sixteen_bit: bool, start: int
    ) -> None:
        self._file, self._start = file, start
        self.height, self.width = size
        self.gray, self.sixteen_bit = gray, sixteen_bit

    def rows(self, top: int, bottom: int) -> Pixels:
        """Rows from `top` on, without `bottom`, `(h, w, 3)` or `(h, w)`, uint8 or uint16.

        Raises:
            InputError: the file ends before.
        """
        stride = self.width * (1 if self.gray else 3) * (2 if self.sixteen_bit else 1)
        self._file.seek(self._start + top * stride)
        data = self._file.read((bottom - top) * stride)
        if len(data) != (bottom - top) * stride:
            raise InputError(f"damaged picture: it ends before row {bottom}")
        shape = (bottom - top, self.width)
        samples = np.frombuffer(data, ">u2" if self.sixteen_bit else np.uint8)
        pixels = samples.reshape(shape if self.gray else (*shape, 3))
        return pixels.astype(np.uint16) if self.sixteen_bit else pixels


def open_netpbm(file: BinaryIO) -> NetpbmSource | None:
    """The picture in a file that can seek; None if it is no raw PPM or PGM of 8 or 16 bits."""
    file.seek(0)
    head = _HEAD.match(file.read(_HEAD_BYTES))
    if head is None:
        return None
    kind, width, height, largest = head.groups()
    if int(largest) not in (255, 65535) or not int(width) or not int(height):
        return None
    size, sixteen_bit = (int(height), int(width)), int(largest) == 65535
    return NetpbmSource(file, size, gray=kind == b"5", sixteen_bit=sixteen_bit, start=head.end())
