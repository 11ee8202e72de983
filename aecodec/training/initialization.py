"""How the networks start: as a linear codec, or from released weights."""

import math
from pathlib import Path

import torch
from torch import Tensor

from aecodec.autoencoder.dequantize import import_prior, import_synthesis
from aecodec.autoencoder.model import HyperpriorModel
from aecodec.format.quality import lmbda
from aecodec.models.weights import ENCODERS, below, read_weights


def uniform_step(q: Tensor) -> Tensor:
    """The uniform quantizer's best step at q, in units of [0, 1] pixels.

    At high rate the distortion is step**2 / 12 and the rate falls by one bit a doubling, so
    loss = -log2(step) + lambda * 255**2 * step**2 / 12 per sample; three colour samples make a
    pixel, which gives step = sqrt(18 / (ln 2 * lambda)) / 255.
    """
    return torch.sqrt(18.0 / math.log(2.0) / lmbda(q)) / 255.0


def _principal_components(samples: Tensor) -> tuple[Tensor, Tensor]:
    """`(n, d)` samples about zero to components `(d, d)` in rows, largest first, and variances."""
    wide = samples.double()
    variances, vectors = torch.linalg.eigh(wide.T @ wide / len(wide))
    return vectors.flip(1).T.float(), variances.flip(0).clamp_min(1e-12).float()


def trainable_state(path: Path) -> dict[str, Tensor]:
    """The state of a `HyperpriorModel` that continues from released weights.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    config, tensors = read_weights(path)
    model = HyperpriorModel(config)
    import_prior(model.prior, below(tensors, "prior"))
    import_synthesis(model.synthesis, below(tensors, "synthesis"))
    state = model.state_dict()
    for part in ENCODERS:
        state |= {f"{part}.{k}": v.float() for k, v in below(tensors, part).items()}
    return state | below(tensors, "parent")
