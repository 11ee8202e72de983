"""The exact prior in NumPy: a second decoder in plain integers, threads, random weights, bounds."""

from copy import deepcopy

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture
from exact_reference import PASS_POSITION, PriorReference

from aecodec.codec import Codec
from aecodec.decoder.bounds import ACCUMULATOR_LIMIT, accumulator_bounds
from aecodec.decoder.latents import Grid, decode_latents
from aecodec.decoder.networks import Prior
from aecodec.decoder.numpy_prior import NumpyPrior
from aecodec.decoder.passes import SteppedPrior, take_quarter
from aecodec.decoder.work_sharing import Crew
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.networks import EncoderModel
from aecodec.errors import WeightsError
from aecodec.format.chunks import Tile
from aecodec.format.container import parse
from aecodec.models.weights import TensorTree


@pytest.mark.parametrize(("height", "width"), [(64, 64), (90, 50), (1, 1), (130, 70)])
@pytest.mark.parametrize("quality", [0, 55, 100])
def test_a_second_decoder_agrees_symbol_for_symbol(
    tiny_codec: Codec, height: int, width: int, quality: int
) -> None:
    data = tiny_codec.compress(make_picture(height, width), quality, lossless_tiles=False)
    stream = parse(data)
    (tile,) = stream.tiles
    assert isinstance(tile, Tile)
    grid = Grid(-(-height // 16), -(-width // 16))
    index = stream.header.quality_index
    tensors = tiny_codec.encoder.weights.tensors["prior"]
    reference = PriorReference(tensors, tile.words).decode(grid, index)
    decoded = decode_latents(tiny_codec.encoder.decoder.prior, tile, grid, index)
    np.testing.assert_array_equal(reference, decoded)


def extreme_latents(seed: int, shape: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    """Latents with outliers far beyond every table, so that escapes and clips take part."""
    rng = np.random.default_rng(seed)
    y = rng.normal(0, 3, shape) * rng.choice([1, 30, 4000], shape, p=[0.9, 0.08, 0.02])
    extreme: npt.NDArray[np.float32] = y.astype(np.float32)
    return extreme


def test_extreme_latents_survive_both_decoders(tiny_coder: EncoderModel) -> None:
    prior = tiny_coder.decoder.prior
    y = extreme_latents(3, (6, 5, 16))
    z = extreme_latents(4, (2, 2, 4))
    tile, y_hat = encode_latents(prior, y, z, 333)
    np.testing.assert_array_equal(decode_latents(prior, tile, Grid(6, 5), 333), y_hat)
    decoder = PriorReference(tiny_coder.weights.tensors["prior"], tile.words)
    np.testing.assert_array_equal(decoder.decode(Grid(6, 5), 333), y_hat)
    assert np.abs(y_hat).max() >= 2**15 - 1


@pytest.fixture(scope="module")
def tensors(tiny_coder: EncoderModel) -> TensorTree:
    """The prior of a tiny model."""
    return tiny_coder.weights.tensors["prior"]


def test_threads_give_the_same_words(tensors: TensorTree, tiny_coder: EncoderModel) -> None:
    y, z = extreme_latents(5, (90, 121, 16)), extreme_latents(6, (23, 31, 4))
    tables = tiny_coder.decoder.prior.tables
    results = [
        encode_latents(
            Prior(tables, SteppedPrior(tables, NumpyPrior(tensors, Crew(threads)))), y, z, 100
        )
        for threads in (1, 2, 3)
    ]
    for tile, y_hat in results[1:]:
        assert tile == results[0][0]
        np.testing.assert_array_equal(y_hat, results[0][1])


def layers_of(tensors: TensorTree) -> list[TensorTree]:
    """All convolutions of a prior."""
    if "weight" in tensors.arrays:
        return [tensors]
    return [layer for part in tensors.parts.values() for layer in layers_of(part)]


def with_random_layers(tensors: TensorTree, seed: int) -> TensorTree:
    """The same prior with weights and biases that reach the bound, under any shift."""
    rng, changed = np.random.default_rng(seed), deepcopy(tensors)
    for layer in layers_of(changed):
        weight = rng.integers(-128, 128, layer.array("weight").shape, np.int8)
        left = ACCUMULATOR_LIMIT - 1 - accumulator_bounds(weight, np.zeros(1, np.int8))
        assert left.min() > 0
        bias = left * rng.choice([-1, 1, 0.5, 0], len(left))
        shift = rng.integers(0, 25 if seed % 2 else 12, len(left), np.int8)
        layer.arrays.update(weight=weight, bias=bias.astype(np.int32), shift=shift)
    return changed


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_agree_at_the_bound(tensors: TensorTree, seed: int) -> None:
    """Inputs of every size, and only of both ends of their range."""
    changed = with_random_layers(tensors, seed)
    rng = np.random.default_rng(seed)
    ends = [-512, 511] if seed % 2 else [*range(-512, 512)]
    z, known = (rng.choice(ends, shape).astype(np.int64) for shape in ((3, 2, 4), (12, 8, 16)))
    reference, networks = PriorReference(changed, b"\x01\0\0\0"), NumpyPrior(changed, Crew(1))
    expected = reference.features(z.transpose(2, 0, 1), 77)
    features = networks.features(z, 77)
    np.testing.assert_array_equal(features, expected.transpose(1, 2, 0))
    first = reference.conv("hyper_synthesis.head", expected, head=True)
    np.testing.assert_array_equal(networks.first(features), first.transpose(1, 2, 0))
    for k in (1, 2, 3):
        all_places = reference.corrections(k, known.transpose(2, 0, 1), expected).transpose(1, 2, 0)
        scales, means = (take_quarter(part, k) for part in np.split(all_places, 2, axis=2))
        found = networks.corrections(k, known.astype(np.float32), features)
        np.testing.assert_array_equal(found, np.concatenate((scales, means), axis=3))


def test_the_order_of_positions_is_that_of_the_format() -> None:
    assert all(sorted(p) == [0, 1, 2, 3] for p in zip(*PASS_POSITION, strict=True))


def test_layers_that_could_overflow_are_refused(tensors: TensorTree) -> None:
    for number in range(len(layers_of(tensors))):
        changed = deepcopy(tensors)
        layer = layers_of(changed)[number]
        bound = accumulator_bounds(layer.array("weight"), np.zeros(1, np.int8))[0]
        layer.arrays["bias"] = np.zeros(len(layer.array("weight")), np.int32)
        layer.array("bias")[0] = bound - ACCUMULATOR_LIMIT
        with pytest.raises(WeightsError, match=r"2\*\*24"):
            NumpyPrior(changed, Crew(1))
        layer.array("bias")[0] += 1
        NumpyPrior(changed, Crew(1))


@pytest.mark.parametrize("shift", [-1, 25])
def test_shifts_beyond_their_range_are_refused(tensors: TensorTree, shift: int) -> None:
    for number in range(len(layers_of(tensors))):
        changed = deepcopy(tensors)
        layer = layers_of(changed)[number]
        layer.arrays["shift"] = np.array(layer.array("shift"))
        layer.array("shift")[-1] = shift
        with pytest.raises(WeightsError, match="shift"):
            NumpyPrior(changed, Crew(1))


@pytest.mark.parametrize(("name", "kind"), [("weight", np.int16), ("bias", np.int64)])
def test_layers_of_other_types_are_refused(
    tensors: TensorTree, name: str, kind: type[np.signedinteger[npt.NBitBase]]
) -> None:
    changed = deepcopy(tensors)
    layer = changed["hyper_synthesis"]["head"]
    layer.arrays[name] = layer.array(name).astype(kind)
    with pytest.raises(WeightsError, match="int8"):
        NumpyPrior(changed, Crew(1))
