"""One tile: its pixels to latents, rounded by cost or refined, to words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aecodec.decoder.networks import YHat
from aecodec.decoder.tile_synthesis import Mask
from aecodec.encoder.latent_refinement import Effort, refine
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.rdoq import DeadZone, Floats
from aecodec.format.chunks import Tile
from aecodec.format.constants import STRIDE
from aecodec.format.tiling import Box, latent_grid, with_halo
from aecodec.picture.pixels import SIXTEEN_BIT_STEP, Pixels

if TYPE_CHECKING:
    from torch import Tensor

    from aecodec.encoder.networks import EncoderModel

MID_GRAY = 128
"""8-bit value that hides lossless tiles; 16-bit pictures take 257 times as much."""


@dataclass(frozen=True, eq=False)
class TileView:
    """A tile and its surroundings.

    Attributes:
        pixels: `(16h, 16w, 3)` or `(16h, 16w)`, the window's, see `cut_pixels`.
        y: `(h, w, M)`, its latents from the analysis.
        rows: of the tile in the window, in latents.
        columns: likewise.
        size: height and width of the pixels that belong to the picture.
    """

    pixels: Pixels
    y: Floats
    rows: slice
    columns: slice
    size: tuple[int, int]

    def latents(self) -> Floats:
        """The tile's own latents, `(h, w, M)`."""
        return np.ascontiguousarray(self.y[self.rows, self.columns])


class BegunTiles:
    """What the analysis begins with, of one picture, kept for a search over qualities."""

    def __init__(self, limit: int) -> None:
        """Takes how many bytes may be kept; windows beyond begin anew each time."""
        self._room = limit
        self._kept: dict[tuple[Box, bytes], Tensor] = {}

    def begin(self, model: "EncoderModel", pixels: Pixels, window: Box, hidden: Mask) -> "Tensor":
        """`EncoderModel.begin` of a window's pixels.

        Args:
            model: the encoder.
            pixels: of the window.
            window: its place in the picture.
            hidden: which of its latents belong to lossless tiles.
        """
        key = window, np.packbits(hidden).tobytes() if hidden.any() else b""
        if key in self._kept:
            return self._kept[key]
        begun = model.begin(pixels)
        if begun.nbytes <= self._room:
            self._kept[key] = begun
            self._room -= begun.nbytes
        return begun


@dataclass(frozen=True, eq=False)
class TileEncoder:
    """Encodes tiles of one picture with one model at one quality.

    Attributes:
        model: the encoder.
        quality_index: row of the quality grid.
        effort: of the search.
        step: called after each round of a tile, the last coding included; may raise.
        begun: what was kept of the same picture at other qualities.
    """

    model: "EncoderModel"
    quality_index: int
    effort: Effort
    step: Callable[[], None] = lambda: None
    begun: BegunTiles | None = None

    def encode(
        self, pixels: Pixels, box: Box, lossless: Mask, *, top: int = 0, quiet: bool = False
    ) -> tuple[Tile, YHat]:
        """Analyzes and codes one tile.

        Args:
            pixels: rows of the picture that hold the tile and its surroundings.
            box: the tile, counted from the first of these rows.
            lossless: `(h, w)` of these rows, whether a latent's tile is stored losslessly.
            top: row of latents in the picture where these rows begin.
            quiet: leaves out the calls of `step`.

        Returns:
            The tile, and its latents as a decoder will see them.
        """
        view = self.view(pixels, box, lossless, top=top)
        return self.code(view, (lambda: None) if quiet else self.step)

    def view(self, pixels: Pixels, box: Box, lossless: Mask, *, top: int = 0) -> TileView:
        """Analyzes one tile with its surroundings, without those that are stored losslessly."""
        halo = self.model.decoder.config.analysis_halo
        window = with_halo(box, latent_grid(*pixels.shape[:2]), halo, lossless)
        hidden = lossless[window.slices()]
        part = pixels[window.slices(STRIDE)]
        cut = cut_pixels(part, (window.height * STRIDE, window.width * STRIDE), hidden)
        if self.begun is None:
            begun = self.model.begin(cut)
        else:
            place = Box(window.top + top, window.left, window.bottom + top, window.right)
            begun = self.begun.begin(self.model, cut, place, hidden)
        y = self.model.finish(begun, self.quality_index)
        rows, columns = box.relative_to(window).slices()
        return TileView(cut, y, rows, columns, size=(part.shape[0], part.shape[1]))

    def code(self, view: TileView, step: Callable[[], None]) -> tuple[Tile, YHat]:
        """Rounds or refines the latents of a tile and codes them; see `encode`."""
        model, index = self.model, self.quality_index
        target = view.latents()
        z = model.hyper_analyze(target, index)
        weight = model.search.plain_weight if self.effort.by_cost else None
        if self.effort.rounds:
            target, z, weight = refine(model, view, index, z, self.effort, step)
        zone = None if weight is None else DeadZone(model.symbol_costs, weight)
        coded = encode_latents(model.decoder.prior, target, z, index, dead_zone=zone)
        step()
        return coded


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
