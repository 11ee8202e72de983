"""The kernel against NumPy: random models of several sizes, every instruction level, extremes."""

import numpy as np
import pytest
from native_kernel import LEVELS, SIZES, needs_kernel, on_kernel, on_numpy
from random_models import random_pixels, random_weights

from aecodec.coding.ans import SYMBOL_MAX, SYMBOL_MIN
from aecodec.coding.dead_zone import DeadZone
from aecodec.decoder.latents import Grid
from aecodec.decoder.networks import TilePasses, YHat
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.networks import EncoderModel
from aecodec.errors import PayloadError
from aecodec.format.constants import PASSES

pytestmark = needs_kernel


@pytest.fixture(
    scope="module", params=[(name, seed) for name in SIZES for seed in range(3)], ids=str
)
def models(request: pytest.FixtureRequest) -> tuple[EncoderModel, dict[str, EncoderModel]]:
    """A random model in NumPy, and on each level of the kernel."""
    name, seed = request.param
    weights = random_weights(SIZES[name], seed)
    with pytest.MonkeyPatch.context() as patch:
        by_level = {level: on_kernel(weights, patch, level, 2) for level in LEVELS}
        return on_numpy(weights, patch), by_level


def latents(model: EncoderModel, size: tuple[int, int], seed: int) -> YHat:
    """Of every size, only the ends of the range, or small."""
    rng = np.random.default_rng(seed)
    shape = (*size, model.decoder.config.latent_channels)
    y = rng.integers(-(2**15), 2**15, shape)
    if seed % 3 == 1:
        y = np.where(y < 0, -(2**15), 2**15 - 1)
    return (y if seed % 3 < 2 else y >> 8).astype(np.int16)


@pytest.mark.parametrize("seed", range(6))
def test_pixels_agree(models: tuple[EncoderModel, dict[str, EncoderModel]], seed: int) -> None:
    reference, by_level = models
    rng = np.random.default_rng(seed)
    size = ((1, 1), (3, 14), (5, 7), (2, 13), (9, 2), (4, 25))[seed]
    y, quality = latents(reference, size, seed), int(rng.integers(401))
    for scale in (1, 2, 4, 8):
        inside = tuple(int(rng.integers(1, 20 * side)) for side in size)
        for deep, gray in ((False, False), (False, True), (True, False), (True, True)):
            view = {"scale": scale, "inside": inside, "sixteen_bit": deep, "gray": gray}
            expected = reference.decoder.synthesis.pixels(y, quality, **view)  # type: ignore[arg-type]
            rows, columns = (-(-min(i, 16 * s) // scale) for i, s in zip(inside, size, strict=True))
            for model in by_level.values():
                found = model.decoder.synthesis.pixels(y, quality, **view)  # type: ignore[arg-type]
                assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
                np.testing.assert_array_equal(found[:rows, :columns], expected[:rows, :columns])


@pytest.mark.parametrize("seed", range(3))
def test_passes_and_words_agree(
    models: tuple[EncoderModel, dict[str, EncoderModel]], seed: int
) -> None:
    """Symbols of every size, of which many are escapes."""
    reference, by_level = models
    config, rng = reference.decoder.config, np.random.default_rng(seed)
    grid = Grid(*((4, 8), (5, 6), (1, 3))[seed])
    quality = int(rng.integers(401))
    z = rng.choice([-512, -41, -40, -1, 0, 1, 40, 41, 511], (*grid.hyper, config.hyper_channels))
    passes: dict[str, TilePasses] = {"numpy": reference.decoder.prior.networks.begin(
        z, grid.size, quality
    )}  # fmt: skip
    for level, model in by_level.items():
        passes[level] = model.decoder.prior.networks.begin(z, grid.size, quality)
    for number in range(PASSES):
        levels, means = passes["numpy"].predict()
        most = (2**15, 300, 2)[seed]
        symbols = rng.integers(-most, most, levels.shape).clip(SYMBOL_MIN, SYMBOL_MAX)
        coded = grid.coded(number)
        symbols = (symbols if coded is None else symbols * coded).astype(np.int32)
        for level, each in passes.items():
            if level != "numpy":
                found = each.predict()
                np.testing.assert_array_equal(found[0], levels)
                np.testing.assert_array_equal(found[1], means)
            each.put(symbols)
    y_hat = passes["numpy"].latents()
    words = {level: each.words() for level, each in passes.items() if level != "numpy"}
    assert len(set(words.values())) == 1
    for level, model in by_level.items():
        np.testing.assert_array_equal(passes[level].latents(), y_hat)
        coded_words = words[level]
        assert coded_words is not None
        found_y = model.decoder.prior.networks.decode(coded_words, grid.size, quality)
        np.testing.assert_array_equal(found_y, y_hat)
        with pytest.raises(PayloadError):
            model.decoder.prior.networks.decode(coded_words + b"\1\0\0\0", grid.size, quality)


@pytest.mark.parametrize("seed", range(4))
def test_rounded_latents_agree(
    models: tuple[EncoderModel, dict[str, EncoderModel]], seed: int
) -> None:
    """Latents of usual sizes, on the middle between symbols, and beyond all symbols."""
    reference, by_level = models
    config, rng = reference.decoder.config, np.random.default_rng(seed)
    size = ((4, 4), (5, 9), (1, 2), (8, 3))[seed]
    y = rng.normal(0, 10.0 ** rng.integers(-1, 6), (*size, config.latent_channels))
    latent = (np.round(y * 2) / 2 if seed == 2 else y).astype(np.float32)
    z = rng.normal(0, 20, (*Grid(*size).hyper, config.hyper_channels)).astype(np.float32)
    for zone in (None, DeadZone(reference.symbol_costs, 0.5 + 20 * seed)):
        expected = encode_latents(reference.decoder.prior, latent, z, 100 * seed, dead_zone=zone)
        for model in by_level.values():
            found = encode_latents(model.decoder.prior, latent, z, 100 * seed, dead_zone=zone)
            assert found[0] == expected[0]
            np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("seed", range(4))
def test_analyses_agree(models: tuple[EncoderModel, dict[str, EncoderModel]], seed: int) -> None:
    reference, by_level = models
    rng = np.random.default_rng(seed)
    size = ((1, 1), (3, 5), (2, 7), (6, 1))[seed]
    pixels = random_pixels(rng, *size, deep=seed % 2 == 1, gray=seed > 1)
    quality = int(rng.integers(401))
    y = reference.analyze(pixels, quality)
    z = reference.analysis.hyper(y, quality)
    for model in by_level.values():
        np.testing.assert_array_equal(model.analyze(pixels, quality), y)
        np.testing.assert_array_equal(model.analysis.hyper(y, quality), z)
