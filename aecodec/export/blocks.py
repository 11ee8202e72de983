"""Blocks and gains of trained transforms in their exact integer form."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from aecodec.autoencoder.dequantize import READERS, SCALED, STREAM_UNIT, blocks_of
from aecodec.autoencoder.layers import Block, RateGain
from aecodec.autoencoder.quantization import quantize
from aecodec.decoder.bounds import FRACTIONS, SHIFT_MAX
from aecodec.export.input_statistics import InputStatistics
from aecodec.export.rounding import round_conv
from aecodec.format.constants import LOG_FRACTION, LOG_LIMIT, STREAM_FRACTION

INPUT_BITS = 10
"""An input that stays below 2**e fits [-1024, 1024) in units of 2**(e - 10). With more bits for
inputs fewer were left for weights, and the picture would suffer more."""


def round_blocks(transform: nn.Module, statistics: InputStatistics) -> dict[str, Tensor]:
    """All blocks of a transform, their tensors by dotted names.

    Args:
        transform: trained, its blocks not fused.
        statistics: of this transform.

    Raises:
        WeightsError: weights are too large.
    """
    tensors: dict[str, Tensor] = {}
    for name, block in blocks_of(transform):
        rounded = _round_block(block, statistics.of_part(name))
        tensors |= {f"{name}.{key}": value for key, value in rounded.items()}
    return tensors


def log_gains(gain: RateGain, exponent: int) -> Tensor:
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
