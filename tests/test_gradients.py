"""The search's view of the loss: what the coder and the decoder would say, and where it falls."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_picture

from aecodec.codec import Codec
from aecodec.encoder.latent_refinement import _objective
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.networks import CodecModel
from aecodec.encoder.rd_objective import Costs, Objective, Slope
from aecodec.encoder.rdoq import DeadZone, Floats
from aecodec.encoder.tile import TileView, hyper_analyze, view_tile
from aecodec.format.quality import lmbda, relative_quality
from aecodec.format.tiling import latent_grid

INDEX = 240
ZONE_WEIGHT = 12.0


def start(model: CodecModel, height: int, width: int) -> tuple[TileView, Floats, Floats]:
    """A tile, its latents, and its hyper-latents, rounded."""
    with torch.inference_mode():
        grid = latent_grid(height, width)
        view = view_tile(model, make_picture(height, width), grid, INDEX)
        y = view.latents()
        return view, y, np.floor(hyper_analyze(model, y, INDEX) + np.float32(0.5))


def slope_at(
    model: CodecModel, objective: Objective, y: Floats, z: Floats, weight: float = ZONE_WEIGHT
) -> Slope:
    return objective(y, z, DeadZone(model.prior.symbol_costs, weight))


@pytest.mark.parametrize("size", [(64, 128), (75, 110)])
def test_the_loss_is_that_of_real_coding(tiny_coder: CodecModel, size: tuple[int, int]) -> None:
    view, y, z = start(tiny_coder, *size)
    with torch.inference_mode(mode=False):
        slope = slope_at(tiny_coder, _objective(tiny_coder, view, INDEX), y, z)
    zone = DeadZone(tiny_coder.prior.symbol_costs, ZONE_WEIGHT)
    tile, y_hat = encode_latents(tiny_coder.prior, y, z, INDEX, dead_zone=zone)
    np.testing.assert_array_equal(slope.decoded * 16, y_hat)
    assert slope.bits <= 8 * len(tile.words) <= slope.bits + 72  # a state of 64 bits, whole words
    q = relative_quality(INDEX)
    latents = torch.from_numpy(slope.decoded).permute(2, 0, 1)[None]
    x_hat = tiny_coder.smooth_synthesis(latents, q).clamp(0, 1)
    error = (x_hat - view.x)[:, :, : size[0], : size[1]].square().sum().item()
    weight = float(lmbda(q)) * 255**2 / 3
    assert slope.distortion == pytest.approx(weight * error, rel=1e-4)


def test_the_distortion_falls_as_the_gradient_says(tiny_coder: CodecModel) -> None:
    view, y, z = start(tiny_coder, 64, 64)
    with torch.inference_mode(mode=False):
        objective = _objective(tiny_coder, view, INDEX)
        slope = slope_at(tiny_coder, objective, y, z)
        latents = torch.from_numpy(slope.decoded).requires_grad_(True)
        (plain,) = torch.autograd.grad(objective._distortion(latents), latents)
        step = 0.01 * plain / plain.abs().max()
        before, after = (
            float(objective._distortion(each).detach()) for each in (latents, latents + step)
        )
    assert after - before == pytest.approx(float((plain * step).sum()), rel=0.05)
    difference = slope.latents - plain.numpy()  # what latents do to the bits of later passes
    assert 0 < np.abs(difference).max() < np.inf


def test_costs_are_tabulated_with_their_slopes(tiny_coder: CodecModel) -> None:
    tables = tiny_coder.prior.scale_tables
    costs = Costs.of(tables, 50)
    symbols = np.array([-3.0, 0.0, 2.0, 900.0], np.float32)
    found = costs.bits.take(costs.places(symbols, np.full(4, 30, np.uint8)))
    wanted = [tables[30].bits(np.array([s], np.int32))[0] for s in (-3, 0, 2, 900)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    middle = costs.places(np.zeros(1, np.float32), np.array([30]))
    change = (costs.bits[31, 50] - costs.bits[29, 50]) / 2
    assert costs.by_table.take(middle)[0] == pytest.approx(change, rel=1e-5)


def test_search_after_decoding_with_the_same_codec(tiny_codec: Codec, tiny_weights: Path) -> None:
    """Decoding may have loaded the model where autograd is off."""
    pixels = make_picture(48, 48)
    codec = Codec(tiny_weights)
    data = tiny_codec.compress(pixels, 50)
    codec.decompress_array(data)
    assert codec.compress(pixels, 50, effort=2) == tiny_codec.compress(pixels, 50, effort=2)
