"""How a picture is to be turned, wherever that is stated: in EXIF, or else in XMP.

A picture is turned once: either its pixels stay and EXIF says how to turn them, or they are turned
and every statement says that they are upright.

Source: EXIF 2.32, tag 274; XMP specification part 2, section 3.5 (tiff:Orientation).
"""

import re
import struct
from dataclasses import replace

from aecodec.picture.metadata import UPRIGHT, Metadata

_TAG = 274
_WIDTHS = {1: "B", 3: "H", 4: "I"}
"""The types that an orientation may have, by their letters in `struct`."""
_XMP = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|(?:\s[^>]{0,200})?>)\s*)([1-8])(?=\s*[\"'<])")


def orientation_in(metadata: Metadata) -> int:
    """The orientation that metadata state, 1 to 8; EXIF counts before XMP."""
    stated = exif_orientation(metadata.exif)
    return stated if stated is not None else xmp_orientation(metadata.xmp) or UPRIGHT


def exif_orientation(exif: bytes | None) -> int | None:
    """The orientation in EXIF, 1 to 8; None if it states none."""
    found = _place(exif) if exif else None
    if exif is None or found is None:
        return None
    at, form = found
    (value,) = struct.unpack_from(form, exif, at)
    return value if value in range(1, 9) else None


def xmp_orientation(xmp: bytes | None) -> int | None:
    """The orientation in a packet of XMP, 1 to 8; None if it states none."""
    found = _XMP.search(xmp) if xmp else None
    return int(found[2]) if found else None


def upright(metadata: Metadata) -> Metadata:
    """The same metadata, in which every statement of an orientation says upright."""
    exif, xmp = metadata.exif, metadata.xmp
    found = _place(exif) if exif else None
    if exif and found:
        at, form = found
        data = bytearray(exif)
        struct.pack_into(form, data, at, UPRIGHT)
        exif = bytes(data)
    if xmp:
        xmp = _XMP.sub(rb"\g<1>1", xmp)
    return replace(metadata, exif=exif, xmp=xmp)


def _place(exif: bytes) -> tuple[int, str] | None:
    """Where the orientation lies in EXIF, and its format."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(order + "HHI", exif, at)
            if tag == _TAG and number == 1 and kind in _WIDTHS and at + 12 <= len(exif):
                return at + 8, order + _WIDTHS[kind]
    except struct.error:
        return None
    return None
