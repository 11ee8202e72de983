"""PNG: its chunks read here, its pixels by Pillow or, with 16 bits in colour or alpha, by libvips.

Whoever decodes the pixels gets a file of only the chunks that they need. So a wrong checksum in
another chunk, or a comment of whatever size, does not keep the picture from being read.

Source: PNG specification, third edition, https://www.w3.org/TR/png-3/, sections 5, 11 and 13.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from PIL.PngImagePlugin import PngImageFile

from aecodec.errors import InputError
from aecodec.picture import png_chunks
from aecodec.picture.color_description import (
    profile_of_chromaticities,
    profile_of_cicp,
    profile_of_gamma,
)
from aecodec.picture.metadata import Metadata
from aecodec.picture.pillow_modes import to_array
from aecodec.picture.pixels import DAMAGE, Pixels, damaged, peak
from aecodec.picture.raw_profiles import EXIF_PREFIX, KEYWORD, with_raw_profile
from aecodec.picture.reading import Reading, Wishes, more_frames
from aecodec.picture.vips import read_by_vips

PALETTE = 3
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""The bits that samples of each colour type can have."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PASSES = [(8, 8, 0, 0), (8, 8, 4, 0), (4, 8, 0, 4), (4, 4, 2, 0), (2, 4, 0, 2), (2, 2, 1, 0),
           (1, 2, 0, 1)]  # fmt: skip
"""Of interlaced pictures: the steps across and down of each pass, its first column and row."""
_INFLATED = 2**20
"""Bytes that are inflated at a time to be counted."""
_NEEDED = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_HEAD_PLACE = 16
"""Where the payload of IHDR begins."""
_XMP = "XML:com.adobe.xmp"
_INCH = 0.0254
"""Metres."""
_LEFT_OUT = {
    b"mDCV": "the mastering display of HDR is left out",
    b"cLLI": "the light levels of HDR are left out",
    b"caBX": "content credentials (C2PA) are left out",
    b"sTER": "that it is one of a stereo pair is left out",
}
_UNREADABLE = "cannot be read and is left out"

Chunks = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True)
class _Checked:
    """The chunks of a file whose checksums are right, and a line for each other one."""

    chunks: list[tuple[bytes, bytes]]
    losses: list[str]


def read_png(data: bytes, wishes: Wishes) -> Reading:
    """The picture of a PNG, or the first of an animated one.

    Raises:
        InputError: it is damaged, or pyvips is needed and not installed.
        LimitError: it has too many pixels.
    """
    head = data[_HEAD_PLACE : _HEAD_PLACE + png_chunks.HEAD.size]
    if data[_HEAD_PLACE - 4 : _HEAD_PLACE] != b"IHDR" or len(head) != png_chunks.HEAD.size:
        raise InputError("damaged picture: a PNG that does not begin with the chunk IHDR")
    width, height, depth, colour, *_ = png_chunks.HEAD.unpack(head)
    if depth not in _DEPTHS.get(colour, ()) or not width or not height:
        raise InputError(f"damaged picture: a PNG of {depth} bits and colour type {colour}")
    wishes.limits.check_pixels(width, height)
    checked = _checked(data)
    first = _first_of_each(checked.chunks)
    _check_size(checked.chunks, head)
    pixels = _pixels(checked.chunks, depth, colour)
    if colour != PALETTE and b"tRNS" in first:
        pixels = _keyed(pixels, first[b"tRNS"], depth)
    frames = int.from_bytes(first.get(b"acTL", b"")[:4], "big") or 1
    gray = pixels.ndim == 2 or pixels.shape[2] == 2
    metadata, losses = png_metadata(checked.chunks, wishes, gray=gray)
    kept = losses if wishes.keep else []
    return Reading(pixels, metadata, (*checked.losses, *more_frames(frames), *kept), frames)


def png_metadata(chunks: Chunks, wishes: Wishes, *, gray: bool) -> tuple[Metadata, list[str]]:
    """What chunks say of a picture, and a line for what is not kept of it.

    Args:
        chunks: type and payload of each.
        wishes: what is to be kept, and how large comments may be.
        gray: whether the pixels are gray.
    """
    chunks = list(chunks)
    first = _first_of_each(chunks)
    losses = [line for kind, line in _LEFT_OUT.items() if kind in first]
    icc, line = _profile(first, wishes, gray=gray)
    losses += line
    exif = first.get(b"eXIf", b"").removeprefix(EXIF_PREFIX) or None
    resolution, line = _resolution(first.get(b"pHYs", b""))
    metadata, texts = Metadata(icc=icc, exif=exif, resolution=resolution), []
    for key, text in _texts(chunks, wishes, losses):
        if key == _XMP:
            metadata = replace(metadata, xmp=metadata.xmp or text or None)
        elif key.startswith(KEYWORD):
            found = with_raw_profile(metadata, key, text)
            if found is None:
                losses.append(f"the comment {key!r} {_UNREADABLE}")
            metadata = found or metadata
        else:
            texts.append((key, text))
    return replace(metadata, text=tuple(texts)), losses + line


def _checked(data: bytes) -> _Checked:
    """The chunks of a file up to IEND.

    Raises:
        InputError: one that the pixels need is damaged, or cut off.
    """
    found = _Checked([], [])
    file, ended = BytesIO(data), False
    for kind, size in png_chunks.walk_chunks(file):
        payload, crc = file.read(size), file.read(4)
        critical = not kind[:1].islower() or kind == b"tRNS"
        name = kind.decode("latin-1")
        if len(payload) < size or len(crc) < 4:
            if critical and kind != b"IEND":
                raise InputError(f"damaged picture: it ends within the chunk {name}")
            break
        if zlib.crc32(payload, zlib.crc32(kind)) != int.from_bytes(crc, "big"):
            if critical and kind != b"IEND":
                raise InputError(f"damaged picture: the checksum of the chunk {name} is wrong")
            found.losses.append(f"the checksum of the chunk {name} is wrong: it is left out")
            continue
        found.chunks.append((kind, payload))
        if kind == b"IEND":
            ended = True
            break
    if not ended:
        found.losses.append("the file ends without the chunk IEND")
    behind = data[file.tell() :] if ended else b""
    if behind.strip(b"\0\r\n"):
        found.losses.append(f"{len(behind)} bytes behind the picture are left out")
    return found


def _first_of_each(chunks: Chunks) -> dict[bytes, bytes]:
    first: dict[bytes, bytes] = {}
    for kind, payload in chunks:
        first.setdefault(kind, payload)
    return first


def _pixels(chunks: list[tuple[bytes, bytes]], depth: int, colour: int) -> Pixels:
    """The pixels, without what a colour key says."""
    wanted = (*_NEEDED, b"tRNS") if colour == PALETTE else _NEEDED
    parts = [(kind, payload) for kind, payload in chunks if kind in wanted and kind != b"IEND"]
    file = png_chunks.build_png([*parts, (b"IEND", b"")])
    if depth == 16 and colour != png_chunks.GRAY:
        return read_by_vips(file, "reading pictures with 16 bits a sample")
    try:
        with PngImageFile(BytesIO(file)) as image:
            image.load()
            return to_array(image)
    except (*DAMAGE, OSError) as exc:
        raise damaged(exc) from exc


def _check_size(chunks: list[tuple[bytes, bytes]], head: bytes) -> None:
    """Refuses a file with too few bytes of samples, which Pillow would fill up with black."""
    width, height, depth, colour, _, _, interlaced = png_chunks.HEAD.unpack(head)
    bits = depth * _CHANNELS[colour]
    left = 0
    for across, down, first, top in _PASSES if interlaced else [(1, 1, 0, 0)]:
        columns, rows = -((first - width) // across), -((top - height) // down)
        left += rows * (1 + -(-columns * bits // 8)) if columns > 0 < rows else 0
    inflater = zlib.decompressobj()
    for kind, payload in chunks:
        if kind != b"IDAT":
            continue
        while payload and left > 0 and not inflater.eof:
            try:
                left -= len(inflater.decompress(payload, _INFLATED))
            except zlib.error as exc:
                raise damaged(exc) from exc
            payload = inflater.unconsumed_tail
    if left > 0:
        raise InputError(f"damaged picture: {left} bytes of its samples are missing")


def _keyed(pixels: Pixels, payload: bytes, depth: int) -> Pixels:
    """Pixels with alpha, which is 0 where they have the colour of a tRNS."""
    count = 1 if pixels.ndim == 2 else 3
    if len(payload) < 2 * count:
        return pixels
    step = 1 if depth >= 8 else 255 // (2**depth - 1)
    key = np.frombuffer(payload, ">u2", count) & (2**depth - 1)
    colours = pixels.reshape(*pixels.shape[:2], count)
    opaque = (colours != (key.astype(np.uint32) * step)).any(axis=2)
    return np.dstack((colours, np.where(opaque, peak(pixels), 0).astype(pixels.dtype)))


def _profile(
    first: dict[bytes, bytes], wishes: Wishes, *, gray: bool
) -> tuple[bytes | None, list[str]]:
    """The profile that the chunk of highest priority describes, and lines for what is lost."""
    cicp = first.get(b"cICP", b"")
    if len(cicp) == 4 and "icc" in wishes.keep:
        icc, line = profile_of_cicp((cicp[0], cicp[1]), gray=gray)
        lines = [line] if line else []
        if cicp[2] or not cicp[3]:
            lines.append("that samples are YCbCr or of narrow range (cICP) is left out")
        if icc is not None and b"iCCP" in first:
            lines.append("the profile in iCCP, which cICP overrides, is left out")
        return icc, lines
    if b"iCCP" in first:
        _, _, packed = first[b"iCCP"].partition(b"\0")
        icc = _inflated(packed[1:], wishes.limits.metadata_bytes)
        return icc, [] if icc else [f"the colour profile {_UNREADABLE}"]
    if b"sRGB" in first or len(first.get(b"gAMA", b"")) != 4:
        return (None if b"sRGB" in first else _by_gamma(0, first.get(b"cHRM", b""), gray)), []
    gamma = int.from_bytes(first[b"gAMA"], "big")
    return _by_gamma(gamma, first.get(b"cHRM", b""), gray), []


def _by_gamma(gamma: int, chromaticities: bytes, gray: bool) -> bytes | None:
    points = None
    if len(chromaticities) == 32:
        numbers = struct.unpack(">8I", chromaticities)
        points = profile_of_chromaticities(tuple(each / 100000 for each in numbers))
    valid = 1000 <= gamma <= 1000000
    return profile_of_gamma(100000 / gamma if valid else None, points, gray=gray)


def _resolution(payload: bytes) -> tuple[tuple[float, float] | None, list[str]]:
    if len(payload) != 9:
        return None, []
    across, down, unit = struct.unpack(">IIB", payload)
    if unit != 1:
        line = "the shape of its pixels is left out: they are not square"
        return None, [line] if across != down else []
    dpi = (across * _INCH, down * _INCH)
    return (dpi if all(0.01 <= each <= 65535 for each in dpi) else None), []


def _texts(chunks: Chunks, wishes: Wishes, losses: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yields keyword and text of each comment that can be read, in UTF-8."""
    left = wishes.limits.metadata_bytes
    for kind, payload in chunks:
        if kind not in (b"tEXt", b"zTXt", b"iTXt"):
            continue
        key, separator, rest = payload.partition(b"\0")
        keyword = key.decode("latin-1")
        text = _text(kind, rest, left) if separator and key else None
        if text is None:
            losses.append(f"the comment {keyword[:79]!r} {_UNREADABLE}")
            continue
        left -= len(text)
        yield keyword, text


def _text(kind: bytes, rest: bytes, most: int) -> bytes | None:
    if kind == b"tEXt":
        return rest.decode("latin-1").encode()
    if kind == b"zTXt":
        text = _inflated(rest[1:], most)
        return None if text is None else text.decode("latin-1").encode()
    packed, parts = rest[:1] == b"\1", rest[2:].split(b"\0", 2)
    if len(parts) < 3:
        return None
    return _inflated(parts[2], most) if packed else parts[2]


def _inflated(packed: bytes, most: int) -> bytes | None:
    """What zlib had compressed; None if it is damaged or has more than so many bytes."""
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(packed, max(most, 1))
    except zlib.error:
        return None
    return found if inflater.eof else None
