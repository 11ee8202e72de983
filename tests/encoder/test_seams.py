"""The transforms do not know about tiles: latents and pixels are those of the whole picture."""

import numpy as np
import pytest
from conftest import make_picture

from aecodec.decoder.tile_synthesis import TileSynthesis
from aecodec.encoder.effort import EFFORTS
from aecodec.encoder.networks import EncoderModel
from aecodec.encoder.picture_quality import PictureQuality
from aecodec.encoder.tile import TileEncoder
from aecodec.format.chunks import Header, PixelFormat
from aecodec.format.constants import STRIDE
from aecodec.format.tiling import latent_grid, tile_boxes

HEIGHT, WIDTH, QUALITY_INDEX = 300, 280, 300
GRID = latent_grid(HEIGHT, WIDTH)
LEARNED = np.zeros((GRID.height, GRID.width), np.bool_)


def header(exponent: int) -> Header:
    return Header(WIDTH, HEIGHT, PixelFormat.RGB8, exponent, QUALITY_INDEX, b"tiny")


@pytest.mark.parametrize("effort", [0, 1, 2, 3])
def test_tiles_are_analyzed_exactly_as_the_whole_is(effort: int, tiny_coder: EncoderModel) -> None:
    encoder = TileEncoder(tiny_coder, PictureQuality(QUALITY_INDEX), EFFORTS[effort])
    pixels = make_picture(HEIGHT, WIDTH)
    y = encoder.view(pixels, GRID, LEARNED).latents()
    for box in tile_boxes(header(6)):
        part = encoder.view(pixels, box, LEARNED).latents()
        np.testing.assert_array_equal(part, y[box.slices()])


def test_tiles_are_decoded_exactly_as_the_whole_is(tiny_coder: EncoderModel) -> None:
    channels = tiny_coder.decoder.config.latent_channels
    rng = np.random.default_rng(2)
    y_hat = rng.integers(-60, 60, (GRID.height, GRID.width, channels)).astype(np.int16)
    boxes = list(tile_boxes(header(6)))
    tiled = TileSynthesis(
        tiny_coder.decoder, header(6), LEARNED, lambda n: y_hat[boxes[n].slices()],
        sixteen_bit=False,
    )  # fmt: skip
    whole = TileSynthesis(
        tiny_coder.decoder, header(10), LEARNED, lambda _: y_hat, sixteen_bit=False
    )
    expected = whole.pixels(GRID, GRID)
    for box in boxes:
        np.testing.assert_array_equal(tiled.pixels(box, box), expected[box.slices(STRIDE)])
