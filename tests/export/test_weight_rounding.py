"""Rounding of the exact synthesis' weights: nearest, or jointly for the smallest error."""

import pytest
import torch
from torch import Tensor

from aecodec.decoder.bounds import ACCUMULATOR_LIMIT, exact_bounds
from aecodec.errors import WeightsError
from aecodec.export.rounding import round_conv


def correlated_inputs(channels: int, count: int = 4000) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randn(count, 4, generator=generator) @ torch.randn(
        4, channels, generator=generator
    )
    noise = torch.randn(count, channels, generator=generator)
    return (80 * mixed + 4 * noise + 30).double()


def moments_of(inputs: Tensor) -> Tensor:
    rows = torch.nn.functional.pad(inputs, (0, 1), value=1.0)
    return rows.T @ rows / len(rows)


def outputs(found: dict[str, Tensor], inputs: Tensor) -> Tensor:
    shift = found["shift"].double()
    half = torch.where(shift > 0, torch.exp2(shift - 1), 0.0)
    sums = inputs @ found["weight"].double()[:, :, 0, 0].T + found["bias"] - half
    return sums * torch.exp2(-shift)


def make_conv(channels: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(8, channels, 1, 1, generator=generator).double() * 0.3
    bias = torch.randn(8, generator=generator).double()
    return weight, bias, torch.zeros(8, dtype=torch.float64)


def test_joint_rounding_halves_the_error_of_correlated_inputs() -> None:
    weight, bias, output = make_conv(64)
    inputs = correlated_inputs(64)
    expected = inputs @ weight[:, :, 0, 0].T + bias
    errors = []
    for moments in (None, moments_of(inputs)):
        found = outputs(round_conv(weight, bias, output, moments), inputs)
        errors.append(float((found - expected).square().mean()))
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("jointly", [False, True])
def test_the_bound_holds(jointly: bool) -> None:
    weight, bias, output = make_conv(64)
    moments = moments_of(correlated_inputs(64)) if jointly else None
    found = round_conv(100 * weight, bias, output, moments)
    bounds = exact_bounds(found["weight"].numpy(), found["bias"].numpy())
    assert bounds.max() < ACCUMULATOR_LIMIT
    assert found["weight"].dtype == torch.int16
    assert found["bias"].dtype == torch.int32


def test_inputs_that_are_never_seen_are_no_obstacle() -> None:
    weight, bias, output = make_conv(4)
    moments = torch.zeros(5, 5, dtype=torch.float64)
    moments[-1, -1] = 1.0
    plain, joint = (round_conv(weight, bias, output, m) for m in (None, moments))
    for name in plain:
        assert torch.equal(plain[name], joint[name])


def test_weights_that_are_too_large_are_refused() -> None:
    weight, bias, output = make_conv(4)
    with pytest.raises(WeightsError, match="too large"):
        round_conv(1e6 * weight, bias, output, None)
