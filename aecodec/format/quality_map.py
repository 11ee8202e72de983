"""The quality map: a quality index for each cell of a picture; SPECIFICATION.md, section 9.6.

A cell is 4x4 positions of the grid of latents, 64x64 pixels. A map states the offset of each cell
from the picture's quality index; a tile holds what the offsets of its cells lack of a prediction.
"""

import numpy as np
import numpy.typing as npt

from aecodec.errors import InputError, PayloadError
from aecodec.format.constants import GROUP
from aecodec.format.quality import QUALITY_INDEX_MAX

CELL = GROUP
"""Positions along one side of a cell, which is one hyper-latent."""
STEP = 8
"""Points of the quality grid in one step of an offset: 2 units of quality."""
LIMIT = 50
"""Largest offset, which spans all qualities."""

Offsets = npt.NDArray[np.int32]
"""`(rows, columns)` of cells, or what the offsets lack of their prediction."""
Indices = npt.NDArray[np.int16]
Quality = int | Indices
"""Rows of the quality grid: one for all latents, or `(h, w)`, one for each position."""


def residuals(offsets: Offsets) -> Offsets:
    """What the offsets of a tile lack of their prediction.

    Raises:
        InputError: an offset is out of range.
    """
    if offsets.size and np.abs(offsets).max() > LIMIT:
        raise InputError(f"offsets of a quality map must lie in [-{LIMIT}, {LIMIT}]")
    d = offsets.astype(np.int32)
    predicted = np.zeros_like(d)
    predicted[0, 1:], predicted[1:, 0] = d[0, :-1], d[:-1, 0]
    left, up, corner = d[1:, :-1], d[:-1, 1:], d[:-1, :-1]
    low, high = np.minimum(left, up), np.maximum(left, up)
    predicted[1:, 1:] = np.clip(left + up - corner, low, high)  # which is the median
    return d - predicted


def offsets_of(residuals: Offsets) -> Offsets:
    """The offsets of a tile, from what they lack of their prediction.

    Raises:
        PayloadError: an offset is out of range.
    """
    rows: list[list[int]] = []
    for row in residuals.tolist():
        above = rows[-1] if rows else None
        found: list[int] = []
        for column, residual in enumerate(row):
            offset = residual + predicted(above, found, column)
            if not -LIMIT <= offset <= LIMIT:
                raise PayloadError("an offset of a quality map is out of range")
            found.append(offset)
        rows.append(found)
    return np.array(rows, np.int32).reshape(residuals.shape)


def predicted(above: list[int] | None, row: list[int], column: int) -> int:
    """The median edge predictor: left, above, or left + above - corner."""
    if above is None:
        return row[-1] if row else 0
    if not row:
        return above[0]
    left, up = row[-1], above[column]
    low, high = min(left, up), max(left, up)
    return min(max(left + up - above[column - 1], low), high)


def cell_qualities(index: int, offsets: Offsets) -> Indices:
    """Indices of cells with these offsets in a picture of index `index`, 0 to 400."""
    return (index + STEP * offsets.astype(np.int32)).clip(0, QUALITY_INDEX_MAX).astype(np.int16)


def cell_offsets(index: int, cells: Indices) -> Offsets:
    """The smallest offsets that give cells their indices.

    Raises:
        InputError: no offset gives one of these indices.
    """
    away = cells.astype(np.int32) - index
    offsets: Offsets = np.sign(away) * -(-np.abs(away) // STEP)
    if not np.array_equal(cell_qualities(index, offsets), cells):
        raise InputError(f"not every quality of the map is whole steps away from index {index}")
    return offsets


def spread(cells: npt.NDArray[np.int16], height: int, width: int) -> npt.NDArray[np.int16]:
    """`(ceil(h / 4), ceil(w / 4))` of cells to `(h, w)` of positions."""
    return np.ascontiguousarray(cells.repeat(CELL, 0).repeat(CELL, 1)[:height, :width])


def at_cells(quality: Indices) -> Indices:
    """`(h, w)` of positions to one for each cell, that of its first position."""
    return quality[::CELL, ::CELL]


def whole_cells(quality: Indices) -> Indices:
    """`(h, w)` with its last row and column repeated up to multiples of 4."""
    height, width = (-side % CELL for side in quality.shape)
    return np.pad(quality, ((0, height), (0, width)), "edge") if height or width else quality


def doubled(quality: Quality) -> Quality:
    """The same for the 2x2 places of each position."""
    return quality if isinstance(quality, int) else quality.repeat(2, 0).repeat(2, 1)
