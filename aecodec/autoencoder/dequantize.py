"""Released integers back into trainable networks: the inverse of `export/`.

What rounding and clipping lost stays lost.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from aecodec.autoencoder.layers import Block, FixedPointConv2d
from aecodec.autoencoder.priors import ContextPrior
from aecodec.autoencoder.transforms import (
    HYPER_SCALE,
    AnalysisTransform,
    HyperAnalysis,
    SynthesisTransform,
)
from aecodec.format.constants import LATENT_FRACTION, LOG_FRACTION, STREAM_FRACTION
from aecodec.models.weights import TensorTree

READERS = ("mix_in", "depthwise", "mix_out", "expand", "contract")
"""Convolutions of a block, in their order."""
READ_SHIFTED = ("mix_in", "depthwise", "expand", "contract")
"""Convolutions whose inputs are shifted before they read them."""
SCALED = {"mix_in": "inner", "expand": "outer"}
"""Convolutions that read the stream times `Block.scale`, and what their outputs go into."""
STREAM_UNIT = torch.tensor(-float(STREAM_FRACTION))
SYNTHESIS_GAINS = {"outer_gain": STREAM_FRACTION - 4, "inner_gain": 0}
ANALYSIS_GAINS = {"inner_gain": 0, "outer_gain": LATENT_FRACTION - STREAM_FRACTION}
"""Exponent of the unit in which the exact transforms hold each of their gains."""
SAMPLE_RANGE = 2**16 - 1
"""What the samples that the exact analysis reads have for 1."""


@torch.no_grad()
def import_prior(prior: ContextPrior, tree: TensorTree) -> None:
    """Copies integer networks; what tables were made of is not among them.

    Args:
        prior: receives the weights.
        tree: the part `prior` of a weights file.
    """
    for name, module in prior.named_modules():
        if not isinstance(module, FixedPointConv2d):
            continue
        layer = _at(tree, name)
        shift = _tensor(layer, "shift").double()
        scale = torch.exp2(-shift) * module.output_steps().double()  # of the accumulator
        half = torch.where(shift > 0, torch.exp2(shift - 1), 0.0)
        weight = _tensor(layer, "weight").double()
        module.weight.copy_(weight * (scale / module.input_step)[:, None, None, None])
        if module.bias is not None:
            module.bias.copy_((_tensor(layer, "bias") - half) * scale)


@torch.no_grad()
def import_synthesis(synthesis: SynthesisTransform, tree: TensorTree) -> None:
    """Copies an exact synthesis into a real one, for training and gradients.

    Args:
        synthesis: receives the weights; its blocks are not fused.
        tree: the part `synthesis` of a weights file.
    """
    _import_gains(synthesis, tree, SYNTHESIS_GAINS)
    _import_blocks(synthesis, tree)
    up, last = synthesis.up, synthesis.exit
    assert up.bias is not None
    assert last.bias is not None
    factor = torch.exp2(-_tensor(tree["up"], "shift").double())
    wide = (_tensor(tree["up"], "weight").double() * factor).reshape(up.in_channels, 2, 2, -1)
    up.weight.copy_(wide.permute(0, 3, 1, 2))
    biases = _tensor(tree["up"], "bias").double() * factor * 2.0**-STREAM_FRACTION
    up.bias.copy_(biases.reshape(4, -1)[0])
    unit = 2.0 ** -float(_tensor(tree["exit"], "shift"))
    weight = _tensor(tree["exit"], "weight").double() * unit
    last.weight.copy_(weight.T[:, :, None, None])
    last.bias.copy_(_tensor(tree["exit"], "bias").double() * unit * 2.0**-STREAM_FRACTION)


@torch.no_grad()
def import_analysis(analysis: AnalysisTransform, tree: TensorTree) -> None:
    """Copies an exact analysis into a real one, for training.

    Args:
        analysis: receives the weights; its blocks are not fused.
        tree: the part `analysis` of a weights file.
    """
    _import_gains(analysis, tree, ANALYSIS_GAINS)
    _import_blocks(analysis, tree)
    _import_linear(analysis.down, tree["down"])
    entry = analysis.entry
    assert entry.bias is not None
    factor = torch.exp2(-_tensor(tree["entry"], "shift").double() - STREAM_FRACTION)
    patches = _tensor(tree["entry"], "weight").double() * (factor * SAMPLE_RANGE)  # (192, C)
    entry.weight.copy_(patches.T[:, :, None, None])
    entry.bias.copy_(_tensor(tree["entry"], "bias").double() * factor + patches.sum(0) / 2)


@torch.no_grad()
def import_hyper_analysis(hyper_analysis: HyperAnalysis, tree: TensorTree) -> None:
    """Copies an exact hyper-analysis into a real one, for training.

    Args:
        hyper_analysis: receives the weights; its blocks are not fused.
        tree: the part `hyper_analysis` of a weights file.
    """
    _import_blocks(hyper_analysis, tree)
    for name in ("entry", "down", "exit"):
        _import_linear(getattr(hyper_analysis, name), tree[name])
    last = hyper_analysis.exit
    for parameter in last.parameters():
        parameter.div_(HYPER_SCALE)


def blocks_of(transform: nn.Module) -> list[tuple[str, Block]]:
    """The blocks of a transform with their names."""
    return [(name, m) for name, m in transform.named_modules() if isinstance(m, Block)]


def named_tensors(tree: TensorTree, above: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a tree with their dotted names."""
    for name in tree.arrays:
        yield above + name, _tensor(tree, name)
    for name, part in tree.parts.items():
        yield from named_tensors(part, f"{above}{name}.")


def _import_gains(transform: nn.Module, tree: TensorTree, exponents: dict[str, int]) -> None:
    for name, exponent in exponents.items():
        logs = _tensor(tree, name).double() / 2.0**LOG_FRACTION - exponent
        getattr(transform, name).log_gain.copy_(logs * math.log(2.0))


def _import_linear(conv: nn.Conv2d, tree: TensorTree) -> None:
    """Copies a linear layer from the stream to the stream."""
    assert conv.bias is not None
    factor = torch.exp2(-_tensor(tree, "shift").double())
    weight = (_tensor(tree, "weight").double() * factor).reshape(
        *conv.kernel_size, conv.in_channels, conv.out_channels
    )
    conv.weight.copy_(weight.permute(3, 2, 0, 1))
    conv.bias.copy_(_tensor(tree, "bias").double() * factor * 2.0**-STREAM_FRACTION)


def _import_blocks(transform: nn.Module, tree: TensorTree) -> None:
    for name, block in blocks_of(transform):
        _import_block(block, _at(tree, name))


def _import_block(block: Block, tree: TensorTree) -> None:
    """Copies one block; its scales become one, since the weights hold them."""
    fractions = {name: int(_tensor(tree[name], "fraction")) for name in SCALED}
    units = _input_units(tree, fractions)
    block.scale.fill_(1.0)
    outputs = {name: torch.tensor(-float(value)) for name, value in fractions.items()}
    outputs |= {"depthwise": units["mix_out"], "mix_out": STREAM_UNIT, "contract": STREAM_UNIT}
    for name in READERS:
        conv: nn.Conv2d = getattr(block, name)
        assert conv.bias is not None
        shift = _tensor(tree[name], "shift").double()
        factor = torch.exp2(outputs[name] - shift)
        of_input = (-1, 1, 1, 1) if name == "depthwise" else (-1, 1, 1)
        steps = torch.exp2(units[name]).reshape(of_input)
        weight = _tensor(tree[name], "weight").double() * factor[:, None, None, None]
        conv.weight.copy_(weight / steps)
        half = torch.where(shift > 0, torch.exp2(shift - 1), 0.0)
        conv.bias.copy_((_tensor(tree[name], "bias").double() - half) * factor)


def _input_units(tree: TensorTree, fractions: dict[str, int]) -> dict[str, Tensor]:
    """Exponents of the units of what each convolution of a block reads, `(I,)`."""
    inputs = {name: _tensor(tree[name], "input_shift").double() for name in READ_SHIFTED}
    units = {
        "mix_in": inputs["mix_in"] - STREAM_FRACTION,
        "expand": inputs["expand"] - STREAM_FRACTION,
        "depthwise": inputs["depthwise"] - 2 * fractions["mix_in"] - 3,
        "contract": inputs["contract"] - 2 * fractions["expand"] - 3,
    }
    # Nothing says in which units `mix_out` reads: those that make the weights before it of order 1.
    shifts = _tensor(tree["depthwise"], "shift").double()
    weight = _tensor(tree["depthwise"], "weight").double()
    largest = weight.abs().amax((1, 2, 3)).clamp_min(1.0)
    units["mix_out"] = torch.floor(shifts + units["depthwise"] - torch.log2(largest))
    return units


def _at(tree: TensorTree, name: str) -> TensorTree:
    """The part with a dotted name."""
    for part in name.split("."):
        tree = tree[part]
    return tree


def _tensor(tree: TensorTree, name: str) -> Tensor:
    """A tensor of a part; a copy, since arrays from a file may be read-only."""
    return torch.tensor(tree.array(name))
