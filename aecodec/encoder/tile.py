"""One tile: its pixels to latents, rounded by cost or refined, to words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aecodec.coding.dead_zone import DeadZone
from aecodec.decoder.networks import YHat
from aecodec.decoder.tile_synthesis import Mask
from aecodec.encoder.effort import Effort, improved
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.noise import is_gray
from aecodec.encoder.picture_quality import PictureQuality
from aecodec.encoder.shrinkage import Shrinkage
from aecodec.encoder.tile_view import BegunTiles, TileView, cut_pixels
from aecodec.format.chunks import Tile
from aecodec.format.constants import STRIDE
from aecodec.format.tiling import Box, latent_grid, with_halo
from aecodec.picture.pixels import Pixels

if TYPE_CHECKING:
    from aecodec.encoder.networks import EncoderModel


@dataclass(frozen=True, eq=False)
class TileEncoder:
    """Encodes tiles of one picture with one model.

    Attributes:
        model: the encoder.
        quality: that of each latent.
        effort: of the search.
        step: called after each round of a tile, the last coding included; may raise.
        begun: what was kept of the same picture at other qualities.
        shrinkage: takes noise out of the latents, and out of the pixels that a search compares
            with; None leaves it.
    """

    model: "EncoderModel"
    quality: PictureQuality
    effort: Effort
    step: Callable[[], None] = lambda: None
    begun: BegunTiles | None = None
    shrinkage: Shrinkage | None = None

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
        config = self.model.decoder.config
        halo = config.analysis_halo
        if self.effort.decodes:
            halo = max(halo, config.synthesis_halo)
        window = with_halo(box, latent_grid(*pixels.shape[:2]), halo, lossless)
        hidden = lossless[window.slices()]
        part = pixels[window.slices(STRIDE)]
        cut = cut_pixels(part, (window.height * STRIDE, window.width * STRIDE), hidden)
        place = Box(window.top + top, window.left, window.bottom + top, window.right)
        if self.begun is None:
            begun = self.model.analysis.begin(cut)
        else:
            begun = self.begun.begin(self.model, cut, place, hidden)
        quality = self.quality.of(place, hidden)
        y = seen = self.model.analysis.finish(begun, quality)
        if self.shrinkage is not None:
            y = self.shrinkage(y, quality, gray=is_gray(cut))
            if self.effort.decodes:
                cut = self.shrinkage.pixels(y, quality, cut)
                seen = self.model.analyze(cut, quality)
        rows, columns = box.relative_to(window).slices()
        size = part.shape[0], part.shape[1]
        return TileView(cut, y, seen, rows, columns, size, quality)

    def code(self, view: TileView, step: Callable[[], None]) -> tuple[Tile, YHat]:
        """Rounds or refines the latents of a tile and codes them; see `encode`."""
        model, quality = self.model, view.tile_quality
        found = improved(model, view, self.effort, step)
        zone = None if found.weight is None else DeadZone(model.symbol_costs, found.weight)
        coded = encode_latents(
            model.decoder.prior, found.target, found.z, quality,
            map_index=self.quality.map_index, dead_zone=zone,
        )  # fmt: skip
        step()
        return coded
