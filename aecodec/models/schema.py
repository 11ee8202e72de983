"""Names, types and shapes of the tensors in a weights file."""

import torch
from torch import nn

from aecodec.autoencoder.dequantize import READ_SHIFTED, READERS, SCALED, _blocks
from aecodec.autoencoder.layers import FixedPointConv2d
from aecodec.autoencoder.priors import ContextPrior, FactorizedPrior
from aecodec.autoencoder.transforms import SynthesisTransform
from aecodec.decoder.integer_prior import HYPER_RADIUS, NORM_SIZE
from aecodec.export.prior import _scale_radius
from aecodec.format.constants import SCALE_LEVELS
from aecodec.format.quality import QUALITIES

Signature = dict[str, tuple[torch.dtype, tuple[int, ...]]]
"""Type and shape of each tensor, by name."""


def prior_signature(prior: ContextPrior, hyper_prior: FactorizedPrior) -> Signature:
    """Types and shapes of all tensors that `export_prior` makes of priors of these sizes."""
    signature: Signature = {}
    for name, module in prior.named_modules():
        if isinstance(module, FixedPointConv2d):
            outputs = (module.out_channels,)
            signature[f"{name}.weight"] = (torch.int8, tuple(module.weight.shape))
            signature[f"{name}.bias"] = (torch.int32, outputs)
            signature[f"{name}.shift"] = (torch.int8, outputs)
    sizes = [2 * _scale_radius(level) + 2 for level in range(SCALE_LEVELS)]
    return signature | {
        "tables.base": (torch.int16, (QUALITIES, prior.base.shape[1])),
        "tables.rate_features": (torch.int16, (QUALITIES, prior.rate_features.shape[1])),
        "tables.norms": (torch.int32, (NORM_SIZE,)),
        "tables.reciprocals": (torch.int32, (NORM_SIZE,)),
        "tables.scale_counts": (torch.int32, (sum(sizes),)),
        "tables.scale_sizes": (torch.int32, (SCALE_LEVELS,)),
        "tables.hyper_counts": (torch.int32, (len(hyper_prior.logits), 2 * HYPER_RADIUS + 2)),
    }


def synthesis_signature(synthesis: SynthesisTransform) -> Signature:
    """Types and shapes of all tensors that `export_synthesis` makes of one of these sizes."""
    up, last = synthesis.up, synthesis.exit
    wide, patch = 4 * up.out_channels, last.out_channels
    signature: Signature = {
        "outer_gain": (torch.int32, tuple(synthesis.outer_gain.log_gain.shape)),
        "inner_gain": (torch.int32, tuple(synthesis.inner_gain.log_gain.shape)),
        "up.weight": (torch.int16, (up.in_channels, wide)),
        "up.bias": (torch.int64, (wide,)),
        "up.shift": (torch.int8, (wide,)),
        "exit.weight": (torch.int16, (last.in_channels, patch)),
        "exit.bias": (torch.int64, (patch,)),
        "exit.shift": (torch.int8, ()),
    }
    for name, block in _blocks(synthesis):
        for reader in READERS:
            conv: nn.Conv2d = getattr(block, reader)
            outputs = (conv.out_channels,)
            signature[f"{name}.{reader}.weight"] = (torch.int16, tuple(conv.weight.shape))
            signature[f"{name}.{reader}.bias"] = (torch.int32, outputs)
            signature[f"{name}.{reader}.shift"] = (torch.int8, outputs)
        for reader in READ_SHIFTED:
            conv = getattr(block, reader)
            signature[f"{name}.{reader}.input_shift"] = (torch.int8, (conv.in_channels,))
        for reader in SCALED:
            signature[f"{name}.{reader}.fraction"] = (torch.int8, ())
    return signature
