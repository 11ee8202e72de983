"""Layers of the exact networks in NumPy, on rows of places; SPECIFICATION.md, sections 10 and 11.

Integers stand in float32, which holds every sum (`bounds.py`), whatever BLAS computes it. Weights
and biases are stored times 2**-shift, which is exact as well, so that rounding down finishes a
layer. All layers work on as many places at a time as stay in a processor's cache.
"""

from collections.abc import Iterator
from math import gcd

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from aecodec.decoder.bounds import SHIFT_MAX
from aecodec.decoder.work_sharing import Floats
from aecodec.errors import WeightsError
from aecodec.models.weights import Array, TensorTree

CHUNK = 3 * 2**14
"""Numbers of one array that are worked on at a time, 192 KiB."""

REPEATED = 2**13
"""About how many numbers a row of channels is repeated to, since NumPy begins each row slowly."""

_TAPS = 8
"""Places for which the taps of a depthwise convolution are repeated."""

Rows = tuple[int, int]
"""The first row of a picture, and the one behind the last."""


def chunks(height: int, row: int) -> list[Rows]:
    """Rows `[start, end)` to work on at a time.

    Args:
        height: rows in all.
        row: numbers in one row of the array that is worked on.
    """
    step = max(1, CHUNK // row)
    return [(start, min(start + step, height)) for start in range(0, height, step)]


class PerChannel:
    """A number for each channel, ready for arrays of many places."""

    def __init__(self, values: Floats) -> None:
        """Takes `(C,)`."""
        self._places = max(1, REPEATED // len(values))
        self._repeated = np.tile(values, self._places)

    def add_to(self, x: Floats) -> None:
        """Adds to `(n, C)` in place."""
        for wide, values, _ in self._parts(x, x):
            np.add(wide, values, out=wide)

    def times(self, x: Floats, out: Floats) -> None:
        """Multiplies `(n, C)` into `out`, which may be `x`."""
        for wide, values, product in self._parts(x, out):
            np.multiply(wide, values, out=product)

    def _parts(self, x: Floats, out: Floats) -> Iterator[tuple[Floats, Floats, Floats]]:
        """The same memory in long rows, with the numbers for one of them."""
        length = len(self._repeated)
        whole = len(x) // self._places * self._places
        if whole:
            yield x[:whole].reshape(-1, length), self._repeated, out[:whole].reshape(-1, length)
        if whole < len(x):
            rest = x[whole:].reshape(-1)
            yield rest, self._repeated[: len(rest)], out[whole:].reshape(-1)


class Products:
    """A 1x1 convolution, up to the clip."""

    def __init__(self, weight: Array, bias: Array, shift: Array) -> None:
        """Takes `(O, I, 1, 1)`, `(O,)` and `(O,)` integers that keep the bounds."""
        factor = powers(shift)
        self._weight = np.ascontiguousarray(weight[:, :, 0, 0].T.astype(np.float32) * factor)
        self.outputs = len(bias)
        self._bias = PerChannel(bias.astype(np.float32) * factor)

    def __call__(self, x: Floats, out: Floats) -> None:
        """`(n, I)` integers to `(n, O)` integers, both without gaps."""
        self.sums(x, out)
        np.floor(out, out=out)

    def sums(self, x: Floats, out: Floats) -> None:
        """The same before it is rounded down."""
        self.products(x, out)
        self._bias.add_to(out)

    def products(self, x: Floats, out: Floats) -> None:
        """The same without the bias."""
        np.matmul(x, self._weight, out=out)


class Depthwise:
    """A depthwise convolution over a whole picture with a border of zeros, up to the clip."""

    def __init__(self, weight: Array, bias: Array, shift: Array) -> None:
        """Takes `(C, 1, k, k)`, `(C,)` and `(C,)` integers that keep the bounds."""
        factor = powers(shift)
        self.size = weight.shape[-1]
        taps = weight[:, 0].transpose(1, 2, 0).astype(np.float32) * factor  # (k, k, C)
        self._taps = np.tile(taps, _TAPS)
        self._bias = PerChannel(bias.astype(np.float32) * factor)

    def __call__(self, bordered: Floats, rows: Rows, out: Floats) -> None:
        """Some rows.

        Args:
            bordered: `(h + k - 1, w + k - 1, C)` integers, without gaps.
            rows: which of the h rows.
            out: `(rows * w, C)`, without gaps.
        """
        (start, end), size = rows, self.size
        width, channels = bordered.shape[1] - size + 1, bordered.shape[2]
        many = gcd(width, _TAPS)
        down, right, one = bordered.strides
        windows = as_strided(
            bordered[start:],
            (end - start, size, size, width // many, many * channels),
            (down, down, right, many * right, one),
            writeable=False,
        )
        taps = self._taps[:, :, : many * channels]
        places = out.reshape(end - start, width // many, many * channels)
        np.einsum("hijwc,ijc->hwc", windows, taps, out=places)
        self._bias.add_to(out)
        np.floor(out, out=out)


def bordered(array: Floats, border: int) -> Floats:
    """The inner part of an array `(h, w, C)`, of which the outer part is set to 0."""
    array[:border], array[-border:] = 0, 0
    array[:, :border], array[:, -border:] = 0, 0
    return array[border:-border, border:-border]


def powers(shifts: Array) -> npt.NDArray[np.float32]:
    """`2**-shift` of each."""
    return np.exp2(-shifts.astype(np.float32))


def layer_of(tensors: TensorTree) -> tuple[Array, Array, Array]:
    """Weight, bias and shift of a layer.

    Raises:
        WeightsError: one is missing, or they do not fit together.
    """
    weight, bias, shift = (tensors.array(name) for name in ("weight", "bias", "shift"))
    if weight.ndim != 4 or not bias.shape == shift.shape == weight.shape[:1]:
        raise WeightsError("weight, bias and shift of an exact layer do not fit together")
    check_shifts(shift)
    return weight, bias, shift


def check_shifts(shifts: Array) -> None:
    """Refuses shifts beyond their range.

    Raises:
        WeightsError: one is.
    """
    if not 0 <= shifts.min() <= shifts.max() <= SHIFT_MAX:
        raise WeightsError(f"a shift of an exact layer lies outside 0 to {SHIFT_MAX}")
