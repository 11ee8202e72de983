"""Residuals are of what decoders see, also where neighbours were made again or stored.

A learned tile beside a lossless one is made again, and what it then decodes to changes its own
neighbours' pixels: their residuals must follow.
"""

from dataclasses import replace

import numpy as np
import pytest
from conftest import make_picture

from aecodec.codec import Codec
from aecodec.coding.lossless import encode_pixels
from aecodec.format.chunks import LosslessTile, Tile
from aecodec.format.container import parse
from aecodec.format.tiling import Region
from aecodec.picture.pixels import Pixels

SIDES = {6: (150, 200), 7: (200, 270), 8: (270, 300)}
"""Height and width of the picture for each tile exponent."""


def mixed(height: int, width: int, unit: int) -> Pixels:
    """A flat first tile, a checked last corner, noise above it, and smooth parts."""
    pixels = make_picture(height, width)
    pixels[:unit, :unit] = 40
    pixels[-30:, -50:] = (np.indices((30, 50)).sum(0) % 2 * 255)[:, :, None]
    pixels[20:60, -30:] = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    return pixels


@pytest.mark.slow
@pytest.mark.parametrize(("exponent", "bound"), [(6, 3), (7, 0), (7, 1), (8, 3)])
def test_every_sample_keeps_within_the_bound(tiny_codec: Codec, exponent: int, bound: int) -> None:
    pixels = mixed(*SIDES[exponent], 2**exponent)
    data = tiny_codec.compress(pixels, max_error=bound, tile_exponent=exponent, checksum=True)
    assert parse(data).lossless_count
    decoded = tiny_codec.decompress_array(data)
    assert np.abs(decoded.astype(int) - pixels).max() <= bound
    tiny_codec.verify(data)
    part = tiny_codec.decompress_array(data, region=Region(50, 60, 100, 70))
    np.testing.assert_array_equal(part, decoded[60:130, 50:150])


@pytest.mark.slow
@pytest.mark.parametrize("stored", [(0,), (5,), (5, 6), (0, 11)])
def test_few_stored_tiles_among_learned_ones(
    tiny_codec: Codec, monkeypatch: pytest.MonkeyPatch, stored: tuple[int, ...]
) -> None:
    """Only flat ones of 3 by 4 tiles are stored, and all others have a residual."""
    pixels = make_picture(150, 240, seed=1)
    for row, column in (divmod(number, 4) for number in stored):
        pixels[64 * row : 64 * (row + 1), 64 * column : 64 * (column + 1)] = 40

    def encode(part: Pixels, *, thorough: bool = False) -> LosslessTile:
        tile = encode_pixels(part, thorough=thorough)
        return tile if part.min() == part.max() else replace(tile, data=bytes(10**6))

    monkeypatch.setattr("aecodec.encoder.residual_layer.encode_pixels", encode)
    data = tiny_codec.compress(pixels, lossless=True, tile_exponent=6, checksum=True)
    kinds = [type(tile) for tile in parse(data).tiles]
    assert kinds == [LosslessTile if n in stored else Tile for n in range(12)]
    np.testing.assert_array_equal(tiny_codec.decompress_array(data), pixels)
    tiny_codec.verify(data)
