"""The quality map: a quality index for each cell, relative to the picture's.

A cell is 64x64 pixels, 4x4 latents, one hyper-latent; SPECIFICATION.md, section 9, says how
a tile holds its cells.
"""

import numpy as np
import numpy.typing as npt

from aecodec.format.quality import QUALITY_INDEX_MAX

CELL = 4
"""Latents along a side of a cell."""
STEP = 8
"""Points of the quality grid in a step of an offset: 2 units of quality."""
LIMIT = 50
"""Largest offset in steps."""

Cells = npt.NDArray[np.int16]
"""`(rows, columns)`, a number for each cell."""
Quality = int | npt.NDArray[np.int16]
"""The quality index of all latents, or `(h, w)`, that of each."""


def cell_qualities(quality_index: int, offsets: Cells) -> Cells:
    """The quality index of each cell, of offsets in steps from the picture's."""
    whole = quality_index + STEP * offsets.astype(np.int64)
    return whole.clip(0, QUALITY_INDEX_MAX).astype(np.int16)


def spread(cells: Cells, height: int, width: int) -> Cells:
    """What cells hold for each of `height` by `width` latents."""
    return cells.repeat(CELL, 0).repeat(CELL, 1)[:height, :width]
