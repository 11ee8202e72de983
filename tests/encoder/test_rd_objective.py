"""The search's view of the loss: what the coder and the decoder would say, and where it falls."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import make_picture

from aecodec.autoencoder.mixture_text import parse_mixture
from aecodec.autoencoder.quantization import quantize_ste
from aecodec.autoencoder.transforms import to_model_space
from aecodec.codec import Codec
from aecodec.coding.dead_zone import DeadZone, Floats
from aecodec.decoder.passes import take_quarter
from aecodec.encoder.effort import Effort
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.networks import EncoderModel
from aecodec.encoder.picture_quality import PictureQuality
from aecodec.encoder.rd_objective import LossGradient, Objective, rate_point
from aecodec.encoder.symbol_costs import Costs
from aecodec.encoder.tile import TileEncoder
from aecodec.encoder.tile_view import TileView
from aecodec.format.quality import QUALITY_INDEX_MAX, lmbda, relative_quality
from aecodec.format.quality_map import Indices
from aecodec.format.tiling import latent_grid

INDEX = 240
ZONE_WEIGHT = 12.0


CELLS = np.array([[INDEX, 400], [56, INDEX + 80]], np.int16)
"""Of a map of up to 2x2 cells."""
MIXTURE_CELLS = np.array([[INDEX, 400, 56], [56, INDEX, 80], [400, 80, 80]], np.int16)
MIXTURE = "0.3 mse@2 + 0.4 ms_ssim@1.1 + 0.3 structure_xyb@0.6"


def start(
    model: EncoderModel, height: int, width: int, cells: Indices | None = None
) -> tuple[TileView, Floats, Floats]:
    """A tile, its latents, and its hyper-latents, rounded."""
    grid = latent_grid(height, width)
    none = np.zeros((grid.height, grid.width), np.bool_)
    encoder = TileEncoder(model, PictureQuality(INDEX, cells), Effort())
    view = encoder.view(make_picture(height, width), grid, none)
    y = view.latents()
    z = model.analysis.hyper(y, view.tile_quality)
    return view, y, np.floor(z + np.float32(0.5))


def gradient_at(model: EncoderModel, objective: Objective, y: Floats, z: Floats) -> LossGradient:
    return objective(y, z, DeadZone(model.symbol_costs, ZONE_WEIGHT))


@pytest.mark.parametrize("cells", [None, CELLS], ids=["one quality", "a map"])
@pytest.mark.parametrize("size", [(64, 128), (75, 110)])
def test_the_loss_is_that_of_real_coding(
    tiny_coder: EncoderModel, size: tuple[int, int], cells: Indices | None
) -> None:
    view, y, z = start(tiny_coder, *size, cells)
    found = gradient_at(tiny_coder, Objective(tiny_coder, view), y, z)
    prior = tiny_coder.decoder.prior
    zone = DeadZone(tiny_coder.symbol_costs, ZONE_WEIGHT)
    bits = 0.0

    def count(symbols: npt.NDArray[np.int32], levels: npt.NDArray[np.uint8]) -> None:
        nonlocal bits
        for level in np.unique(levels):
            table = prior.tables.scale_tables[level]
            bits += float(table.bits(symbols[levels == level]).sum())

    quality = view.tile_quality
    tile, y_hat = encode_latents(prior, y, z, quality, dead_zone=zone, observe=count)
    for channel, table in enumerate(prior.tables.hyper_tables):
        bits += float(table.bits(z[:, :, channel].astype(np.int32).reshape(-1)).sum())
    np.testing.assert_array_equal(found.decoded * 16, y_hat)
    assert found.bits == pytest.approx(bits, rel=1e-5)
    assert found.bits <= 8 * len(tile.words) <= found.bits + 72  # a state of 64 bits, whole words
    latents = torch.from_numpy(found.decoded).permute(2, 0, 1)[None]
    qualities = np.broadcast_to(quality, y.shape[:2])
    q = torch.from_numpy(qualities / QUALITY_INDEX_MAX).float()[None]
    x_hat = tiny_coder.trainable.synthesis(latents, q).clamp(0, 1)
    difference = x_hat - to_model_space(view.pixels)
    errors = difference[0, :, : size[0], : size[1]].square().sum(0).numpy()
    weight = 0.0
    for (row, column), index in np.ndenumerate(qualities):
        part = errors[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
        weight += lmbda(relative_quality(int(index))) * 255**2 / 3 * float(part.sum())
    assert found.distortion == pytest.approx(weight, rel=1e-4)


def test_the_distortion_falls_as_the_gradient_says(tiny_coder: EncoderModel) -> None:
    view, y, z = start(tiny_coder, 64, 64)
    objective = Objective(tiny_coder, view)
    found = gradient_at(tiny_coder, objective, y, z)
    latents = torch.from_numpy(found.decoded).permute(2, 0, 1)[None].requires_grad_(True)
    (plain,) = torch.autograd.grad(objective.distortion(latents), latents)
    step = 0.01 * plain / plain.abs().max()
    before, after = (
        float(objective.distortion(each).detach()) for each in (latents, latents + step)
    )
    assert after - before == pytest.approx(float((plain * step).sum()), rel=0.05)
    difference = (
        found.latents - plain[0].permute(1, 2, 0).numpy()
    )  # what latents do to the bits of later passes
    assert 0 < np.abs(difference).max() < np.inf


def mixed(model: EncoderModel) -> EncoderModel:
    """The model with a search that lowers a mixture."""
    return replace(model, search=replace(model.search, distortion=MIXTURE))


@pytest.mark.parametrize("cells", [None, MIXTURE_CELLS], ids=["one quality", "a map"])
def test_a_mixture_counts_by_pixels_and_the_mean_lambda(
    tiny_coder: EncoderModel, cells: Indices | None
) -> None:
    view, y, z = start(tiny_coder, 163, 170, cells)
    found = gradient_at(tiny_coder, Objective(mixed(tiny_coder), view), y, z)
    plain = gradient_at(tiny_coder, Objective(tiny_coder, view), y, z)
    assert found.bits == plain.bits
    qualities = np.broadcast_to(view.quality, y.shape[:2])
    q = torch.from_numpy(qualities / QUALITY_INDEX_MAX).float()[None]
    latents = torch.from_numpy(found.decoded).permute(2, 0, 1)[None]
    x_hat = tiny_coder.trainable.synthesis(latents, q).clamp(0, 1)[:, :, :163, :170]
    x = to_model_space(view.pixels)[:, :, :163, :170]
    mean = np.mean([lmbda(relative_quality(int(index))) for index in qualities.flat])
    expected = parse_mixture(MIXTURE)(x_hat, x).item() * 163 * 170 * mean
    assert found.distortion == pytest.approx(expected, rel=1e-4)
    assert found.distortion != pytest.approx(plain.distortion, rel=1e-3)
    assert 0 < np.abs(found.latents - plain.latents).max() < np.inf


@pytest.mark.parametrize("size", [(160, 170), (170, 160)])
def test_small_windows_count_by_the_squared_error(
    tiny_coder: EncoderModel, size: tuple[int, int]
) -> None:
    view, y, z = start(tiny_coder, *size)
    losses = [
        gradient_at(model, Objective(model, view), y, z).loss
        for model in (tiny_coder, mixed(tiny_coder))
    ]
    assert losses[0] == losses[1]


def test_costs_are_tabulated_with_their_slopes(tiny_coder: EncoderModel) -> None:
    tables = tiny_coder.decoder.prior.tables.scale_tables
    costs = Costs.of(tables, 50)
    symbols = torch.tensor([-3.0, 0.0, 2.0, 900.0, 0.0], requires_grad=True)
    index = torch.tensor([30.4, 29.5, 30.0, 30.0, -1.0], requires_grad=True)
    found = costs(symbols, index)
    wanted = [tables[30].bits(np.array([s], np.int32))[0] for s in (-3, 0, 2, 900)]
    wanted.append(tables[0].bits(np.zeros(1, np.int32))[0])
    np.testing.assert_allclose(found.detach(), wanted, rtol=1e-5)
    by_symbol, by_table = torch.autograd.grad(found.sum(), (symbols, index))
    change = (costs.bits[31, 50] - costs.bits[29, 50]) / 2
    assert by_table[1].item() == pytest.approx(change, rel=1e-5)
    assert by_table[4].item() == 0.0
    change = (costs.bits[30, 53] - costs.bits[30, 51]) / 2
    assert by_symbol[2].item() == pytest.approx(change, rel=1e-5)


@pytest.mark.parametrize("cells", [None, CELLS], ids=["one quality", "a map"])
def test_the_trainable_prior_is_the_integer_prior_with_plain_rounding(
    tiny_coder: EncoderModel, cells: Indices | None
) -> None:
    view, y, z = start(tiny_coder, 128, 64, cells)
    quality = view.tile_quality
    levels: list[npt.NDArray[np.uint8]] = []
    prior = tiny_coder.decoder.prior
    _, y_hat = encode_latents(prior, y, z, quality, observe=lambda _, found: levels.append(found))
    latents, z_hat = (torch.from_numpy(each).permute(2, 0, 1)[None] for each in (y, z))
    with torch.no_grad():
        coded = tiny_coder.trainable.prior.code(
            latents,
            z_hat,
            rate_point(tiny_coder, quality),
            lambda residual, _index, _mask: quantize_ste(residual),
            mixed=False,
            quantized=True,
        )
    np.testing.assert_array_equal(coded.y_hat[0].permute(1, 2, 0) * 16, y_hat)
    index = torch.floor(coded.index[0].permute(1, 2, 0) + 0.5).clamp(0, 63).numpy()
    for number, found in enumerate(levels):
        np.testing.assert_array_equal(take_quarter(index, number).reshape(-1), found)


def test_a_search_keeps_no_model_alive(tiny_weights: Path) -> None:
    codec = Codec(tiny_weights)
    codec.compress(make_picture(32, 32), 50, effort=3)
    prior = weakref.ref(codec.encoder.trainable.prior)
    del codec
    gc.collect()
    assert prior() is None


def test_search_after_decoding_with_the_same_codec(tiny_codec: Codec, tiny_weights: Path) -> None:
    """Decoding may have loaded the model where autograd is off."""
    pixels = make_picture(48, 48)
    codec = Codec(tiny_weights)
    data = tiny_codec.compress(pixels, 50)
    codec.decompress_array(data)
    assert codec.compress(pixels, 50, effort=3) == tiny_codec.compress(pixels, 50, effort=3)
