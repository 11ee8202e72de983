"""Decoded pictures as files of other formats, with what each can carry of them.

Writes pictures from top to bottom, a few rows at a time: PNG, and raw PPM and PGM.
"""

import struct
import zlib
from collections.abc import Iterable
from io import BytesIO
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from aecodec.errors import InputError
from aecodec.picture.alpha import over_background
from aecodec.picture.metadata import Metadata
from aecodec.picture.picture import to_pil
from aecodec.picture.pixels import DAMAGE, Pixels, peak
from aecodec.picture.sixteen_bit import write_sixteen_bit_tiff

Colour = tuple[int, int, int]

ALPHA_FORMATS = ("PNG", "WEBP", "TIFF", "AVIF", "JPEG2000", "TGA", "ICO", "ICNS")
"""Formats that carry levels of alpha, as Pillow calls and writes them."""

SIXTEEN_BIT_FORMATS = ("PNG", "TIFF", "PPM")
"""Formats that carry 16 bits a sample."""

_VIPS_TIFF_LOSES = "exif"

STREAMED = ("PNG", "PPM")
"""Formats that `write_rows` knows, as Pillow calls them."""

STREAM_PIXELS = 2**25
"""Larger pictures are written so by the command line."""

_ROWS = 64
"""Rows that are filtered at a time."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_SUB, _UP = 1, 2


def check_format(kind: str, *, alpha: bool, sixteen_bit: bool) -> None:
    """Checks that a format can carry a picture.

    Raises:
        InputError: it cannot; the message says what can be done.
    """
    if alpha and kind not in ALPHA_FORMATS:
        raise InputError(
            f"{kind} carries no transparency: give --background COLOR, "
            "or write PNG, WebP, TIFF or AVIF"
        )
    if sixteen_bit and kind not in SIXTEEN_BIT_FORMATS:
        raise InputError(
            f"{kind} carries no 16 bits a sample: give --depth 8, or write PNG or TIFF"
        )


def prepared(pixels: Pixels, kind: str, background: Colour | None) -> Pixels:
    """Pixels as a format can carry them, over the background if there is one.

    Args:
        pixels: `(H, W)` to `(H, W, 4)`, uint8 or uint16.
        kind: the format, as Pillow calls it.
        background: red, green and blue; None keeps alpha.

    Raises:
        InputError: see `check_format`.
    """
    if background is not None:
        pixels = over_background(pixels, background)
    alpha = pixels.ndim == 3 and pixels.shape[2] in (2, 4)
    check_format(kind, alpha=alpha, sixteen_bit=pixels.dtype == np.uint16)
    return pixels


def lost_in(pixels: Pixels, kind: str, metadata: Metadata) -> list[str]:
    """Names of metadata that are lost when these pixels are written in a format."""
    lost = metadata.lost_in(kind)
    if kind == "TIFF" and _needs_vips(pixels) and metadata.exif:
        lost.append(_VIPS_TIFF_LOSES)
    return lost


def encode(pixels: Pixels, kind: str, metadata: Metadata) -> bytes:
    """A whole file.

    Args:
        pixels: what `prepared` gave.
        kind: the format, as Pillow calls it.
        metadata: what it is to carry, as far as it can.

    Raises:
        InputError: Pillow cannot write it, or pyvips is needed and not installed.
    """
    if kind == "TIFF" and _needs_vips(pixels):
        return write_sixteen_bit_tiff(pixels, metadata)
    encoded = BytesIO()
    if pixels.dtype == np.uint16 and pixels.ndim == 3 and kind in STREAMED:
        write_rows(encoded, kind, (pixels.shape[0], pixels.shape[1]), [pixels], metadata)
        return encoded.getvalue()
    try:
        to_pil(pixels).save(encoded, kind, **metadata.save_options(kind))
    except (*DAMAGE, OSError) as exc:  # some formats read the EXIF that they write
        raise InputError(str(exc)) from exc
    return encoded.getvalue()


def _needs_vips(pixels: Pixels) -> bool:
    return pixels.dtype == np.uint16 and pixels.ndim == 3


def write_rows(
    file: BinaryIO, kind: str, size: tuple[int, int], bands: Iterable[Pixels], metadata: Metadata
) -> None:
    """Writes a picture.

    Args:
        file: where to; it need not seek.
        kind: out of `STREAMED`.
        size: height and width.
        bands: `(h, w)` to `(h, w, 4)`, uint8 or uint16, one below the other; for PPM without alpha.
        metadata: what PNG is to carry; PPM carries none.
    """
    if kind == "PPM":
        for number, band in enumerate(bands):
            if not number:
                number_of_format = 5 if band.ndim == 2 else 6
                file.write(b"P%d\n%d %d\n%d\n" % (number_of_format, size[1], size[0], peak(band)))
            file.write(_big(band).tobytes())
        return
    deflater = zlib.compressobj(6)
    previous: npt.NDArray[np.uint8] | None = None
    for band in bands:
        if previous is None:
            gray = band.ndim == 2 or band.shape[2] == 2
            depth = 8 * band.dtype.itemsize
            head = struct.pack(">IIBBBBB", size[1], size[0], depth, _colour_type(band), 0, 0, 0)
            file.write(_SIGNATURE + _chunk(b"IHDR", head) + _metadata_chunks(metadata, gray=gray))
            previous = _png_bytes(np.zeros_like(band[:1]))
        for first in range(0, len(band), _ROWS):
            rows = _png_bytes(band[first : first + _ROWS])
            data = deflater.compress(_filtered(rows, previous).data)
            previous = rows[-1:]
            if data:
                file.write(_chunk(b"IDAT", data))
    file.write(_chunk(b"IDAT", deflater.flush()) + _chunk(b"IEND", b""))


def _colour_type(pixels: Pixels) -> int:
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    return {1: 0, 2: 4, 3: 2, 4: 6}[channels]


def _big(pixels: Pixels) -> npt.NDArray[np.uint8 | np.uint16]:
    """Samples in the order that both formats use: the most significant byte first."""
    return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">"))


def _png_bytes(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """`(h, w, b)`, each pixel's bytes, which PNG filters one by one."""
    height, width = pixels.shape[:2]
    return _big(pixels).view(np.uint8).reshape(height, width, -1)


def _filtered(
    rows: npt.NDArray[np.uint8], previous: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Rows with PNG's filters `Sub` or `Up`, whichever leaves smaller differences in a row."""
    left = np.zeros_like(rows)
    left[:, 1:] = rows[:, :-1]
    above = np.concatenate([previous, rows[:-1]])
    count = len(rows)
    sub, up = (rows - left).reshape(count, -1), (rows - above).reshape(count, -1)
    cost = [np.minimum(part, -part).sum(1, dtype=np.int64) for part in (sub, up)]
    chosen = (cost[1] < cost[0])[:, None]
    kinds = np.where(chosen, _UP, _SUB).astype(np.uint8)
    return np.concatenate([kinds, np.where(chosen, up, sub)], axis=1)


def _metadata_chunks(metadata: Metadata, *, gray: bool) -> bytes:
    """The chunks that Pillow writes for metadata."""
    file = BytesIO()
    Image.new("L" if gray else "RGB", (1, 1)).save(file, "PNG", **metadata.save_options("PNG"))
    data, offset, chunks = file.getvalue(), len(_SIGNATURE), []
    while offset < len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        if kind not in (b"IHDR", b"IDAT", b"IEND"):
            chunks.append(data[offset : offset + 12 + length])
        offset += 12 + length
    return b"".join(chunks)


def _chunk(kind: bytes, payload: bytes) -> bytes:
    crc = zlib.crc32(payload, zlib.crc32(kind))
    return struct.pack(">I4s", len(payload), kind) + payload + struct.pack(">I", crc)
