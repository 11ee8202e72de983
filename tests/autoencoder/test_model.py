"""The whole autoencoder: shapes, rounding, gradients."""

import pytest
import torch
from conftest import TINY, make_picture, make_tiny_model

from aecodec.autoencoder.layers import FixedPointConv2d
from aecodec.autoencoder.model import HyperpriorModel
from aecodec.autoencoder.transforms import to_model_space


def test_shapes_of_a_forward_pass() -> None:
    torch.manual_seed(0)
    model = HyperpriorModel(TINY)
    output = model(torch.rand(2, 3, 64, 128), torch.tensor([0.2, 0.9]))
    assert output.x_hat.shape == (2, 3, 64, 128)
    assert output.bpp.shape == output.z_bpp.shape == (2,)
    assert bool((output.bpp > output.z_bpp).all())
    assert bool((output.z_bpp > 0).all())


def test_estimate_has_one_value_for_each_latent() -> None:
    model = make_tiny_model()
    y = torch.randn(1, TINY.latent_channels, 8, 4)
    estimate = model.estimate(y, torch.tensor([0.5]))
    assert estimate.y_hat.shape == estimate.y_bits.shape == y.shape
    assert estimate.z_bits.shape == (1, TINY.hyper_channels, 2, 1)


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
    torch.testing.assert_close(rounded.x_hat, real.x_hat, rtol=0, atol=0.02)
    model.set_quantized(False)
    assert torch.equal(model(x, q, noisy=False).bpp, real.bpp)


def test_every_parameter_gets_a_gradient() -> None:
    model = make_tiny_model()
    x = to_model_space(make_picture(64, 64))
    output = model(x, torch.tensor([0.4]))
    (output.bpp.sum() + 100 * (output.x_hat - x).square().mean()).backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []
