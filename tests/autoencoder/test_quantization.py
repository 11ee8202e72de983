"""Rounding, and the gradients of its stand-ins."""

import numpy as np
import torch

from aecodec.autoencoder.quantization import (
    lower_bound,
    quantize,
    quantize_dead_zone,
    quantize_noise,
    quantize_ste,
)
from aecodec.coding.dead_zone import COSTS, DeadZone

HALVES = [-2.5, -1.5, -0.5, -0.49, 0.0, 0.49, 0.5, 1.5, 2.5]


def test_halves_are_rounded_up() -> None:
    assert quantize(torch.tensor(HALVES)).tolist() == [-2, -1, 0, 0, 0, 0, 1, 2, 3]


def test_straight_through_rounds_exactly_and_passes_gradients() -> None:
    torch.manual_seed(0)
    x = torch.cat((torch.tensor(HALVES), 1000 * torch.randn(1000))).requires_grad_()
    y = quantize_ste(x)
    assert torch.equal(y, quantize(x))
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    assert torch.equal(gradient, 2 * y.detach())


def test_noise_is_uniform_over_one_step() -> None:
    torch.manual_seed(0)
    x = torch.full((20_000,), 7.25, requires_grad=True)
    noise = quantize_noise(x) - x
    assert -0.5 <= noise.min() < -0.499
    assert 0.499 < noise.max() < 0.5
    assert abs(noise.mean()) < 0.01
    assert abs(noise.var() - 1 / 12) < 0.002
    (gradient,) = torch.autograd.grad(quantize_noise(x).sum(), x)
    assert torch.equal(gradient, torch.ones_like(x))


def test_lower_bound_lets_values_rise_but_not_fall() -> None:
    x = torch.tensor([-1.0, -1.0, 0.5, 2.0, 2.0], requires_grad=True)
    y = lower_bound(x, 0.5)
    assert y.tolist() == [0.5, 0.5, 0.5, 2.0, 2.0]
    # A descent step subtracts the gradient: negative ones lift x.
    (gradient,) = torch.autograd.grad(y, x, torch.tensor([-3.0, 3.0, 3.0, -3.0, 3.0]))
    assert gradient.tolist() == [-3.0, 0.0, 3.0, -3.0, 3.0]


def test_the_dead_zone_of_training_is_that_of_encoders() -> None:
    costs = np.abs(np.arange(COSTS + 1, dtype=np.float32)) * np.array([[1.0], [9.0], [40.0]])
    zone = DeadZone(costs.astype(np.float32), 25.0)
    rng = np.random.default_rng(5)
    residual = rng.normal(0, 3, 4000).astype(np.float32)
    levels = rng.integers(0, 3, 4000).astype(np.uint8)
    expected = zone(residual, levels)
    x = torch.from_numpy(residual).requires_grad_()
    symbols = quantize_dead_zone(x, torch.from_numpy(levels).float(), torch.from_numpy(zone.edges))
    assert np.array_equal(symbols.detach().numpy(), expected)
    assert (expected != np.round(residual)).any()
    (gradient,) = torch.autograd.grad(symbols.sum(), x)
    assert torch.equal(gradient, torch.ones_like(x))
