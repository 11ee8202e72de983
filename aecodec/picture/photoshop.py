"""Image resources of Photoshop, in which JPEG and others hold IPTC.

Source: Adobe Photoshop File Formats Specification, "Image Resources Section".
"""

import struct
from collections.abc import Iterator

_IPTC = 1028
_PATHS = range(2000, 2998)
_START = struct.Struct(">4sHB")
_SIZE = struct.Struct(">I")
_SIGNATURES = {b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR"}


def resources_in(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields number and content of each resource, up to the end or the first that is damaged."""
    at = 0
    while at + _START.size <= len(data):
        signature, number, name = _START.unpack_from(data, at)
        if signature not in _SIGNATURES:
            return
        at += _START.size + name + (name + 1) % 2  # the name, with its length, has an even size
        if at + _SIZE.size > len(data):
            return
        (size,) = _SIZE.unpack_from(data, at)
        at += _SIZE.size
        if at + size > len(data):
            return
        yield number, data[at : at + size]
        at += size + size % 2


def iptc_in(data: bytes) -> bytes:
    """The records of IPTC (IIM) among resources; empty if there are none."""
    return b"".join(content for number, content in resources_in(data) if number == _IPTC)


def iptc_resource(iptc: bytes) -> bytes:
    """The resource that holds records of IPTC: the inverse of `iptc_in`."""
    head = _START.pack(b"8BIM", _IPTC, 0) + b"\0" + _SIZE.pack(len(iptc))
    return head + iptc + bytes(len(iptc) % 2)


def clipping_paths(data: bytes) -> bool:
    """Whether there are paths among the resources."""
    return any(number in _PATHS for number, _ in resources_in(data))
