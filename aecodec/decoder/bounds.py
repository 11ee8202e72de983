"""Bounds that keep the exact networks exact in every runtime; SPECIFICATION.md, section 15.5.

Sums of a convolution that stay below 2**24, whatever the order of their terms, are integers that
float32 holds, and so does int32.
"""

import numpy as np
import numpy.typing as npt

from aecodec.format.constants import ACTIVATION_MAX
from aecodec.models.weights import Array

ACCUMULATOR_LIMIT = 2**24
SHIFT_MAX = 24

STREAM_LIMIT = 2**22
"""The stream of a block lies in [-STREAM_LIMIT, STREAM_LIMIT - 1]."""
INPUT_LIMIT = 1024
"""What convolutions of a block read lies in [-INPUT_LIMIT, INPUT_LIMIT - 1]."""
FRACTIONS = range(7, 13)
"""Binary places that activations may have: more behind the point are fewer before it."""

LINEAR_BIAS_LIMIT = 2**44
"""Largest magnitude of a bias of the linear layers of the synthesis."""
LINEAR_LIMIT = 2**53
"""Their sums stay below this, so that float64 and int64 hold them."""


def accumulator_bounds(weight: Array, bias: Array) -> npt.NDArray[np.int64]:
    """The largest magnitude that any partial sum of a convolution of the prior can reach.

    Args:
        weight: `(O, I, k, k)` integers.
        bias: `(O,)` integers.

    Returns:
        `(O,)`.
    """
    return _largest(weight, bias, ACTIVATION_MAX)


def exact_bounds(weight: Array, bias: Array) -> npt.NDArray[np.int64]:
    """The same of a convolution of a block of the synthesis."""
    return _largest(weight, bias, INPUT_LIMIT)


def _largest(weight: Array, bias: Array, reach: int) -> npt.NDArray[np.int64]:
    sums = np.abs(weight.astype(np.int64)).sum((1, 2, 3))
    bounds: npt.NDArray[np.int64] = sums * reach + np.abs(bias.astype(np.int64))
    return bounds
