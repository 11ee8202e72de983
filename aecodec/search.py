"""The encoder's search for cheaper latents of one very picture; the decoder never knows.

Analysis and rounding are one good guess. The search starts there and repeats: decode, take the
gradient of the distortion at the decoded latents, and move the latents that are to be quantized
towards the point where a quadratic model of the distortion has its minimum. The curvature of that
model is the w of `dead_zone.py`, so that the step needs no tuning. The hyper-latents follow the
decoded latents, which the dead zone has made sparser. Each round is coded for real, and the
cheapest by `bits + lambda * 255**2 * squared error` wins.

Source of the idea: Yang, Bamler, Mandt, "Improving Inference for Neural Image Compression",
section 3.1 (iterative inference); of the quadratic model: this project.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aecodec.container import Tile
from aecodec.dead_zone import DeadZone, Floats
from aecodec.integer import NORM_FRACTION, NORM_OFFSET, QUALITIES
from aecodec.latents import GROUP, MEAN_STEP, YHat, encode_latents
from aecodec.model import lmbda
from aecodec.priors import MEAN_FRACTION
from aecodec.weights import CodecModel

EFFORT_MAX = 9
CURVATURE = 7.5
"""Bits per squared quantization step of error; measured on aec-1, see `dead_zone.py`."""
PLAIN_WEIGHT = 25.0
"""w of a dead zone without search. Above the curvature: errors that all point to zero add up."""


@dataclass(frozen=True)
class Effort:
    """What one level of effort does.

    Attributes:
        weight: w of the dead zone; None rounds plainly.
        rounds: of the search.
        pace: part of the way to the model's minimum that one round goes.
    """

    weight: float | None
    rounds: int = 0
    pace: float = 0.0


EFFORTS = (
    Effort(None),
    Effort(PLAIN_WEIGHT),
    Effort(18.0, 2, 0.5),
    Effort(16.0, 4, 0.4),
    Effort(14.0, 6, 0.3),
    Effort(14.0, 8, 0.3),
    Effort(12.0, 12, 0.25),
    Effort(10.0, 16, 0.2),
    Effort(10.0, 24, 0.2),
    Effort(10.0, 40, 0.12),
)


@dataclass(frozen=True, eq=False)
class TileView:
    """A tile and its surroundings.

    Attributes:
        x: `(1, 3, 16h, 16w)`, the window's pixels in model space.
        y: `(1, M, h, w)`, its latents from the analysis.
        rows: of the tile in the window, in latents.
        columns: likewise.
        size: height and width of the pixels that belong to the picture.
    """

    x: Tensor
    y: Tensor
    rows: slice
    columns: slice
    size: tuple[int, int]

    def latents(self) -> Floats:
        """The tile's own latents, `(h, w, M)`."""
        inside = self.y[0, :, self.rows, self.columns]
        return np.ascontiguousarray(inside.permute(1, 2, 0).numpy())


def encode_tile(
    model: CodecModel, view: TileView, quality_index: int, effort: Effort,
    *, progress: Callable[[], None] = lambda: None,
) -> Tile:  # fmt: skip
    """Codes one tile.

    Args:
        model: the codec's model.
        view: the tile in its surroundings.
        quality_index: row of the quality grid.
        effort: what to spend.
        progress: called after each round, the first coding included.
    """
    zone = None
    if effort.weight is not None:
        zone = DeadZone(model.prior.symbol_costs, effort.weight)
    target, q = view.latents(), relative_quality(quality_index)
    z = hyper_analyze(model, target, quality_index)
    tile, y_hat = encode_latents(model.prior, target, z, quality_index, dead_zone=zone)
    progress()
    best, lowest = tile, np.inf
    for _ in range(effort.rounds):
        distortion, gradient = _distortion(model, view, y_hat, q)
        if _loss(tile, distortion) < lowest:
            best, lowest = tile, _loss(tile, distortion)
        decoded = y_hat * MEAN_STEP
        minimum = decoded - gradient / np.float32(2.0 * CURVATURE)
        target += np.float32(effort.pace) * (minimum - target)
        z = hyper_analyze(model, decoded, quality_index)
        tile, y_hat = encode_latents(model.prior, target, z, quality_index, dead_zone=zone)
        progress()
    if effort.rounds and _loss(tile, _distortion(model, view, y_hat, q)[0]) < lowest:
        best = tile
    return best if effort.rounds else tile


def relative_quality(index: int) -> Tensor:
    """`(1,)`, q in [0, 1] at a point of the quality grid."""
    return torch.tensor([index / (QUALITIES - 1)])


def hyper_analyze(model: CodecModel, y: Floats, index: int) -> Floats:
    """Hyper-latents of one tile's latents, `(ceil(h/4), ceil(w/4), Z)`."""
    prior = model.prior
    norms = prior.norms[prior.base[index] - NORM_OFFSET].astype(np.float32) / NORM_FRACTION
    height, width = (-(-side // GROUP) * GROUP for side in y.shape[:2])
    padded = np.pad(y / norms, ((0, height - y.shape[0]), (0, width - y.shape[1]), (0, 0)))
    z = model.hyper_analysis(torch.from_numpy(padded).permute(2, 0, 1)[None])
    return np.ascontiguousarray(z[0].permute(1, 2, 0).numpy())


def _loss(tile: Tile, distortion: float) -> float:
    return 8.0 * len(tile.words) + distortion


def _distortion(model: CodecModel, view: TileView, y_hat: YHat, q: Tensor) -> tuple[float, Floats]:
    """`lambda * 255**2 * squared error / 3` over the window, and its gradient `(h, w, M)`.

    The surroundings stand for their own decoded latents with those of the analysis.
    """
    height, width = view.size
    with torch.inference_mode(mode=False), torch.enable_grad():
        inside = torch.from_numpy(y_hat.astype(np.float32)).mul_(1 / MEAN_FRACTION)
        inside.requires_grad_(True)
        y = view.y.clone()
        y[0, :, view.rows, view.columns] = inside.permute(2, 0, 1)
        x_hat = model.smooth_synthesis(y, q.clone()).clamp(0.0, 1.0)
        error = (x_hat - view.x)[:, :, :height, :width].square().sum()
        loss = error * (float(lmbda(q)) * 255.0**2 / 3.0)
        (gradient,) = torch.autograd.grad(loss, inside)
    return loss.item(), gradient.numpy()
