"""Building blocks, and the agreement of fixed-point layers with their integer form."""

import numpy as np
import pytest
import torch
from exact_reference import convolved
from torch import Tensor

from aecodec.autoencoder.layers import (
    ACTIVATION_STEP,
    Block,
    ContextBlock,
    FixedPointConv2d,
    RateGain,
    clip_activation,
    hswish,
    interpolate_knots,
    round_activation,
)
from aecodec.autoencoder.priors import ParameterHead
from aecodec.decoder.bounds import ACCUMULATOR_LIMIT, accumulator_bounds
from aecodec.export.prior import export_conv
from aecodec.format.constants import KNOTS


def activations(*shape: int) -> Tensor:
    """Random multiples of the activation step over the whole range."""
    return torch.randint(-512, 512, shape) * ACTIVATION_STEP


def filled(conv: FixedPointConv2d, spread: float = 0.1) -> FixedPointConv2d:
    """The layer with random weights and biases, rounding as its integer form does."""
    with torch.no_grad():
        conv.weight.normal_(0, spread)
        assert conv.bias is not None
        conv.bias.normal_()
    conv.quantized = True
    return conv


def run_integer(conv: FixedPointConv2d, x: Tensor, *, head: bool = False) -> Tensor:
    """Output of the integer form, in reals."""
    layer = export_conv(conv)
    weight, bias, shift = (layer[k].astype(np.int64) for k in ("weight", "bias", "shift"))
    y = convolved(weight, bias, shift, (x[0] / conv.input_step).long().numpy())
    y = y if head else y.clip(0 if conv.relu else -512, 511)
    return torch.from_numpy(y)[None] * conv.output_steps()[:, None, None]


def test_hswish_values() -> None:
    x = torch.tensor([-5.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0])
    assert hswish(x).tolist() == [0.0, 0.0, -0.5, 0.0, 1.5, 4.0, 6.0]


def test_tables_are_read_at_knots_and_linearly_between() -> None:
    torch.manual_seed(0)
    knots = torch.randn(KNOTS, 3)
    at_knots = interpolate_knots(knots, torch.linspace(0, 1, KNOTS))
    assert at_knots.shape == (KNOTS, 3, 1, 1)
    torch.testing.assert_close(at_knots[:, :, 0, 0], knots, atol=1e-5, rtol=0)
    q = torch.tensor([2.25]) / (KNOTS - 1)
    expected = 0.75 * knots[2] + 0.25 * knots[3]
    torch.testing.assert_close(interpolate_knots(knots, q)[0, :, 0, 0], expected)


def test_ends_of_tables_are_exact() -> None:
    knots = torch.arange(2.0 * KNOTS).reshape(KNOTS, 2)
    ends = interpolate_knots(knots, torch.tensor([0.0, 1.0]))[:, :, 0, 0]
    assert torch.equal(ends, knots[[0, -1]])


def test_a_new_gain_is_one_and_any_gain_is_positive() -> None:
    gain = RateGain(3)
    q = torch.tensor([0.0, 0.3, 1.0])
    assert torch.equal(gain(q), torch.ones(3, 3, 1, 1))
    with torch.no_grad():
        gain.log_gain.normal_(0, 5)
    assert bool((gain(q) > 0).all())


@pytest.mark.parametrize("block", [Block(4), ContextBlock(4, 5)])
def test_a_new_block_is_the_identity(block: Block | ContextBlock) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 6, 5)
    assert torch.equal(block(x), x)


def test_a_fused_block_computes_the_same() -> None:
    torch.manual_seed(0)
    block = Block(4)
    with torch.no_grad():
        for conv in (block.mix_out, block.contract):
            conv.weight.normal_()
    x = 3 * torch.randn(2, 4, 6, 5)
    expected = block(x)
    block.fuse_activation()
    with torch.no_grad():
        torch.testing.assert_close(block(x), expected, atol=1e-4, rtol=1e-4)


def test_a_block_mixes_space_and_channels() -> None:
    torch.manual_seed(0)
    block = Block(4)
    with torch.no_grad():
        for conv in (block.mix_out, block.contract):
            conv.weight.normal_()
    x = torch.zeros(1, 4, 9, 9)
    x[0, 0, 4, 4] = 1
    changed = (block(x) - block(torch.zeros_like(x)))[0] != 0
    expected = torch.zeros(9, 9, dtype=torch.bool)
    expected[3:6, 3:6] = True
    assert torch.equal(changed.any(0), expected)
    assert bool(changed[:, 4, 4].all())


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(
    ("kernel", "groups", "input_step"),
    [(1, 1, ACTIVATION_STEP), (5, 8, ACTIVATION_STEP), (1, 1, 1.0)],
)
def test_quantized_layers_equal_their_integer_form(
    kernel: int, groups: int, input_step: float, relu: bool
) -> None:
    torch.manual_seed(kernel + groups)
    conv = filled(
        FixedPointConv2d(8, 8, kernel, groups=groups, relu=relu, input_step=input_step),
        0.1 if input_step < 1 else 0.02,
    )
    x = activations(1, 8, 9, 7) / ACTIVATION_STEP * input_step
    y = conv(x)
    steps = y / ACTIVATION_STEP
    assert torch.equal(steps, steps.round())
    assert y.min() >= (0 if relu else -16)
    assert y.max() <= 16 - ACTIVATION_STEP
    assert y.unique().numel() > 50
    assert torch.equal(y, run_integer(conv, x))


def test_quantized_heads_equal_their_integer_form() -> None:
    torch.manual_seed(1)
    head = ParameterHead(8, 4)
    filled(head, 0.05)
    x = activations(1, 8, 9, 7)
    y = head(x)
    steps = y[0] / head.output_steps()[:, None, None]
    assert torch.equal(steps, steps.round())
    assert y.unique().numel() > 100
    # The integer form does not clip heads, and these values need no clipping.
    assert y.abs().max() < 32
    assert torch.equal(y, run_integer(head, x, head=True))


def test_unquantized_layers_are_close_to_quantized_ones() -> None:
    torch.manual_seed(2)
    conv = filled(FixedPointConv2d(8, 8, relu=True))
    x = activations(1, 8, 9, 7)
    rounded = conv(x)
    conv.quantized = False
    real = conv(x)
    assert not torch.equal(real, rounded)
    assert (real - rounded).abs().max() < 0.3


def test_gradients_pass_through_quantized_layers() -> None:
    torch.manual_seed(3)
    conv = filled(FixedPointConv2d(4, 4))
    x = activations(1, 4, 5, 5).requires_grad_()
    conv(x).sum().backward()
    assert conv.bias is not None
    assert x.grad is not None
    for gradient in (x.grad, conv.weight.grad, conv.bias.grad):
        assert gradient is not None
        assert bool(gradient.isfinite().all())
        assert bool(gradient.any())


def test_weights_beyond_the_bound_are_coarsened_until_it_holds() -> None:
    conv = FixedPointConv2d(512, 1)
    with torch.no_grad():
        conv.weight.fill_(0.01)
    arrays = export_conv(conv)
    assert accumulator_bounds(arrays["weight"], arrays["bias"]).max() < ACCUMULATOR_LIMIT
    assert int(arrays["weight"].max()) < 64
    step = 2.0 ** -float(arrays["shift"][0])
    assert np.abs(arrays["weight"].astype(float) * step - 0.01).max() <= step / 2


def test_activations_are_clipped_and_rounded() -> None:
    x = torch.tensor([-100.0, -16.0, 0.015, 0.016, 15.99, 100.0])
    top = 16 - ACTIVATION_STEP
    assert clip_activation(x).tolist() == pytest.approx([-16, -16, 0.015, 0.016, top, top])
    assert round_activation(x).tolist() == [-16, -16, 0, ACTIVATION_STEP, top, top]
