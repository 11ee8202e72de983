"""Metadata as chunks of a PNG, as Pillow and others write and read them.

Source: PNG specification, third edition, section 11.3, https://www.w3.org/TR/png-3/.
"""

import struct
import zlib

from aecodec.picture.metadata import PNG_RAW_PROFILE, PNG_XMP, Metadata, decoded
from aecodec.picture.photoshop import iptc_resource
from aecodec.picture.png_chunks import build_chunk

KEYWORD_BYTES = 79

_INCH = 0.0254
"""Metres."""
_RESOLUTION = struct.Struct(">IIB")
_METRES = 1
_LINE = 72
"""Hexadecimal digits a line of a raw profile."""

Chunks = list[tuple[bytes, bytes]]


def metadata_chunks(metadata: Metadata) -> bytes:
    """All chunks for what a PNG can carry, which are to stand before its pixels."""
    kept, chunks = metadata.carried("PNG"), Chunks()
    if kept.icc:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(kept.icc)))
    chunks += text_chunks(kept)
    if kept.resolution:
        across, down = (int(dots / _INCH + 0.5) for dots in kept.resolution)
        chunks.append((b"pHYs", _RESOLUTION.pack(across, down, _METRES)))
    if kept.exif:
        chunks.append((b"eXIf", kept.exif))
    return b"".join(build_chunk(kind, payload) for kind, payload in chunks)


def text_chunks(metadata: Metadata) -> Chunks:
    """Type and payload of each chunk for XMP, IPTC and comments, whose keywords PNG allows."""
    chunks = Chunks()
    if metadata.xmp:
        chunks.append(_international(PNG_XMP, decoded(metadata.xmp)))
    if metadata.iptc:
        profile = zlib.compress(_raw_profile(metadata.iptc))
        chunks.append((b"zTXt", f"{PNG_RAW_PROFILE}iptc".encode() + b"\0\0" + profile))
    for key, text in metadata.text:
        chunks.append(_text(key, decoded(text)))
    return chunks


def is_keyword(key: str) -> bool:
    """Whether PNG allows a keyword."""
    try:
        encoded = key.encode("latin-1")
    except UnicodeEncodeError:
        return False
    plain = key.isprintable() and key == " ".join(key.split())
    return 0 < len(encoded) <= KEYWORD_BYTES and plain


def _text(key: str, text: str) -> tuple[bytes, bytes]:
    """Latin-1 where that suffices, as every reader knows it."""
    try:
        return b"tEXt", key.encode("latin-1") + b"\0" + text.encode("latin-1")
    except UnicodeEncodeError:
        return _international(key, text)


def _international(key: str, text: str) -> tuple[bytes, bytes]:
    return b"iTXt", key.encode("latin-1") + bytes(5) + text.encode()


def _raw_profile(iptc: bytes) -> bytes:
    """IPTC as ImageMagick, exiv2 and others store it."""
    content = iptc_resource(iptc).hex()
    lines = [content[at : at + _LINE] for at in range(0, len(content), _LINE)]
    return (f"\niptc\n{len(content) // 2:8}\n" + "\n".join(lines) + "\n").encode()
