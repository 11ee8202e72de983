"""Parts of a picture: the same pixels as in the whole, from no more tiles than they need."""

import numpy as np
import pytest
from conftest import make_picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aecodec.codec import Codec
from aecodec.decoder.latents import Grid, decode_latents
from aecodec.decoder.networks import Prior, YHat
from aecodec.errors import InputError
from aecodec.format.chunks import LosslessTile, Tile
from aecodec.format.container import parse
from aecodec.format.tiling import Region
from aecodec.picture.pixels import Pixels

WIDTH, HEIGHT = 230, 200


@pytest.fixture(scope="module")
def tiled(tiny_codec: Codec) -> bytes:
    """A picture of 4 by 4 tiles, of which some are lossless."""
    pixels = make_picture(HEIGHT, WIDTH)
    pixels[64:128, 64:128] = 40
    data = tiny_codec.compress(pixels, 80, tile_exponent=6)
    kinds = {type(tile) for tile in parse(data).tiles}
    assert len(kinds) == 2
    return data


@pytest.fixture
def whole(tiny_codec: Codec, tiled: bytes) -> Pixels:
    """What the picture decodes to."""
    return tiny_codec.decompress_array(tiled)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_region_equals_that_part_of_the_whole(
    tiny_codec: Codec, tiled: bytes, whole: Pixels, data: st.DataObject
) -> None:
    left = data.draw(st.integers(0, WIDTH - 1))
    top = data.draw(st.integers(0, HEIGHT - 1))
    width = data.draw(st.integers(1, WIDTH - left))
    height = data.draw(st.integers(1, HEIGHT - top))
    part = tiny_codec.decompress_array(tiled, region=Region(left, top, width, height))
    np.testing.assert_array_equal(part, whole[top : top + height, left : left + width])


@pytest.mark.parametrize(
    ("region", "tiles"),
    [
        (Region(0, 0, 1, 1), 1),
        (Region(40, 0, 1, 1), 2),  # one tile, and the one within the halo of 32 pixels
        (Region(0, 0, WIDTH, HEIGHT), 16),
        (Region(0, 0, WIDTH, 1), 4),
        (Region(200, 150, 30, 50), 6),
    ],
)
def test_work_grows_with_the_region(
    tiny_codec: Codec, monkeypatch: pytest.MonkeyPatch, region: Region, tiles: int
) -> None:
    data = tiny_codec.compress(
        make_picture(HEIGHT, WIDTH), 80, tile_exponent=6, lossless_tiles=False
    )
    assert not any(isinstance(tile, LosslessTile) for tile in parse(data).tiles)
    decoded = []

    def count(prior: Prior, tile: Tile, grid: Grid, quality_index: int) -> YHat:
        decoded.append(tile)
        return decode_latents(prior, tile, grid, quality_index)

    monkeypatch.setattr("aecodec.decoder.rows.decode_latents", count)
    tiny_codec.decompress_array(data, region=region)
    assert len(decoded) == tiles


@pytest.mark.parametrize(
    "region",
    [(-1, 0, 5, 5), (0, 0, 0, 5), (0, 0, 5, -2), (WIDTH, 0, 1, 1), (0, 0, WIDTH + 1, 1)],
)
def test_regions_outside_are_refused(
    tiny_codec: Codec, tiled: bytes, region: tuple[int, int, int, int]
) -> None:
    with pytest.raises(InputError, match="region"):
        tiny_codec.decompress_array(tiled, region=Region(*region))
