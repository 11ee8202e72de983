"""Directories of TIFF and BigTIFF: their tags as they lie in a file, and EXIF made of them.

Nothing is interpreted or converted before it is asked for, so that a tag of a wrong type or a text
in another encoding keeps its bytes. Tags whose values do not lie within the file are left out.

Source: TIFF 6.0, section 2; BigTIFF, https://www.awaresystems.be/imaging/tiff/bigtiff.html.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aecodec.errors import InputError

if TYPE_CHECKING:
    from mmap import mmap

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How TIFF and BigTIFF begin, in both byte orders."""

DESCRIPTION, MAKE, MODEL, ORIENTATION, SOFTWARE, DATE, ARTIST = 270, 271, 272, 274, 305, 306, 315
COPYRIGHT, EXIF, GPS, INTEROPERABILITY = 33432, 34665, 34853, 40965
SUBFILE_TYPE, PHOTOMETRIC, SUB_DIRECTORIES = 254, 262, 330

DESCRIPTIVE = {
    269, DESCRIPTION, MAKE, MODEL, 285, SOFTWARE, DATE, ARTIST, 316, 18246, 18249, COPYRIGHT,
    40091, 40092, 40093, 40094, 40095,
}  # fmt: skip
"""What a TIFF says of the picture; its other tags say how the file stores the pixels."""

_FORMATS = {1: "B", 2: "s", 3: "H", 4: "I", 6: "b", 7: "s", 8: "h", 9: "i", 11: "f", 12: "d",
            13: "I", 16: "Q", 17: "q", 18: "Q"}  # fmt: skip
_SIZES = {kind: struct.calcsize(form) for kind, form in _FORMATS.items()} | {5: 8, 10: 8}
"""Bytes of a value of each type."""
_INTEGERS = {1, 3, 4, 6, 8, 9, 13, 16, 17, 18}
_EXIF_TYPES = set(range(1, 13))
_DIRECTORIES_MAX = 65536
_ENTRIES_MAX = 2**20
"""Tags of a file that are looked at, in all its directories."""
_EXIF_BYTES_MAX = 2**26
_LONG = 4


@dataclass(frozen=True)
class Entry:
    """The value of a tag: its type, how many values it has, and the bytes they lie among.

    The bytes are copied only when they are asked for, since many tags may share them.
    """

    kind: int
    count: int
    source: "bytes | mmap"
    start: int = 0

    @property
    def size(self) -> int:
        """The number of its bytes."""
        return _SIZES[self.kind] * self.count

    @property
    def data(self) -> bytes:
        """Its bytes."""
        return self.source[self.start : self.start + self.size]


@dataclass(frozen=True)
class Directory:
    """The tags of one picture in a TIFF.

    Attributes:
        order: `<` or `>`, the byte order.
        entries: the value of each tag.
    """

    order: str
    entries: Mapping[int, Entry] = field(default_factory=dict)

    def integers(self, tag: int) -> tuple[int, ...]:
        """The values of a tag; nothing if it is absent or of another type."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _INTEGERS:
            return ()
        return struct.unpack(f"{self.order}{entry.count}{_FORMATS[entry.kind]}", entry.data)

    def integer(self, tag: int, default: int) -> int:
        """The first value of a tag, or the default."""
        return (self.integers(tag) or (default,))[0]

    def numbers(self, tag: int) -> tuple[float, ...]:
        """The values of a tag of integers, fractions or floating numbers."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind in (2, 7):
            return ()
        if entry.kind in (5, 10):
            letter = "I" if entry.kind == 5 else "i"
            parts = struct.unpack(f"{self.order}{2 * entry.count}{letter}", entry.data)
            pairs = zip(parts[::2], parts[1::2], strict=True)
            return tuple(over / under if under else 0.0 for over, under in pairs)
        return struct.unpack(f"{self.order}{entry.count}{_FORMATS[entry.kind]}", entry.data)

    def data(self, tag: int) -> bytes:
        """The bytes of a tag, whatever its type."""
        entry = self.entries.get(tag)
        return entry.data if entry else b""


class Directories:
    """The directories of a TIFF, or of the same structure in EXIF.

    Raises:
        InputError: it is no TIFF.
    """

    def __init__(self, data: "bytes | mmap") -> None:
        if data[:4] not in SIGNATURES:
            raise InputError("this is no TIFF")
        self._data = data
        self.order = "<" if data[:2] == b"II" else ">"
        self._big = 43 in data[2:4]
        self._offset = "Q" if self._big else "I"
        self._entries_left = _ENTRIES_MAX

    def chain(self) -> Iterator[Directory]:
        """Yields the directories of the file one after the other, each once."""
        try:
            (at,) = struct.unpack_from(self.order + self._offset, self._data, 8 if self._big else 4)
        except struct.error:
            return
        seen: set[int] = set()
        while at and at not in seen and len(seen) < _DIRECTORIES_MAX:
            seen.add(at)
            found = self.at(at)
            if found is None:
                return
            directory, at = found
            yield directory

    def below(self, directory: Directory, tag: int) -> Iterator[Directory]:
        """Yields the directories that a tag points to."""
        for at in directory.integers(tag)[:_DIRECTORIES_MAX]:
            found = self.at(at)
            if found:
                yield found[0]

    def at(self, at: int) -> tuple[Directory, int] | None:
        """The directory at an offset, and the offset of the next; None if it does not lie there."""
        counter, start = ("Q", 8) if self._big else ("H", 2)
        entry = struct.Struct(self.order + ("HHQ8s" if self._big else "HHI4s"))
        try:
            (count,) = struct.unpack_from(self.order + counter, self._data, at)
        except struct.error:
            return None
        count = min(count, (len(self._data) - at - start) // entry.size, self._entries_left)
        self._entries_left -= count
        body = self._data[at + start : at + start + count * entry.size]
        entries: dict[int, Entry] = {}
        for tag, kind, number, inline in entry.iter_unpack(body):
            value = self._value(kind, number, inline)
            if value is not None:
                entries.setdefault(tag, value)
        try:
            (after,) = struct.unpack_from(
                self.order + self._offset, self._data, at + start + len(body)
            )
        except struct.error:
            after = 0
        return Directory(self.order, entries), after

    def _value(self, kind: int, count: int, inline: bytes) -> Entry | None:
        size = _SIZES.get(kind, 0) * count
        if not size:
            return None
        if size <= len(inline):
            return Entry(kind, count, inline)
        (at,) = struct.unpack(self.order + self._offset, inline)
        return Entry(kind, count, self._data, at) if at + size <= len(self._data) else None


def exif_of(directories: Directories, first: Directory) -> bytes | None:
    """EXIF made of what the first directory of a TIFF says of the picture.

    Values keep type and bytes. How the file stores the pixels is not part of it, nor is the
    orientation; the directories of EXIF, GPS and interoperability are.
    """
    plain = {tag: entry for tag, entry in first.entries.items() if tag in DESCRIPTIVE}
    branches: dict[int, dict[int, Entry]] = {}
    for pointer in (EXIF, GPS):
        for below in directories.below(first, pointer):
            branches.setdefault(pointer, dict(below.entries))
    inner: dict[int, Entry] = {}
    if EXIF in branches:
        for below in directories.below(Directory(first.order, branches[EXIF]), INTEROPERABILITY):
            inner = dict(below.entries)
        branches[EXIF].pop(INTEROPERABILITY, None)
    parts = (plain, inner, *branches.values())
    size = sum(entry.size for part in parts for entry in part.values())
    if not any(parts) or size > _EXIF_BYTES_MAX:
        return None
    return packed_exif(first.order, plain, branches, inner)


def packed_exif(
    order: str,
    plain: dict[int, Entry],
    branches: dict[int, dict[int, Entry]],
    inner: dict[int, Entry],
) -> bytes:
    """The bytes of EXIF from its directories, which follow one another."""
    parts = [_storable(plain)]
    owners = [(0, 0)]  # the part whose tag points to each part, and that tag
    for pointer, entries in branches.items():
        parts.append(_storable(entries))
        owners.append((0, pointer))
        if pointer == EXIF and inner:
            parts.append(_storable(inner))
            owners.append((len(parts) - 2, INTEROPERABILITY))
    blank = Entry(_LONG, 1, bytes(4))
    for owner, pointer in owners[1:]:
        parts[owner][pointer] = blank
    starts = [8]
    for part in parts:
        starts.append(starts[-1] + len(directory_bytes(order, part, 0)))
    for (owner, pointer), start in zip(owners[1:], starts[1:-1], strict=True):
        parts[owner][pointer] = Entry(_LONG, 1, struct.pack(order + "I", start))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    bodies = [directory_bytes(order, part, at) for part, at in zip(parts, starts[:-1], strict=True)]
    return head + b"".join(bodies)


def _storable(entries: Mapping[int, Entry]) -> dict[int, Entry]:
    return {tag: entry for tag, entry in entries.items() if entry.kind in _EXIF_TYPES}


def directory_bytes(order: str, entries: Mapping[int, Entry], at: int) -> bytes:
    """The bytes of a directory that lies at an offset, with its values behind it."""
    table, values = struct.pack(order + "H", len(entries)), b""
    behind = at + 2 + 12 * len(entries) + 4
    for tag in sorted(entries):
        entry = entries[tag]
        inline = entry.data.ljust(4, b"\0")
        if len(inline) > 4:
            inline = struct.pack(order + "I", behind + len(values))
            values += entry.data + bytes(len(entry.data) % 2)
        table += struct.pack(order + "HHI", tag, entry.kind, entry.count) + inline
    return table + bytes(4) + values
