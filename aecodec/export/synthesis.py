"""Turns a trained synthesis into its exact integer form, and back."""

import math
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from aecodec.autoencoder.dequantize import READERS, SCALED, STREAM_UNIT, _blocks
from aecodec.autoencoder.layers import Block, RateGain
from aecodec.autoencoder.quantization import quantize
from aecodec.autoencoder.transforms import SynthesisTransform
from aecodec.decoder.integer_layers import FRACTIONS, SHIFT_MAX
from aecodec.errors import WeightsError
from aecodec.export.rounding import round_conv
from aecodec.format.constants import EXIT_SHIFT_MAX, LOG_FRACTION, LOG_LIMIT, STREAM_FRACTION
from aecodec.models.weights import TensorDict, below

ABSENT = 2.0**-20
"""Taken for the largest value of an input that never differed from zero."""

Reaches = dict[str, Tensor]
"""Exponents of powers of two, int8. By the name of each convolution of a block, `(I,)`, below which
each channel of what it reads stays; by the name of a block and "inner" or "outer", `()`, below
which what its activations read stays."""

Moments = dict[str, Tensor]
"""By the name of each 1x1 convolution of a block, `(I + 1, I + 1)` float64: means of the products
of its inputs and of a last one that is always 1."""


@dataclass(frozen=True, eq=False)
class InputStatistics:
    """What is known of the inputs of the block convolutions. `moments` may be empty."""

    reaches: Reaches
    moments: Moments = field(default_factory=dict)


@torch.no_grad()
def measure_inputs(
    synthesis: SynthesisTransform, inputs: Iterable[tuple[Tensor, Tensor]]
) -> InputStatistics:
    """How far the inputs of every block convolution reach, and how they depend on each other.

    In float64, so that rounding, which is another on each machine, hardly ever decides.

    Args:
        synthesis: trained, its blocks not fused.
        inputs: pairs `(y_hat, q)` as `SynthesisTransform.forward` takes them.
    """
    synthesis = deepcopy(synthesis).double()
    largest: Reaches = {}
    products: Moments = {}

    def watch(name: str, found: Tensor) -> None:
        largest[name] = torch.maximum(largest.get(name, found), found)

    def multiply(name: str, found: Tensor) -> None:
        rows = functional.pad(found.permute(0, 2, 3, 1).flatten(0, 2), (0, 1), value=1.0)
        products[name] = products.get(name, 0) + rows.T @ rows

    for name, block in _blocks(synthesis):
        for reader in READERS:
            conv: nn.Conv2d = getattr(block, reader)
            scale = block.scale if reader in SCALED else 1.0
            conv.register_forward_pre_hook(
                lambda _m, args, name=f"{name}.{reader}", scale=scale: watch(
                    name, (args[0] / scale).abs().amax((0, 2, 3))
                )
            )
            if conv.kernel_size == (1, 1):
                conv.register_forward_pre_hook(
                    lambda _m, args, name=f"{name}.{reader}": multiply(name, args[0])
                )
        for reader, activation in SCALED.items():
            getattr(block, reader).register_forward_hook(
                lambda _m, _args, out, name=f"{name}.{activation}": watch(name, out.abs().amax())
            )
    for y_hat, q in inputs:
        synthesis(y_hat.double(), q.double())
    reaches = {
        name: torch.ceil(torch.log2(value.clamp_min(ABSENT))).to(torch.int8)
        for name, value in largest.items()
    }
    return InputStatistics(reaches, {k: v / v[-1, -1] for k, v in products.items()})


@torch.no_grad()
def export_synthesis(synthesis: SynthesisTransform, statistics: InputStatistics) -> TensorDict:
    """Makes everything that the exact synthesis needs.

    Without moments every operation is exact in float64 or an integer one, so that the same weights
    give the same integers on every machine; with them weights are rounded for the smallest error.

    Args:
        synthesis: trained.
        statistics: see `measure_inputs`.

    Returns:
        Tensors by name, as `ExactSynthesis` takes them.

    Raises:
        WeightsError: the trained values cannot be made exact.
    """
    tensors: TensorDict = {
        "outer_gain": _log_gains(synthesis.outer_gain, STREAM_FRACTION - 4),
        "inner_gain": _log_gains(synthesis.inner_gain, 0),
    }
    for name, block in _blocks(synthesis):
        own = InputStatistics(below(statistics.reaches, name), below(statistics.moments, name))
        tensors |= {f"{name}.{k}": v for k, v in _round_block(block, own).items()}
    up, last = synthesis.up, synthesis.exit
    assert up.bias is not None
    assert last.bias is not None
    wide = up.weight.double().permute(0, 2, 3, 1).flatten(1)  # (I, 2 * 2 * O)
    fraction = 14 - torch.ceil(torch.log2(wide.abs().amax(0).clamp_min(2.0**-8)))
    bias = up.bias.double().repeat(4) * torch.exp2(fraction + STREAM_FRACTION)
    tensors |= {
        "up.weight": quantize(wide * torch.exp2(fraction)).to(torch.int16),
        "up.bias": quantize(bias).to(torch.int64),
        "up.shift": fraction.to(torch.int8),
    }
    narrow = last.weight.double()[:, :, 0, 0].T  # (C, 192)
    largest = max(float(narrow.abs().max()), 2.0 ** (14 - EXIT_SHIFT_MAX))
    shift = 14 - math.ceil(math.log2(largest))
    if min(int(fraction.min()), shift) < 1:
        raise WeightsError("the linear layers are too large for the exact synthesis")
    return tensors | {
        "exit.weight": quantize(narrow * 2.0**shift).to(torch.int16),
        "exit.bias": quantize(last.bias.double() * 2.0 ** (shift + STREAM_FRACTION)).to(
            torch.int64
        ),
        "exit.shift": torch.tensor(shift, dtype=torch.int8),
    }


def _log_gains(gain: RateGain, exponent: int) -> Tensor:
    """Base-2 logarithms of `gain * 2**exponent` in 1/65536."""
    logs = gain.log_gain.double() * (2.0**LOG_FRACTION / math.log(2.0)) + exponent * 2**LOG_FRACTION
    return quantize(logs).clamp(-LOG_LIMIT, LOG_LIMIT).to(torch.int32)


def _round_block(block: Block, statistics: InputStatistics) -> TensorDict:
    """All convolutions of one block."""
    reaches, moments = statistics.reaches, statistics.moments
    # An input that stays below 2**e fits [-1024, 1024) in units of 2**(e - 10). More bits for
    # inputs leave fewer for weights: 2048 and 4096 lost 0.05 and 0.14 dB at quality 100, this 0.03
    # (aec-5).
    units = {name: reaches[name].double() - 10 for name in READERS}
    fractions = {name: _fraction(int(reaches[part])) for name, part in SCALED.items()}
    read = {
        "mix_in": -STREAM_FRACTION, "expand": -STREAM_FRACTION,
        "depthwise": -2 * fractions["mix_in"] - 3, "contract": -2 * fractions["expand"] - 3,
    }  # fmt: skip
    tensors: TensorDict = {
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
        own = _in_units(moments[name], steps) if name in moments else None
        found = round_conv(weight, conv.bias.double(), output, own)
        tensors |= {f"{name}.{key}": value for key, value in found.items()}
    return tensors


def _in_units(moments: Tensor, steps: Tensor) -> Tensor:
    units = functional.pad(1 / steps, (0, 1), value=1.0)
    return moments * torch.outer(units, units)


def _fraction(reach: int) -> int:
    """The finest fraction whose range holds twice what activations read: below 2**reach."""
    return max([f for f in FRACTIONS if 20 - 2 * f > reach], default=FRACTIONS[0])
