"""Rounds the weights of a convolution to the integers of the exact synthesis."""

import torch
from torch import Tensor

from aecodec.autoencoder.quantization import quantize
from aecodec.coding.gptq import Floats, error_factor, round_jointly
from aecodec.decoder.bounds import ACCUMULATOR_LIMIT, SHIFT_MAX, exact_bounds
from aecodec.errors import WeightsError

INT16_MAX = 2**15 - 1

DAMPING = 1e-4
"""Part of each input's power that is taken to be noise."""

INPUT_NOISE = 1 / 12
"""Variance that rounding adds to an input, in squared units."""


def round_conv(
    weight: Tensor, bias: Tensor, output: Tensor, moments: Tensor | None
) -> dict[str, Tensor]:
    """The finest integers that the bound of the exact synthesis allows.

    Weights are rounded jointly, for the smallest error of the output, see `coding/gptq.py`; those
    of depthwise convolutions each to the nearest integer.

    Args:
        weight: `(O, I, k, k)` float64, for inputs in their own units.
        bias: `(O,)` float64.
        output: `(O,)`, exponent of the unit of each output.
        moments: `(I + 1, I + 1)` float64, means of the products of the inputs, in their units, and
            of a last one that is always 1; None for depthwise convolutions.

    Returns:
        `weight`, `bias` and `shift`, as a layer of `ExactBlock` has them.

    Raises:
        WeightsError: the weights are too large.
    """
    shift = torch.full_like(output, float(SHIFT_MAX))
    factors = None if moments is None else _error_factors(moments)
    while True:
        factor = torch.exp2(shift - output)
        scaled, offset = weight * factor[:, None, None, None], bias * factor
        if factors is None:
            rounded, rounded_bias = quantize(scaled), quantize(offset)
        else:
            rounded, rounded_bias = _round_in_order(scaled, offset, *factors)
        half = torch.where(shift > 0, torch.exp2(shift - 1), 0.0)
        rounded_bias = rounded_bias + half
        largest = torch.from_numpy(exact_bounds(rounded.numpy(), rounded_bias.numpy()))
        wide = largest >= ACCUMULATOR_LIMIT
        wide |= rounded.abs().amax((1, 2, 3)) > INT16_MAX
        if not wide.any():
            return {
                "weight": rounded.to(torch.int16),
                "bias": rounded_bias.to(torch.int32),
                "shift": shift.to(torch.int8),
            }
        shift[wide] -= 1
        if int(shift.min()) < 0:
            raise WeightsError("weights are too large for the exact synthesis")


def _error_factors(moments: Tensor) -> tuple[Tensor, Floats]:
    """An order of the inputs, strongest first and the bias last, and how errors are passed on.

    Returns:
        `(I + 1,)` places, and `error_factor` of the moments in that order.
    """
    power = moments.diagonal()[:-1]
    noise = torch.zeros(len(moments), dtype=moments.dtype)
    noise[:-1] = DAMPING * power + INPUT_NOISE
    order = torch.cat([power.argsort(descending=True), torch.tensor([len(power)])])
    ordered = (moments + torch.diag(noise))[order][:, order]
    return order, error_factor(ordered.numpy())


def _round_in_order(
    weight: Tensor, bias: Tensor, order: Tensor, factor: Floats
) -> tuple[Tensor, Tensor]:
    """Integers of `(O, I, 1, 1)` weights and `(O,)` biases."""
    wanted = torch.cat([weight[:, :, 0, 0], bias[:, None]], 1)[:, order]
    restored = torch.empty_like(wanted)
    restored[:, order] = torch.from_numpy(round_jointly(wanted.numpy(), factor)[0])
    return restored[:, :-1, None, None], restored[:, -1]
