"""What a learned tile decodes to where it has no neighbours."""

from dataclasses import dataclass, replace

import numpy as np

from aecodec.decoder.networks import DecoderModel, YHat
from aecodec.decoder.tile_synthesis import TileSynthesis
from aecodec.format.chunks import Header
from aecodec.format.quality_map import Quality
from aecodec.format.tiling import Box, latent_grid
from aecodec.picture.pixels import Pixels


@dataclass(frozen=True, eq=False)
class LoneTile:
    """A learned tile that is a picture of its own.

    Attributes:
        model: decodes it.
        header: of the picture that it is from.
        size: height and width in pixels.
        y_hat: its latents as a decoder will see them.
        quality: of each of these, or of all.
    """

    model: DecoderModel
    header: Header
    size: tuple[int, int]
    y_hat: YHat
    quality: Quality

    def pixels(self, box: Box) -> Pixels:
        """Pixels of a box of it, and beyond the border up to whole latents."""
        height, width = self.size
        header = replace(self.header.opaque, height=height, width=width)
        grid = latent_grid(height, width)
        synthesis = TileSynthesis(
            self.model, header, np.zeros((grid.height, grid.width), np.bool_),
            lambda _: self.y_hat, sixteen_bit=header.pixel_format.is_sixteen_bit,
            qualities=(lambda _: self.quality) if header.has_quality_map else None,
        )  # fmt: skip
        return synthesis.pixels(grid, box)
