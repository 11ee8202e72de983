"""More quality for smooth parts of a picture, less for busy ones, which hide errors.

The variance of the 8x8 blocks of a cell says how busy it is. All is integer arithmetic up to the
strength, so that every machine makes the same map.

Source of the idea: the variance boost of SVT-AV1, and of libaom's tune=iq.
"""

import numpy as np
import numpy.typing as npt

from aecodec.format.constants import STRIDE
from aecodec.format.quality_map import CELL
from aecodec.picture.pixels import SIXTEEN_BIT_STEP, Pixels
from aecodec.picture.row_readers import RowSource

CELL_SIDE = CELL * STRIDE
"""Pixels along a side of a cell."""
BLOCK = 8
"""Pixels along a side of a block."""
LOG_STEPS = 64
"""Steps of an octave of variance."""
FLOOR = 16
"""Variance in squared 8-bit steps that is added to that of each block: less is not seen."""
MIDDLE = 8.5
"""Binary logarithm of the variance of cells that keep the picture's quality; with it files of
photographs stay about as large as they are."""
_SAMPLES = BLOCK * BLOCK
_LUMA = 4
"""Of a sample of white, for each step of 8 bits: red, twice green, blue."""

Ints = npt.NDArray[np.int64]


def boosts(source: RowSource, strength: float) -> npt.NDArray[np.float64]:
    """Offsets of the cells of a picture, `(rows, columns)`, in units of quality.

    Rows that the source has forgotten afterwards are asked for again by whoever encodes it.

    Args:
        source: the picture.
        strength: units of quality for each halving of the variance.
    """
    rows = []
    for top in range(0, source.height, CELL_SIDE):
        source.forget(top)
        rows.append(activities(source.rows(top, min(top + CELL_SIDE, source.height))))
    octaves = np.stack(rows) / LOG_STEPS
    found: npt.NDArray[np.float64] = strength * (MIDDLE - octaves)
    return found


def activities(pixels: Pixels) -> Ints:
    """Binary logarithms in 1/64 of how busy each cell of a row of cells is.

    Args:
        pixels: `(h, W, 3)` or `(h, W)` of up to 64 rows, uint8 or uint16.
    """
    variances = _variances(pixels)
    count = CELL_SIDE // BLOCK
    columns = range(0, variances.shape[1], count)
    return np.array([_log2(_typical(variances[:, left : left + count])) for left in columns])


def _typical(variances: Ints) -> int:
    """Mean of the variances of the blocks of one cell."""
    return int(variances.sum()) // variances.size


def _variances(pixels: Pixels) -> Ints:
    """Of each block, times `16 * 64**2`, in squared 8-bit steps; edges repeat to whole ones."""
    luma = _luma(pixels)
    height, width = luma.shape
    luma = np.pad(luma, ((0, -height % BLOCK), (0, -width % BLOCK)), "edge")
    blocks = luma.reshape(len(luma) // BLOCK, BLOCK, -1, BLOCK)
    sums, squares = blocks.sum((1, 3)), np.square(blocks).sum((1, 3))
    found: Ints = _SAMPLES * squares.astype(np.int64) - np.square(sums.astype(np.int64))
    return found


def _luma(pixels: Pixels) -> npt.NDArray[np.int32]:
    """Red, twice green and blue together, in 8-bit steps, `(h, W)`."""
    samples = pixels.astype(np.int32)
    if pixels.ndim == 3:
        luma = samples[:, :, 0] + 2 * samples[:, :, 1] + samples[:, :, 2]
    else:
        luma = _LUMA * samples
    if pixels.dtype == np.uint16:
        luma //= SIXTEEN_BIT_STEP
    return luma


def _log2(variance: int) -> int:
    """Binary logarithm in 1/64 of a variance from `_variances`, with the floor, rounded down."""
    unit = (_LUMA * _SAMPLES) ** 2
    power: int = (variance + FLOOR * unit) ** LOG_STEPS // unit**LOG_STEPS
    return power.bit_length() - 1
