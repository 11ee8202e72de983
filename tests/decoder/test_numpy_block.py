"""The block of the exact transforms: random weights up to the bounds, against plain integers."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from exact_reference import SynthesisReference

from aecodec.decoder.bounds import ACCUMULATOR_LIMIT, INPUT_LIMIT, exact_bounds
from aecodec.decoder.numpy_block import ExactBlock, Hswish
from aecodec.decoder.work_sharing import Crew
from aecodec.errors import WeightsError
from aecodec.models.weights import TensorTree

LAYERS = {"mix_in": (1, 1, 1), "depthwise": (1, 0, 3), "mix_out": (1, 1, 1), "expand": (2, 1, 1),
          "contract": (1, 2, 1)}  # fmt: skip
"""Outputs and inputs in widths, 0 for one input of each output, and the kernel."""


def random_layer(
    rng: np.random.Generator, outputs: int, inputs: int, kernel: int, shifts: tuple[int, int]
) -> TensorTree:
    """A layer whose sums reach the bound almost exactly, in some channels."""
    shape = (outputs, inputs, kernel, kernel)
    weight = rng.normal(0, 1, shape) * rng.choice([1, 1e3, 1e6], (outputs, 1, 1, 1))
    budget = (ACCUMULATOR_LIMIT - 2) // INPUT_LIMIT
    total = np.abs(weight).sum((1, 2, 3), keepdims=True)
    weight = np.trunc(weight * np.minimum(1.0, budget / total)).clip(-(2**15), 2**15 - 1)
    weight = weight.astype(np.int16)
    left = ACCUMULATOR_LIMIT - 1 - exact_bounds(weight, np.zeros(outputs, np.int32))
    bias = np.trunc(left * rng.uniform(-1, 1, outputs)).astype(np.int32)
    return TensorTree(
        {
            "weight": weight,
            "bias": bias,
            "shift": rng.integers(*shifts, outputs, np.int8, endpoint=True),
        }
    )


def random_block(
    seed: int, width: int, fraction: int, shifts: tuple[int, int], reads: tuple[int, int]
) -> TensorTree:
    """A block of random weights.

    Args:
        seed: of the weights.
        width: channels.
        fraction: of both activations.
        shifts: smallest and largest shift.
        reads: smallest and largest shift of what layers read.
    """
    rng = np.random.default_rng(seed)
    block = TensorTree()
    for name, (outputs, inputs, kernel) in LAYERS.items():
        layer = random_layer(rng, outputs * width, max(1, inputs * width), kernel, shifts)
        if name != "mix_out":
            count = max(1, inputs) * width
            layer.arrays["input_shift"] = rng.integers(*reads, count, np.int8, endpoint=True)
        if name in ("mix_in", "expand"):
            layer.arrays["fraction"] = np.array(fraction, np.int8)
        block.parts[name] = layer
    return block


def random_stream(seed: int, height: int, width: int, channels: int) -> npt.NDArray[np.float32]:
    """Integers of every size that a stream can have, and both of its ends."""
    rng = np.random.default_rng(seed)
    sizes = rng.choice([1.0, 100.0, 1e4, 2**22], (height, width, channels))
    stream = np.floor(rng.uniform(-1, 1, sizes.shape) * sizes)
    stream[rng.random(sizes.shape) < 0.02] = -(2**22)
    stream[rng.random(sizes.shape) < 0.02] = 2**22 - 1
    found: npt.NDArray[np.float32] = stream.astype(np.float32)
    return found


@pytest.mark.parametrize("fraction", range(7, 13))
@pytest.mark.parametrize(
    ("shifts", "reads"), [((0, 4), (0, 2)), ((8, 16), (3, 12)), ((0, 24), (0, 24))]
)
def test_the_reference_agrees(
    fraction: int, shifts: tuple[int, int], reads: tuple[int, int]
) -> None:
    for seed, (width, height, columns) in enumerate(((5, 3, 7), (12, 9, 8), (16, 1, 1))):
        tensors = random_block(seed, width, fraction, shifts, reads)
        stream = random_stream(seed, height, columns, width)
        expected = SynthesisReference(tensors).block("", stream.transpose(2, 0, 1).astype(np.int64))
        ExactBlock(tensors)(stream, Crew(1))
        np.testing.assert_array_equal(stream, expected.transpose(1, 2, 0))


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_agree(threads: int) -> None:
    tensors = random_block(1, 24, 8, (4, 16), (2, 10))
    block, stream = ExactBlock(tensors), random_stream(2, 150, 61, 24)
    alone, shared = stream.copy(), stream.copy()
    block(alone, Crew(1))
    block(shared, Crew(threads))
    np.testing.assert_array_equal(alone, shared)
    assert not np.array_equal(alone, stream)


@pytest.mark.parametrize("fraction", range(7, 13))
def test_activations_of_all_inputs(fraction: int) -> None:
    """Each value that a layer can give, under every shift of the next one."""
    v = np.arange(-(2**17), 2**17)
    v = np.concatenate((v, 2**17 + 97 * np.arange(2**16), -(2**17) - 97 * np.arange(2**16)))
    product = SynthesisReference(TensorTree()).hswish(v, fraction)
    for shift in range(25):
        found = v.astype(np.float32)[:, None]
        Hswish(fraction, np.array([shift], np.int8))(found, np.empty_like(found))
        expected = (product + (1 << shift >> 1)) >> shift
        np.testing.assert_array_equal(found[:, 0], expected.clip(-1024, 1023))


@pytest.mark.parametrize("fraction", [6, 13])
def test_fractions_beyond_their_range_are_refused(fraction: int) -> None:
    with pytest.raises(WeightsError, match="fraction"):
        Hswish(fraction, np.ones(4, np.int8))


@pytest.mark.parametrize("name", LAYERS)
def test_layers_beyond_the_bound_are_refused(name: str) -> None:
    tensors = random_block(3, 6, 8, (4, 8), (2, 4))
    layer = tensors[name]
    ExactBlock(tensors)
    bound = int(exact_bounds(layer.array("weight"), np.zeros(1, np.int32))[0])
    layer.array("bias")[0] = ACCUMULATOR_LIMIT - bound
    with pytest.raises(WeightsError, match="may reach 16777216"):
        ExactBlock(tensors)
    layer.array("bias")[0] -= 1
    ExactBlock(tensors)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("shift", [-1, 25])
def test_shifts_beyond_their_range_are_refused(name: str, shift: int) -> None:
    for kind in ("shift", "input_shift"):
        tensors = random_block(3, 6, 8, (4, 8), (2, 4))
        if kind in tensors[name].arrays:
            tensors[name].array(kind)[-1] = shift
            with pytest.raises(WeightsError, match="shift"):
                ExactBlock(tensors)


def test_streams_of_other_kinds_are_refused() -> None:
    block, crew = ExactBlock(random_block(3, 6, 8, (4, 8), (2, 4))), Crew(1)
    others: list[Any] = [np.zeros((4, 4, 6)), np.zeros((6, 4, 4), np.float32).transpose(1, 2, 0)]
    for stream in others:
        with pytest.raises(ValueError, match="stream"):
            block(stream, crew)
