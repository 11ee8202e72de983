"""Models with several blocks at stride 16: the specification, runtimes, threads and files agree."""

from pathlib import Path

import numpy as np
import pytest
from conftest import COARSE, export_tiny, make_busy_model, make_picture
from exact_reference import SynthesisReference
from native_kernel import LEVELS, needs_kernel, on_kernel, on_numpy

from aecodec.codec import Codec
from aecodec.decoder.networks import YHat
from aecodec.decoder.runtime_choice import VARIABLE
from aecodec.encoder.networks import EncoderModel
from aecodec.format.tiling import Region
from aecodec.models.weights import Weights, read_weights


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("coarse") / "coarse.safetensors"
    export_tiny(make_busy_model(COARSE), path)
    return path


@pytest.fixture(scope="module")
def weights(path: Path) -> Weights:
    return read_weights(path)


def kernels(weights: Weights, patch: pytest.MonkeyPatch, threads: int) -> list[EncoderModel]:
    """The model on each level of the kernel, the fastest first."""
    return [on_kernel(weights, patch, level, threads) for level in reversed(LEVELS)]


def latents(rows: int, columns: int, spread: int) -> YHat:
    rng = np.random.default_rng(spread)
    return rng.integers(-spread, spread, (rows, columns, COARSE.latent_channels), np.int16)


@pytest.mark.parametrize("spread", [60, 2**15])
def test_pixels_are_those_of_the_specification(
    spread: int, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    y = latents(5, 4, spread)
    expected = SynthesisReference(weights.tensors["synthesis"]).decode(
        y.transpose(2, 0, 1).astype(np.int64), 211, 65535, gray=False
    )
    for model in (on_numpy(weights, monkeypatch), *kernels(weights, monkeypatch, 1)):
        found = model.decoder.synthesis.pixels(
            y, 211, scale=1, inside=(80, 64), sixteen_bit=True, gray=False
        )
        np.testing.assert_array_equal(found, expected)


@needs_kernel
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_give_the_same(
    threads: int, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every scale, of a picture that keeps all threads busy."""
    reference, (model, *_) = on_numpy(weights, monkeypatch), kernels(weights, monkeypatch, threads)
    y, pixels = latents(21, 33, 300), make_picture(16 * 21, 16 * 33)
    np.testing.assert_array_equal(model.analyze(pixels, 200), reference.analyze(pixels, 200))
    for scale in (1, 2, 4, 8):
        found, expected = (
            each.decoder.synthesis.pixels(
                y, 200, scale=scale, inside=(16 * 21, 16 * 33), sixteen_bit=False, gray=False
            )
            for each in (model, reference)
        )
        np.testing.assert_array_equal(found, expected)


@needs_kernel
def test_files_are_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of tiles smaller than the halo, whole and in parts."""
    assert (COARSE.analysis_halo, COARSE.synthesis_halo) == (4, 3)
    picture, files, region = make_picture(150, 201), set(), Region(50, 90, 70, 60)
    for runtime in ("numpy", "native"):
        monkeypatch.setenv(VARIABLE, runtime)
        codec = Codec(path, threads=2)
        assert codec.encoder.decoder.is_native == (runtime == "native")
        data = codec.compress(picture, 70, tile_exponent=6)
        whole = codec.decompress_array(data)
        part = codec.decompress_array(data, region=region)
        np.testing.assert_array_equal(part, whole[region.slices()])
        files.add((data, whole.tobytes()))
    assert len(files) == 1
