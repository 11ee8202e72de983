"""How a model starts: as a linear codec, calibrated, or from released weights."""

import math
from pathlib import Path

import pytest
import torch
from conftest import TINY, make_tiny_model
from torch import Tensor

from aecodec.autoencoder.layers import Block
from aecodec.autoencoder.model import ForwardOutput, HyperpriorModel
from aecodec.models.config import ModelConfig
from aecodec.models.weights import read_weights
from aecodec.training.initialization import (
    SCALE_LIMIT,
    fit_block_scale,
    fit_scales,
    start_linear,
    trainable_state,
    uniform_step,
)


def smooth_patches(count: int) -> Tensor:
    torch.manual_seed(0)
    coarse = torch.rand(count, 3, 8, 8)
    return torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bicubic").clamp(0, 1)


def psnr(output: ForwardOutput, x: Tensor) -> float:
    return -10 * math.log10((output.x_hat - x).square().mean().item())


def test_steps_shrink_with_quality() -> None:
    low, high = uniform_step(torch.tensor([0.0, 1.0])).tolist()
    assert low / high == pytest.approx(math.sqrt(200))
    assert 255 * low == pytest.approx(math.sqrt(18 / math.log(2) / 0.001))


@torch.no_grad()
def test_linear_start_reconstructs_smooth_pictures() -> None:
    """36 coefficients keep what bicubic ramps hold: above 36 dB at the highest quality."""
    model = HyperpriorModel(ModelConfig(24, 36, 4, 8, 2, 2))
    patches = smooth_patches(16)
    start_linear(model, patches)
    outputs = [model(patches, torch.full((16,), q), noisy=False) for q in (0.0, 0.5, 1.0)]
    assert psnr(outputs[-1], patches) > 36
    fidelity = [psnr(output, patches) for output in outputs]
    assert fidelity == sorted(fidelity)
    bpp = [output.bpp.mean().item() for output in outputs]
    assert bpp == sorted(bpp)


@torch.no_grad()
def test_linear_start_has_an_orthonormal_basis() -> None:
    model = HyperpriorModel(TINY)
    start_linear(model, smooth_patches(16))
    for conv in (model.analysis.entry, model.analysis.down):
        rows = conv.weight.flatten(1)
        torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows)), atol=1e-5, rtol=0)
    assert torch.equal(model.analysis.down.weight, model.synthesis.up.weight)


@torch.no_grad()
def test_linear_start_gives_latents_of_the_scale_that_the_prior_expects() -> None:
    """They deviate by what `base` says at the highest quality, within 10 %."""
    model = HyperpriorModel(TINY)
    patches = smooth_patches(16)
    start_linear(model, patches)
    q = torch.ones(16)
    y = model.analysis(patches, q)
    deviation = y.square().mean((0, 2, 3)).sqrt()
    expected = model.prior.scales(model.prior.base_index(q[:1]))[0, :, 0, 0]
    torch.testing.assert_close(deviation, expected, rtol=0.1, atol=0.05)


@torch.no_grad()
def test_flat_pictures_do_not_break_the_linear_start() -> None:
    model = HyperpriorModel(TINY)
    start_linear(model, torch.full((2, 3, 64, 64), 0.25))
    x = torch.full((1, 3, 64, 64), 0.25)
    output = model(x, torch.ones(1), noisy=False)
    assert psnr(output, x) > 40
    assert bool(output.bpp.isfinite().all())


@torch.no_grad()
def test_calibrated_blocks_read_numbers_of_order_one() -> None:
    model = HyperpriorModel(TINY)
    patches, q = smooth_patches(16), torch.linspace(0, 1, 16)
    start_linear(model, patches)
    before = model(patches, q, noisy=False)
    fit_scales(model, patches, q)
    after = model(patches, q, noisy=False)
    torch.testing.assert_close(after.x_hat, before.x_hat, rtol=0, atol=5e-3)
    for part in (model.analysis, model.synthesis):
        scales = torch.cat([m.scale.flatten() for m in part.modules() if isinstance(m, Block)])
        assert scales.max() > 1
        assert bool((scales.log2() % 1 == 0).all())


@torch.no_grad()
def test_calibrating_keeps_what_a_block_computes() -> None:
    """Scales are powers of two, so that not even rounding changes it."""
    torch.manual_seed(0)
    block = Block(16)
    for p in block.parameters():
        p.normal_(0, 0.5)
    deviation = torch.logspace(-3, 1, 16)
    x = torch.randn(2, 16, 8, 8) * deviation[:, None, None]
    before = block(x)
    fit_block_scale(block, deviation)
    assert block.scale.flatten().tolist() == sorted(block.scale.flatten().tolist(), reverse=True)
    assert block.scale.min() == 1.0
    assert block.scale.max() == SCALE_LIMIT
    torch.testing.assert_close(block(x), before)


@torch.no_grad()
def test_a_pointwise_branch_without_activation_is_renewed() -> None:
    """What was linear of it stays, within a per mille; most channels become free."""
    torch.manual_seed(0)
    block = Block(16)
    low_rank = torch.randn(32, 2) @ torch.randn(2, 16) * 1e-3
    block.expand.weight.copy_(low_rank[:, :, None, None])
    block.expand.bias.normal_(0, 1)  # type: ignore[union-attr]  # it has one
    block.contract.weight.normal_(0, 1)
    block.contract.bias.normal_(0, 0.1)  # type: ignore[union-attr]  # it has one
    x = torch.randn(2, 16, 8, 8) * 0.1
    before = block(x)
    fit_block_scale(block, torch.full((16,), 0.1))
    assert int((block.contract.weight.abs().sum((0, 2, 3)) > 0).sum()) == 2
    assert block.expand.weight.std() > 0.1
    torch.testing.assert_close(block(x), before, atol=1e-3, rtol=0)


def test_wider_models_than_there_are_components_learn_with_all_channels() -> None:
    """The surplus of an overcomplete model changes nothing at first."""
    torch.manual_seed(0)
    model, patches = HyperpriorModel(ModelConfig(196, 792, 4, 8, 1, 1)), smooth_patches(4)
    start_linear(model, patches)
    output = model(patches, torch.ones(4), noisy=False)
    assert psnr(output, patches) > 36
    (output.x_hat - patches + 0.1).square().sum().backward()
    for weight in (model.synthesis.up.weight, model.analysis.down.weight):
        assert weight.grad is not None
    assert bool(model.analysis.down.weight.grad[-1].any())  # type: ignore[index]  # it has one


def test_released_weights_train_close_to_the_original(tiny_weights: Path) -> None:
    model, original = HyperpriorModel(TINY), make_tiny_model()
    model.load_state_dict(trainable_state(read_weights(tiny_weights)))
    torch.manual_seed(0)
    x, q = torch.rand(1, 3, 64, 64), torch.tensor([0.6])
    with torch.no_grad():
        outputs = [m(x, q, noisy=False) for m in (model, original)]
    assert outputs[0].bpp.item() == pytest.approx(outputs[1].bpp.item(), rel=0.02)
    assert psnr(outputs[0], x) == pytest.approx(psnr(outputs[1], x), abs=0.1)
