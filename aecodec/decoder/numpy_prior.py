"""The exact prior in NumPy: from hyper-latents to what the tables make levels and means of.

SPECIFICATION.md, section 10, defines its arithmetic.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from aecodec.decoder.bounds import ACCUMULATOR_LIMIT, accumulator_bounds
from aecodec.decoder.numpy_layers import (
    Depthwise,
    PerChannel,
    Products,
    Rows,
    bordered,
    chunks,
    layer_of,
)
from aecodec.decoder.passes import Known
from aecodec.decoder.prior_tables import Ints
from aecodec.decoder.work_sharing import Crew, Floats
from aecodec.errors import WeightsError
from aecodec.format.constants import ACTIVATION_MAX, PASS_POSITION, PASSES
from aecodec.format.quality_map import Quality
from aecodec.models.weights import Array, TensorTree

_KINDS = ["int8", "int32", "int8"]

Layer = tuple[Array, Array, Array]
"""Weight `(O, I, k, k)`, bias `(O,)` and shift `(O,)`."""


class NumpyPrior:
    """`passes.PassNetworks` by NumPy; features are `(h, w, H)` float32."""

    def __init__(self, tensors: TensorTree, crew: Crew) -> None:
        """Builds the networks of the part `prior` of a weights file.

        Raises:
            WeightsError: something would not be exact.
        """
        self._crew = crew
        hyper, tables = tensors["hyper_synthesis"], tensors["tables"]
        self._entry, self._up = (Doubling(hyper[name]) for name in ("entry", "up"))
        self._first, self._second = (ContextBlock(hyper[name]) for name in ("first", "second"))
        self._head = Products(*proven(hyper["head"]))
        self._rates = tables.array("rate_features").astype(np.float32)
        latent_channels = tables.array("base").shape[1]
        self._passes = [
            _Pass(tensors["passes"][str(k)], PASS_POSITION[k + 1], latent_channels)
            for k in range(PASSES - 1)
        ]

    def features(self, z_hat: Ints, quality: Quality) -> Floats:
        """See `passes.PassNetworks`."""
        crew = self._crew
        x = self._entry(np.ascontiguousarray(z_hat, np.float32), crew)
        self._first(x, crew)
        x = self._up(x, crew)
        self._second(x, crew)
        add_rates = self._rating(quality)

        def rated(rows: Rows) -> None:
            add_rates(x[slice(*rows)], rows)
            _clip(_places(x, rows))

        crew.share(rated, chunks(len(x), x[0].size))
        return x

    def _rating(self, quality: Quality) -> Callable[[Floats, Rows], None]:
        """What adds the features of the rate to rows `(r, w, H)`."""
        if isinstance(quality, int):
            same = PerChannel(self._rates[quality])
            return lambda part, _rows: same.add_to(part.reshape(-1, part.shape[2]))
        rates, indices = self._rates, quality

        def add_each(part: Floats, rows: Rows) -> None:
            part += rates[indices[slice(*rows)]]

        return add_each

    def first(self, features: Floats) -> Known:
        """See `passes.PassNetworks`."""
        found = np.empty((*features.shape[:2], self._head.outputs), np.float32)

        def predicted(rows: Rows) -> None:
            self._head(_places(features, rows), _places(found, rows))

        self._crew.share(predicted, chunks(len(found), found[0].size))
        return found

    def corrections(self, number: int, known: Known, features: Floats) -> Known:
        """See `passes.PassNetworks`."""
        return self._passes[number - 1](known, features, self._crew)


class Doubling:
    """A 1x1 convolution and a pixel shuffle by 2."""

    def __init__(self, tensors: TensorTree) -> None:
        """Takes a layer of 4C output channels.

        Raises:
            WeightsError: see `proven`.
        """
        layer = proven(tensors)
        order = np.arange(len(layer[0])).reshape(-1, 4).T.ravel()  # all channels of each place
        self._products = Products(*(part[order] for part in layer))

    def __call__(self, x: Floats, crew: Crew) -> Floats:
        """`(h, w, I)` to `(2h, 2w, C)`."""
        height, width, _ = x.shape
        outputs = self._products.outputs
        found = np.empty((height, 2, width, 2, outputs // 4), np.float32)

        def doubled(rows: Rows) -> None:
            part = _places(x, rows)
            y = crew.scratch.floats("y", len(part), outputs)
            self._products(part, y)
            _clip(y)
            cells = y.reshape(-1, width, 2, 2, outputs // 4)
            found[slice(*rows)] = cells.transpose(0, 2, 1, 3, 4)

        crew.share(doubled, chunks(height, width * outputs))
        return found.reshape(2 * height, 2 * width, -1)


class ContextBlock:
    """`x + mix_out(depthwise(mix_in(x)))`, clipped."""

    def __init__(self, tensors: TensorTree) -> None:
        """Takes the layers of a block.

        Raises:
            WeightsError: see `proven`.
        """
        self._mix_in, self._mix_out = (
            Products(*proven(tensors[name])) for name in ("mix_in", "mix_out")
        )
        self._depthwise = Depthwise(*proven(tensors["depthwise"]))

    def __call__(self, x: Floats, crew: Crew) -> None:
        """`(h, w, C)`, in place."""
        height, width, channels = x.shape
        border = self._depthwise.size // 2
        scratch = crew.scratch
        around = scratch.floats(
            "bordered", height + 2 * border, width + 2 * border, channels
        )  # fmt: skip
        inside = bordered(around, border)

        def mixed(rows: Rows) -> None:
            part = _places(x, rows)
            y = scratch.floats("y", *part.shape)
            self._mix_in(part, y)
            _clip(y, least=0)
            inside[slice(*rows)] = y.reshape(-1, width, channels)

        def added(rows: Rows) -> None:
            part = _places(x, rows)
            read, y = (scratch.floats(name, *part.shape) for name in ("x", "y"))
            self._depthwise(around, rows, read)
            _clip(read, least=0)
            self._mix_out(read, y)
            _clip(y)
            np.add(part, y, out=part)
            _clip(part)

        parts = chunks(height, width * channels)
        crew.share(mixed, parts)
        crew.share(added, parts)


class _Pass:
    """The network of one of passes 2 to 4."""

    def __init__(
        self, tensors: TensorTree, positions: tuple[int, ...], latent_channels: int
    ) -> None:
        weight, bias, shift = proven(tensors["entry"])
        # Sums of integers may be split: one of what is known, and one of the features.
        self._known = Products(weight[:, :latent_channels], bias, shift)
        self._features = Products(weight[:, latent_channels:], bias, shift)
        self._first, self._second = (ContextBlock(tensors[name]) for name in ("first", "second"))
        self._head = QuarterHead(tensors["head"], positions)

    def __call__(self, known: Known, features: Floats, crew: Crew) -> Known:
        """`(h, w, M)` and `(h, w, H)` to corrections `(4, h/2, w/2, M/2)`."""
        x = np.empty(features.shape, np.float32)

        def entered(rows: Rows) -> None:
            part = _places(x, rows)
            y = crew.scratch.floats("y", *part.shape)
            self._known.products(_places(known, rows), y)
            self._features.sums(_places(features, rows), part)
            np.add(part, y, out=part)
            np.floor(part, out=part)
            _clip(part)

        crew.share(entered, chunks(len(x), x[0].size))
        self._first(x, crew)
        self._second(x, crew)
        return self._head(x, crew)


class QuarterHead:
    """The head of one of passes 2 to 4, computed only where the pass codes.

    Each quarter of the channels is coded at one of the four positions of each 2x2 group, so
    three quarters of a full convolution's outputs would never be read.
    """

    def __init__(self, tensors: TensorTree, positions: tuple[int, ...]) -> None:
        """Takes the layer apart.

        Args:
            tensors: of a layer of 2M output channels.
            positions: for each quarter of the channels its position, 2 * row + column.

        Raises:
            WeightsError: see `proven`.
        """
        layer = proven(tensors)
        self._positions = positions
        channels = np.arange(len(layer[0])).reshape(2, len(positions), -1)
        self._quarters = [
            Products(*(part[channels[:, quarter].ravel()] for part in layer))
            for quarter in range(len(positions))
        ]

    def __call__(self, x: Floats, crew: Crew) -> Known:
        """`(h, w, H)` to corrections `(4, h/2, w/2, M/2)`: scales, then means."""
        height, width, channels = x.shape
        cells = x.reshape(height // 2, 2, width // 2, 2, channels)
        outputs = self._quarters[0].outputs
        found = np.empty((PASSES, height // 2, width // 2, outputs), np.float32)

        def corrected(quarter: int, rows: Rows) -> None:
            position = self._positions[quarter]
            taken = cells[slice(*rows), position >> 1, :, position & 1]
            read = crew.scratch.floats("x", *taken.shape)
            read[:] = taken
            target = _places(found[quarter], rows)
            self._quarters[quarter](read.reshape(-1, channels), target)

        parts = chunks(height // 2, width // 2 * channels)
        works = [partial(corrected, quarter, rows) for quarter in range(PASSES) for rows in parts]
        crew.share(lambda work: work(), works)
        return found


def proven(tensors: TensorTree) -> Layer:
    """A layer of the prior that keeps its bound.

    Raises:
        WeightsError: a tensor is missing or of the wrong kind, or the bound does not hold.
    """
    weight, bias, shift = layer = layer_of(tensors)
    if [part.dtype.name for part in layer] != _KINDS:
        raise WeightsError("integer layers hold int8 weights, int32 biases and int8 shifts")
    largest = int(accumulator_bounds(weight, bias).max())
    if largest >= ACCUMULATOR_LIMIT:
        raise WeightsError(f"an integer layer may reach {largest}, not below 2**24")
    return weight, bias, shift


def _places(x: npt.NDArray[np.float32], rows: Rows) -> Floats:
    """Rows of `(h, w, C)` as `(n, C)` in the same memory."""
    return x[slice(*rows)].reshape(-1, x.shape[2])


def _clip(x: Floats, *, least: int = -ACTIVATION_MAX) -> None:
    x.clip(np.float32(least), np.float32(ACTIVATION_MAX - 1), out=x)
