"""Profiles that ImageMagick, exiv2 and others store in PNG as comments of hexadecimal digits.

Source: ImageMagick, coders/png.c, Magick_png_write_raw_profile; ExifTool, PNG tags.
"""

import re

from aecodec.picture.metadata import Metadata
from aecodec.picture.photoshop import iptc_in

KEYWORD = "Raw profile type "
"""How the keywords of such comments begin."""
EXIF_PREFIX, XMP_PREFIX = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
"""What JPEG writes before EXIF and before XMP."""
_FORM = re.compile(rb"\s*\S*\s*\n\s*(\d+)\s*\n([0-9A-Fa-f\s]*)\s*$")


def with_raw_profile(metadata: Metadata, keyword: str, text: bytes) -> Metadata | None:
    """The metadata with what a comment holds, where they have none of its kind yet.

    Args:
        metadata: what is known already.
        keyword: of the comment; it begins with `KEYWORD`.
        text: the comment.

    Returns:
        None if the comment cannot be read.
    """
    content = _content(text)
    if content is None:
        return None
    kind = keyword.removeprefix(KEYWORD).strip().lower()
    found = _meaning(kind, content)
    if found is None:
        return None
    name, value = found
    return metadata if getattr(metadata, name) else metadata.with_packet(name, value)


def _content(text: bytes) -> bytes | None:
    form = _FORM.match(text)
    if form is None:
        return None
    try:
        content = bytes.fromhex(form[2].decode("ascii"))
    except ValueError:
        return None
    return content if 0 < len(content) == int(form[1]) else None


def _meaning(kind: str, content: bytes) -> tuple[str, bytes] | None:
    """The name of the metadata that a profile holds, and their bytes."""
    if kind in ("exif", "app1") and content.startswith(EXIF_PREFIX):
        return "exif", content.removeprefix(EXIF_PREFIX)
    if kind == "exif":
        return "exif", content
    if kind in ("xmp", "app1") and (kind == "xmp" or content.startswith(XMP_PREFIX)):
        return "xmp", content.removeprefix(XMP_PREFIX)
    if kind in ("icc", "icm"):
        return "icc", content
    if kind in ("iptc", "8bim"):
        iptc = content if content.startswith(b"\x1c") else iptc_in(content)
        return ("iptc", iptc) if iptc else None
    return None
