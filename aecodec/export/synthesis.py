"""Turns a trained synthesis into its exact integer form."""

import math

import torch
from torch import Tensor, nn

from aecodec.autoencoder.dequantize import SYNTHESIS_GAINS
from aecodec.autoencoder.quantization import quantize
from aecodec.autoencoder.transforms import SynthesisTransform
from aecodec.errors import WeightsError
from aecodec.export.blocks import log_gains, round_blocks
from aecodec.export.input_statistics import InputStatistics
from aecodec.format.constants import EXIT_SHIFT_MAX, STREAM_FRACTION
from aecodec.models.tensor_file import Array


@torch.no_grad()
def export_synthesis(
    synthesis: SynthesisTransform, statistics: InputStatistics
) -> dict[str, Array]:
    """Makes everything that the exact synthesis needs.

    The same weights and statistics give the same integers on one machine with as many threads.

    Args:
        synthesis: trained.
        statistics: what its blocks read, for which their weights are rounded.

    Returns:
        The part `synthesis` of a weights file, by name.

    Raises:
        WeightsError: the trained values cannot be made exact.
    """
    tensors = round_blocks(synthesis, statistics)
    for name, exponent in SYNTHESIS_GAINS.items():
        tensors[name] = log_gains(getattr(synthesis, name), exponent)
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
