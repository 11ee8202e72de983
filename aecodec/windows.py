"""Cuts a picture into entropy tiles and the transforms' windows around them.

Tiles are coded independently; the transforms do not know about them. They run over windows that
exceed a tile by `HALO` on every side that has a neighbour, so that what they give inside the
tile is what they would give for the whole picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STRIDE = 16
"""Pixels per latent along one side."""
HALO = 64
"""Pixels; the receptive fields reach 40 (analysis) and 56 (synthesis) pixels beyond a latent."""


@dataclass(frozen=True)
class Box:
    """A rectangle in latents: rows top to bottom, columns left to right, ends excluded."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    def slices(self, scale: int = 1) -> tuple[slice, slice]:
        """Index of the box in an array with `scale` elements per latent along a side."""
        return (
            slice(self.top * scale, self.bottom * scale),
            slice(self.left * scale, self.right * scale),
        )

    def relative_to(self, outer: "Box") -> "Box":
        """The same box, counted from the corner of `outer`."""
        return Box(
            self.top - outer.top, self.left - outer.left,
            self.bottom - outer.top, self.right - outer.left,
        )  # fmt: skip


def latent_grid(height: int, width: int) -> Box:
    """The box of all latents of a picture of `height` by `width` pixels."""
    return Box(0, 0, -(-height // STRIDE), -(-width // STRIDE))


def tile_boxes(height: int, width: int, tile_side: int) -> Iterator[Box]:
    """Tiles of `tile_side` pixels in raster order, as boxes in latents."""
    grid = latent_grid(height, width)
    step = tile_side // STRIDE
    for top in range(0, grid.bottom, step):
        for left in range(0, grid.right, step):
            yield Box(top, left, min(top + step, grid.bottom), min(left + step, grid.right))


def with_halo(box: Box, grid: Box) -> Box:
    """`box` and its surroundings, cut off where the picture ends."""
    halo = HALO // STRIDE
    return Box(
        max(box.top - halo, 0), max(box.left - halo, 0),
        min(box.bottom + halo, grid.bottom), min(box.right + halo, grid.right),
    )  # fmt: skip


def cut_pixels(pixels: npt.NDArray[np.uint8], box: Box) -> npt.NDArray[np.uint8]:
    """Pixels of a box; beyond the right and lower border the last column and row repeat."""
    part = pixels[box.slices(STRIDE)]
    missing = (box.height * STRIDE - part.shape[0], box.width * STRIDE - part.shape[1])
    if not any(missing):
        return part
    sides = [(0, missing[0]), (0, missing[1])] + [(0, 0)] * (pixels.ndim - 2)
    return np.pad(part, sides, mode="edge")
