"""Boxes of AVIF, HEIC and JPEG 2000: what they say of a picture before it is decoded.

Source: ISO/IEC 14496-12, sections 4.2, 8.11; ISO/IEC 23008-12, sections 6.5, 9.2; AV1 codec ISO
media file format, section 2.3; ISO/IEC 15444-1, annex I.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_FILE_START = 4
_IMAGES = {b"av01", b"hvc1", b"grid", b"iden", b"iovl", b"jpeg", b"avc1", b"vvc1", b"unci"}
_PARTS = {b"thmb", b"auxl", b"dimg", b"prem"}
"""References from, or to, pictures that are no pictures of their own."""


@dataclass(frozen=True)
class HeifFacts:
    """What the boxes of AVIF or HEIC say.

    Attributes:
        brand: the major one.
        size: width and height before any turning; zeros if unknown.
        bits: of the colours of the main picture, 8 if nothing is said.
        nclx: numbers of primaries and transfer in H.273, if colours are described by them.
        profile: whether there is an ICC profile.
        auxiliary: the names of what belongs to the picture, such as depth or a gain map.
        pictures: the number of pictures in the file.
    """

    brand: bytes
    size: tuple[int, int] = (0, 0)
    bits: int = 8
    nclx: tuple[int, int] | None = None
    profile: bool = False
    auxiliary: frozenset[bytes] = frozenset()
    pictures: int = 1


def boxes(data: bytes, at: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Yields type, start and end of the content of each box; a box that is cut off ends them."""
    end = len(data) if end is None else end
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1 and at + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        stop = end if size == 0 else min(at + size, end)
        if stop < start:
            return
        yield kind, start, stop
        at = stop


def heif_facts(data: bytes) -> HeifFacts | None:
    """What an AVIF or HEIC says of its main picture; None for another kind of file."""
    if data[4:8] != b"ftyp":
        return None
    brand = data[8:12]
    top = {kind: (start, end) for kind, start, end in boxes(data)}
    if b"meta" not in top:
        return HeifFacts(brand, bits=_bits(data, [(b"", 0, min(len(data), 65536))]))
    start, end = top[b"meta"]
    try:
        return _facts(data, brand, start + _FILE_START, end)
    except (struct.error, LookupError):
        return HeifFacts(brand)


def _facts(data: bytes, brand: bytes, start: int, end: int) -> HeifFacts:
    inner = {kind: (low, high) for kind, low, high in boxes(data, start, end)}
    main = 1
    if b"pitm" in inner:
        low, high = inner[b"pitm"]
        main = int.from_bytes(data[low + 4 : low + (6 if data[low] == 0 else 8)], "big")
    items = _items(data, *inner[b"iinf"]) if b"iinf" in inner else {}
    references = list(_references(data, *inner[b"iref"])) if b"iref" in inner else []
    parts = {
        each for kind, source, _ in references if kind in _PARTS - {b"dimg"} for each in [source]
    }
    parts |= {each for kind, _, targets in references if kind == b"dimg" for each in targets}
    pictures = [each for each, (kind, hidden) in items.items()
                if kind in _IMAGES and not hidden and each not in parts]  # fmt: skip
    properties, mine, names = _properties(data, *inner[b"iprp"], main)
    names |= {b"tmap" for kind, _ in items.values() if kind == b"tmap"}
    relevant = [properties[each - 1] for each in mine if 0 < each <= len(properties)]
    size, nclx, profile = (0, 0), None, False
    for kind, low, high in relevant:
        if kind == b"ispe":
            width, height = struct.unpack_from(">II", data, low + 4)
            size = (width, height)
        elif kind == b"colr" and data[low : low + 4] == b"nclx":
            primaries, transfer = struct.unpack_from(">HH", data, low + 4)
            nclx = (primaries, transfer)
        elif kind == b"colr" and data[low : low + 4] in (b"prof", b"rICC"):
            profile = high > low + 4
    own = [each for each in relevant if each[0] in (b"pixi", b"av1C", b"hvcC")]
    bits = _bits(data, own or properties)
    return HeifFacts(brand, size, bits, nclx, profile, frozenset(names), max(len(pictures), 1))


def _items(data: bytes, start: int, end: int) -> dict[int, tuple[bytes, bool]]:
    """Type of each item, and whether it is hidden."""
    wide = 2 if data[start] == 0 else 4
    found = {}
    for kind, low, _ in boxes(data, start + 4 + wide, end):
        if kind == b"infe" and data[low] >= 2:
            size = 2 if data[low] == 2 else 4
            item = int.from_bytes(data[low + 4 : low + 4 + size], "big")
            at = low + 4 + size + 2
            found[item] = (data[at : at + 4], bool(data[low + 3] & 1))
    return found


def _references(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, list[int]]]:
    wide = 2 if data[start] == 0 else 4
    for kind, low, high in boxes(data, start + 4, end):
        source = int.from_bytes(data[low : low + wide], "big")
        first = low + wide + 2
        yield (
            kind,
            source,
            [int.from_bytes(data[at : at + wide], "big") for at in range(first, high, wide)],
        )


def _properties(
    data: bytes, start: int, end: int, main: int
) -> tuple[list[tuple[bytes, int, int]], list[int], set[bytes]]:
    """All properties, the numbers of those of the main item, and the names of auxiliary items."""
    properties: list[tuple[bytes, int, int]] = []
    mine: list[int] = []
    for kind, low, high in boxes(data, start, end):
        if kind == b"ipco":
            properties = list(boxes(data, low, high))
        elif kind == b"ipma":
            mine += _associated(data, low, main)
    names = {
        data[low + 4 : high].partition(b"\0")[0]
        for kind, low, high in properties
        if kind == b"auxC"
    }
    return properties, mine, names


def _associated(data: bytes, at: int, main: int) -> list[int]:
    version, flags = data[at], data[at + 3]
    (count,) = struct.unpack_from(">I", data, at + 4)
    at += 8
    for _ in range(count):
        size = 2 if version == 0 else 4
        item = int.from_bytes(data[at : at + size], "big")
        number = data[at + size]
        at += size + 1
        wide = 2 if flags & 1 else 1
        mask = 0x7FFF if flags & 1 else 0x7F
        found = [
            int.from_bytes(data[at + wide * each : at + wide * (each + 1)], "big") & mask
            for each in range(number)
        ]
        if item == main:
            return found
        at += wide * number
    return []


def _bits(data: bytes, properties: list[tuple[bytes, int, int]]) -> int:
    """The most bits that a property names; 8 if none does."""
    found = [8]
    for kind, low, high in properties:
        if kind == b"pixi" and high > low + 5:
            found += data[low + 5 : low + 5 + data[low + 4]][:3]
        elif kind == b"av1C" and high > low + 2:
            found.append(_av1_bits(data[low + 2]))
        elif kind == b"hvcC" and high > low + 18:
            found += [8 + (data[low + 17] & 7), 8 + (data[low + 18] & 7)]
        elif not kind:
            at = data.find(b"av1C", low, high)
            found.append(_av1_bits(data[at + 6]) if 0 <= at < len(data) - 6 else 8)
    return max(found)


def _av1_bits(flags: int) -> int:
    return 12 if flags & 0x60 == 0x60 else 10 if flags & 0x40 else 8
