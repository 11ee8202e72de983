"""Smaller pictures: means of squares of 2x2, 4x4 or 8x8 pixels, without making those pixels.

The synthesis ends in a linear layer that turns each place of stride 8 into 8x8 pixels. The mean of
some of its outputs is the output of the mean of their weights, so that a layer with fewer outputs
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
from torch.nn import functional

from aecodec.errors import InputError
from aecodec.images import Pixels
from aecodec.transforms import PATCH, SynthesisTransform

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
    synthesis: SynthesisTransform, y_hat: Tensor, q: Tensor, scale: int, inside: tuple[int, int]
) -> Tensor:
    """The synthesis of a smaller picture.

    Args:
        synthesis: the whole one.
        y_hat: `(N, M, h, w)`.
        q: `(N,)` in [0, 1].
        scale: out of `SCALES`.
        inside: height and width in pixels, from the corner of `y_hat`, where the picture ends; what
            lies beyond takes no part in the means.

    Returns:
        `(N, 3, 16h / scale, 16w / scale)`, nominally in [0, 1], not clipped; undefined beyond the
        picture.
    """
    if scale == 1:
        whole: Tensor = synthesis(y_hat, q)
        return whole
    h = synthesis.features(y_hat, q)  # (N, C, 2h, 2w)
    n = PATCH // scale
    row, column = ((side - 1) // PATCH for side in inside)  # the last cells with pixels inside
    rows, columns = slice(row, row + 1), slice(column, column + 1)
    inner = _means(scale, PATCH)
    last_rows = _means(scale, inside[0] - row * PATCH)
    last_columns = _means(scale, inside[1] - column * PATCH)
    x = _exit(synthesis, h, inner, inner)
    at_right = columns, slice(column * n, (column + 1) * n)
    below = rows, slice(row * n, (row + 1) * n)
    for (from_rows, to_rows), (from_columns, to_columns), means in (
        (_ALL, at_right, (inner, last_columns)),
        (below, _ALL, (last_rows, inner)),
        (below, at_right, (last_rows, last_columns)),
    ):
        edge = h[:, :, from_rows, from_columns]
        if edge.numel():
            x[:, :, to_rows, to_columns] = _exit(synthesis, edge, *means)
    return x


def _means(scale: int, inside: int) -> Tensor:
    """`(8 / scale, 8)`: weights of the means of pixels in a cell of which `inside` are inside."""
    groups = torch.eye(PATCH // scale).repeat_interleave(scale, 1)
    valid = groups * (torch.arange(PATCH) < inside)
    chosen = torch.where(valid.any(1, keepdim=True), valid, groups)
    return chosen / chosen.sum(1, keepdim=True)


def _exit(synthesis: SynthesisTransform, h: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The last layer, with means over rows and columns `(n, 8)` of each patch."""
    weight = synthesis.exit.weight.reshape(3, PATCH, PATCH, -1)  # (3, 8, 8, C)
    fewer = torch.einsum("ai,bj,kijc->kabc", rows, columns, weight).flatten(0, 2)
    bias = synthesis.exit.bias
    if bias is not None:
        patches = bias.reshape(3, PATCH, PATCH)
        bias = torch.einsum("ai,bj,kij->kab", rows, columns, patches).flatten()
    x = functional.conv2d(h, fewer[:, :, None, None], bias)
    return functional.pixel_shuffle(x, len(rows)) + 0.5
