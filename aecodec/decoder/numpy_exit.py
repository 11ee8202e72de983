"""The last layer of the exact synthesis in NumPy: from the stream to samples of any size.

SPECIFICATION.md, sections 11.3 and 14, defines them. Sums stay below 2**53, in float64.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aecodec.decoder.bounds import LINEAR_BIAS_LIMIT, LINEAR_LIMIT, STREAM_LIMIT
from aecodec.decoder.gains import Doubles
from aecodec.decoder.numpy_layers import Rows, chunks
from aecodec.decoder.work_sharing import Crew, Floats
from aecodec.errors import WeightsError
from aecodec.format.constants import EXIT_SHIFT_MAX, PATCH, STREAM_FRACTION
from aecodec.models.weights import TensorTree
from aecodec.picture.pixels import Pixels


@dataclass(frozen=True)
class Sampling:
    """What samples are wanted of a picture.

    Attributes:
        scale: 1, 2, 4 or 8 pixels a side that become one.
        sixteen_bit: samples up to 65535 rather than 255.
        gray: one channel, of the sum of three colours, rather than three.
    """

    scale: int
    sixteen_bit: bool
    gray: bool

    @property
    def maximum(self) -> int:
        """The largest sample."""
        return 65535 if self.sixteen_bit else 255

    @property
    def colours(self) -> int:
        """How many each channel is the sum of."""
        return 3 if self.gray else 1

    @property
    def cell(self) -> tuple[int, int, int]:
        """Rows, columns and channels of the samples of one place of the stream."""
        return PATCH // self.scale, PATCH // self.scale, 3 // self.colours


class Exit:
    """The last layer."""

    def __init__(self, tensors: TensorTree) -> None:
        """Takes the part `exit` of a synthesis.

        Raises:
            WeightsError: something would not be exact.
        """
        weight, bias = (tensors.array(name).astype(np.int64) for name in ("weight", "bias"))
        shift = int(tensors.array("shift"))
        if not 0 <= shift <= EXIT_SHIFT_MAX:
            raise WeightsError("the last shift of the exact synthesis lies outside 0 to 16")
        if np.abs(bias).max() > LINEAR_BIAS_LIMIT:
            raise WeightsError("a bias of the exact synthesis is too large")
        if STREAM_LIMIT * int(np.abs(weight).sum()) + int(np.abs(bias).sum()) >= LINEAR_LIMIT:
            raise WeightsError("sums of the last layer of the synthesis may reach 2**53")
        self._one = 2.0 ** (STREAM_FRACTION + shift)
        self._weight = weight.astype(np.float64).reshape(-1, 3, PATCH, PATCH)
        self._bias = bias.astype(np.float64).reshape(3, PATCH, PATCH)

    def samples(
        self, stream: Floats, wanted: Sampling, inside: tuple[int, int], crew: Crew
    ) -> Pixels:
        """Samples of a picture.

        Args:
            stream: `(h, w, C)`.
            wanted: what samples.
            inside: height and width in pixels, from the corner, where the picture ends; what lies
                beyond takes no part in means.
            crew: shares the work.

        Returns:
            `(8h / scale, 8w / scale, channels)`, undefined beyond the picture.
        """
        height, width, inputs = stream.shape
        down, right = (_Axis(end, wanted.scale) for end in inside)
        places_to_sums = _Places(self, wanted, down, right)
        kind = np.uint16 if wanted.sixteen_bit else np.uint8
        rows_of_cell, columns_of_cell, channels = wanted.cell
        picture = np.empty((height, rows_of_cell, width, columns_of_cell, channels), kind)

        def sampled(rows: Rows) -> None:
            places = crew.scratch.doubles("places", rows[1] - rows[0], width, inputs)
            places[:] = stream[slice(*rows)]
            sums = crew.scratch.doubles("sums", *places.shape[:2], *wanted.cell)
            places_to_sums(places, rows, sums)
            if wanted.scale == 1:
                self._sample_pixels(sums, wanted)
            else:
                counts = down.counts(rows)[:, None, :, None] * right.counts((0, width))[:, None]
                self._sample_means(sums, counts[..., None], wanted)
            picture[slice(*rows)] = sums.astype(kind).transpose(0, 2, 1, 3, 4)

        crew.share(sampled, chunks(height, 2 * width * max(inputs, picture[0, :, 0].size)))
        return picture.reshape(height * rows_of_cell, width * columns_of_cell, channels)

    def layer(self, wanted: Sampling, rows: Doubles, columns: Doubles) -> tuple[Doubles, Doubles]:
        """Weight `(C, n)` and bias `(n,)` of the sums of one place, in the order of `cell`.

        Args:
            wanted: what samples.
            rows: which of the 8 rows of a patch belong to each sum, of 0 and 1.
            columns: the same of its columns.
        """
        weight, bias = self._weight, self._bias
        if wanted.gray:
            weight, bias = weight.sum(1, keepdims=True), bias.sum(0, keepdims=True)
        if wanted.scale == 1:
            weight, bias = weight.transpose(0, 2, 3, 1), bias.transpose(1, 2, 0)
        else:
            weight = np.einsum("ai,bj,ckij->cabk", rows, columns, weight)
            bias = np.einsum("ai,bj,kij->abk", rows, columns, bias)
        return np.ascontiguousarray(weight.reshape(len(weight), -1)), bias.ravel()

    def _sample_pixels(self, sums: Doubles, wanted: Sampling) -> None:
        """Sums of one pixel each to samples and fractions of them, in place."""
        half = self._one * wanted.colours / 2
        factor = wanted.maximum // wanted.colours / self._one
        sums.clip(-half, half, out=sums)
        np.multiply(sums, factor, out=sums)
        np.add(sums, half * factor + 0.5, out=sums)

    def _sample_means(self, sums: Doubles, counts: Doubles, wanted: Sampling) -> None:
        """Sums of `counts` pixels each to samples and fractions of them, in place.

        Clipping at the ends of the range leaves no sample beyond it. A quotient of integers below
        2**53 is never rounded up to the next integer.
        """
        one = self._one * counts
        half = one * (wanted.colours / 2)
        factor = wanted.maximum // wanted.colours
        np.clip(sums, -half, half, out=sums)
        np.multiply(sums, factor, out=sums)
        np.add(sums, half * factor + one / 2, out=sums)
        np.divide(sums, one, out=sums)


class _Axis:
    """The rows of a smaller picture, or its columns: which pixels belong to which mean."""

    def __init__(self, inside: int, scale: int) -> None:
        """Takes where the picture ends, in pixels, and how many a side become one."""
        self._scale = scale
        self.last = (inside - 1) // PATCH
        """The last place with pixels inside."""
        self._left = inside - self.last * PATCH

    @cached_property
    def groups(self) -> Doubles:
        """`(8 / scale, 8)` of 0 and 1: the pixels of each mean in one place."""
        return np.repeat(np.eye(PATCH // self._scale), self._scale, 1)

    @cached_property
    def last_groups(self) -> Doubles:
        """The same for the last place; means beyond the picture are of any pixels."""
        valid = self.groups * (np.arange(PATCH) < self._left)
        found: Doubles = np.where(valid.any(1, keepdims=True), valid, self.groups)
        return found

    def counts(self, places: Rows) -> Doubles:
        """`(n, 8 / scale)`, pixels of each mean in some places."""
        start, end = places
        counts = np.full((end - start, PATCH // self._scale), float(self._scale))
        if start <= self.last < end:
            counts[self.last - start] = self.last_groups.sum(1)
        return counts


class _Places:
    """Sums of places of the stream, of which the last ones hold fewer pixels."""

    def __init__(self, layer: Exit, wanted: Sampling, down: _Axis, right: _Axis) -> None:
        self._last = down.last, right.last
        self._inner = layer.layer(wanted, down.groups, right.groups)
        self._has_edges = wanted.scale > 1
        if self._has_edges:
            self._right = layer.layer(wanted, down.groups, right.last_groups)
            self._below = layer.layer(wanted, down.last_groups, right.groups)
            self._corner = layer.layer(wanted, down.last_groups, right.last_groups)

    def __call__(self, places: Doubles, rows: Rows, sums: Doubles) -> None:
        """`(r, w, C)` to `(r, w, ...)`, given which rows of the picture they are."""
        _linear(places, self._inner, sums)
        if not self._has_edges:
            return
        row, column = self._last[0] - rows[0], self._last[1]
        is_last_row, is_last_column = 0 <= row < len(places), column < places.shape[1]
        if is_last_column:
            _edge(places, (slice(None), column), self._right, sums)
        if is_last_row:
            _edge(places, (row, slice(None)), self._below, sums)
        if is_last_row and is_last_column:
            _edge(places, (row, slice(column, column + 1)), self._corner, sums)


def _edge(
    places: Doubles,
    where: tuple[slice | int, slice | int],
    layer: tuple[Doubles, Doubles],
    sums: Doubles,
) -> None:
    found = np.empty(sums[where].shape)
    _linear(np.ascontiguousarray(places[where]), layer, found)
    sums[where] = found


def _linear(places: Doubles, layer: tuple[Doubles, Doubles], sums: Doubles) -> None:
    """A linear layer of `(*, C)` into `(*, ...)`, both without gaps."""
    weight, bias = layer
    rows = sums.reshape(-1, len(bias))
    np.matmul(places.reshape(-1, len(weight)), weight, out=rows)
    np.add(rows, bias, out=rows)
