"""Decoded pictures as files of other formats, with what each can carry of them.

PNG and raw PPM and PGM can also be written from top to bottom, a few rows at a time.

Source: PNG specification, third edition, section 9 (filters), https://www.w3.org/TR/png-3/.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from aecodec.errors import InputError
from aecodec.picture.alpha import over_background
from aecodec.picture.exif import TIFF_ICC, TIFF_IPTC, TIFF_XMP, Tags, tags_of, with_tags
from aecodec.picture.formats import (
    Quality,
    check_format,
    fitting_profile,
    format_options,
    lost_in_pixels,
)
from aecodec.picture.metadata import UPRIGHT, Metadata, turned
from aecodec.picture.orientation import orientation_in, upright
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
from aecodec.picture.reshaping import reshaped
from aecodec.picture.sixteen_bit import write_sixteen_bit_tiff

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

STREAMED = ("PNG", "PPM")
"""Formats that `write_rows` writes."""

_ROWS = 64
"""Rows that are filtered at a time."""
_SUB, _UP = 1, 2
"""Numbers of PNG's filters."""
_FAILURES = (*DAMAGE, OSError, TypeError, AttributeError, ArithmeticError)
"""What Pillow raises on what it cannot write."""


@dataclass(frozen=True)
class Written:
    """A picture as the bytes of a file.

    Attributes:
        data: the file.
        width: of the picture in it, in pixels.
        height: of the picture in it, in pixels.
        losses: a line for each thing that it lacks.
    """

    data: bytes
    width: int
    height: int
    losses: tuple[str, ...] = ()


def prepared(pixels: Pixels, kind: str, background: Colour | None) -> Pixels:
    """Pixels as a format can carry them, over the background if there is one.

    Args:
        pixels: `(H, W)` to `(H, W, 4)`, uint8 or uint16.
        kind: the format, as Pillow calls it.
        background: red, green and blue; None keeps alpha.

    Raises:
        InputError: see `formats.check_format`.
    """
    if background is not None:
        pixels = over_background(pixels, background)
    alpha = pixels.ndim == 3 and pixels.shape[2] in (2, 4)
    sixteen_bit = pixels.dtype == np.uint16
    check_format(kind, alpha=alpha, sixteen_bit=sixteen_bit, size=(len(pixels), pixels.shape[1]))
    return pixels


def written(
    pixels: Pixels, kind: str, metadata: Metadata, quality: Quality = None, *, exact: bool = False
) -> Written:
    """A file with all of a picture that its format can carry.

    Where the orientation would be lost with the EXIF, the pixels are turned. Where Pillow refuses
    the metadata, the picture is written without them.

    Args:
        pixels: what `prepared` gave.
        kind: the format, as Pillow calls it.
        metadata: what the file is to carry.
        quality: see `formats.format_options`.
        exact: whether the pixels are those of the source.

    Raises:
        InputError: Pillow cannot write it, or pyvips is needed and not installed.
    """
    try:
        return _written(pixels, kind, metadata, quality, exact=exact)
    except InputError:
        if metadata == Metadata():
            raise
    bare = turned(pixels, orientation_in(metadata))
    done = _written(bare, kind, Metadata(), quality, exact=exact)
    line = f"{kind} cannot carry the metadata of this picture, which are left out"
    return replace(done, losses=(*done.losses, line))


def _written(
    pixels: Pixels, kind: str, metadata: Metadata, quality: Quality, *, exact: bool
) -> Written:
    lines = lost_in_pixels(kind, pixels)
    metadata, lost = fitted_to(pixels, kind, metadata)
    if "exif" in lost:
        orientation = orientation_in(metadata)
        pixels = turned(pixels, orientation)
        height, width = pixels.shape[:2]
        if orientation != UPRIGHT:
            metadata, more = reshaped(upright(replace(metadata, exif=None)), width, height)
            lines += more
    data = encode(pixels, kind, metadata, quality, exact=exact)
    if lost:
        lines.append(f"{kind} carries no {', '.join(lost)}")
    return Written(data, pixels.shape[1], pixels.shape[0], tuple(lines))


def fitted_to(pixels: Pixels, kind: str, metadata: Metadata) -> tuple[Metadata, list[str]]:
    """Metadata as a format carries them with such pixels, and the names of those that are lost."""
    lost = metadata.lost_in(kind)
    if metadata.icc and "icc" not in lost:
        icc = fitting_profile(metadata.icc, kind, pixels)
        metadata = replace(metadata, icc=icc)
        lost += [] if icc else ["icc of another colour space"]
    if kind == "TIFF" and "exif" not in lost:
        tags = tags_of(metadata.exif)
        lost += [tags.lost()] if tags and tags.dropped else []
    return metadata, lost


def encode(
    pixels: Pixels, kind: str, metadata: Metadata, quality: Quality = None, *, exact: bool = False
) -> bytes:
    """The bytes of a file.

    Args:
        pixels: what `prepared` gave.
        kind: the format, as Pillow calls it.
        metadata: what the file is to carry, as far as the format can.
        quality: see `formats.format_options`.
        exact: whether the pixels are those of the source.

    Raises:
        InputError: Pillow cannot write it, or pyvips is needed and not installed.
    """
    if kind == "TIFF":
        return _tiff(pixels, metadata)
    encoded = BytesIO()
    if kind in STREAMED and _lacks_mode(pixels):
        write_rows(encoded, kind, (pixels.shape[0], pixels.shape[1]), [pixels], metadata)
        return encoded.getvalue()
    options = metadata.save_options(kind) | format_options(kind, pixels, quality, exact=exact)
    if kind == "AVIF" and "exif" in options:
        options["exif"] = _TurnedExif(metadata)
    return _saved(pixels, kind, options)


def _saved(pixels: Pixels, kind: str, options: dict[str, Any]) -> bytes:
    """What Pillow writes."""
    image = to_pil(np.ascontiguousarray(pixels))
    if kind == "QOI" and image.mode == "L":
        image = image.convert("RGB")
    encoded = BytesIO()
    try:
        image.save(encoded, kind, **options)
    except _FAILURES as exc:
        reason = " ".join(str(exc).split())
        raise InputError(reason or f"Pillow cannot write it as {kind}") from exc
    return encoded.getvalue()


def _tiff(pixels: Pixels, metadata: Metadata) -> bytes:
    """A TIFF whose own tags describe its pixels, with those of the metadata beside them."""
    options = {"dpi": metadata.resolution} if metadata.resolution else {}
    if _lacks_mode(pixels):
        data = write_sixteen_bit_tiff(pixels, metadata.resolution)
    else:
        data = _saved(pixels, "TIFF", options)
    packets = {TIFF_ICC: metadata.icc, TIFF_XMP: metadata.xmp, TIFF_IPTC: metadata.iptc}
    tags = tags_of(metadata.exif, "<" if data[:2] == b"II" else ">") or Tags()
    kept = {tag: packet for tag, packet in packets.items() if packet}
    return with_tags(data, tags, kept, resolution=metadata.resolution is not None)


class _TurnedExif(Image.Exif):
    """EXIF that Pillow writes into AVIF as it is, with the orientation in a box of its own.

    Pillow takes the orientation out and would write the rest anew, which loses what it cannot read.
    """

    def __init__(self, metadata: Metadata) -> None:
        super().__init__()
        self._raw = upright(metadata).exif or b""
        self[ExifTags.Base.Orientation] = orientation_in(metadata)
        self[ExifTags.Base.Make] = ""  # without another tag Pillow writes nothing

    def tobytes(self, offset: int = 8) -> bytes:
        """The bytes, wherever they will lie."""
        del offset
        return self._raw


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
