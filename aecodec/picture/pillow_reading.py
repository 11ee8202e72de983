"""Pictures of every other format that Pillow reads: WebP, GIF, BMP, JPEG 2000, PSD, TGA and so on.

Files are opened by Pillow's plugins, not by `Image.open`, whose limit of pixels is a global of the
whole process: `Wishes.limits` decide.
"""

import struct
from dataclasses import replace
from io import BytesIO

import numpy as np
from PIL import Image, ImageFile

from aecodec.errors import InputError, LimitError
from aecodec.format.container import SIGNATURE
from aecodec.picture.color_description import profile_of_chromaticities, profile_of_gamma
from aecodec.picture.iso_boxes import boxes
from aecodec.picture.metadata import Metadata, metadata_of
from aecodec.picture.pillow_modes import CONVERTED, conversions, to_array
from aecodec.picture.pixels import DAMAGE, Pixels, damaged, rescaled
from aecodec.picture.reading import Reading, Wishes, more_frames
from aecodec.picture.vips import load_vips, read_with_pages

_CODESTREAM = b"\xff\x4f\xff\x51"
"""How the samples of a JPEG 2000 begin."""
_UUIDS = {
    bytes.fromhex("be7acfcb97a942e89c71999491e3afac"): "xmp",
    bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"): "iptc",
    b"JpgTiffExif->JP2": "exif",
}
_PLAIN_SPACES = {12, 16, 17, 18}
"""Colour spaces of JPEG 2000 that Pillow knows: CMYK, sRGB, gray, sYCC."""
_BMP_EMBEDDED, _BMP_CALIBRATED = b"DEBM", bytes(4)
_BMP_V4, _BMP_V5 = 108, 124
_ICONS = {"ICO": "sizes", "ICNS": "sizes"}
_EIGHT_BIT_MODES = {"L", "LA", "RGB", "RGBA", "RGBX", "CMYK", "P"}


def open_image(data: bytes) -> ImageFile.ImageFile:
    """A file as Pillow's plugin for it opens it, whatever its size.

    Raises:
        InputError: no plugin knows it, or it is an .aec file.
    """
    if data.startswith(SIGNATURE):
        raise InputError("this is an .aec file already: decompress it first")
    Image.preinit()
    tried: set[str] = set()
    for load in (lambda: None, Image.init):
        load()
        for kind in [each for each in Image.ID if each not in tried]:
            tried.add(kind)
            factory, accept = Image.OPEN[kind]
            accepted = accept(data[:16]) if accept else True
            if isinstance(accepted, str):
                raise InputError(f"not a picture that this Pillow can read: {accepted}")
            if not accepted:
                continue
            try:
                return factory(BytesIO(data), "")
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue
    raise InputError("not a picture that Pillow can read")


def read_other(data: bytes, wishes: Wishes) -> Reading:
    """The first picture of a file.

    Raises:
        InputError: it is damaged, or holds more bits than Pillow would give.
        LimitError: it has too many pixels.
    """
    if data.startswith(b"8BPS") and data[22:24] not in (b"\0\1", b"\0\x08"):
        bits = int.from_bytes(data[22:24], "big")
        raise InputError(f"PSD with {bits} bits a sample is not supported: convert it to TIFF")
    try:
        with open_image(data) as image:
            wishes.limits.check_pixels(*image.size)
            _refuse_rounding(data, image)
            image.load()  # some formats have their metadata behind the pixels
            return _reading(data, image, wishes)
    except Image.DecompressionBombError as exc:
        return _beyond_pillow(data, wishes, exc)
    except InputError:
        raise
    except (*DAMAGE, OSError, TypeError, OverflowError) as exc:
        raise damaged(exc) from exc


def _reading(data: bytes, image: ImageFile.ImageFile, wishes: Wishes) -> Reading:
    losses = conversions(image)
    if image.mode == "F":
        losses.append("floating numbers are rounded to 16 bits")
    metadata = metadata_of(image)
    if image.mode in CONVERTED:
        metadata = replace(metadata, icc=None)
    pixels = to_array(image)
    if image.format == "JPEG2000":
        metadata, lines = _of_jpeg2000(data, metadata)
        pixels = _full_range(pixels, _jpeg2000_bits(data))
        losses += lines if wishes.keep else []
    if image.format in ("BMP", "DIB") and not metadata.icc:
        metadata = replace(metadata, icc=_bmp_profile(data))
    if image.format == "PSD":
        layers = getattr(image, "n_frames", 1)
        losses += [f"{layers} layers are merged into one"] if layers > 1 else []
        return Reading(pixels, metadata, tuple(losses))
    sizes = image.info.get(_ICONS.get(str(image.format), ""), ())
    if len(sizes) > 1:
        losses.append(f"only the largest of {len(sizes)} pictures is kept")
    frames = getattr(image, "n_frames", 1)  # formats that hold one frame do not count
    return Reading(pixels, metadata, (*losses, *more_frames(frames)), frames)


def _refuse_rounding(data: bytes, image: ImageFile.ImageFile) -> None:
    """Refuses files of which Pillow would give only 8 of more bits."""
    if image.mode not in _EIGHT_BIT_MODES:
        return
    for codec, _, _, arguments in image.tile:
        parts = arguments if isinstance(arguments, tuple) else (arguments,)
        raw = [str(each) for each in parts]
        deep = any(each.endswith((";16B", ";16L", ";16N", "BC6H", "BC6HS")) for each in raw)
        if deep or codec == "SGI16":
            raise InputError(
                f"{image.format} with more than 8 bits a sample is not supported: "
                "convert it to TIFF or PNG"
            )
    if image.format == "JPEG2000":
        _jpeg2000_bits(data)


def _beyond_pillow(data: bytes, wishes: Wishes, exc: Exception) -> Reading:
    """A WebP or GIF that Pillow refuses for its size, by libvips."""
    if load_vips() is None or not data.startswith((b"RIFF", b"GIF8")):
        raise LimitError(
            f"Pillow refuses this picture as too large, pip install 'aecodec[vips]': {exc}"
        ) from exc
    pixels, frames = read_with_pages(data, "reading very large pictures")
    wishes.limits.check_pixels(pixels.shape[1], pixels.shape[0])
    metadata = _webp_metadata(data) if data.startswith(b"RIFF") else Metadata()
    return Reading(pixels, metadata, tuple(more_frames(frames)), frames)


def _webp_metadata(data: bytes) -> Metadata:
    names = {b"ICCP": "icc", b"EXIF": "exif", b"XMP ": "xmp"}
    found, at = Metadata(), 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        if kind in names and not getattr(found, names[kind]):
            packet = data[at + 8 : at + 8 + size].removeprefix(b"Exif\0\0")
            found = found.with_packet(names[kind], packet)
        at += 8 + size + size % 2
    return found


def _jpeg2000_bits(data: bytes) -> int:
    """The bits of the samples of a JPEG 2000.

    Raises:
        InputError: they are signed or of different bits, or Pillow would round them.
    """
    start = data.find(_CODESTREAM)
    if start < 0 or len(data) < start + 42:
        raise InputError("damaged picture: a JPEG 2000 without samples")
    (count,) = struct.unpack_from(">H", data, start + 40)
    kinds = set(data[start + 42 : start + 42 + 3 * count : 3])
    if len(kinds) != 1 or min(kinds) & 0x80:
        raise InputError("JPEG 2000 with signed samples, or of different bits, is not supported")
    bits = (min(kinds) & 0x7F) + 1
    if bits > 16 or (bits > 8 and count > 1):
        raise InputError(
            f"JPEG 2000 in colour with {bits} bits a sample is not supported: "
            "convert it to TIFF or PNG"
        )
    return bits


def _full_range(pixels: Pixels, bits: int) -> Pixels:
    """Samples that Pillow has moved into the upper bits, over the full range."""
    unused = 8 * pixels.dtype.itemsize - bits
    return rescaled(pixels >> unused, 2**bits - 1) if unused > 0 else pixels


def _of_jpeg2000(data: bytes, metadata: Metadata) -> tuple[Metadata, list[str]]:
    """Metadata with those of the boxes, and a line for what is not kept."""
    lines = []
    for kind, start, end in boxes(data):
        content = data[start:end]
        if kind == b"uuid" and content[:16] in _UUIDS:
            name = _UUIDS[content[:16]]
            value = content[16:].removeprefix(b"Exif\0\0")
            metadata = metadata.with_packet(name, value.rstrip(b"\0") or None)
        elif kind == b"jp2h":
            for inner, low, high in boxes(data, start, end):
                if inner != b"colr":
                    continue
                if data[low] in (2, 3):
                    metadata = replace(metadata, icc=metadata.icc or data[low + 3 : high] or None)
                elif data[low] == 1 and data[low + 6 : low + 7] not in map(_byte, _PLAIN_SPACES):
                    lines.append("its colour space is unknown and taken for sRGB")
    return metadata, lines


def _byte(number: int) -> bytes:
    return bytes([number])


def _bmp_profile(data: bytes) -> bytes | None:
    """The profile of a BMP that embeds one or states its primaries."""
    if len(data) < 138 or not data.startswith(b"BM"):
        return None
    (size,) = struct.unpack_from("<I", data, 14)
    space = data[70:74]
    if size >= _BMP_V5 and space == _BMP_EMBEDDED:
        start, length = struct.unpack_from("<2I", data, 126)
        return data[14 + start : 14 + start + length] or None
    if size < _BMP_V4 or space != _BMP_CALIBRATED:
        return None
    ends = np.array(struct.unpack_from("<9i", data, 74), np.float64).reshape(3, 3) / 2**30
    gamma = struct.unpack_from("<I", data, 110)[0] / 65536
    sums = ends.sum(axis=1)
    if not sums.all() or not gamma:
        return None
    x, y = (ends.sum(axis=0) / ends.sum())[:2]
    points = (ends[:, :2] / sums[:, None]).ravel().tolist()
    numbers = (float(x), float(y), *points)
    return profile_of_gamma(gamma, profile_of_chromaticities(numbers))
