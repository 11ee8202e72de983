"""EXIF as other files can carry it: as tags of a TIFF, beside those that describe its pixels.

EXIF has the structure of a TIFF, and its first directory may state sizes and layout, of another
picture than that in the file. Only what describes the picture gets into a TIFF, each tag with its
own bytes, so that a text in any encoding stays itself; tags of a wrong type are left out and named.

Source: TIFF 6.0, section 2; EXIF 2.32, section 4.6.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from aecodec.errors import InputError
from aecodec.picture.tiff_tags import (
    DESCRIPTIVE,
    EXIF,
    GPS,
    INTEROPERABILITY,
    ORIENTATION,
    SUB_DIRECTORIES,
    Directories,
    Directory,
    Entry,
    directory_bytes,
    packed_exif,
)

EXIF_SIGNATURES = (b"II*\0", b"MM\0*")
"""How EXIF begins, in both byte orders."""
TIFF_XMP, TIFF_IPTC, TIFF_ICC = 700, 33723, 34675
"""Tags that hold other metadata in a TIFF."""
TIFF_RESOLUTION = _ACROSS, _DOWN, _UNIT = 282, 283, 296
"""Tags of the resolution."""

_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED = 1, 2, 3, 4, 5, 7
_TYPES = dict.fromkeys(DESCRIPTIVE, _ASCII) | {
    18246: _SHORT, 18249: _SHORT, 40091: _BYTE, 40092: _BYTE, 40093: _BYTE, 40094: _BYTE,
    40095: _BYTE,
}  # fmt: skip
"""The type that each tag about the picture must have."""
LAYOUT = frozenset(
    [*range(254, 267), *range(273, 274), *range(277, 282), 284, *range(286, 293), 297, 301,
     *range(317, 318), *range(320, 348), *range(512, 533), 559, *range(32995, 32999), 33421, 33422,
     ORIENTATION, TIFF_XMP, TIFF_IPTC, TIFF_ICC, 34377, EXIF, GPS, 50706, 50707]
)  # fmt: skip
"""Tags of sizes and layout, and of what is written apart: each file states its own."""
_WIDTHS = {3: 2, 8: 2, 4: 4, 5: 4, 9: 4, 10: 4, 11: 4, 13: 4, 12: 8}
"""Bytes of the numbers of each type, where they are more than one."""
_TAGS_NAMED = 4
_BYTES_MAX = 2**26


@dataclass(frozen=True)
class Tags:
    """What EXIF says of a picture, ready for a TIFF in one byte order.

    Attributes:
        plain: the tags that belong into its first directory.
        branches: the directories of EXIF and GPS, by the tags that point to them.
        inner: the directory of interoperability, below that of EXIF.
        dropped: the tags that a TIFF does not get, though no layout is in them.
    """

    plain: dict[int, Entry] = field(default_factory=dict)
    branches: dict[int, dict[int, Entry]] = field(default_factory=dict)
    inner: dict[int, Entry] = field(default_factory=dict)
    dropped: tuple[int, ...] = ()

    def lost(self) -> str:
        """What is left out, in words; empty if that is nothing."""
        if not self.dropped:
            return ""
        names = ", ".join(str(tag) for tag in self.dropped[:_TAGS_NAMED])
        more = ", ..." if len(self.dropped) > _TAGS_NAMED else ""
        return f"exif tag{'s' * (len(self.dropped) > 1)} {names}{more}"


def tags_of(exif: bytes | None, order: str = "<") -> Tags | None:
    """What EXIF says of a picture; None if there is EXIF and it cannot be read.

    Args:
        exif: from its byte order mark on; None for nothing.
        order: `<` or `>`, the byte order that values are to have.
    """
    if not exif:
        return Tags()
    if not exif.startswith(EXIF_SIGNATURES):
        return None
    try:
        directories = Directories(exif)
    except InputError:
        return None
    first = next(directories.chain(), None)
    if first is None:
        return None
    plain, dropped = _plain(exif, first)
    branches = {
        pointer: dict(below.entries)
        for pointer in (EXIF, GPS)
        for below in list(directories.below(first, pointer))[:1]
    }
    inner: dict[int, Entry] = {}
    if EXIF in branches:
        for below in directories.below(Directory(first.order, branches[EXIF]), INTEROPERABILITY):
            inner = dict(below.entries)
            break
    for entries in (inner, *branches.values()):
        entries.pop(INTEROPERABILITY, None)
        entries.pop(SUB_DIRECTORIES, None)
    parts = [plain, inner, *branches.values()]
    if sum(entry.size for part in parts for entry in part.values()) > _BYTES_MAX:
        return None
    turned = [_in_order(part, first.order, order) for part in parts]
    pointers = dict(zip(branches, turned[2:], strict=True))
    return Tags(turned[0], pointers, turned[1], tuple(sorted(dropped)))


def _plain(exif: bytes, first: Directory) -> tuple[dict[int, Entry], set[int]]:
    """The tags of the first directory that a TIFF may have, and those that it does not get."""
    plain = {tag: e for tag, e in first.entries.items() if e.kind == _TYPES.get(tag)}
    dropped = {tag for tag, _ in _tags(exif)} - plain.keys() - LAYOUT
    if all(_is_fraction(first.entries.get(tag)) for tag in (_ACROSS, _DOWN)):
        plain[_ACROSS], plain[_DOWN] = first.entries[_ACROSS], first.entries[_DOWN]
        unit = first.entries.get(_UNIT)
        if unit is not None and (unit.kind, unit.count) == (_SHORT, 1):
            plain[_UNIT] = unit
    dropped -= plain.keys()
    stated = first.integer(ORIENTATION, 0)
    if stated in range(1, 9):
        plain[ORIENTATION] = Entry(_SHORT, 1, struct.pack(first.order + "H", stated))
    return plain, dropped


def _is_fraction(entry: Entry | None) -> bool:
    return entry is not None and (entry.kind, entry.count) == (_RATIONAL, 1)


def _tags(exif: bytes) -> Iterator[tuple[int, int]]:
    """Yields tag and type of everything in the first directory, whatever its value is."""
    order = "<" if exif[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            yield struct.unpack_from(order + "HH", exif, at)
    except struct.error:
        return


def _in_order(entries: Mapping[int, Entry], before: str, after: str) -> dict[int, Entry]:
    """The same values in another byte order, without types that EXIF does not have."""
    found = {}
    for tag, entry in entries.items():
        if not 1 <= entry.kind <= 12:
            continue
        width = _WIDTHS.get(entry.kind, 1)
        if before != after and width > 1:
            data = b"".join(entry.data[at : at + width][::-1] for at in range(0, entry.size, width))
            entry = Entry(entry.kind, entry.count, data)
        found[tag] = entry
    return found


def packed(tags: Tags, order: str = "<") -> bytes:
    """The same tags as EXIF, in the byte order that they have."""
    return packed_exif(order, dict(tags.plain), _copied(tags.branches), dict(tags.inner))


def _copied(branches: Mapping[int, dict[int, Entry]]) -> dict[int, dict[int, Entry]]:
    return {pointer: dict(branch) for pointer, branch in branches.items()}


def with_tags(tiff: bytes, tags: Tags, packets: Mapping[int, bytes], *, resolution: bool) -> bytes:
    """A TIFF with more tags in its first directory, which moves to the end of the file.

    Args:
        tiff: a file of one picture, in the byte order of the tags.
        tags: what EXIF says; tags that the file has already stay as they are.
        packets: bytes of further tags.
        resolution: whether that of the file is true, and not made up by a library.
    """
    order = "<" if tiff[:2] == b"II" else ">"
    first = next(Directories(tiff).chain())
    own = dict(first.entries)
    entries = {tag: entry for tag, entry in tags.plain.items() if tag not in TIFF_RESOLUTION}
    if not resolution:
        own = {tag: entry for tag, entry in own.items() if tag not in TIFF_RESOLUTION}
        entries |= {tag: tags.plain[tag] for tag in TIFF_RESOLUTION if tag in tags.plain}
    for tag, data in packets.items():
        kind = _BYTE if tag == TIFF_XMP else _UNDEFINED
        entries[tag] = Entry(kind, len(data), data)
    body = bytearray(tiff + bytes(len(tiff) % 2))
    for pointer, branch in tags.branches.items():
        below = dict(branch)
        if pointer == EXIF and tags.inner:
            below[INTEROPERABILITY] = _pointer(order, len(body))
            body += directory_bytes(order, tags.inner, len(body))
        entries[pointer] = _pointer(order, len(body))
        body += directory_bytes(order, below, len(body))
    body[4:8] = struct.pack(order + "I", len(body))
    body += directory_bytes(order, own | entries, len(body))
    return bytes(body)


def _pointer(order: str, at: int) -> Entry:
    return Entry(_LONG, 1, struct.pack(order + "I", at))
