"""The exact analysis in NumPy against the specification in integers of 64 bits."""

from dataclasses import replace

import analysis_reference
import numpy as np
import pytest
from conftest import TINY, make_picture, make_sixteen_bit

from aecodec.decoder.work_sharing import Crew
from aecodec.encoder.networks import EncoderModel
from aecodec.encoder.numpy_analysis import NumpyAnalysis
from aecodec.errors import WeightsError
from aecodec.models.weights import Array, TensorTree
from aecodec.picture.pixels import Pixels

PICTURES: dict[str, Pixels] = {
    "colour": make_picture(48, 80),
    "one latent": make_picture(16, 16),
    "gray": make_picture(32, 64)[:, :, 0].copy(),
    "black and white": np.where(make_picture(64, 32) > 128, 255, 0).astype(np.uint8),
    "16 bits": make_sixteen_bit(48, 32, 3),
    "gray, 16 bits": make_sixteen_bit(32, 48, 1),
}


def networks(model: EncoderModel, arrays: dict[str, Array], threads: int = 1) -> NumpyAnalysis:
    """The analysis of these tensors, with the prior's tables of a model."""
    tree = TensorTree.of(arrays)
    tables = model.decoder.prior.tables
    return NumpyAnalysis(tree["analysis"], tree["hyper_analysis"], tables, Crew(threads))


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("index", [0, 57, 211, 400])
def test_latents_are_those_of_the_specification(
    name: str, index: int, tiny_coder: EncoderModel
) -> None:
    pixels, tree = PICTURES[name], tiny_coder.weights.tensors
    y = tiny_coder.analyze(pixels, index)
    expected = analysis_reference.analyze(pixels, tree, TINY, index)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y * 1024, expected)
    z = tiny_coder.analysis.hyper(y, index)
    assert z.dtype == np.float32
    np.testing.assert_array_equal(
        z * 2**14, analysis_reference.hyper_analyze(expected, tree, index)
    )


def test_each_latent_may_have_a_quality(tiny_coder: EncoderModel) -> None:
    pixels, tree = make_picture(80, 112), tiny_coder.weights.tensors
    qualities = np.random.default_rng(0).integers(0, 401, (5, 7)).astype(np.int16)
    y = tiny_coder.analyze(pixels, qualities)
    expected = analysis_reference.analyze(pixels, tree, TINY, qualities)
    np.testing.assert_array_equal(y * 1024, expected)
    z = tiny_coder.analysis.hyper(y, qualities)
    expected_z = analysis_reference.hyper_analyze(expected, tree, qualities)
    np.testing.assert_array_equal(z * 2**14, expected_z)


def test_a_map_of_one_quality_is_that_quality(tiny_coder: EncoderModel) -> None:
    pixels, qualities = make_picture(48, 80), np.full((3, 5), 211, np.int16)
    y = tiny_coder.analyze(pixels, qualities)
    np.testing.assert_array_equal(y, tiny_coder.analyze(pixels, 211))
    hyper = tiny_coder.analysis.hyper
    np.testing.assert_array_equal(hyper(y, qualities), hyper(y, 211))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("blocks", "coarse"), [(1, 1), (3, 1), (1, 3)])
def test_the_largest_weights_stay_exact(
    seed: int, blocks: int, coarse: int, tiny_coder: EncoderModel
) -> None:
    config = replace(TINY, analysis_blocks=blocks, analysis_coarse_blocks=coarse)
    arrays = analysis_reference.random_tensors(config, seed)
    tree = TensorTree.of(arrays)
    tree.parts["prior"] = tiny_coder.weights.tensors["prior"]
    found = networks(tiny_coder, arrays)
    rng = np.random.default_rng(seed)
    for pixels in (
        rng.integers(0, 256, (32, 48, 3), np.uint8),
        rng.integers(0, 2**16, (16, 64, 3), np.uint16),
        rng.choice(np.array([0, 2**16 - 1], np.uint16), (32, 16)),
    ):
        y = found.finish(found.begin(pixels), 100 * seed)
        expected = analysis_reference.analyze(pixels, tree, config, 100 * seed)
        np.testing.assert_array_equal(y * 1024, expected)
    latents = rng.integers(-(2**22), 2**22, (5, 7, TINY.latent_channels))
    z = found.hyper(latents.astype(np.float32) / np.float32(1024), 100 * seed)
    expected = analysis_reference.hyper_analyze(latents, tree, 100 * seed)
    np.testing.assert_array_equal(z * 2**14, expected)


def test_any_number_of_threads_gives_the_same(tiny_coder: EncoderModel) -> None:
    arrays = analysis_reference.random_tensors(TINY, 5)
    pixels = make_picture(400, 304)
    found = []
    for threads in (1, 2, 3):
        analysis = networks(tiny_coder, arrays, threads)
        y = analysis.finish(analysis.begin(pixels), 300)
        found.append((y, analysis.hyper(y, 300)))
    for y, z in found[1:]:
        np.testing.assert_array_equal(y, found[0][0])
        np.testing.assert_array_equal(z, found[0][1])


def test_what_was_begun_serves_many_qualities(tiny_coder: EncoderModel) -> None:
    pixels, analysis = make_picture(48, 32), tiny_coder.analysis
    begun = analysis.begin(pixels)
    before = begun.copy()
    for index in (0, 300, 17):
        y = analysis.finish(begun, index)
        np.testing.assert_array_equal(y, tiny_coder.analyze(pixels, index))
    np.testing.assert_array_equal(begun, before)


def test_latents_between_steps_are_rounded(tiny_coder: EncoderModel) -> None:
    y = tiny_coder.analyze(make_picture(64, 64), 200)
    near = y + np.float32(0.4 / 1024)
    hyper = tiny_coder.analysis.hyper
    np.testing.assert_array_equal(hyper(near, 200), hyper(y, 200))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("analysis.entry.shift", 11),
        ("analysis.down.shift", 25),
        ("hyper_analysis.exit.bias", 2**38 + 1),
        ("hyper_analysis.down.bias", -(2**38) - 1),
        ("analysis.first.mix_in.fraction", 13),
        ("analysis.last.contract.input_shift", -1),
        ("hyper_analysis.second.expand.bias", 2**24),
        ("analysis.outer_gain", 12 * 2**16 + 1),
    ],
)
def test_values_beyond_their_bounds_are_refused(
    name: str, value: int, tiny_coder: EncoderModel
) -> None:
    arrays = analysis_reference.random_tensors(TINY, 0)
    arrays[name].reshape(-1)[-1] = value
    with pytest.raises(WeightsError):
        networks(tiny_coder, arrays)


@pytest.mark.parametrize("name", ["analysis.entry", "analysis.down"])
def test_the_sum_of_weights_has_a_bound(name: str, tiny_coder: EncoderModel) -> None:
    arrays = analysis_reference.random_tensors(TINY, 0)
    weight = arrays[f"{name}.weight"].view(np.int16)
    whole, rest = divmod(2**20 - 4, len(weight))
    weight[:, 0] = whole
    weight[:rest, 0] += 1
    networks(tiny_coder, arrays)
    weight[rest, 0] += 1
    with pytest.raises(WeightsError, match="too large"):
        networks(tiny_coder, arrays)


def test_layers_that_do_not_fit_together_are_refused(tiny_coder: EncoderModel) -> None:
    arrays = analysis_reference.random_tensors(TINY, 0)
    arrays["analysis.down.bias"] = arrays["analysis.down.bias"][:-1]
    with pytest.raises(WeightsError, match="fit together"):
        networks(tiny_coder, arrays)
