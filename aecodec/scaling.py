"""Smaller pictures: means of squares of 2x2, 4x4 or 8x8 pixels, without making those pixels.

The synthesis ends in a linear layer that turns each place of stride 8 into 8x8 pixels. The sum of
some of its outputs is the output of the sum of their weights, so that a layer with fewer outputs
gives what shrinking the whole picture gives, but for clipping: a mean of values outside [0, 1] is
clipped once, not each value. All that comes before that layer is done as for the whole picture.

A picture whose sides are no multiples gets rounded-up sides; the squares that the right and lower
border cut are the means of the pixels that are inside, as in Pillow's `Image.reduce`.
"""

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from aecodec.errors import InputError
from aecodec.images import Pixels
from aecodec.integer_synthesis import ExactSynthesis
from aecodec.transforms import PATCH

if TYPE_CHECKING:
    from numbers import Rational

_ALL = slice(None), slice(None)
SCALES = (1, 2, 4, 8)
"""Pixels along a side that become one."""


def scale_of(value: "int | float | Rational") -> int:
    """A scale that a caller gives, as a number out of `SCALES`.

    Args:
        value: 1, 2, 4 or 8, or one over it.

    Raises:
        InputError: any other.
    """
    for scale in SCALES:
        if not isinstance(value, (bool, str)) and value in (scale, Fraction(1, scale)):
            return scale
    raise InputError(f"scale must be 1, 1/2, 1/4 or 1/8 (or 2, 4, 8), not {value}")


def shrink(pixels: Pixels, scale: int) -> Pixels:
    """Means of squares of `scale` pixels a side, `(H, W)` or `(H, W, 3)`; sides are rounded up."""
    if scale == 1:
        return pixels
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(pixels).reduce(scale))
    planes = pixels[:, :, None] if pixels.ndim == 2 else pixels
    means = [_reduced(planes[:, :, c], scale) for c in range(planes.shape[2])]
    return means[0] if pixels.ndim == 2 else np.stack(means, axis=2)


def _reduced(plane: Pixels, scale: int) -> npt.NDArray[np.uint16]:
    """Pillow reduces no 16-bit pictures, but those of 32 bits."""
    return np.asarray(Image.fromarray(plane.astype(np.int32)).reduce(scale)).astype(np.uint16)


def synthesize_scaled(
    synthesis: ExactSynthesis,
    y_hat: Tensor,
    quality_index: int,
    scale: int,
    inside: tuple[int, int],
    *,
    maximum: int = 255,
    gray: bool = False,
) -> Tensor:
    """The synthesis of a smaller picture.

    Args:
        synthesis: the whole one.
        y_hat: `(1, M, h, w)`, integers in 1/16 step.
        quality_index: row of the quality grid.
        scale: out of `SCALES`.
        inside: height and width in pixels, from the corner of `y_hat`, where the picture ends; what
            lies beyond takes no part in the means.
        maximum: the largest sample, 255 or 65535.
        gray: one channel instead of three.

    Returns:
        `(16h / scale, 16w / scale, 3 or 1)`, see `ExactSynthesis.samples`; undefined beyond the
        picture.
    """
    if scale == 1:
        return synthesis(y_hat, quality_index, maximum=maximum, gray=gray)  # type: ignore[no-any-return]  # nn.Module
    h = synthesis.features(y_hat, quality_index)  # (1, C, 2h, 2w)
    n = PATCH // scale
    row, column = ((side - 1) // PATCH for side in inside)  # the last cells with pixels inside
    rows, columns = slice(row, row + 1), slice(column, column + 1)
    inner = _groups(scale, PATCH)
    last_rows = _groups(scale, inside[0] - row * PATCH)
    last_columns = _groups(scale, inside[1] - column * PATCH)
    sums = synthesis.sums(h, gray=gray, groups=(inner, inner))
    at_right = columns, slice(column * n, (column + 1) * n)
    below = rows, slice(row * n, (row + 1) * n)
    counts = [torch.full((side,), float(scale), dtype=torch.float64) for side in sums.shape[:2]]
    counts[0][below[1]] = last_rows.sum(1)[: len(counts[0][below[1]])]
    counts[1][at_right[1]] = last_columns.sum(1)[: len(counts[1][at_right[1]])]
    for (from_rows, to_rows), (from_columns, to_columns), groups in (
        (_ALL, at_right, (inner, last_columns)),
        (below, _ALL, (last_rows, inner)),
        (below, at_right, (last_rows, last_columns)),
    ):
        edge = h[:, :, from_rows, from_columns]
        if edge.numel():
            sums[to_rows, to_columns] = synthesis.sums(edge, gray=gray, groups=groups)
    pixels = counts[0][:, None, None] * counts[1][:, None]
    return synthesis.samples(sums, pixels, maximum=maximum, gray=gray)


def _groups(scale: int, inside: int) -> Tensor:
    """`(8 / scale, 8)` of 0 and 1: the pixels of each sum in a cell with `inside` of its own."""
    groups = torch.eye(PATCH // scale, dtype=torch.float64).repeat_interleave(scale, 1)
    valid = groups * (torch.arange(PATCH) < inside)
    return torch.where(valid.any(1, keepdim=True), valid, groups)
