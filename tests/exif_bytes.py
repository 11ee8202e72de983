"""EXIF written byte by byte, since libraries refuse to write what cameras and editors do."""

import struct
from collections.abc import Mapping

Value = tuple[int, int, bytes]
"""Type, count and bytes of a tag."""


def make_exif(
    first: Mapping[int, Value],
    inner: Mapping[int, Value] | None = None,
    *,
    order: str = "<",
    thumbnail: bytes = b"",
) -> bytes:
    """EXIF with these tags, a directory of EXIF, and a second directory with a thumbnail."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    tags = dict(first)
    if inner is not None:
        tags[34665] = (4, 1, bytes(4))
    size = _size(tags)
    if inner is not None:
        tags[34665] = (4, 1, struct.pack(order + "I", 8 + size))
    below = b"" if inner is None else _directory(inner, 8 + size, 0, order)
    second = 8 + size + len(below) if thumbnail else 0
    data = head + _directory(tags, 8, second, order) + below
    if not thumbnail:
        return data
    place = second + 2 + 12 * 2 + 4
    table = {513: long(place, order), 514: long(len(thumbnail), order)}
    return data + _directory(table, second, 0, order) + thumbnail


def short(value: int, order: str = "<") -> Value:
    """A tag of one 16-bit number."""
    return 3, 1, struct.pack(order + "H", value)


def long(value: int, order: str = "<") -> Value:
    """A tag of one 32-bit number."""
    return 4, 1, struct.pack(order + "I", value)


def text(value: bytes) -> Value:
    """A tag of text."""
    return 2, len(value) + 1, value + b"\0"


def _size(tags: Mapping[int, Value]) -> int:
    return len(_directory(tags, 0, 0, "<"))


def _directory(tags: Mapping[int, Value], at: int, following: int, order: str) -> bytes:
    table, values = struct.pack(order + "H", len(tags)), b""
    behind = at + 2 + 12 * len(tags) + 4
    for tag, (kind, count, data) in sorted(tags.items()):
        inline = data.ljust(4, b"\0")
        if len(data) > 4:
            inline = struct.pack(order + "I", behind + len(values))
            values += data + bytes(len(data) % 2)
        table += struct.pack(order + "HHI", tag, kind, count) + inline
    return table + struct.pack(order + "I", following) + values
