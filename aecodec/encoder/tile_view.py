"""A tile and its surroundings, as the analysis sees them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aecodec.coding.dead_zone import Floats
from aecodec.decoder.tile_synthesis import Mask
from aecodec.format.constants import STRIDE
from aecodec.format.quality_map import Quality
from aecodec.format.tiling import Box
from aecodec.models.weights import Array
from aecodec.picture.pixels import SIXTEEN_BIT_STEP, Pixels

if TYPE_CHECKING:
    from aecodec.encoder.networks import EncoderModel

MID_GRAY = 128
"""8-bit value that hides lossless tiles; 16-bit pictures take 257 times as much."""


@dataclass(frozen=True, eq=False)
class TileView:
    """A tile and its surroundings.

    Attributes:
        pixels: `(16h, 16w, 3)` or `(16h, 16w)`, the window's, see `cut_pixels`.
        y: `(h, w, M)`, its latents from the analysis, without noise if that is taken out.
        seen: likewise, what the analysis makes of `pixels` as they are here.
        rows: of the tile in the window, in latents.
        columns: likewise.
        size: height and width of the pixels that belong to the picture.
        quality: of the window's latents, `(h, w)` or one for all.
    """

    pixels: Pixels
    y: Floats
    seen: Floats
    rows: slice
    columns: slice
    size: tuple[int, int]
    quality: Quality

    def latents(self) -> Floats:
        """The tile's own latents, `(h, w, M)`."""
        return np.ascontiguousarray(self.y[self.rows, self.columns])

    @property
    def tile_quality(self) -> Quality:
        """Of the tile's own latents, `(h, w)` or one for all."""
        if isinstance(self.quality, int):
            return self.quality
        return np.ascontiguousarray(self.quality[self.rows, self.columns])


class BegunTiles:
    """What the analysis begins with, of one picture, kept for a search over qualities."""

    def __init__(self, limit: int) -> None:
        """Takes how many bytes may be kept; windows beyond begin anew each time."""
        self._room = limit
        self._kept: dict[tuple[Box, bytes], Array] = {}

    def begin(self, model: "EncoderModel", pixels: Pixels, window: Box, hidden: Mask) -> Array:
        """`AnalysisNetworks.begin` of a window's pixels.

        Args:
            model: the encoder.
            pixels: of the window.
            window: its place in the picture.
            hidden: which of its latents belong to lossless tiles.
        """
        key = window, np.packbits(hidden).tobytes() if hidden.any() else b""
        if key in self._kept:
            return self._kept[key]
        begun = model.analysis.begin(pixels)
        if begun.nbytes <= self._room:
            self._kept[key] = begun
            self._room -= begun.nbytes
        return begun


def cut_pixels(part: Pixels, size: tuple[int, int], hidden: Mask) -> Pixels:
    """Pixels of a window, gray in lossless tiles.

    Args:
        part: those that the picture has.
        size: height and width of the window; beyond the picture its last row and column repeat.
        hidden: which of the window's latents belong to lossless tiles.
    """
    if hidden.any():
        mask = hidden.repeat(STRIDE, 0).repeat(STRIDE, 1)
        part = part.copy()
        gray = MID_GRAY * (SIXTEEN_BIT_STEP if part.dtype == np.uint16 else 1)
        part[mask[: part.shape[0], : part.shape[1]]] = gray
    missing = (size[0] - part.shape[0], size[1] - part.shape[1])
    if not any(missing):
        return part
    sides = [(0, missing[0]), (0, missing[1])] + [(0, 0)] * (part.ndim - 2)
    return np.pad(part, sides, mode="edge")
