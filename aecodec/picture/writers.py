"""Decoded pictures as files of other formats, with what each can carry of them.

PNG and raw PPM and PGM can also be written from top to bottom, a few rows at a time.

Source: PNG specification, third edition, section 9 (filters), https://www.w3.org/TR/png-3/.
"""

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
from aecodec.picture.png_chunks import (
    GRAY,
    GRAY_ALPHA,
    RGB,
    RGB_ALPHA,
    SIGNATURE,
    build_chunk,
    pack_head,
    read_chunks,
)
from aecodec.picture.sixteen_bit import write_sixteen_bit_tiff

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

ALPHA_FORMATS = ("PNG", "WEBP", "TIFF", "AVIF", "JPEG2000", "TGA", "ICO", "ICNS")
"""Formats that carry levels of alpha, as Pillow calls and writes them."""

SIXTEEN_BIT_FORMATS = ("PNG", "TIFF", "PPM")
"""Formats that carry 16 bits a sample."""
STREAMED = ("PNG", "PPM")
"""Formats that `write_rows` writes."""

_VIPS_TIFF_LOSES = "exif"
_ROWS = 64
"""Rows that are filtered at a time."""
_SUB, _UP = 1, 2
"""Numbers of PNG's filters."""


def check_format(kind: str, *, alpha: bool, sixteen_bit: bool) -> None:
    """Checks that a format can carry a picture.

    Raises:
        InputError: it cannot; the message says what can be done.
    """
    if alpha and kind not in ALPHA_FORMATS:
        raise InputError(
            f"{kind} carries no transparency: give a background (--background COLOR), "
            "or write PNG, WebP, TIFF or AVIF"
        )
    if sixteen_bit and kind not in SIXTEEN_BIT_FORMATS:
        raise InputError(
            f"{kind} carries no 16 bits a sample: give a depth of 8 bits (--depth 8), "
            "or write PNG or TIFF"
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
    """The names of metadata that are lost when these pixels are written in a format."""
    lost = metadata.lost_in(kind)
    if kind == "TIFF" and _lacks_mode(pixels) and metadata.exif:
        lost.append(_VIPS_TIFF_LOSES)
    return lost


def encode(pixels: Pixels, kind: str, metadata: Metadata) -> bytes:
    """The bytes of a file.

    Args:
        pixels: what `prepared` gave.
        kind: the format, as Pillow calls it.
        metadata: what the file is to carry, as far as the format can.

    Raises:
        InputError: Pillow cannot write it, or pyvips is needed and not installed.
    """
    if kind == "TIFF" and _lacks_mode(pixels):
        return write_sixteen_bit_tiff(pixels, metadata)
    encoded = BytesIO()
    if kind in STREAMED and _lacks_mode(pixels):
        write_rows(encoded, kind, (pixels.shape[0], pixels.shape[1]), [pixels], metadata)
        return encoded.getvalue()
    try:
        to_pil(pixels).save(encoded, kind, **metadata.save_options(kind))
    except (*DAMAGE, OSError) as exc:  # some formats read the EXIF that they write
        raise InputError(str(exc)) from exc
    return encoded.getvalue()


def _lacks_mode(pixels: Pixels) -> bool:
    """Whether Pillow has no mode for such pixels."""
    return pixels.dtype == np.uint16 and pixels.ndim == 3


def write_rows(
    file: BinaryIO, kind: str, size: tuple[int, int], bands: Iterable[Pixels], metadata: Metadata
) -> None:
    """Writes a picture from top to bottom.

    Args:
        file: what to write to; it need not seek.
        kind: one of `STREAMED`.
        size: height and width.
        bands: `(h, w)` to `(h, w, 4)`, uint8 or uint16, one below the other; for PPM without alpha.
        metadata: what PNG is to carry; PPM carries none.
    """
    if kind == "PPM":
        _write_ppm(file, size, bands)
    else:
        _write_png(file, size, bands, metadata)


def _write_ppm(file: BinaryIO, size: tuple[int, int], bands: Iterable[Pixels]) -> None:
    started = False
    for band in bands:
        if not started:
            magic = 5 if band.ndim == 2 else 6
            file.write(b"P%d\n%d %d\n%d\n" % (magic, size[1], size[0], peak(band)))
            started = True
        file.write(_big_endian(band).tobytes())


def _write_png(
    file: BinaryIO, size: tuple[int, int], bands: Iterable[Pixels], metadata: Metadata
) -> None:
    deflater = zlib.compressobj(6)
    previous: npt.NDArray[np.uint8] | None = None
    for band in bands:
        if previous is None:
            gray = band.ndim == 2 or band.shape[2] == 2
            head = pack_head(size[1], size[0], 8 * band.dtype.itemsize, _colour_type(band))
            file.write(SIGNATURE + build_chunk(b"IHDR", head))
            file.write(_metadata_chunks(metadata, gray=gray))
            previous = _png_bytes(np.zeros_like(band[:1]))
        for first in range(0, len(band), _ROWS):
            rows = _png_bytes(band[first : first + _ROWS])
            data = deflater.compress(_filtered(rows, previous).data)
            previous = rows[-1:]
            if data:
                file.write(build_chunk(b"IDAT", data))
    file.write(build_chunk(b"IDAT", deflater.flush()) + build_chunk(b"IEND", b""))


def _colour_type(pixels: Pixels) -> int:
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    return {1: GRAY, 2: GRAY_ALPHA, 3: RGB, 4: RGB_ALPHA}[channels]


def _big_endian(pixels: Pixels) -> npt.NDArray[np.uint8 | np.uint16]:
    """Samples with their bytes in the order that both formats use."""
    return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">"))


def _png_bytes(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """The bytes of each pixel, `(h, w, bytes)`, which PNG filters one by one."""
    height, width = pixels.shape[:2]
    return _big_endian(pixels).view(np.uint8).reshape(height, width, -1)


def _filtered(
    rows: npt.NDArray[np.uint8], previous: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Rows filtered by `Sub` or `Up`, whichever leaves the smaller differences in each."""
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
    chunks = read_chunks(file.getvalue())
    others = (b"IHDR", b"IDAT", b"IEND")
    return b"".join(build_chunk(kind, payload) for kind, payload in chunks if kind not in others)
