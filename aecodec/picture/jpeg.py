"""JPEG: its segments read here, its pixels by Pillow.

Pillow gets the file without metadata, so that damaged ones do not keep the picture from being read.

Source: ITU-T T.81, annex B; XMP specification part 3, section 1.1.3; CIPA DC-007 (MPF); Ultra HDR
1.1, https://developer.android.com/media/platform/hdr-image-format.
"""

import hashlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO

from PIL.JpegImagePlugin import JpegImageFile

from aecodec.errors import InputError
from aecodec.picture.metadata import Metadata
from aecodec.picture.photoshop import clipping_paths, iptc_in
from aecodec.picture.pillow_modes import CONVERTED, conversions, to_array
from aecodec.picture.pixels import DAMAGE, damaged
from aecodec.picture.raw_profiles import EXIF_PREFIX, XMP_PREFIX
from aecodec.picture.reading import Reading, Wishes
from aecodec.picture.tiff_tags import Directories

_SOS, _EOI, _COM = 0xDA, 0xD9, 0xFE
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""The markers that begin a frame."""
_DECODED = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
"""Those that Pillow decodes: baseline, extended and progressive."""
_APP0, _APP1, _APP2, _APP11, _APP13, _APP14, _APP15 = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEE, 0xEF
_EXTENDED = b"http://ns.adobe.com/xmp/extension/\0"
_ICC, _MPF, _PHOTOSHOP = b"ICC_PROFILE\0", b"MPF\0", b"Photoshop 3.0\0"
_COMMENT = "Comment"
_INCH = 2.54
_SCAN_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""A marker that ends entropy-coded data; stuffed bytes and restarts do not."""
_GUID = re.compile(rb"HasExtendedXMP\s*(?:=\s*[\"']|>)\s*([0-9A-Fa-f]{32})")
_STATED_GUID = re.compile(rb"\s+[\w.-]+:HasExtendedXMP\s*=\s*([\"'])[0-9A-Fa-f]{32}\1")
_RDF = re.compile(rb"<rdf:RDF[^>]*>(.*)</rdf:RDF>", re.DOTALL)
_GAIN_MAP = re.compile(rb"hdrgm:Version|HDRGainMapVersion|Item:Semantic=\"GainMap\"")
_MOTION = re.compile(rb"(?:MotionPhoto|MicroVideo)\s*(?:=\s*[\"']|>)\s*1")


@dataclass
class _Segments:
    """What the segments of a file hold, and where its pixels are."""

    needed: list[bytes] = field(default_factory=list)
    frame: tuple[int, bytes] | None = None
    jfif: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    extended: list[bytes] = field(default_factory=list)
    profile: list[bytes] = field(default_factory=list)
    resources: bytes = b""
    pictures: bytes = b""
    comments: list[bytes] = field(default_factory=list)
    credentials: bool = False
    scan: int = 0


def read_jpeg(data: bytes, wishes: Wishes) -> Reading:
    """The picture of a JPEG.

    Raises:
        InputError: it is damaged, or of a kind that Pillow does not decode.
        LimitError: it has too many pixels.
    """
    found = _segments(data)
    if found.frame is None or len(found.frame[1]) < 6 or not found.scan:
        raise InputError("damaged picture: a JPEG that ends before its pixels")
    marker, frame = found.frame
    bits, height, width, _channels = struct.unpack_from(">BHHB", frame)
    if bits != 8 or marker not in _DECODED:
        kind = "arithmetic or lossless coding" if marker not in _DECODED else f"{bits} bits"
        raise InputError(f"JPEG with {kind} is not supported")
    wishes.limits.check_pixels(width, height)
    metadata, losses = _metadata(found)
    frames, behind = _behind(data, found)
    kept = [*losses, *behind] if wishes.keep else behind
    try:
        file = b"\xff\xd8" + b"".join(found.needed) + data[found.scan :]
        with JpegImageFile(BytesIO(file)) as image:
            if metadata.icc:
                image.info["icc_profile"] = metadata.icc
            image.load()
            pixels = to_array(image)
            if image.mode in CONVERTED:
                kept = conversions(image) + kept
                metadata = replace(metadata, icc=None)
    except InputError:
        raise
    except (*DAMAGE, OSError) as exc:
        raise damaged(exc) from exc
    return Reading(pixels, metadata, tuple(kept), frames)


def _segments(data: bytes) -> _Segments:
    """The segments up to the first scan."""
    found = _Segments()
    for marker, start, payload in _walk(data):
        if marker == _SOS:
            found.scan = start
            break
        if marker in _FRAMES and found.frame is None:
            found.frame = (marker, payload)
        if not _sorted_in(found, marker, payload):
            found.needed.append(data[start : start + 4] + payload)
    return found


def _walk(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yields marker, offset and payload of each segment."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            at = data.find(b"\xff", at)
            if at < 0:
                return
            continue
        marker = data[at + 1]
        if marker in (0x00, 0xFF, 0x01) or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        (size,) = struct.unpack_from(">H", data, at + 2)
        yield marker, at, data[at + 4 : at + 2 + size]
        at += 2 + size


def _sorted_in(found: _Segments, marker: int, payload: bytes) -> bool:
    """Puts a segment where it belongs; False if the decoder needs it."""
    if marker == _COM:
        found.comments.append(payload.rstrip(b"\0"))
    elif marker == _APP0 and payload.startswith(b"JFIF\0"):
        found.jfif = found.jfif or payload
        return False
    elif marker == _APP1 and payload.startswith(EXIF_PREFIX):
        found.exif = found.exif or payload[len(EXIF_PREFIX) :]
    elif marker == _APP1 and payload.startswith(XMP_PREFIX):
        found.xmp = found.xmp or payload[len(XMP_PREFIX) :].rstrip(b"\0")
    elif marker == _APP1 and payload.startswith(_EXTENDED):
        found.extended.append(payload[len(_EXTENDED) :])
    elif marker == _APP2 and payload.startswith(_ICC):
        found.profile.append(payload[len(_ICC) :])
    elif marker == _APP2 and payload.startswith(_MPF):
        found.pictures = found.pictures or payload[len(_MPF) :]
    elif marker == _APP13 and payload.startswith(_PHOTOSHOP):
        found.resources += payload[len(_PHOTOSHOP) :]
    elif marker == _APP11 and b"jumb" in payload[:32]:
        found.credentials = True
    else:
        return _APP0 <= marker <= _APP15 and marker != _APP14  # that of Adobe says the colours
    return True


def _metadata(found: _Segments) -> tuple[Metadata, list[str]]:
    """What the segments say of the picture, and lines for what is not kept of it."""
    losses = []
    xmp = found.xmp
    if found.extended:
        joined = _joined_xmp(xmp, found.extended)
        if joined is None:
            losses.append("extended XMP cannot be read and is left out")
        xmp = joined or xmp
    icc = _joined_profile(found.profile)
    if found.profile and icc is None:
        losses.append("the colour profile cannot be read and is left out")
    if clipping_paths(found.resources):
        losses.append("clipping paths are left out")
    if len(found.jfif) >= 12 and not found.jfif[7] and found.jfif[8:10] != found.jfif[10:12]:
        losses.append("the shape of its pixels is left out: they are not square")
    if found.credentials:
        losses.append("content credentials (C2PA) are left out")
    metadata = Metadata(
        icc=icc,
        exif=found.exif or None,
        xmp=xmp or None,
        resolution=_resolution(found.jfif),
        text=tuple((_COMMENT, comment) for comment in found.comments if comment),
        iptc=iptc_in(found.resources) or None,
    )
    return metadata, losses


def _joined_profile(parts: list[bytes]) -> bytes | None:
    """A profile from its numbered parts; None if some are missing."""
    numbered = {part[0]: part[2:] for part in parts if len(part) > 2}
    count = next((part[1] for part in parts if len(part) > 2), 0)
    if not count or any(number not in numbered for number in range(1, count + 1)):
        return None
    return b"".join(numbered[number] for number in range(1, count + 1))


def _joined_xmp(xmp: bytes, parts: list[bytes]) -> bytes | None:
    """A packet of XMP with the properties of the extended one, which comes in parts.

    Returns:
        None if the parts are not those that the packet names, or are damaged.
    """
    stated = _GUID.search(xmp)
    if stated is None:
        return None
    pieces: dict[int, bytes] = {}
    size = 0
    for part in parts:
        if len(part) >= 40 and part[:32].upper() == stated[1].upper():
            size, offset = struct.unpack_from(">II", part, 32)
            pieces[offset] = part[40:]
    extended = b"".join(pieces[offset] for offset in sorted(pieces))
    digest = hashlib.md5(extended, usedforsecurity=False).hexdigest().upper().encode()
    if len(extended) != size or digest != stated[1].upper():
        return None
    inner, end = _RDF.search(extended), xmp.rfind(b"</rdf:RDF>")
    if inner is None or end < 0:
        return None
    joined = xmp[:end] + inner[1].strip() + xmp[end:]
    return _STATED_GUID.sub(b"", joined)


def _resolution(jfif: bytes) -> tuple[float, float] | None:
    """Dots per inch in the segment of JFIF, not those that EXIF repeats."""
    if len(jfif) < 12:
        return None
    unit, across, down = struct.unpack_from(">BHH", jfif, 7)
    factor = {1: 1.0, 2: _INCH}.get(unit)
    if factor is None or not across or not down:
        return None
    dpi = (across * factor, down * factor)
    return dpi if max(dpi) <= 65535 else None


def _end_of(data: bytes, at: int) -> int:
    """The offset behind the end of the picture whose first scan begins at an offset."""
    while found := _SCAN_END.search(data, at):
        at, marker = found.start(), data[found.start() + 1]
        if marker == _EOI:
            return at + 2
        size = data[at + 2 : at + 4]
        at += 2 + max(2, int.from_bytes(size, "big"))
    return len(data)


def _behind(data: bytes, found: _Segments) -> tuple[int, list[str]]:
    """The number of frames, and lines for what lies behind the picture."""
    end = _end_of(data, found.scan)
    behind = data[end:].strip(b"\0\xff\r\n ")
    count = _counted_pictures(found.pictures)
    lines, gain_map = [], _GAIN_MAP.search(found.xmp) or _GAIN_MAP.search(behind[:65536])
    if gain_map or b"urn:iso:std:iso:ts:21496" in data[: found.scan]:
        lines.append("a gain map (Ultra HDR) is left out")
        count -= 1
    frames = max(count, 1)
    if frames > 1:
        lines.append(f"only the first of {frames} frames is kept")
    if (
        _MOTION.search(found.xmp)
        or b"MotionPhoto_Data" in behind
        or b"ftyp" in data[end : end + 64]
    ):
        lines.append("a video behind the JPEG (motion photo) is left out")
    elif behind and not lines:
        lines.append(f"{len(data) - end} bytes behind the JPEG are left out")
    return frames, lines


def _counted_pictures(index: bytes) -> int:
    """How many pictures of full size an index (MPF) lists; one without an index."""
    try:
        first = next(Directories(index).chain())
    except (InputError, StopIteration):
        return 1
    entries = first.data(0xB002)
    kinds = [
        int.from_bytes(entries[at : at + 4], "little" if first.order == "<" else "big") & 0xFFFFFF
        for at in range(0, len(entries), 16)
    ]
    previews = sum(kind >> 16 == 1 for kind in kinds)  # reduced copies for other devices
    return max(len(kinds) - previews, 1)
