"""Released integers back into trainable networks."""

import math

import torch
from torch import nn

from aecodec.autoencoder.layers import Block, FixedPointConv2d
from aecodec.autoencoder.priors import ContextPrior
from aecodec.autoencoder.transforms import SynthesisTransform
from aecodec.format.constants import LOG_FRACTION, STREAM_FRACTION
from aecodec.models.weights import TensorDict, below

READERS = ("mix_in", "depthwise", "mix_out", "expand", "contract")

READ_SHIFTED = ("mix_in", "depthwise", "expand", "contract")

SCALED = {"mix_in": "inner", "expand": "outer"}
"""Convolutions that read the stream times `Block.scale`, and what their outputs go into."""

STREAM_UNIT = torch.tensor(-float(STREAM_FRACTION))


@torch.no_grad()
def import_prior(prior: ContextPrior, tensors: TensorDict) -> None:
    """Copies integer networks back into a trainable prior: the inverse of `export_prior`.

    What rounding lost stays lost; knots of tables are not touched.

    Args:
        prior: receives the weights.
        tensors: what `export_prior` made, of the types and shapes of `prior_signature`.
    """
    for name, module in prior.named_modules():
        if not isinstance(module, FixedPointConv2d):
            continue
        layer = below(tensors, name)
        shift = layer["shift"].double()
        scale = torch.exp2(-shift) * module.output_steps().double()  # of the accumulator
        half = torch.where(shift > 0, torch.exp2(shift - 1), 0.0)
        weight = layer["weight"].double() * (scale / module.input_step)[:, None, None, None]
        module.weight.copy_(weight)
        if module.bias is not None:
            module.bias.copy_((layer["bias"] - half) * scale)


@torch.no_grad()
def import_synthesis(synthesis: SynthesisTransform, tensors: TensorDict) -> None:
    """Copies an exact synthesis into a real one, for training and gradients.

    What rounding and clipping do stays lost.

    Args:
        synthesis: receives the weights; its blocks are not fused.
        tensors: what `export_synthesis` made.
    """
    for gain, name, exponent in (
        (synthesis.outer_gain, "outer_gain", STREAM_FRACTION - 4),
        (synthesis.inner_gain, "inner_gain", 0),
    ):
        logs = tensors[name].double() / 2.0**LOG_FRACTION - exponent
        gain.log_gain.copy_(logs * math.log(2.0))
    for name, block in _blocks(synthesis):
        _import_block(block, below(tensors, name))
    up, last = synthesis.up, synthesis.exit
    assert up.bias is not None
    assert last.bias is not None
    factor = torch.exp2(-tensors["up.shift"].double())
    wide = (tensors["up.weight"].double() * factor).reshape(up.in_channels, 2, 2, -1)
    up.weight.copy_(wide.permute(0, 3, 1, 2))
    biases = tensors["up.bias"].double() * factor * 2.0**-STREAM_FRACTION
    up.bias.copy_(biases.reshape(4, -1)[0])
    unit = 2.0 ** -float(tensors["exit.shift"])
    last.weight.copy_((tensors["exit.weight"].double() * unit).T[:, :, None, None])
    last.bias.copy_(tensors["exit.bias"].double() * unit * 2.0**-STREAM_FRACTION)


def _import_block(block: Block, tensors: TensorDict) -> None:
    fractions = {name: int(tensors[f"{name}.fraction"]) for name in SCALED}
    inputs = {name: tensors[f"{name}.input_shift"].double() for name in READ_SHIFTED}
    units = {
        "mix_in": inputs["mix_in"] - STREAM_FRACTION,
        "expand": inputs["expand"] - STREAM_FRACTION,
        "depthwise": inputs["depthwise"] - 2 * fractions["mix_in"] - 3,
        "contract": inputs["contract"] - 2 * fractions["expand"] - 3,
    }
    # Nothing says in which units `mix_out` reads: those that make the weights before it of order 1.
    shifts = tensors["depthwise.shift"].double()
    largest = tensors["depthwise.weight"].double().abs().amax((1, 2, 3)).clamp_min(1.0)
    units["mix_out"] = torch.floor(shifts + units["depthwise"] - torch.log2(largest))
    block.scale.fill_(1.0)
    outputs = {name: torch.tensor(-float(value)) for name, value in fractions.items()}
    outputs |= {"depthwise": units["mix_out"], "mix_out": STREAM_UNIT, "contract": STREAM_UNIT}
    for name in READERS:
        conv: nn.Conv2d = getattr(block, name)
        assert conv.bias is not None
        shift = tensors[f"{name}.shift"].double()
        factor = torch.exp2(outputs[name] - shift)
        of_input = (-1, 1, 1, 1) if name == "depthwise" else (-1, 1, 1)
        steps = torch.exp2(units[name]).reshape(of_input)
        weight = tensors[f"{name}.weight"].double() * factor[:, None, None, None]
        conv.weight.copy_(weight / steps)
        half = torch.where(shift > 0, torch.exp2(shift - 1), 0.0)
        conv.bias.copy_((tensors[f"{name}.bias"].double() - half) * factor)


def _blocks(synthesis: nn.Module) -> list[tuple[str, Block]]:
    return [(name, m) for name, m in synthesis.named_modules() if isinstance(m, Block)]
