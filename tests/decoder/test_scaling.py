"""Smaller pictures equal the shrunk whole, pixel by pixel, for all sizes and kinds of tiles."""

from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture

import aecodec
from aecodec.codec import Codec
from aecodec.format.chunks import LosslessTile, Tile
from aecodec.format.container import parse
from aecodec.format.tiling import Region
from aecodec.options import SCALES
from aecodec.picture.pixels import Pixels, shrink

SMALLER = [scale for scale in SCALES if scale > 1]


def means(pixels: Pixels | npt.NDArray[np.float64], scale: int) -> npt.NDArray[np.float64]:
    """Means of the squares, of those at the border over what is inside."""
    rows, columns = (range(0, side, scale) for side in pixels.shape[:2])
    return np.array(
        [[pixels[y : y + scale, x : x + scale].mean((0, 1)) for x in columns] for y in rows]
    )


@pytest.fixture(scope="module")
def mixed(tiny_codec: Codec) -> dict[tuple[int, int, bool], bytes]:
    """Pictures of learned and lossless tiles, whose sides are multiples of 8 or of nothing."""
    files = {}
    for height, width, gray in ((192, 160, False), (195, 141, False), (150, 201, True)):
        pixels = make_picture(height, width)[:, :, 0] if gray else make_picture(height, width)
        pixels = pixels // 2 + 64  # far from black and white, which the decoder clips to
        pixels[64:128, 64:128] = 40
        pixels[128:, :64] = 200
        data = tiny_codec.compress(pixels, 90, tile_exponent=6)
        assert {type(tile) for tile in parse(data).tiles} == {Tile, LosslessTile}
        files[height, width, gray] = data
    return files


@pytest.mark.parametrize("scale", SMALLER)
def test_scaled_pictures_are_means_of_the_whole(
    tiny_codec: Codec, mixed: dict[tuple[int, int, bool], bytes], scale: int
) -> None:
    for (height, width, _), data in mixed.items():
        whole = tiny_codec.decompress_array(data)
        assert whole.min() > 0
        assert whole.max() < 255
        found = tiny_codec.decompress_array(data, scale=scale)
        assert found.shape[:2] == (-(-height // scale), -(-width // scale))
        assert np.abs(found - means(whole, scale)).max() <= 1.0


@pytest.mark.parametrize("scale", SMALLER)
@pytest.mark.parametrize(
    "region", [Region(0, 0, 1, 1), Region(8, 16, 40, 24), Region(33, 61, 70, 101)]
)
def test_regions_grow_to_whole_squares(
    tiny_codec: Codec,
    mixed: dict[tuple[int, int, bool], bytes],
    region: Region,
    scale: int,
) -> None:
    data = mixed[195, 141, False]
    whole = tiny_codec.decompress_array(data, scale=scale)
    expected = whole[
        region.top // scale : -(-(region.top + region.height) // scale),
        region.left // scale : -(-(region.left + region.width) // scale),
    ]
    for source in (data, BytesIO(data)):
        part = tiny_codec.decompress_array(source, region=region, scale=scale)
        assert part.shape == expected.shape
        assert np.abs(part.astype(int) - expected).max() <= 1


def test_lossless_pixels_are_shrunk_as_pillow_does() -> None:
    pixels = make_picture(21, 19)
    assert np.abs(shrink(pixels, 4) - means(pixels, 4)).max() <= 0.5
    assert shrink(pixels[:, :, 0], 8).shape == (3, 3)


def test_the_module_functions_take_regions_and_scales() -> None:
    data = aecodec.compress(make_picture(40, 64))
    assert aecodec.decompress(data, scale=2).size == (32, 20)
    assert aecodec.decompress_array(data, region=Region(0, 0, 8, 9), scale=0.25).shape == (3, 2, 3)
