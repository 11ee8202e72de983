"""Gains of channels by quality, in exact integers; SPECIFICATION.md, section 11.4."""

from collections.abc import Callable
from math import isqrt

import numpy as np
import numpy.typing as npt

from aecodec.decoder.bounds import STREAM_LIMIT
from aecodec.decoder.numpy_layers import Rows
from aecodec.decoder.prior_tables import Ints
from aecodec.errors import WeightsError
from aecodec.format.constants import KNOTS, LOG_FRACTION, LOG_LIMIT
from aecodec.format.quality import QUALITY_INDEX_MAX
from aecodec.format.quality_map import Quality
from aecodec.models.weights import Array

GAIN_SHIFT = 16

Doubles = npt.NDArray[np.float64]


def power_of_two(logs: Ints) -> Ints:
    """`2**(logs / 65536)` in 1/65536, any shape, by products of square roots.

    p = 2**30; for each bit b = 15, 14, ..., 0 of the fraction of `logs` that is set,
    p = (p * r[b] + 2**29) >> 30, with r[15] = isqrt(2**61) and r[b] = isqrt(r[b+1] * 2**30);
    at last p is shifted by the whole part w: (p + 2**(13-w)) >> (14-w).

    Args:
        logs: in 1/65536, within [-12, 12].
    """
    power = np.full(logs.shape, 2**30, np.int64)
    root = 2**31
    for bit in range(LOG_FRACTION - 1, -1, -1):
        root = isqrt(root << 30)
        power = np.where(logs >> bit & 1, (power * root + 2**29) >> 30, power)
    shift = 14 - (logs >> LOG_FRACTION)
    result: Ints = (power + (1 << (shift - 1))) >> shift
    return result


class Gains:
    """A gain for each quality and channel."""

    def __init__(self, knots: Array) -> None:
        """Takes `(KNOTS, C)` base-2 logarithms in 1/65536.

        Raises:
            WeightsError: a gain lies outside 2**-12 to 2**12.
        """
        self._knots: Ints = knots.astype(np.int64)
        self._kept: dict[int, Doubles] = {}
        if np.abs(self._knots).max() > LOG_LIMIT:
            raise WeightsError("a gain lies outside 2**-12 to 2**12")

    def at(self, quality_index: int) -> Doubles:
        """Gains `(C,)`, multiples of 2**-16; they are kept."""
        if quality_index not in self._kept:
            self._kept[quality_index] = self._at(quality_index)
        return self._kept[quality_index]

    def of_rows(self, quality: Quality) -> Callable[[Rows], Doubles]:
        """Gives the gains of some rows of places.

        Args:
            quality: of all places, or `(h, w)` of each.

        Returns:
            For rows of the places `(C,)` or `(rows, w, C)`, see `at`.
        """
        if isinstance(quality, int):
            same = self.at(quality)
            return lambda _rows: same
        indices, places = np.unique(quality, return_inverse=True)
        table = np.stack([self.at(index) for index in indices.tolist()])
        numbers = places.reshape(quality.shape)
        return lambda rows: table[numbers[slice(*rows)]]

    def _at(self, quality_index: int) -> Doubles:
        low, part = divmod((KNOTS - 1) * quality_index, QUALITY_INDEX_MAX)
        if low == KNOTS - 1:
            low, part = low - 1, QUALITY_INDEX_MAX
        sums = self._knots[low] * (QUALITY_INDEX_MAX - part) + self._knots[low + 1] * part
        logs = (2 * sums + QUALITY_INDEX_MAX) // (2 * QUALITY_INDEX_MAX)
        gains: Doubles = power_of_two(logs).astype(np.float64) * 2.0**-GAIN_SHIFT
        return gains


def multiply(values: npt.NDArray[np.generic], gains: Doubles, product: Doubles) -> None:
    """Products with gains, rounded and clipped to the range of a stream.

    Args:
        values: `(..., C)` integers of any type, up to 2**22 in size.
        gains: `(C,)` or of the shape of `values`, see `Gains`.
        product: takes the result.
    """
    np.multiply(values, gains, out=product)
    round_to_stream(product)


def round_to_stream(values: Doubles) -> None:
    """Rounds to integers, halves up, and clips to the range of a stream, in place."""
    np.add(values, 0.5, out=values)
    np.floor(values, out=values)
    values.clip(-STREAM_LIMIT, STREAM_LIMIT - 1, out=values)
