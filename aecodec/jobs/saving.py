"""How pictures are to be written, as callers ask for it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aecodec.picture.formats import Quality

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


@dataclass(frozen=True, kw_only=True)
class Saving:
    """How a picture is to be written.

    Attributes:
        background: what shows through alpha; None keeps alpha.
        quality: of formats that lose something, 0 to 100, or "lossless"; None for their default,
            see `formats.format_options`.
        strip: whether metadata are left out; pixels are turned for display then.
        preserve: whether the file gets the times and the permissions of its source.
        png_level: of PNG, zlib's, 0 to 9; None for what the pixels are worth.
    """

    background: Colour | None = None
    quality: "Quality" = None
    strip: bool = False
    preserve: bool = False
    png_level: int | None = None
