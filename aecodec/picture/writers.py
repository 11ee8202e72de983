"""Decoded pictures as files of other formats, with what each can carry of them.

PNG and raw PPM and PGM can also be written from top to bottom, a few rows at a time.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

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
from aecodec.picture.png_metadata import metadata_chunks
from aecodec.picture.png_writing import write_png
from aecodec.picture.reshaping import reshaped

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

STREAMED = ("PNG", "PPM")
"""Formats that `write_rows` writes."""

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
    pixels: Pixels, kind: str, metadata: Metadata, quality: Quality = None, *,
    exact: bool = False, png_level: int | None = None,
) -> Written:  # fmt: skip
    """A file with all of a picture that its format can carry.

    Where the orientation would be lost with the EXIF, the pixels are turned. Where Pillow refuses
    the metadata, the picture is written without them.

    Args:
        pixels: what `prepared` gave.
        kind: the format, as Pillow calls it.
        metadata: what the file is to carry.
        quality: see `formats.format_options`.
        exact: whether the pixels are those of the source.
        png_level: see `png_writing.write_png`.

    Raises:
        InputError: Pillow cannot write it.
    """
    encoding = partial(encode, kind=kind, quality=quality, exact=exact, png_level=png_level)
    try:
        return _written(pixels, kind, metadata, encoding)
    except InputError:
        if metadata == Metadata():
            raise
    bare = turned(pixels, orientation_in(metadata))
    done = _written(bare, kind, Metadata(), encoding)
    line = f"{kind} cannot carry the metadata of this picture, which are left out"
    return replace(done, losses=(*done.losses, line))


def _written(
    pixels: Pixels, kind: str, metadata: Metadata, encoding: Callable[..., bytes]
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
    data = encoding(pixels, metadata=metadata)
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
    pixels: Pixels, kind: str, metadata: Metadata, quality: Quality = None, *,
    exact: bool = False, png_level: int | None = None,
) -> bytes:  # fmt: skip
    """The bytes of a file.

    Args:
        pixels: what `prepared` gave.
        kind: the format, as Pillow calls it.
        metadata: what the file is to carry, as far as the format can.
        quality: see `formats.format_options`.
        exact: whether the pixels are those of the source.
        png_level: see `png_writing.write_png`.

    Raises:
        InputError: Pillow cannot write it.
    """
    if kind == "TIFF":
        return _tiff(pixels, metadata)
    if kind in STREAMED:
        encoded = BytesIO()
        size = pixels.shape[0], pixels.shape[1]
        write_rows(encoded, kind, size, [pixels], metadata, png_level=png_level)
        return encoded.getvalue()
    options = metadata.save_options(kind) | format_options(kind, pixels, quality, exact=exact)
    if kind == "AVIF" and "exif" in options:
        from aecodec.picture.turned_exif import TurnedExif

        options["exif"] = TurnedExif(metadata)
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
        from aecodec.picture.sixteen_bit import write_sixteen_bit_tiff

        data = write_sixteen_bit_tiff(pixels, metadata.resolution)
    else:
        data = _saved(pixels, "TIFF", options)
    packets = {TIFF_ICC: metadata.icc, TIFF_XMP: metadata.xmp, TIFF_IPTC: metadata.iptc}
    tags = tags_of(metadata.exif, "<" if data[:2] == b"II" else ">") or Tags()
    kept = {tag: packet for tag, packet in packets.items() if packet}
    return with_tags(data, tags, kept, resolution=metadata.resolution is not None)


def _lacks_mode(pixels: Pixels) -> bool:
    """Whether Pillow has no mode for such pixels."""
    return pixels.dtype == np.uint16 and pixels.ndim == 3


def write_rows(
    file: BinaryIO, kind: str, size: tuple[int, int], bands: Iterable[Pixels], metadata: Metadata,
    *, png_level: int | None = None,
) -> None:  # fmt: skip
    """Writes a picture from top to bottom.

    Args:
        file: what to write to; it need not seek.
        kind: one of `STREAMED`.
        size: height and width.
        bands: `(h, w)` to `(h, w, 4)`, uint8 or uint16, one below the other; for PPM without alpha.
        metadata: what PNG is to carry; PPM carries none.
        png_level: see `png_writing.write_png`.
    """
    if kind == "PPM":
        _write_ppm(file, size, bands)
    else:
        write_png(file, size, bands, chunks=metadata_chunks(metadata), level=png_level)


def _write_ppm(file: BinaryIO, size: tuple[int, int], bands: Iterable[Pixels]) -> None:
    started = False
    for band in bands:
        if not started:
            magic = 5 if band.ndim == 2 else 6
            file.write(b"P%d\n%d %d\n%d\n" % (magic, size[1], size[0], peak(band)))
            started = True
        file.write(_big_endian(band).tobytes())


def _big_endian(pixels: Pixels) -> npt.NDArray[np.uint8 | np.uint16]:
    """Samples with their bytes in the order that both formats use."""
    return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">"))
