"""Windows reach as far as a model's blocks look, also beyond the next tile; no less would do."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from conftest import TINY, export_tiny, make_busy_model, make_picture

from aecodec.codec import Codec
from aecodec.coding.dead_zone import Floats
from aecodec.decoder.networks import DecoderModel, YHat
from aecodec.decoder.tile_synthesis import TileSynthesis
from aecodec.encoder.effort import Effort
from aecodec.encoder.networks import EncoderModel
from aecodec.encoder.picture_quality import PictureQuality
from aecodec.encoder.tile import TileEncoder
from aecodec.format.chunks import Header, PixelFormat
from aecodec.format.tiling import Region, latent_grid, tile_box, tile_boxes
from aecodec.picture.pixels import Pixels

SIDE = 16 * 19
SHALLOW = replace(TINY, analysis_blocks=1, synthesis_blocks=1)
SYNTHESES = {"synthesis_blocks": 7, "synthesis_coarse_blocks": 4}
ANALYSES = {"analysis_blocks": 7, "analysis_coarse_blocks": 4}
"""Sizes of which one of each kind makes a halo of 5 latents, and one less of it a smaller halo."""


Codecs = Callable[[str], Codec]


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Codecs:
    """Models that are deep in one of their sizes."""

    @cache
    def made(size: str) -> Codec:
        path = tmp_path_factory.mktemp("deep") / f"{size}.safetensors"
        config = replace(SHALLOW, **{size: {**SYNTHESES, **ANALYSES}[size]})
        export_tiny(make_busy_model(config), path)
        return Codec(path)

    return made


def synthesized(model: DecoderModel, y_hat: YHat, exponent: int) -> Pixels:
    """A picture from its latents, tile by tile."""
    header = Header(SIDE, SIDE, PixelFormat.RGB16, exponent, 300, model.model_id)

    def latents(number: int) -> YHat:
        return y_hat[tile_box(header, number).slices()]

    none = np.zeros(y_hat.shape[:2], np.bool_)
    synthesis = TileSynthesis(model, header, none, latents, sixteen_bit=True)
    pixels = np.empty((SIDE, SIDE, 3), np.uint16)
    for box in tile_boxes(header):
        pixels[box.slices(16)] = synthesis.pixels(box, box)
    return pixels


@pytest.mark.parametrize(("size", "blocks"), SYNTHESES.items())
def test_small_tiles_decode_without_seams(size: str, blocks: int, deep: Codecs) -> None:
    model = deep(size).encoder.decoder
    assert model.config.synthesis_halo == 5  # more than the 4 latents of a tile
    shape = (SIDE // 16, SIDE // 16, TINY.latent_channels)
    y_hat = np.random.default_rng(0).integers(-60, 60, shape, np.int16)
    whole = synthesized(model, y_hat, 10)
    np.testing.assert_array_equal(synthesized(model, y_hat, 6), whole)
    nearer = replace(model, config=replace(model.config, **{size: blocks - 1}))
    assert nearer.config.synthesis_halo == 4
    assert (synthesized(nearer, y_hat, 6) != whole).any()


@pytest.mark.parametrize("size", [*SYNTHESES, *ANALYSES])
def test_regions_are_those_of_the_whole(size: str, deep: Codecs) -> None:
    codec = deep(size)
    pixels = make_picture(200, 230)
    pixels[64:128, 64:128] = 40
    data = codec.compress(pixels, 90, tile_exponent=6)
    whole = codec.decompress_array(data)
    for region in (Region(0, 0, 1, 1), Region(60, 130, 80, 50), Region(129, 63, 2, 2)):
        part = codec.decompress_array(data, region=region)
        np.testing.assert_array_equal(part, whole[region.slices()])


def analyzed(model: EncoderModel, pixels: Pixels, exponent: int) -> Floats:
    """The latents of a picture, tile by tile."""
    grid = latent_grid(SIDE, SIDE)
    none = np.zeros((grid.height, grid.width), np.bool_)
    encoder = TileEncoder(model, PictureQuality(300), Effort())
    header = Header(SIDE, SIDE, PixelFormat.RGB8, exponent, 300, b"tiny")
    y = np.empty((grid.height, grid.width, TINY.latent_channels), np.float32)
    for box in tile_boxes(header):
        y[box.slices()] = encoder.view(pixels, box, none).latents()
    return y


@pytest.mark.parametrize(("size", "blocks"), ANALYSES.items())
def test_small_tiles_are_analyzed_without_seams(size: str, blocks: int, deep: Codecs) -> None:
    model = deep(size).encoder
    assert model.decoder.config.analysis_halo == 5
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    whole = analyzed(model, pixels, 10)
    exact = np.abs(analyzed(model, pixels, 6) - whole).max()
    config = replace(model.decoder.config, **{size: blocks - 1})
    assert config.analysis_halo == 4
    nearer = replace(model, decoder=replace(model.decoder, config=config))
    assert np.abs(analyzed(nearer, pixels, 6) - whole).max() > 10 * exact
    assert exact < 1e-5 * np.abs(whole).max()
