"""How good a model is on held-out tiles: rate and distortion at five qualities."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from aecodec.autoencoder.model import HyperpriorModel
from aecodec.training import data
from aecodec.training.data import Tiles
from aecodec.training.loss import rate_distortion

VALIDATION_QUALITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
VALIDATION_BATCH, VALIDATION_SIDE = 8, 256
MSE_MIN = 1e-10
"""Smaller errors count as this one, 100 dB."""


@dataclass(frozen=True)
class ValidationPoint:
    """Rate and distortion of held-out tiles at one quality.

    Attributes:
        quality: in [0, 100].
        bpp: mean bits per pixel.
        psnr: mean, dB.
    """

    quality: float
    bpp: float
    psnr: float


@torch.no_grad()
def validate_at(
    model: HyperpriorModel, tiles: Tiles, q: float, device: torch.device
) -> ValidationPoint:
    """Rate and distortion of centre crops at one relative quality; rate from rounding."""
    bpp: list[torch.Tensor] = []
    psnr: list[torch.Tensor] = []
    for batch in data.validation_batches(tiles, batch=VALIDATION_BATCH, side=VALIDATION_SIDE):
        x = batch.to(device)
        output = model(x, torch.full((len(x),), q, device=device), noisy=False)
        rounded = (output.x_hat.clamp(0, 1) * 255).round() / 255
        mse = (rounded - x).square().mean((1, 2, 3)).clamp_min(MSE_MIN)
        bpp.append(output.bpp)
        psnr.append(-10 * torch.log10(mse))
    return ValidationPoint(
        100 * q, torch.cat(bpp).mean().item(), torch.cat(psnr).mean().item()
    )  # fmt: skip


def mean_loss(points: Sequence[ValidationPoint]) -> float:
    """The training loss with the squared error, mean over the qualities."""
    bpp = torch.tensor([point.bpp for point in points])
    mse = torch.tensor([10.0 ** (-point.psnr / 10) for point in points])
    q = torch.tensor([point.quality / 100 for point in points])
    return rate_distortion(bpp, mse, q).mean().item()


def estimate_seconds(model: HyperpriorModel, tiles: Tiles, device: torch.device) -> float:
    """What a whole validation will take, from its first batch; a GPU warms up with another."""
    batches = -(-len(tiles) // VALIDATION_BATCH) * len(VALIDATION_QUALITIES)
    for _ in range(1 if device.type == "cpu" else 2):
        start = time.monotonic()
        validate_at(model, tiles[:VALIDATION_BATCH], 0.5, device)
        seconds = time.monotonic() - start
    return seconds * batches
