"""Tiles to batches: the same from the device and from a map."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import FAST_RUN, make_picture
from PIL import Image

from aecodec.training.batches import Batches, DeviceTiles, MappedTiles, scale_down, store_tiles
from aecodec.training.data import TILE, Tiles

CPU = torch.device("cpu")
PLAIN = replace(FAST_RUN, downscale=0.0, noise=0.0, batch=8)


@pytest.fixture(scope="module")
def tiles() -> Tiles:
    return np.stack([make_picture(TILE, TILE, seed=seed) for seed in range(3)])


@pytest.mark.parametrize("crop", [64, 320, TILE])
@pytest.mark.parametrize("downscale", [0.0, 0.5, 1.0])
def test_batches_are_the_same_from_the_device_and_from_a_map(
    tiles: Tiles, crop: int, downscale: float
) -> None:
    config = replace(FAST_RUN, crop=crop, downscale=downscale, noise=2.0, batch=6)
    stores = (DeviceTiles(tiles, CPU), MappedTiles(tiles))
    (x, q), (mapped_x, mapped_q) = (Batches(each, config, CPU).at(3) for each in stores)
    torch.testing.assert_close(x, mapped_x)
    assert torch.equal(q, mapped_q)
    assert x.shape == (6, 3, crop, crop)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= x.min() < x.max() <= 1


def test_batches_depend_on_seed_and_step_alone(tiles: Tiles) -> None:
    config = replace(FAST_RUN, batch=4, noise=1.0)
    x, q = Batches(MappedTiles(tiles), config, CPU).at(5)
    again, _ = Batches(MappedTiles(tiles), config, CPU).at(5)
    assert torch.equal(x, again)
    assert not torch.equal(x, Batches(MappedTiles(tiles), config, CPU).at(6)[0])
    other = replace(config, seed=1)
    assert not torch.equal(x, Batches(MappedTiles(tiles), other, CPU).at(5)[0])
    assert sorted((q * 4).floor().tolist()) == [0, 1, 2, 3]


def test_plain_patches_are_crops_turned_every_way(tiles: Tiles) -> None:
    """Each is found in its tile; all eight ways to lie occur."""
    flat = replace(PLAIN, crop=TILE)
    batches = Batches(MappedTiles(tiles[:1]), flat, CPU)
    whole = torch.from_numpy(tiles[0]).permute(2, 0, 1).float() / 255
    turned = [whole, whole.flip(2), whole.flip(1), whole.flip(1, 2)]
    turned += [each.transpose(1, 2) for each in turned]
    seen = set()
    for step in range(8):
        for patch in batches.at(step)[0]:
            seen |= {number for number, way in enumerate(turned) if torch.equal(patch, way)}
    assert seen == set(range(8))


def test_scaling_is_that_of_pillow() -> None:
    """Up to Pillow's rounding to 8 bits in each direction."""
    picture = make_picture(320, 320, seed=1)
    expected = np.asarray(Image.fromarray(picture).resize((192, 192), Image.Resampling.BICUBIC))
    squares = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    scaled = scale_down(squares, torch.tensor([0.6]), torch.zeros(2, 1), 192)
    error = scaled[0].permute(1, 2, 0) * 255 - torch.from_numpy(expected.astype(np.float32))
    assert error.abs().max() < 1.1


def test_scaling_by_one_is_a_crop() -> None:
    squares = torch.rand(2, 3, 100, 100)
    offset = torch.tensor([[0.0, 36.0], [7.0, 20.0]])
    scaled = scale_down(squares, torch.ones(2), offset, 64)
    torch.testing.assert_close(scaled[0], squares[0, :, :64, 7:71])
    torch.testing.assert_close(scaled[1], squares[1, :, 36:, 20:84])


def test_noise_is_as_strong_as_wanted(tiles: Tiles) -> None:
    gray = np.full_like(tiles, 128)
    config = replace(PLAIN, noise=4.0, batch=64)
    x, _ = Batches(MappedTiles(gray), config, CPU).at(0)
    deviation = (255 * x - 128).std((1, 2, 3))
    assert deviation.max() < 4.1
    assert deviation.max() > 3.0
    assert 16 < int((deviation < 1e-3).sum()) < 48
    assert not torch.equal(x[deviation.argmax(), 0], x[deviation.argmax(), 1])


def test_a_processor_reads_what_it_needs_from_the_map(tiles: Tiles) -> None:
    assert isinstance(store_tiles(tiles, CPU), MappedTiles)
    assert len(store_tiles(tiles, CPU)) == len(DeviceTiles(tiles, CPU)) == 3
    assert Batches(MappedTiles(tiles), FAST_RUN, CPU).source_side == math.ceil(64 / 0.6)
