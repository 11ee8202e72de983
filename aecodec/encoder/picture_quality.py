"""The quality of each latent of a picture that is encoded, and what its errors weigh."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aecodec.decoder.tile_synthesis import Mask
from aecodec.format.quality import QUALITIES, lmbda, relative_quality
from aecodec.format.quality_map import CELL, Indices, Quality
from aecodec.format.tiling import Box

Lambda = float | npt.NDArray[np.float64]
"""Weight of distortion of all latents, or `(h, w)`, that of each."""


@dataclass(frozen=True, eq=False)
class PictureQuality:
    """The qualities of a picture.

    Attributes:
        index: the quality index of HEAD.
        cells: `(rows, columns)`, that of each cell of the picture; None where all have `index`.
        asked: likewise, what regions ask for alone: the variance boost does not ask that a cell be
            nearer to the original.
    """

    index: int
    cells: Indices | None = None
    asked: Indices | None = None

    @property
    def map_index(self) -> int | None:
        """See `latents.encode_latents`."""
        return None if self.cells is None else self.index

    def of(self, box: Box, lossless: Mask | None = None) -> Quality:
        """That of the latents of a box, `(h, w)` if they differ.

        Args:
            box: in the picture.
            lossless: `(h, w)` of the box, which of its latents belong to lossless tiles: these
                have the picture's quality.
        """
        return self._within(self.cells, box, lossless)

    def asked_of(self, box: Box) -> Quality:
        """What is asked for of the latents of a box, `(h, w)` if they differ."""
        return self._within(self.asked, box)

    def _within(self, cells: Indices | None, box: Box, lossless: Mask | None = None) -> Quality:
        if cells is None:
            return self.index
        rows, columns = (
            np.arange(*ends) // CELL for ends in ((box.top, box.bottom), (box.left, box.right))
        )
        found = cells[rows[:, None], columns]
        if lossless is not None:
            found = np.where(lossless, np.int16(self.index), found)
        first = int(found[0, 0])
        return first if (found == first).all() else found


def lambda_of(quality: Quality) -> Lambda:
    """Lambda of one quality, or of each latent's."""
    if isinstance(quality, int):
        return lmbda(relative_quality(quality))
    table = np.array([lmbda(relative_quality(index)) for index in range(QUALITIES)])
    found: npt.NDArray[np.float64] = table[quality]
    return found
