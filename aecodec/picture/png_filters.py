"""PNG's filters of rows.

Source: PNG specification, third edition, section 9, https://www.w3.org/TR/png-3/.
"""

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

NONE, SUB, UP, AVERAGE, PAETH = range(5)
"""The number with which a row states its filter."""


def filtered(rows: Bytes, above: Bytes, filters: tuple[int, ...], step: int) -> Bytes:
    """Rows filtered, each by that of the filters which leaves the smallest differences.

    Args:
        rows: `(h, bytes)`, samples of 16 bits as two bytes with the higher one first.
        above: `(1, bytes)`, the row over them, zeros at the top of a picture.
        filters: numbers of those to try.
        step: bytes of a pixel.

    Returns:
        `(h, 1 + bytes)`, with the number of the filter in front.
    """
    height, width = rows.shape
    wide = np.zeros((height + 1, step + width), np.uint8)
    wide[:1, step:], wide[1:, step:] = above, rows
    left, up, corner = wide[1:, :-step], wide[:-1, step:], wide[:-1, :-step]
    found = np.empty((height, 1 + width), np.uint8)
    least: npt.NDArray[np.uint32] | None = None
    for number in filters:
        differences = rows - _predicted(number, left, up, corner)
        cost = np.minimum(differences, -differences).sum(1, dtype=np.uint32)
        better = np.ones(height, np.bool_) if least is None else cost < least
        least = cost if least is None else np.minimum(cost, least)
        found[better, 0] = number
        found[better, 1:] = differences[better]
    return found


def _predicted(number: int, left: Bytes, up: Bytes, corner: Bytes) -> Bytes | np.uint8:
    """What a filter expects of each byte."""
    if number == NONE:
        return np.uint8(0)
    if number in (SUB, UP):
        return left if number == SUB else up
    if number == AVERAGE:
        floor: Bytes = (left & up) + ((left ^ up) >> 1)
        return floor
    return _paeth(left, up, corner)


def _paeth(left: Bytes, up: Bytes, corner: Bytes) -> Bytes:
    """That neighbour which is nearest to `left + up - corner`, in this order where two are.

    All in bytes, which go through vector units in large numbers: of the distances of `left` and
    `up`, which are those of the other one from `corner`, that of `corner` is the difference where
    they lie on two sides of it, and no less than both elsewhere.
    """
    to_left = np.maximum(up, corner) - np.minimum(up, corner)
    to_up = np.maximum(left, corner) - np.minimum(left, corner)
    near = _chosen(to_left <= to_up, left, up)
    least = np.minimum(to_left, to_up)
    gap = np.maximum(to_left, to_up) - least
    return _chosen((gap < least) & ((left > corner) != (up > corner)), corner, near)


def _chosen(condition: npt.NDArray[np.bool_], first: Bytes, second: Bytes) -> Bytes:
    """`np.where`, several times as fast for bytes."""
    mask = -condition.view(np.uint8)
    chosen: Bytes = ((first ^ second) & mask) ^ second
    return chosen
