"""Turns the trained transforms of an encoder into their exact integer form."""

import torch
from torch import Tensor

from aecodec.autoencoder.dequantize import ANALYSIS_GAINS, SAMPLE_RANGE
from aecodec.autoencoder.quantization import quantize
from aecodec.autoencoder.transforms import HYPER_SCALE, AnalysisTransform, HyperAnalysis
from aecodec.errors import WeightsError
from aecodec.export.blocks import log_gains, round_blocks
from aecodec.export.input_statistics import InputStatistics
from aecodec.export.rounding import INT16_MAX
from aecodec.format.constants import (
    LINEAR_BIAS_MAX,
    LINEAR_SHIFTS,
    LINEAR_SUM_MAX,
    STREAM_FRACTION,
)
from aecodec.models.weights import Array


@torch.no_grad()
def export_analysis(analysis: AnalysisTransform, statistics: InputStatistics) -> dict[str, Array]:
    """Makes everything that the exact analysis needs; as reproducible as `export_synthesis`.

    Args:
        analysis: trained.
        statistics: what its blocks read, for which their weights are rounded.

    Returns:
        The part `analysis` of a weights file, by name.

    Raises:
        WeightsError: the trained values cannot be made exact.
    """
    tensors = round_blocks(analysis, statistics)
    for name, exponent in ANALYSIS_GAINS.items():
        tensors[name] = log_gains(getattr(analysis, name), exponent)
    entry, down = analysis.entry, analysis.down
    assert entry.bias is not None
    assert down.bias is not None
    patches = entry.weight.double()[:, :, 0, 0].T  # (192, C), for samples in [-1/2, 1/2]
    bias = entry.bias.double() - patches.sum(0) / 2
    to_stream = 2.0**STREAM_FRACTION
    layers = {
        "entry": _round_linear(patches * (to_stream / SAMPLE_RANGE), bias * to_stream),
        "down": _round_linear(_of_places(down.weight), down.bias.double() * to_stream),
    }
    return _arrays(tensors, layers)


@torch.no_grad()
def export_hyper_analysis(
    hyper_analysis: HyperAnalysis, statistics: InputStatistics
) -> dict[str, Array]:
    """The same for the part `hyper_analysis`; see `export_analysis`."""
    layers = {}
    for name, factor in (("entry", 1.0), ("down", 1.0), ("exit", HYPER_SCALE)):
        conv: torch.nn.Conv2d = getattr(hyper_analysis, name)
        assert conv.bias is not None
        bias = conv.bias.double() * (factor * 2.0**STREAM_FRACTION)
        layers[name] = _round_linear(_of_places(conv.weight) * factor, bias)
    return _arrays(round_blocks(hyper_analysis, statistics), layers)


def _of_places(weight: Tensor) -> Tensor:
    """`(O, I, k, k)` to `(k * k * I, O)` float64."""
    return weight.double().permute(2, 3, 1, 0).flatten(0, 2)


def _round_linear(weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """The finest integers that the bounds of a linear layer allow.

    Args:
        weight: `(I, O)` float64, from units of the input to units of the output.
        bias: `(O,)` float64, in units of the output.

    Raises:
        WeightsError: the weights are too large.
    """
    shift = torch.full_like(bias, float(LINEAR_SHIFTS[-1]))
    while True:
        rounded = quantize(weight * torch.exp2(shift))
        rounded_bias = quantize(bias * torch.exp2(shift))
        wide = rounded.abs().sum(0) > LINEAR_SUM_MAX
        wide |= (rounded.abs().amax(0) > INT16_MAX) | (rounded_bias.abs() > LINEAR_BIAS_MAX)
        if not wide.any():
            return {
                "weight": rounded.to(torch.int16),
                "bias": rounded_bias.to(torch.int64),
                "shift": shift.to(torch.int8),
            }
        shift[wide] -= 1
        if int(shift.min()) < LINEAR_SHIFTS[0]:
            raise WeightsError("the linear layers are too large for the exact analysis")


def _arrays(tensors: dict[str, Tensor], layers: dict[str, dict[str, Tensor]]) -> dict[str, Array]:
    for name, layer in layers.items():
        tensors |= {f"{name}.{key}": value for key, value in layer.items()}
    return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
