"""How good a model is on held-out tiles: rate and distortion at five qualities.

Decibels, and `mean_loss` by them, are the same measure whatever a run lowers, so that runs can be
compared; the distortion that a run lowers stands beside them.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from aecodec.autoencoder.distortion import LEVELS, Distortion, mean_squared_error
from aecodec.autoencoder.model import HyperpriorModel
from aecodec.training import data
from aecodec.training.data import Tiles
from aecodec.training.distributed import ALONE, Team
from aecodec.training.loss import lagrangian

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
        distortion: mean of what the run weighs against bits, in lambda units.
    """

    quality: float
    bpp: float
    psnr: float
    distortion: float


def validate(
    model: HyperpriorModel, tiles: Tiles, distortion: Distortion, device: torch.device,
    team: Team = ALONE,
) -> list[ValidationPoint]:  # fmt: skip
    """Rate and distortion of held-out tiles at each of `VALIDATION_QUALITIES`.

    Each process of a team computes some batches, and all get the same numbers as one.
    """
    return [validate_at(model, tiles, q, distortion, device, team) for q in VALIDATION_QUALITIES]


@torch.no_grad()
def validate_at(
    model: HyperpriorModel, tiles: Tiles, q: float, distortion: Distortion, device: torch.device,
    team: Team = ALONE,
) -> ValidationPoint:  # fmt: skip
    """Rate and distortion of centre crops at one relative quality; rate from rounding."""
    rows = torch.zeros(3, len(tiles), device=device)
    for own, batch in data.validation_batches(
        tiles, batch=VALIDATION_BATCH, side=VALIDATION_SIDE, part=team.part
    ):
        x = batch.to(device)
        output = model(x, torch.full((len(x),), q, device=device), noisy=False)
        rounded = (output.x_hat.clamp(0, 1) * 255).round() / 255
        mse = mean_squared_error(rounded, x).clamp_min(MSE_MIN)
        rows[:, own] = torch.stack([output.bpp, -10 * torch.log10(mse), distortion(rounded, x)])
    return ValidationPoint(100 * q, *team.total(rows).mean(1).tolist())


def mean_loss(points: Sequence[ValidationPoint]) -> float:
    """The training loss with the squared error of the mean decibels, mean over the qualities."""
    return _mean_lagrangian(points, [LEVELS**2 * 10.0 ** (-p.psnr / 10) for p in points])


def mean_own_loss(points: Sequence[ValidationPoint]) -> float:
    """The training loss with the distortion that the run lowers, mean over the qualities."""
    return _mean_lagrangian(points, [point.distortion for point in points])


def _mean_lagrangian(points: Sequence[ValidationPoint], distortions: Sequence[float]) -> float:
    bpp = torch.tensor([point.bpp for point in points])
    q = torch.tensor([point.quality / 100 for point in points])
    return lagrangian(bpp, torch.tensor(distortions), q).mean().item()


def estimate_seconds(
    model: HyperpriorModel, tiles: Tiles, distortion: Distortion, device: torch.device,
    team: Team = ALONE,
) -> float:  # fmt: skip
    """What a whole validation will take, from its first batch; a GPU warms up with another."""
    at_once = VALIDATION_BATCH * team.part[1]
    batches = -(-len(tiles) // at_once) * len(VALIDATION_QUALITIES)
    for _ in range(1 if device.type == "cpu" else 2):
        start = time.monotonic()
        validate_at(model, tiles[:VALIDATION_BATCH], 0.5, distortion, device)
        seconds = time.monotonic() - start
    return seconds * batches
