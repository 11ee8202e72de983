"""What each output format can hold, and how it is written: sides, alpha, depth, colours, quality.

Source: Pillow's handbook, "Image file formats"; libjpeg-turbo, jmorecfg.h; libwebp, encode.h;
libavif, avif.h; the limits were tried with the versions that the tests run with.
"""

from typing import Any, Literal

import numpy as np

from aecodec.errors import InputError
from aecodec.picture.pixels import Pixels

ALPHA_FORMATS = ("PNG", "WEBP", "TIFF", "AVIF", "JPEG2000", "TGA", "ICO", "ICNS")
"""Formats that carry levels of alpha, as Pillow calls and writes them."""
SIXTEEN_BIT_FORMATS = ("PNG", "TIFF", "PPM")
"""Formats that carry 16 bits a sample."""

Quality = int | Literal["lossless"] | None
"""How well a lossy format keeps a picture, 0 to 100, or exactly; None for the default."""
DEFAULT_QUALITIES = {"JPEG": 95, "MPO": 95, "PDF": 95, "WEBP": 95, "AVIF": 90}
"""Of the formats that have a quality."""
EXACT_QUALITIES = {"JPEG": 98, "MPO": 98, "PDF": 98, "AVIF": 95}
"""The same where the source is lossless; WebP is lossless then, too."""
PNG_LEVEL_MAX = 9
"""The highest of zlib's levels."""
_FULL_COLOUR = 90
"""The quality from which on colours are as fine as brightness."""
_NEVER_LOSSLESS = {"JPEG", "MPO", "PDF", "AVIF", "GIF"}

_SIDES_MAX = {
    "JPEG": 65500, "MPO": 65500, "PDF": 65500, "WEBP": 16383, "AVIF": 32768, "GIF": 65535,
    "TGA": 65535, "PCX": 65534, "SGI": 65535, "MSP": 65535, "ICO": 256,
}  # fmt: skip
"""The longest side that each format can have and its readers accept."""
_ICON_SIDES = (32, 64, 128, 256, 512, 1024)
_GIF_COLOURS = 256


def check_format(kind: str, *, alpha: bool, sixteen_bit: bool, size: tuple[int, int]) -> None:
    """Checks that a format can carry a picture.

    Args:
        kind: the format, as Pillow calls it.
        alpha: whether there is alpha.
        sixteen_bit: whether samples have 16 bits.
        size: height and width, or width and height.

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
    limit = _SIDES_MAX.get(kind)
    if limit is not None and max(size) > limit:
        raise InputError(
            f"{kind} carries at most {limit} pixels a side, and the picture has {max(size)}: "
            "give a scale (--scale 1/2) or a region (--region), or write PNG or TIFF"
        )
    if kind == "ICNS" and (size[0] != size[1] or size[0] not in _ICON_SIDES):
        sides = ", ".join(map(str, _ICON_SIDES))
        raise InputError(f"ICNS carries squares of {sides} pixels a side: write PNG or ICO")


def check_quality(kind: str, quality: Quality) -> None:
    """Checks that a format has the quality that is asked for.

    Raises:
        InputError: it has none, or is never lossless.
    """
    if quality == "lossless":
        if kind in _NEVER_LOSSLESS:
            raise InputError(f"{kind} is never lossless: write PNG, WebP or TIFF, or give a number")
    elif quality is not None and kind not in DEFAULT_QUALITIES:
        raise InputError(f"{kind} has no quality to choose: JPEG, WebP and AVIF have one")


def check_png_level(kind: str, level: int | None) -> None:
    """Checks that a format has the level of compression that is asked for.

    Args:
        kind: the format, as Pillow calls it.
        level: zlib's; None for the default.

    Raises:
        InputError: it has none, or the level is not in 0 to 9.
    """
    if level is None:
        return
    if kind != "PNG":
        raise InputError(f"{kind} has no level of compression to choose: PNG has one")
    if not 0 <= level <= PNG_LEVEL_MAX:
        raise InputError(f"a PNG level lies in 0 to {PNG_LEVEL_MAX}, and {level} does not")


def format_options(kind: str, pixels: Pixels, quality: Quality, *, exact: bool) -> dict[str, Any]:
    """The arguments with which Pillow's `save` writes pixels as well as is wanted.

    Args:
        kind: the format, as Pillow calls it.
        pixels: `(H, W)` to `(H, W, 4)`.
        quality: what is asked for, which `check_quality` has accepted.
        exact: whether the source is lossless, so that by default the result is, where it can be.
    """
    if kind == "ICO":
        return {"sizes": [(pixels.shape[1], pixels.shape[0])]}
    if kind not in DEFAULT_QUALITIES:
        return {}
    if kind == "WEBP" and (quality == "lossless" or (quality is None and exact)):
        return {"lossless": True}
    defaults = EXACT_QUALITIES if exact else DEFAULT_QUALITIES
    number = quality if isinstance(quality, int) else defaults[kind]
    options: dict[str, Any] = {"quality": number}
    coloured = pixels.ndim == 3 and pixels.shape[2] >= 3
    if kind != "WEBP" and coloured and number >= _FULL_COLOUR:
        options["subsampling"] = "4:4:4"
    return options


def lost_in_pixels(kind: str, pixels: Pixels) -> list[str]:
    """A line for each thing about the pixels themselves that a format cannot carry."""
    if kind == "ICNS" and pixels.shape[0] != _ICON_SIDES[-1]:
        return ["ICNS carries the picture scaled to its own sizes"]
    if kind == "SPIDER" and pixels.ndim == 3:
        return ["SPIDER carries brightness alone"]
    if kind == "GIF" and pixels.ndim == 3 and _has_many_colours(pixels):
        return [f"GIF carries no more than {_GIF_COLOURS} colours"]
    return []


def _has_many_colours(pixels: Pixels) -> bool:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, :3]))
    return image.getcolors(_GIF_COLOURS) is None


def fitting_profile(icc: bytes, kind: str, pixels: Pixels) -> bytes | None:
    """A profile for the pixels that a format will hold; None if this one fits no such pixels.

    Some formats hold no gray. A profile of gray becomes one of RGB there that means the same.
    """
    from aecodec.picture.color_description import profile_space, rgb_profile_of

    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    gray = channels < 3 and not _becomes_rgb(kind, pixels)
    space = profile_space(icc)
    if space is None or space == ("GRAY" if gray else "RGB"):
        return icc
    return rgb_profile_of(icc) if space == "GRAY" else None


def _becomes_rgb(kind: str, pixels: Pixels) -> bool:
    """Whether a format holds gray pixels as RGB, as it is written here."""
    with_alpha = pixels.ndim == 3
    if kind == "TIFF":
        return with_alpha and pixels.dtype == np.uint16
    return kind == "WEBP" or (kind == "AVIF" and with_alpha)
