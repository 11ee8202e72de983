"""Turns a trained synthesis into its exact integer form."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from aecodec.autoencoder.dequantize import (
    GAIN_UNITS,
    READERS,
    SCALED,
    STREAM_UNIT,
    blocks_of,
)
from aecodec.autoencoder.layers import Block, RateGain
from aecodec.autoencoder.quantization import quantize
from aecodec.autoencoder.transforms import SynthesisTransform
from aecodec.decoder.carriers import SHIFT_MAX
from aecodec.decoder.synthesis_layers import FRACTIONS
from aecodec.errors import WeightsError
from aecodec.export.input_statistics import InputStatistics
from aecodec.export.rounding import round_conv
from aecodec.format.constants import EXIT_SHIFT_MAX, LOG_FRACTION, LOG_LIMIT, STREAM_FRACTION
from aecodec.models.tensor_file import Array

INPUT_BITS = 10
"""An input that stays below 2**e fits [-1024, 1024) in units of 2**(e - 10). With more bits for
inputs fewer were left for weights, and the picture would suffer more."""


@torch.no_grad()
def export_synthesis(
    synthesis: SynthesisTransform, statistics: InputStatistics
) -> dict[str, Array]:
    """Makes everything that the exact synthesis needs.

    The same weights and statistics give the same integers on one machine with as many threads.

    Args:
        synthesis: trained.
        statistics: what its layers read, for which their weights are rounded.

    Returns:
        The part `synthesis` of a weights file, by name.

    Raises:
        WeightsError: the trained values cannot be made exact.
    """
    tensors = {
        name: _log_gains(getattr(synthesis, name), unit) for name, unit in GAIN_UNITS.items()
    }
    for name, block in blocks_of(synthesis):
        rounded = _round_block(block, statistics.of_block(name))
        tensors |= {f"{name}.{k}": v for k, v in rounded.items()}
    tensors |= {f"up.{k}": v for k, v in _round_up(synthesis.up).items()}
    tensors |= {f"exit.{k}": v for k, v in _round_exit(synthesis.exit).items()}
    return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}


def _round_up(up: nn.ConvTranspose2d) -> dict[str, Tensor]:
    """The layer from stride 16 to stride 8, a shift for each output."""
    assert up.bias is not None
    wide = up.weight.double().permute(0, 2, 3, 1).flatten(1)  # (I, 2 * 2 * O)
    fraction = 14 - torch.ceil(torch.log2(wide.abs().amax(0).clamp_min(2.0**-8)))
    _check_linear(int(fraction.min()))
    bias = up.bias.double().repeat(4) * torch.exp2(fraction + STREAM_FRACTION)
    return {
        "weight": quantize(wide * torch.exp2(fraction)).to(torch.int16),
        "bias": quantize(bias).to(torch.int64),
        "shift": fraction.to(torch.int8),
    }


def _round_exit(last: nn.Conv2d) -> dict[str, Tensor]:
    """The layer from the stream to pixels, one shift for all outputs."""
    assert last.bias is not None
    narrow = last.weight.double()[:, :, 0, 0].T  # (C, 192)
    largest = max(float(narrow.abs().max()), 2.0 ** (14 - EXIT_SHIFT_MAX))
    shift = 14 - math.ceil(math.log2(largest))
    _check_linear(shift)
    bias = last.bias.double() * 2.0 ** (shift + STREAM_FRACTION)
    return {
        "weight": quantize(narrow * 2.0**shift).to(torch.int16),
        "bias": quantize(bias).to(torch.int64),
        "shift": torch.tensor(shift, dtype=torch.int8),
    }


def _check_linear(shift: int) -> None:
    """Checks the smallest shift of a linear layer.

    Raises:
        WeightsError: there is none left.
    """
    if shift < 1:
        raise WeightsError("the linear layers are too large for the exact synthesis")


def _log_gains(gain: RateGain, exponent: int) -> Tensor:
    """Base-2 logarithms of `gain * 2**exponent` in 1/65536."""
    logs = gain.log_gain.double() * (2.0**LOG_FRACTION / math.log(2.0)) + exponent * 2**LOG_FRACTION
    return quantize(logs).clamp(-LOG_LIMIT, LOG_LIMIT).to(torch.int32)


def _round_block(block: Block, statistics: InputStatistics) -> dict[str, Tensor]:
    """All convolutions of one block."""
    reaches = statistics.reaches
    units = {name: reaches[name].double() - INPUT_BITS for name in READERS}
    fractions = {name: _fraction(int(reaches[part])) for name, part in SCALED.items()}
    read = {
        "mix_in": -STREAM_FRACTION, "expand": -STREAM_FRACTION,
        "depthwise": -2 * fractions["mix_in"] - 3, "contract": -2 * fractions["expand"] - 3,
    }  # fmt: skip
    tensors = {
        f"{name}.fraction": torch.tensor(value, dtype=torch.int8)
        for name, value in fractions.items()
    }
    for name, unit in read.items():
        shift = (units[name] - unit).clamp(0, SHIFT_MAX)
        units[name] = shift + unit
        tensors[f"{name}.input_shift"] = shift.to(torch.int8)
    outputs = {name: torch.tensor(-value) for name, value in fractions.items()}
    outputs |= {"depthwise": units["mix_out"], "mix_out": STREAM_UNIT, "contract": STREAM_UNIT}
    for name in READERS:
        conv: nn.Conv2d = getattr(block, name)
        assert conv.bias is not None
        steps = torch.exp2(units[name])
        if name in SCALED:
            steps = steps * block.scale.double()[:, 0, 0]
        of_input = (-1, 1, 1, 1) if name == "depthwise" else (-1, 1, 1)
        weight = conv.weight.double() * steps.reshape(of_input)
        output = outputs[name].double().expand(conv.out_channels)
        joint = None if conv.groups > 1 else _in_units(statistics.moments[name], steps)
        found = round_conv(weight, conv.bias.double(), output, joint)
        tensors |= {f"{name}.{key}": value for key, value in found.items()}
    return tensors


def _in_units(moments: Tensor, steps: Tensor) -> Tensor:
    """Moments of inputs in units of `steps` `(I,)`."""
    units = functional.pad(1 / steps, (0, 1), value=1.0)
    return moments * torch.outer(units, units)


def _fraction(reach: int) -> int:
    """The finest fraction whose range holds twice what activations read: below 2**reach."""
    return max([f for f in FRACTIONS if 20 - 2 * f > reach], default=FRACTIONS[0])
