"""Metadata of a picture that has become a part of itself, smaller, or turned.

Thumbnails and previews show what was cut away, and sizes are those of the whole. So nothing of that
kind stays: EXIF loses every directory, tag and byte that may hold a preview, in its place, so that
what a camera's own note refers to lies where it lay; and sizes become those of the new picture.

Source: EXIF 2.32, sections 4.6 and 4.5.8; XMP specification part 2, section 8.1.
"""

import re
import struct
from dataclasses import dataclass, field, replace

from aecodec.format.tiling import Region
from aecodec.picture.exif import EXIF_SIGNATURES, LAYOUT
from aecodec.picture.metadata import Metadata
from aecodec.picture.tiff_tags import EXIF, GPS, INTEROPERABILITY, ORIENTATION

_JPEG_START = b"\xff\xd8\xff"
_JPEG_START_BASE64 = b"/9j/"
_WIDTH, _HEIGHT = 40962, 40963
_MAKER_NOTE = 37500
_STALE = {37396, 41492, 4097, 4098, *range(20480, 20544), 37724, 46}
"""Places in the picture, sizes of related ones, thumbnails and layers of editors."""
_POINTERS = {EXIF, GPS, INTEROPERABILITY}
_FORMATS = {3: "H", 4: "I"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
"""Bytes of a value of each type."""
_ENTRY = 12
_LONG, _DIRECTORY = 4, 13
_DIRECTORIES_MAX = 8

_XMP_PREVIEWS = (b"xmp:Thumbnails", b"xap:Thumbnails", b"xmpGImg:image", b"xapGImg:image",
                 b"GImage:Data", b"GDepth:Data")  # fmt: skip
_XMP_ATTRIBUTES = re.compile(rb"\s(?:GImage|GDepth):Data\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_XMP_WIDTHS, _XMP_HEIGHTS = (
    b"exif:PixelXDimension|tiff:ImageWidth",
    (b"exif:PixelYDimension|tiff:ImageLength"),
)
_XMP_NUMBER = rb"((?:%s)\s*(?:=\s*[\"']|>)\s*)\d+(?=\s*[\"'<])"


def stored_region(shown: Region, orientation: int, width: int, height: int) -> Region:
    """Where a part of a picture as it is shown lies in its pixels as they are stored.

    Args:
        shown: the part, counted in the picture as it is shown.
        orientation: 1 to 8, see `metadata.turned`.
        width: of the picture as it is stored.
        height: of the picture as it is stored.

    Raises:
        InputError: the part does not lie in the picture.
    """
    across, down = (height, width) if orientation >= 5 else (width, height)
    shown.check(across, down)
    left, top = shown.left, shown.top
    if orientation in (3, 4, 7, 8):
        top = down - top - shown.height
    if orientation in (2, 3, 6, 7):
        left = across - left - shown.width
    if orientation >= 5:
        return Region(top, left, shown.height, shown.width)
    return Region(left, top, shown.width, shown.height)


def reshaped(metadata: Metadata, width: int, height: int) -> tuple[Metadata, tuple[str, ...]]:
    """What is true of a part of a picture, or of a smaller or turned one, and what is left out.

    Args:
        metadata: those of the whole picture.
        width: of the new picture as it is stored.
        height: of the new picture as it is stored.

    Returns:
        The metadata, and a line for each thing besides thumbnails and sizes that they lack.
    """
    exif, lines = _exif(metadata.exif, width, height) if metadata.exif else (None, [])
    xmp = _xmp(metadata.xmp, width, height) if metadata.xmp else None
    changed = replace(metadata, exif=exif, xmp=xmp)
    for name, packet in (("xmp", xmp), ("iptc", metadata.iptc)):
        if packet and _holds_picture(packet):
            lines.append(f"{name} is left out, since it holds a preview of the whole picture")
            changed = changed.with_packet(name, None)
    text = tuple((key, value) for key, value in metadata.text if not _holds_picture(value))
    if len(text) < len(metadata.text):
        lines.append("text is left out where it holds a preview of the whole picture")
    return replace(changed, text=text), tuple(lines)


def _holds_picture(data: bytes) -> bool:
    return _JPEG_START in data or _JPEG_START_BASE64 in data


@dataclass
class _Cleaned:
    """EXIF that is being copied, as far as it may stay.

    Attributes:
        source: what there was.
        data: what stays of it, at the same places; the rest is zero.
        end: of the last byte that stays.
        left: bytes that may still be copied, since many tags may share theirs.
    """

    source: bytes
    width: int
    height: int
    data: bytearray = field(init=False)
    end: int = 8
    seen: set[int] = field(default_factory=set)
    dropped_note: bool = False

    def __post_init__(self) -> None:
        self.data = bytearray(len(self.source))
        self.data[:8] = self.source[:8]
        self.left = 2 * len(self.source)
        self.order = "<" if self.source[:2] == b"II" else ">"

    def directory(self, at: int) -> bool:
        """Copies a directory and what it refers to; whether it lies within the bytes at all."""
        self.seen.add(at)
        if at < 8 or at + 2 > len(self.source) or len(self.seen) > _DIRECTORIES_MAX:
            return False
        (count,) = struct.unpack_from(self.order + "H", self.source, at)
        kept = []
        for place in range(at + 2, at + 2 + _ENTRY * count, _ENTRY):
            record = self.source[place : place + _ENTRY]
            if len(record) == _ENTRY:
                kept += self._entry(record)
        table = struct.pack(self.order + "H", len(kept)) + b"".join(kept) + bytes(4)
        self._put(at, table[: len(self.source) - at])
        return True

    def _entry(self, record: bytes) -> list[bytes]:
        """The record of a tag that stays, after a copy of its value; nothing for another."""
        tag, kind, count = struct.unpack_from(self.order + "HHI", record)
        size = _SIZES.get(kind, 0) * count
        if tag in _POINTERS:
            (below,) = struct.unpack_from(self.order + "I", record, 8)
            new = kind in (_LONG, _DIRECTORY) and count == 1 and below not in self.seen
            return [record] if new and self.directory(below) else []
        if not size or tag in _STALE or (tag in LAYOUT and tag != ORIENTATION):
            return []
        if tag in (_WIDTH, _HEIGHT):
            return self._size(tag, kind, count)
        if size <= 4:
            return [record]
        (at,) = struct.unpack_from(self.order + "I", record, 8)
        self.left -= size
        if self.left < 0:
            return []
        value = self.source[at : at + size]
        if len(value) < size or _holds_picture(value):
            self.dropped_note |= tag == _MAKER_NOTE and len(value) == size
            return []
        self._put(at, value)
        return [record]

    def _size(self, tag: int, kind: int, count: int) -> list[bytes]:
        side = self.width if tag == _WIDTH else self.height
        if count != 1 or kind not in _FORMATS or (kind == 3 and side > 65535):
            return []
        value = struct.pack(self.order + _FORMATS[kind], side).ljust(4, b"\0")
        return [struct.pack(self.order + "HHI", tag, kind, count) + value]

    def _put(self, at: int, value: bytes) -> None:
        self.data[at : at + len(value)] = value
        self.end = max(self.end, at + len(value))


def _exif(exif: bytes, width: int, height: int) -> tuple[bytes | None, list[str]]:
    """EXIF without previews and with right sizes; None where it cannot be read."""
    unread = "exif is left out, since it cannot be read and may show the whole picture"
    if not exif.startswith(EXIF_SIGNATURES) or len(exif) < 8:
        return None, [unread]
    cleaned = _Cleaned(exif, width, height)
    (start,) = struct.unpack_from(cleaned.order + "I", exif, 4)
    if not cleaned.directory(start):
        return None, [unread]
    line = "the maker note is left out, since it holds a preview of the whole picture"
    return bytes(cleaned.data[: cleaned.end]), [line] * cleaned.dropped_note


def _xmp(xmp: bytes, width: int, height: int) -> bytes:
    """XMP without its thumbnails, with the sizes of the new picture."""
    for name in _XMP_PREVIEWS:
        xmp = _without(xmp, b"<" + name, b"</" + name)
    xmp = _XMP_ATTRIBUTES.sub(b"", xmp)
    for names, side in ((_XMP_WIDTHS, width), (_XMP_HEIGHTS, height)):
        xmp = re.sub(_XMP_NUMBER % names, rb"\g<1>%d" % side, xmp)
    return xmp


def _without(xmp: bytes, opening: bytes, closing: bytes) -> bytes:
    """XMP without the elements that begin and end so."""
    kept, at = [], 0
    while (start := xmp.find(opening, at)) >= 0:
        stop = xmp.find(closing, start)
        end = xmp.find(b">", stop) + 1 if stop >= 0 else 0
        if not end:
            break
        kept.append(xmp[at:start])
        at = end
    return b"".join([*kept, xmp[at:]])
