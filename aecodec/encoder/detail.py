"""How much fine detail a tile has, measured on a sample of it, and where most of it is."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aecodec.picture.pixels import SIXTEEN_BIT_STEP, Pixels

BAND = 4
"""Neighbouring rows of a sample."""
BLOCK = 64
"""Side of the blocks of which the roughest one is sought."""
SAMPLE_PIXELS = 2**17 // 3
"""About how many pixels are looked at."""


@dataclass(frozen=True)
class Detail:
    """What the bends along columns and rows say.

    Attributes:
        energy: mean square of the second differences along columns or rows, whichever is more, in
            8-bit steps; divided so that it is the variance of white noise.
        row: the first of the roughest block.
        column: likewise.
    """

    energy: float
    row: int
    column: int


def find_detail(pixels: Pixels) -> Detail:
    """The detail of a tile, from bands of rows that are spread over its height.

    Args:
        pixels: `(h, w, 3)` or `(h, w)`, uint8 or uint16.
    """
    height, width = pixels.shape[:2]
    rows = min(BAND, height)
    count = min(max(SAMPLE_PIXELS // (rows * width), 1), -(-height // rows))
    starts = np.linspace(0, height - rows, count).astype(np.intp)
    bands = pixels[starts[:, None] + np.arange(rows)].astype(np.float32)
    if pixels.dtype == np.uint16:
        bands *= np.float32(1 / SIXTEEN_BIT_STEP)
    bands = bands.reshape(count, rows, width, -1)
    along_columns, along_rows = _bends(bands, 1), _bends(bands, 2)
    energy = max(float(along_columns.mean()), float(along_rows.mean()))
    row, column = _peak(along_columns + along_rows, starts // BLOCK)
    return Detail(energy, row * BLOCK, column * BLOCK)


def _peak(energy: npt.NDArray[np.float32], rows: npt.NDArray[np.intp]) -> tuple[int, int]:
    """Row and column of the block with most energy, of bands with the rows of their blocks."""
    blocks = np.add.reduceat(energy, np.arange(0, energy.shape[1], BLOCK), axis=1)
    sums = np.zeros((rows[-1] + 1, blocks.shape[1]), np.float32)
    np.add.at(sums, rows, blocks)
    sums /= np.maximum(np.bincount(rows), 1)[:, None]
    row, column = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(row), int(column)


def _bends(bands: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.float32]:
    """`(bands, w)`, the energy of differences along an axis of `(bands, rows, w, channels)`."""
    count, _, width, _ = bands.shape
    order = min(bands.shape[axis] - 1, 2)
    if order == 0:
        return np.zeros((count, width), np.float32)
    bend = np.diff(bands, order, axis=axis)
    scale = bend.shape[1] * bend.shape[3] * (6 if order == 2 else 2)
    energy = np.einsum("brwc,brwc->bw", bend, bend) / np.float32(scale)
    missing = width - energy.shape[1]
    return np.pad(energy, ((0, 0), (0, missing)))
