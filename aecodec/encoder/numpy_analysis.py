"""The exact analysis and hyper-analysis in NumPy; SPECIFICATION.md, section 19.

The stream is carried by float32; linear layers and gains run in float64, below 2**53.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from aecodec.decoder.gains import Doubles, Gains, multiply, round_to_stream
from aecodec.decoder.numpy_block import ExactBlock, exact_blocks
from aecodec.decoder.numpy_layers import Rows, chunks
from aecodec.decoder.prior_tables import PriorTables
from aecodec.decoder.work_sharing import Crew, Floats
from aecodec.errors import WeightsError
from aecodec.format.constants import (
    GROUP,
    LATENT_FRACTION,
    LINEAR_BIAS_MAX,
    LINEAR_SHIFTS,
    LINEAR_SUM_MAX,
    NORM_OFFSET,
    NORMED_SHIFT,
    PATCH,
    STREAM_FRACTION,
)
from aecodec.format.quality_map import Quality, doubled
from aecodec.models.weights import Array, TensorTree
from aecodec.picture.pixels import SIXTEEN_BIT_STEP, Pixels

LATENT_STEP: Final = np.float32(2.0**-LATENT_FRACTION)
HYPER_STEP: Final = np.float32(2.0**-STREAM_FRACTION)


class NumpyAnalysis:
    """`networks.AnalysisNetworks` by NumPy."""

    def __init__(
        self, analysis: TensorTree, hyper_analysis: TensorTree, tables: PriorTables, crew: Crew
    ) -> None:
        """Builds the networks of two parts of a weights file.

        Args:
            analysis: the part of that name.
            hyper_analysis: likewise.
            tables: of the prior.
            crew: shares the work.

        Raises:
            WeightsError: something would not be exact.
        """
        self._crew, self._tables = crew, tables
        self._entry = _Entry(analysis["entry"])
        self._inner = Gains(analysis.array("inner_gain"))
        self._outer = Gains(analysis.array("outer_gain"))
        self._first, self._last = (ExactBlock(analysis[name]) for name in ("first", "last"))
        self._coarse, self._blocks = (exact_blocks(analysis, name) for name in ("coarse", "blocks"))
        self._down = _Linear(analysis["down"])
        self._hyper_layers = [_Linear(hyper_analysis[name]) for name in ("entry", "down", "exit")]
        self._hyper_blocks = [ExactBlock(hyper_analysis[name]) for name in ("first", "second")]

    def begin(self, pixels: Pixels) -> Floats:
        """See `networks.AnalysisNetworks`: the stream, `(H/8, W/8, C)`."""
        stream = self._entry(pixels, self._crew)
        self._first(stream, self._crew)
        return stream

    def finish(self, begun: Array, quality: Quality) -> Floats:
        """See `networks.AnalysisNetworks`."""
        stream = self._scaled(begun, self._inner.of_rows(doubled(quality)))
        for block in self._blocks:
            block(stream, self._crew)
        stream = self._down.of_places(stream, self._crew)
        for block in (*self._coarse, self._last):
            block(stream, self._crew)
        return self._scaled(stream, self._outer.of_rows(quality), LATENT_STEP)

    def hyper(self, y: Floats, quality: Quality) -> Floats:
        """See `networks.AnalysisNetworks`."""
        entry, down, last = self._hyper_layers
        first, second = self._hyper_blocks
        stream = entry.of_each(self._normed(y, quality), self._crew)
        first(stream, self._crew)
        stream = down.of_places(stream, self._crew)
        second(stream, self._crew)
        z = last.of_places(stream, self._crew)
        return np.multiply(z, HYPER_STEP, out=z)

    def _scaled(
        self, values: Array, gains: Callable[[Rows], Doubles], step: np.float32 | None = None
    ) -> Floats:
        """Products of `(h, w, C)` with gains, on the stream's range, then times `step`."""
        found = np.empty(values.shape, np.float32)

        def scaled(rows: Rows) -> None:
            part = values[slice(*rows)]
            product = self._crew.scratch.doubles("product", *part.shape)
            multiply(part, gains(rows), product)
            found[slice(*rows)] = product
            if step is not None:
                found[slice(*rows)] *= step

        self._crew.share(scaled, chunks(len(values), 2 * values[0].size))
        return found

    def _normed(self, y: Floats, quality: Quality) -> Floats:
        """Latents `(h, w, M)` over what their scales lead to expect, padded, as a stream."""
        height, width, channels = y.shape
        places = self._tables.base[quality] - NORM_OFFSET
        reciprocals = self._tables.reciprocals[places] * 2.0**-NORMED_SHIFT
        padded = np.zeros((*(-(-side // GROUP) * GROUP for side in (height, width)), channels))
        inside = padded[:height, :width]
        np.multiply(y, 2.0**LATENT_FRACTION, out=inside)
        round_to_stream(inside)
        np.multiply(inside, reciprocals, out=inside)
        round_to_stream(inside)
        return padded.astype(np.float32)


class _Linear:
    """A linear layer of an analysis."""

    def __init__(self, tensors: TensorTree) -> None:
        """Takes `weight` `(I, O)`, `bias` `(O,)` and `shift` `(O,)`.

        Raises:
            WeightsError: something would not be exact.
        """
        weight, bias, shift = (tensors.array(name) for name in ("weight", "bias", "shift"))
        if weight.ndim != 2 or not bias.shape == shift.shape == weight.shape[1:]:
            raise WeightsError("weight, bias and shift of a linear layer do not fit together")
        if not LINEAR_SHIFTS[0] <= shift.min() <= shift.max() <= LINEAR_SHIFTS[-1]:
            raise WeightsError("a shift of a linear layer of the analysis lies outside 12 to 24")
        if np.abs(weight.astype(np.int64)).sum(0).max() > LINEAR_SUM_MAX:
            raise WeightsError("the weights of a linear layer of the analysis are too large")
        if max(int(bias.max()), -int(bias.min())) > LINEAR_BIAS_MAX:
            raise WeightsError("a bias of a linear layer of the analysis is too large")
        factor = np.exp2(-shift.astype(np.float64))
        self.weight: Doubles = weight.astype(np.float64) * factor
        self._bias: Doubles = bias.astype(np.float64) * factor

    def __call__(self, places: Doubles, weight: Doubles, found: Floats, crew: Crew) -> None:
        """Some places.

        Args:
            places: `(n, I)` integers.
            weight: the layer's, `(I, O)`, or what it is for inputs in another order.
            found: array of n by O numbers, which takes the result.
            crew: lends memory.
        """
        sums = crew.scratch.doubles("sums", len(places), len(self._bias))
        np.matmul(places, weight, out=sums)
        np.add(sums, self._bias, out=sums)
        round_to_stream(sums)
        found[...] = sums.reshape(found.shape)

    def of_each(self, stream: Floats, crew: Crew) -> Floats:
        """Of each place alone, `(h, w, I)` to `(h, w, O)`."""
        return self._of_cells(stream, 1, crew)

    def of_places(self, stream: Floats, crew: Crew) -> Floats:
        """Of 2x2 places, `(2h, 2w, I / 4)` to `(h, w, O)`."""
        return self._of_cells(stream, 2, crew)

    def _of_cells(self, stream: Floats, side: int, crew: Crew) -> Floats:
        height, width, row = len(stream) // side, stream.shape[1] // side, side * stream.shape[2]
        found = np.empty((height, width, len(self._bias)), np.float32)
        cells = stream.reshape(height, side, width, row).transpose(0, 2, 1, 3)

        def some(rows: Rows) -> None:
            places = crew.scratch.doubles("places", rows[1] - rows[0], width, side, row)
            places[...] = cells[slice(*rows)]
            self(places.reshape(-1, side * row), self.weight, found[slice(*rows)], crew)

        crew.share(some, chunks(height, 2 * width * side * row))
        return found


class _Entry:
    """The layer from pixels to the stream, which reads patches as they lie in the picture."""

    def __init__(self, tensors: TensorTree) -> None:
        """Takes the part `entry` of an analysis.

        Raises:
            WeightsError: something would not be exact.
        """
        self._linear = _Linear(tensors)
        weight = self._linear.weight.reshape(3, PATCH, PATCH, -1)
        self._colour = np.ascontiguousarray(weight.transpose(1, 2, 0, 3)).reshape(3 * PATCH**2, -1)
        self._gray = weight.sum(0).reshape(PATCH**2, -1)

    def __call__(self, pixels: Pixels, crew: Crew) -> Floats:
        """`(H, W, 3)` or `(H, W)`, sides divisible by 8, to `(H/8, W/8, C)`."""
        height, width = (side // PATCH for side in pixels.shape[:2])
        weight = self._gray if pixels.ndim == 2 else self._colour
        cells = pixels.reshape(height, PATCH, width, -1).transpose(0, 2, 1, 3)
        found = np.empty((height, width, weight.shape[1]), np.float32)
        units = SIXTEEN_BIT_STEP if pixels.dtype == np.uint8 else 1

        def some(rows: Rows) -> None:
            places = crew.scratch.doubles("places", rows[1] - rows[0], *cells.shape[1:])
            np.multiply(cells[slice(*rows)], float(units), out=places)
            self._linear(places.reshape(-1, len(weight)), weight, found[slice(*rows)], crew)

        crew.share(some, chunks(height, 2 * width * len(weight)))
        return found
