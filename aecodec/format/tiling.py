"""Tiles of a picture and the transforms' windows around them; SPECIFICATION.md, section 7.

Tiles are coded independently; the transforms do not know about them. They run over windows that
exceed a tile by a model's halo on every side that has a neighbour, so that what they give inside
the tile is what they would give for the whole picture. A tile that is stored losslessly has no
latents: to a learned tile beside, above or below it, it is outside the picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aecodec.errors import InputError
from aecodec.format.chunks import Header
from aecodec.format.constants import STRIDE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


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

    def overlap(self, other: "Box") -> "Box | None":
        """What two boxes share; None when that is nothing."""
        shared = Box(
            max(self.top, other.top), max(self.left, other.left),
            min(self.bottom, other.bottom), min(self.right, other.right),
        )  # fmt: skip
        return shared if shared.height > 0 and shared.width > 0 else None

    def relative_to(self, outer: "Box") -> "Box":
        """The same box, counted from the corner of `outer`."""
        return Box(
            self.top - outer.top, self.left - outer.left,
            self.bottom - outer.top, self.right - outer.left,
        )  # fmt: skip


@dataclass(frozen=True)
class Region:
    """A rectangle in pixels.

    Attributes:
        left: first column.
        top: first row.
        width: columns.
        height: rows.

    Example:
        >>> Region(10, 20, 30, 40).slices()
        (slice(20, 60, None), slice(10, 40, None))
        >>> Region(10, 20, 30, 40).check(64, 48)
        Traceback (most recent call last):
            ...
        aecodec.errors.InputError: region 10,20,30,40 exceeds the picture of 64x48 pixels
    """

    left: int
    top: int
    width: int
    height: int

    def check(self, width: int, height: int) -> None:
        """Checks that the region lies within a picture of these sides.

        Raises:
            InputError: it does not, or it is empty.
        """
        if min(self.left, self.top) < 0 or min(self.width, self.height) < 1:
            raise InputError(f"{self} is no region: X, Y at least 0, W, H at least 1")
        if self.left + self.width > width or self.top + self.height > height:
            raise InputError(f"region {self} exceeds the picture of {width}x{height} pixels")

    def __str__(self) -> str:
        return f"{self.left},{self.top},{self.width},{self.height}"

    @property
    def latents(self) -> Box:
        """The box of latents that the region touches."""
        return Box(
            self.top // STRIDE, self.left // STRIDE,
            -(-(self.top + self.height) // STRIDE), -(-(self.left + self.width) // STRIDE),
        )  # fmt: skip

    def slices(self) -> tuple[slice, slice]:
        """Index of the region in an array of pixels."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


@dataclass(frozen=True)
class View:
    """What of a picture is wanted: a region, grown to whole squares of `scale` pixels a side.

    With `eight_bit` samples have 8 bits, even in a 16-bit picture.
    """

    region: Region
    scale: int = 1
    eight_bit: bool = False

    @property
    def corner(self) -> tuple[int, int]:
        """First row and column in the whole smaller picture."""
        return self.region.top // self.scale, self.region.left // self.scale

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the result."""
        top, left = self.corner
        bottom, right = self.region.top + self.region.height, self.region.left + self.region.width
        return -(-bottom // self.scale) - top, -(-right // self.scale) - left


def latent_grid(height: int, width: int) -> Box:
    """The box of all latents of a picture of `height` by `width` pixels."""
    return Box(0, 0, -(-height // STRIDE), -(-width // STRIDE))


def tile_box(header: Header, number: int) -> Box:
    """The latents of a tile, counted in raster order."""
    row, column = divmod(number, header.tile_columns)
    grid, step = latent_grid(header.height, header.width), header.tile_side // STRIDE
    return Box(
        row * step, column * step,
        min((row + 1) * step, grid.bottom), min((column + 1) * step, grid.right),
    )  # fmt: skip


def tile_boxes(header: Header) -> Iterator[Box]:
    """The latents of every tile, in raster order."""
    return (tile_box(header, number) for number in range(header.tile_count))


def tile_sides(header: Header, number: int) -> tuple[int, int]:
    """Height and width of a tile in pixels."""
    box = tile_box(header, number)
    height = min(box.bottom * STRIDE, header.height) - box.top * STRIDE
    return height, min(box.right * STRIDE, header.width) - box.left * STRIDE


def whole_tiles(header: Header, box: Box) -> Box:
    """A box, grown to the whole tiles that it touches."""
    grid, step = latent_grid(header.height, header.width), header.tile_side // STRIDE
    return Box(
        box.top // step * step, box.left // step * step,
        min(-(-box.bottom // step) * step, grid.bottom),
        min(-(-box.right // step) * step, grid.right),
    )  # fmt: skip


def with_halo(
    box: Box, grid: Box, halo: int, lossless: "npt.NDArray[np.bool_] | None" = None
) -> Box:
    """`box` and its surroundings, cut off where the picture ends or a lossless tile begins.

    Args:
        box: a learned tile.
        grid: the picture.
        halo: latents on each side.
        lossless: `(h, w)` of the grid, whether a latent's tile is stored losslessly; None: none.
    """
    window = Box(
        max(box.top - halo, 0), max(box.left - halo, 0),
        min(box.bottom + halo, grid.bottom), min(box.right + halo, grid.right),
    )  # fmt: skip
    if lossless is None:
        return window

    def reach(inner: int, outer: int, latent: tuple[int, int]) -> int:
        return inner if inner == outer or lossless[latent] else outer

    return Box(
        reach(box.top, window.top, (box.top - 1, box.left)),
        reach(box.left, window.left, (box.top, box.left - 1)),
        reach(box.bottom, window.bottom, (box.bottom, box.left)),
        reach(box.right, window.right, (box.top, box.right)),
    )


def tiles_around(header: Header, box: Box, halo: int) -> Iterator[int]:
    """Numbers of the tiles that the pixels of a box depend on, in rising order."""
    needed = with_halo(box, latent_grid(header.height, header.width), halo)
    step = header.tile_side // STRIDE
    for row in range(needed.top // step, -(-needed.bottom // step)):
        for column in range(needed.left // step, -(-needed.right // step)):
            yield row * header.tile_columns + column


def touches(box: Box, grid: Box, halo: int, marked: "npt.NDArray[np.bool_]") -> bool:
    """Whether a tile's window holds a marked latent."""
    return bool(marked[with_halo(box, grid, halo).slices()].any())
