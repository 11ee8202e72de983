"""The priors: likelihoods, pass masks, scales."""

import math

import pytest
import torch

from aecodec.autoencoder.priors import (
    LEVELS_PER_UNIT,
    LIKELIHOOD_MIN,
    SCALE_MAX,
    SCALE_MIN,
    ContextPrior,
    FactorizedPrior,
    gaussian_bits,
)
from aecodec.format.constants import PASS_POSITION, SCALE_LEVELS


@pytest.mark.parametrize(
    ("residual", "scale"), [(0.0, 0.11), (0.0, 1.0), (1.0, 1.0), (-3.0, 2.0), (40.5, 20.0)]
)
def test_gaussian_bits_integrate_over_the_bin(residual: float, scale: float) -> None:
    edges = ((residual + side) / (scale * math.sqrt(2)) for side in (0.5, -0.5))
    upper, lower = (math.erf(edge) for edge in edges)
    expected = -math.log2(0.5 * (upper - lower))
    bits = gaussian_bits(torch.tensor([residual]), torch.tensor([scale]))
    assert bits.item() == pytest.approx(expected, abs=2e-4)


def test_far_tails_cost_bounded_bits() -> None:
    bits = gaussian_bits(torch.tensor([1e4, -1e4]), torch.tensor([0.11, 0.11]))
    assert bits.tolist() == pytest.approx([-math.log2(LIKELIHOOD_MIN)] * 2)


def test_gaussian_likelihoods_sum_to_one() -> None:
    residual = torch.arange(-60.0, 61.0)
    for scale in (0.3, 3.0, 8.0):
        bits = gaussian_bits(residual, torch.full_like(residual, scale))
        assert torch.exp2(-bits).sum().item() == pytest.approx(1, abs=1e-4)


def test_factorized_likelihoods_sum_to_one() -> None:
    torch.manual_seed(0)
    prior = FactorizedPrior(3)
    with torch.no_grad():
        for p in prior.parameters():
            p.add_(0.3 * torch.randn_like(p))
        values = torch.arange(-40.0, 41.0).expand(1, 3, 1, -1)
        total = torch.exp2(-prior.bits(values)).sum((0, 2, 3))
        torch.testing.assert_close(total, torch.ones(3), atol=1e-4, rtol=0)
        cdf = prior.cdf(values)
    assert bool((cdf.diff() >= 0).all())


def test_pass_masks_partition_the_latents() -> None:
    masks = ContextPrior(8, 4, 2).pass_masks(torch.zeros(2, 8, 4, 6))
    total = torch.stack(masks).sum(0)
    assert torch.equal(total, torch.ones(1, 8, 4, 6))
    for mask in masks:
        assert bool(((mask == 0) | (mask == 1)).all())
        # Each pass takes one position of each 2x2 group of each channel.
        assert torch.equal(torch.nn.functional.avg_pool2d(mask, 2), torch.full((1, 8, 2, 3), 0.25))


def test_pass_masks_put_each_quarter_where_the_table_says() -> None:
    prior = ContextPrior(4, 4, 2)
    assert not any("position" in name for name in prior.state_dict())
    masks = prior.pass_masks(torch.zeros(1, 4, 2, 2))
    for positions, mask in zip(PASS_POSITION, masks, strict=True):
        assert [int(quarter.argmax()) for quarter in mask[0].flatten(1)] == list(positions)


def test_every_pass_codes_all_four_positions_once() -> None:
    assert all(sorted(positions) == [0, 1, 2, 3] for positions in PASS_POSITION)
    assert all(sorted(quarter) == [0, 1, 2, 3] for quarter in zip(*PASS_POSITION, strict=True))


def test_scales_stay_in_range_and_can_return() -> None:
    index = torch.tensor([-1000.0, 0.0, SCALE_LEVELS - 1.0, 1000.0], requires_grad=True)
    scales = ContextPrior.scales(index)
    expected = [SCALE_MIN, SCALE_MIN, SCALE_MAX, SCALE_MAX]
    assert scales.tolist() == pytest.approx(expected, rel=1e-5)
    (gradient,) = torch.autograd.grad(-scales.sum(), index)
    assert gradient[0] < 0


def test_norm_is_the_base_scale_with_half_a_step() -> None:
    index = torch.tensor([0.0, SCALE_LEVELS - 1.0])
    expected = [math.hypot(SCALE_MIN, 0.5), math.hypot(SCALE_MAX, 0.5)]
    assert ContextPrior.norm(index).tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("quantized", [False, True])
def test_a_new_prior_knows_its_base_scale_alone(quantized: bool) -> None:
    """Heads start at zero: symbols are the rounded latents, their scales those of `base`."""
    torch.manual_seed(0)
    prior = ContextPrior(8, 4, 2)
    level = 20.0
    with torch.no_grad():
        prior.base.fill_(level / LEVELS_PER_UNIT)
    y = 5 * torch.randn(2, 8, 8, 4)
    z_hat, q = torch.zeros(2, 2, 2, 1), torch.tensor([0.0, 1.0])
    y_hat, bits = prior(y, z_hat, q, noisy=False, mixed=False, quantized=quantized)
    rounded = torch.floor(y + 0.5)
    torch.testing.assert_close(y_hat, rounded, atol=1e-4, rtol=0)
    scales = prior.scales(torch.tensor(level)).expand_as(y)
    torch.testing.assert_close(bits, gaussian_bits(rounded, scales), atol=1e-3, rtol=0)


def test_means_are_given_in_norms() -> None:
    """Latents that equal their means cost the bits of a zero and come back exactly."""
    prior = ContextPrior(8, 4, 2)
    level, normed = 40.0, 0.25
    head = prior.hyper_synthesis.head
    assert head.bias is not None
    with torch.no_grad():
        prior.base.fill_(level / LEVELS_PER_UNIT)
        head.bias[8:] = normed
    y = normed * prior.norm(torch.tensor(level)).expand(1, 8, 4, 4)
    z_hat, q = torch.zeros(1, 2, 1, 1), torch.tensor([0.5])
    y_hat, bits = prior(y, z_hat, q, noisy=False, mixed=False, quantized=False)
    torch.testing.assert_close(y_hat, y)
    expected = gaussian_bits(torch.zeros_like(y), prior.scales(torch.tensor(level)).expand_as(y))
    torch.testing.assert_close(bits, expected)


def test_later_passes_read_earlier_ones_only() -> None:
    """A latent's own pass and later ones do not change what is predicted for it."""
    torch.manual_seed(0)
    prior = ContextPrior(4, 4, 2)
    with torch.no_grad():
        for p in prior.parameters():
            p.normal_(0, 0.3)
    y = 3 * torch.randn(1, 4, 4, 4)
    z_hat, q = torch.zeros(1, 2, 1, 1), torch.tensor([0.5])
    masks = prior.pass_masks(y)
    for number in range(4):
        changed = y + 10 * masks[number]
        _, before = prior(y, z_hat, q, noisy=False, mixed=False, quantized=False)
        _, after = prior(changed, z_hat, q, noisy=False, mixed=False, quantized=False)
        earlier = torch.stack([torch.zeros_like(masks[0]), *masks[:number]]).sum(0) > 0
        assert torch.equal(before[earlier], after[earlier])
        later = torch.stack([torch.zeros_like(masks[0]), *masks[number + 1 :]]).sum(0) > 0
        assert number == 3 or not torch.equal(before[later], after[later])
