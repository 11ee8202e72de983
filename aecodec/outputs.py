"""Decoded pictures as files of other formats, with what each can carry of them."""

from io import BytesIO

import numpy as np

from aecodec.alpha import Pixels, over_background
from aecodec.deep import write_deep_tiff
from aecodec.errors import InputError
from aecodec.images import DAMAGE, to_pil
from aecodec.metadata import Metadata
from aecodec.writers import STREAMED, write_rows

Colour = tuple[int, int, int]

ALPHA_FORMATS = ("PNG", "WEBP", "TIFF", "AVIF", "JPEG2000", "TGA", "ICO", "ICNS")
"""Formats that carry levels of alpha, as Pillow calls and writes them."""
DEEP_FORMATS = ("PNG", "TIFF", "PPM")
"""Formats that carry 16 bits a sample."""
_DEEP_TIFF_LOSES = "exif"


def check_format(kind: str, *, alpha: bool, deep: bool) -> None:
    """Checks that a format can carry a picture.

    Raises:
        InputError: it cannot; the message says what can be done.
    """
    if alpha and kind not in ALPHA_FORMATS:
        raise InputError(
            f"{kind} carries no transparency: give --background COLOR, "
            "or write PNG, WebP, TIFF or AVIF"
        )
    if deep and kind not in DEEP_FORMATS:
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
    check_format(kind, alpha=alpha, deep=pixels.dtype == np.uint16)
    return pixels


def lost_in(pixels: Pixels, kind: str, metadata: Metadata) -> list[str]:
    """Names of metadata that are lost when these pixels are written in a format."""
    lost = metadata.lost_in(kind)
    if kind == "TIFF" and _needs_deep_tiff(pixels) and metadata.exif:
        lost.append(_DEEP_TIFF_LOSES)
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
    if kind == "TIFF" and _needs_deep_tiff(pixels):
        return write_deep_tiff(pixels, metadata)
    encoded = BytesIO()
    if pixels.dtype == np.uint16 and pixels.ndim == 3 and kind in STREAMED:
        write_rows(encoded, kind, (pixels.shape[0], pixels.shape[1]), [pixels], metadata)
        return encoded.getvalue()
    try:
        to_pil(pixels).save(encoded, kind, **metadata.save_options(kind))
    except (*DAMAGE, OSError) as exc:  # some formats read the EXIF that they write
        raise InputError(str(exc)) from exc
    return encoded.getvalue()


def _needs_deep_tiff(pixels: Pixels) -> bool:
    return pixels.dtype == np.uint16 and pixels.ndim == 3
