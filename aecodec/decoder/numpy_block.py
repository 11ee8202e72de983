"""The block of the exact transforms in NumPy; SPECIFICATION.md, section 11.5."""

import numpy as np

from aecodec.decoder.bounds import (
    ACCUMULATOR_LIMIT,
    FRACTIONS,
    INPUT_LIMIT,
    STREAM_LIMIT,
    exact_bounds,
)
from aecodec.decoder.numpy_layers import (
    Depthwise,
    PerChannel,
    Products,
    Rows,
    bordered,
    check_shifts,
    chunks,
    layer_of,
    powers,
)
from aecodec.decoder.work_sharing import Crew, Floats
from aecodec.errors import WeightsError
from aecodec.models.weights import Array, TensorTree

HALF = np.float32(0.5)


class ExactBlock:
    """A block: two branches, which are added to a stream one after the other."""

    def __init__(self, tensors: TensorTree) -> None:
        """Prepares the layers and proves that they are exact.

        Args:
            tensors: the parts `mix_in`, `depthwise`, `mix_out`, `expand` and `contract`, see
                SPECIFICATION.md, section 15.4.

        Raises:
            WeightsError: something would not be exact.
        """
        parts = {name: tensors[name] for name in _LAYERS}
        proven = {name: _proven(part) for name, part in parts.items()}
        reads = {name: parts[name].array("input_shift") for name in _LAYERS if name != "mix_out"}
        for shifts in reads.values():
            check_shifts(shifts)
        self._mix_in, self._mix_out, self._expand, self._contract = (
            Products(*proven[name]) for name in ("mix_in", "mix_out", "expand", "contract")
        )
        self._depthwise = Depthwise(*proven["depthwise"])
        self._first_input, self._second_input = (
            PerChannel(powers(reads[name])) for name in ("mix_in", "expand")
        )
        self._inner = Hswish(_fraction(parts["mix_in"]), reads["depthwise"])
        self._outer = Hswish(_fraction(parts["expand"]), reads["contract"])

    def __call__(self, stream: Floats, crew: Crew) -> None:
        """Works in place.

        Args:
            stream: `(h, w, C)` float32 without gaps, integers in [-2**22, 2**22 - 1].
            crew: shares the work.

        Raises:
            ValueError: the stream is of another type, or has gaps.
        """
        if stream.dtype != np.float32 or not stream.flags.c_contiguous:
            raise ValueError("a stream is float32, without gaps")
        height, width, channels = stream.shape
        scratch = crew.scratch
        around = scratch.floats("bordered", height + 2, width + 2, channels)
        inside = bordered(around, 1)

        def mixed(rows: Rows) -> None:
            part = stream[slice(*rows)].reshape(-1, channels)
            x, v, slope = (scratch.floats(name, *part.shape) for name in ("x", "v", "slope"))
            _read(part, self._first_input, x)
            self._mix_in(x, v)
            self._inner(v, slope)
            inside[slice(*rows)] = v.reshape(-1, width, channels)

        def branches(rows: Rows) -> None:
            part = stream[slice(*rows)].reshape(-1, channels)
            x, y = (scratch.floats(name, *part.shape) for name in ("x", "y"))
            v, slope = (scratch.floats(name, len(part), 2 * channels) for name in ("v", "slope"))
            self._depthwise(around, rows, x)
            _clip(x, INPUT_LIMIT)
            self._mix_out(x, y)
            add_to_stream(part, y)
            _read(part, self._second_input, x)
            self._expand(x, v)
            self._outer(v, slope)
            self._contract(v, y)
            add_to_stream(part, y)

        parts = chunks(height, width * channels)
        crew.share(mixed, parts)
        crew.share(branches, parts)


_LAYERS = ("mix_in", "depthwise", "mix_out", "expand", "contract")


class Hswish:
    """The activation as the next layer reads it."""

    def __init__(self, fraction: int, input_shift: Array) -> None:
        """Makes the activation of one layer.

        Args:
            fraction: binary places of what it reads.
            input_shift: `(C,)`, of the layer that reads what it gives.

        Raises:
            WeightsError: the fraction is out of range.
        """
        if fraction not in FRACTIONS:
            raise WeightsError("a fraction of the exact synthesis lies outside 7 to 12")
        self._limit = 1 << (20 - fraction)
        self._knee = 4 << fraction
        self._factor = PerChannel(powers(input_shift))
        self._needs_clip = not self._saturates(int(input_shift.max()))

    def __call__(self, v: Floats, slope: Floats) -> None:
        """`(n, C)` integers, in place; `slope` is memory of the same shape."""
        knee = np.float32(self._knee)
        if self._needs_clip:
            _clip(v, self._limit)
        v.clip(-knee, knee, out=slope)
        np.add(slope, knee, out=slope)
        self._factor.times(slope, slope)
        np.multiply(v, slope, out=v)
        np.add(v, HALF, out=v)
        np.floor(v, out=v)
        _clip(v, INPUT_LIMIT)

    def _saturates(self, shift: int) -> bool:
        """Whether values beyond the clip before the product end at the clip after it anyway.

        Below, the slope is 0 from -knee on, which the clip must not come before.
        """
        top = self._limit - 1
        product = top * (min(top, self._knee) + self._knee)
        return (
            self._limit >= self._knee and (product + (1 << shift >> 1)) >> shift >= INPUT_LIMIT - 1
        )


def exact_blocks(tensors: TensorTree, name: str) -> list[ExactBlock]:
    """The numbered blocks of a part of a weights file; none where it has no such part.

    Raises:
        WeightsError: a number is missing, or something would not be exact.
    """
    parts = tensors.parts.get(name, TensorTree())
    return [ExactBlock(parts[str(number)]) for number in range(len(parts.parts))]


def add_to_stream(stream: Floats, branch: Floats) -> None:
    """Adds, and clips to the range of the stream, in place."""
    np.add(stream, branch, out=stream)
    _clip(stream, STREAM_LIMIT)


def _read(stream: Floats, factor: PerChannel, x: Floats) -> None:
    """What a convolution reads of a stream: shifted, rounded and clipped."""
    factor.times(stream, x)
    np.add(x, HALF, out=x)
    np.floor(x, out=x)
    _clip(x, INPUT_LIMIT)


def _clip(a: Floats, limit: int) -> None:
    a.clip(np.float32(-limit), np.float32(limit - 1), out=a)


def _proven(tensors: TensorTree) -> tuple[Array, Array, Array]:
    """Weight, bias and shift of a layer that keeps its bound."""
    weight, bias, shift = layer_of(tensors)
    largest = int(exact_bounds(weight, bias).max())
    if largest >= ACCUMULATOR_LIMIT:
        raise WeightsError(f"a layer of a block may reach {largest}, not below 2**24")
    return weight, bias, shift


def _fraction(tensors: TensorTree) -> int:
    return int(tensors.array("fraction"))
