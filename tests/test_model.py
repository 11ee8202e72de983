"""The whole autoencoder: linear start, lambda, size and cost of the default model."""

import math

import pytest
import torch
from conftest import TINY, make_picture, make_tiny_model
from torch import Tensor

from aecodec.autoencoder.layers import Block, FixedPointConv2d
from aecodec.autoencoder.model import HyperpriorModel
from aecodec.autoencoder.transforms import to_model_space
from aecodec.format.quality import lmbda
from aecodec.models.config import ModelConfig
from aecodec.training.initialization import uniform_step
from benchmarks.parts import kmacs

PARAMETERS_MAX = 5e6
DECODER_KMACS_MAX = 16.0
CODEC_KMACS_MAX = 26.0


def smooth_patches(count: int) -> Tensor:
    torch.manual_seed(0)
    coarse = torch.rand(count, 3, 8, 8)
    return torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bicubic").clamp(0, 1)


def psnr(mse: Tensor) -> float:
    return -10 * math.log10(mse.mean().item())


def test_lambda_runs_from_a_thousandth_to_a_fifth() -> None:
    q = torch.tensor([0.0, 0.5, 1.0])
    assert lmbda(q).tolist() == pytest.approx([0.001, 0.001 * math.sqrt(200), 0.2])


def test_steps_shrink_with_quality() -> None:
    low, high = uniform_step(torch.tensor([0.0, 1.0])).tolist()
    assert low / high == pytest.approx(math.sqrt(200))
    assert 255 * low == pytest.approx(math.sqrt(18 / math.log(2) / 0.001))


def test_shapes_of_a_forward_pass() -> None:
    torch.manual_seed(0)
    model = HyperpriorModel(TINY)
    output = model(torch.rand(2, 3, 64, 128), torch.tensor([0.2, 0.9]))
    assert output.x_hat.shape == (2, 3, 64, 128)
    assert output.bpp.shape == output.mse.shape == output.z_bpp.shape == (2,)
    assert bool((output.bpp > output.z_bpp).all())
    assert bool((output.z_bpp > 0).all())


def test_estimate_has_one_value_for_each_latent() -> None:
    model = make_tiny_model()
    y = torch.randn(1, TINY.latent_channels, 8, 4)
    estimate = model.estimate(y, torch.tensor([0.5]))
    assert estimate.y_hat.shape == estimate.y_bits.shape == y.shape
    assert estimate.z_bits.shape == (1, TINY.hyper_channels, 2, 1)


@torch.no_grad()
def test_linear_start_reconstructs_smooth_pictures() -> None:
    """36 coefficients keep what bicubic ramps hold: above 36 dB at the highest quality."""
    model = HyperpriorModel(ModelConfig(24, 36, 4, 8, 2, 2))
    patches = smooth_patches(16)
    model.start_linear(patches)
    outputs = [model(patches, torch.full((16,), q), noisy=False) for q in (0.0, 0.5, 1.0)]
    assert psnr(outputs[-1].mse) > 36
    assert psnr(outputs[0].mse) < psnr(outputs[1].mse) < psnr(outputs[2].mse)
    bpp = [output.bpp.mean().item() for output in outputs]
    assert bpp == sorted(bpp)


@torch.no_grad()
def test_linear_start_has_an_orthonormal_basis() -> None:
    model = HyperpriorModel(TINY)
    model.start_linear(smooth_patches(16))
    for conv in (model.analysis.entry, model.analysis.down):
        rows = conv.weight.flatten(1)
        torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows)), atol=1e-5, rtol=0)
    assert torch.equal(model.analysis.down.weight, model.synthesis.up.weight)


@torch.no_grad()
def test_linear_start_gives_latents_of_the_scale_that_the_prior_expects() -> None:
    """They deviate by what `base` says at the highest quality, within 10 %."""
    model = HyperpriorModel(TINY)
    patches = smooth_patches(16)
    model.start_linear(patches)
    q = torch.ones(16)
    y = model.analysis(patches, q)
    deviation = y.square().mean((0, 2, 3)).sqrt()
    expected = model.prior.scales(model.prior.base_index(q[:1]))[0, :, 0, 0]
    torch.testing.assert_close(deviation, expected, rtol=0.1, atol=0.05)


@torch.no_grad()
def test_flat_pictures_do_not_break_the_linear_start() -> None:
    model = HyperpriorModel(TINY)
    model.start_linear(torch.full((2, 3, 64, 64), 0.25))
    output = model(torch.full((1, 3, 64, 64), 0.25), torch.ones(1), noisy=False)
    assert psnr(output.mse) > 40
    assert bool(output.bpp.isfinite().all())


@torch.no_grad()
def test_quantized_networks_say_nearly_the_same() -> None:
    model = make_tiny_model()
    x = to_model_space(make_picture(64, 64))
    q = torch.tensor([0.7])
    real = model(x, q, noisy=False)
    model.set_quantized(True)
    assert all(m.quantized for m in model.modules() if isinstance(m, FixedPointConv2d))
    rounded = model(x, q, noisy=False)
    assert not torch.equal(real.bpp, rounded.bpp)
    assert rounded.bpp.item() == pytest.approx(real.bpp.item(), rel=0.05)
    assert rounded.mse.item() == pytest.approx(real.mse.item(), rel=0.05)
    model.set_quantized(False)
    assert torch.equal(model(x, q, noisy=False).bpp, real.bpp)


def test_every_parameter_gets_a_gradient() -> None:
    model = make_tiny_model()
    output = model(to_model_space(make_picture(64, 64)), torch.tensor([0.4]))
    (output.bpp + 100 * output.mse).sum().backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []


@torch.no_grad()
def test_calibrated_blocks_read_numbers_of_order_one() -> None:
    model = HyperpriorModel(TINY)
    patches, q = smooth_patches(16), torch.linspace(0, 1, 16)
    model.start_linear(patches)
    before = model(patches, q, noisy=False)
    model.calibrate(patches, q)
    after = model(patches, q, noisy=False)
    torch.testing.assert_close(after.mse, before.mse, rtol=1e-3, atol=1e-6)
    for part in (model.analysis, model.synthesis):
        scales = torch.cat([m.scale.flatten() for m in part.modules() if isinstance(m, Block)])
        assert scales.max() > 1
        assert bool((scales.log2() % 1 == 0).all())


@torch.no_grad()
def test_size_and_cost_of_the_default_model() -> None:
    torch.manual_seed(0)
    model = HyperpriorModel()
    counts = kmacs(model)
    parameters = sum(p.numel() for p in model.parameters())
    decoder = counts["synthesis"] + counts["prior"]
    encoder = counts["analysis"] + counts["hyper_analysis"]
    report = ", ".join(f"{part} {kmacs:.2f}" for part, kmacs in counts.items())
    report = f"{parameters} parameters; kMAC/pixel: {report}; decoder {decoder:.2f}"
    assert counts["synthesis"] > 0, report
    assert counts["prior"] > 0, report
    assert parameters <= PARAMETERS_MAX, report
    assert decoder <= DECODER_KMACS_MAX, report
    assert encoder + decoder <= CODEC_KMACS_MAX, report
