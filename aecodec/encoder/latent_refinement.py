"""The encoder's search for cheaper latents of one very picture; the decoder never knows.

Analysis and rounding are one good guess. The search starts there and repeats: quantize, and take
the gradient of `bits + lambda * 255**2 * squared error` at what a decoder would see
(`gradients.py`). The latents that are to be quantized move towards the point where a quadratic
model of the loss has its minimum; its curvature is the w of `dead_zone.py`, so that the step needs
no tuning. What a latent's own symbol costs is no part of that gradient, for the dead zone weighs it
exactly: together they are one step of proximal gradient descent (Daubechies, Defrise, De Mol, "An
iterative thresholding algorithm for linear inverse problems", section 2). The hyper-latents, which
are few, descend plainly and are drawn to the integers beside them. The cheapest round is coded.

Source of the idea: Yang, Bamler, Mandt, "Improving Inference for Neural Image Compression",
section 3.1 (iterative inference). Their annealed stochastic rounding (section 3.2, with Adam) saves
less in as many rounds: 40 gave 2.0 % of the bits where the above gives 7 % (two held-out
pictures, qualities 30 and 75, change of the loss at equal lambda).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from aecodec.encoder.networks import CodecModel
from aecodec.encoder.rd_objective import Objective, TileView
from aecodec.encoder.rdoq import DeadZone, Floats
from aecodec.format.quality import LAMBDA_RATIO, QUALITIES, relative_quality

CURVATURE = 7.5
"""Bits per squared quantization step of error; measured on aec-1, see `dead_zone.py`. With aec-6 it
is 5 to 8 where symbols are not zero and 1 to 7 elsewhere, but to tell channels apart saves less."""

PLAIN_WEIGHT = 25.0
"""w of a dead zone without search. Above the curvature: errors that all point to zero add up."""

WEIGHTS = (12.0, 8.0)
"""First and last w of a search, which can mend what rounding to zero does."""

WEIGHTS_UNTIL = 0.8
"""Part of the rounds after which w stays."""

PACES = (0.35, 0.1)
"""First and last part of the way to the model's minimum that a round goes."""

HYPER_PACES = (0.006, 0.0006)
"""First and last step of the hyper-latents for each bit of gradient, up to HYPER_INDEX."""

HYPER_PULL = 0.04
"""Part of the way to its integer that a hyper-latent goes back in each round."""

HYPER_ROUNDS = 24
"""Rounds for which both are meant; in more rounds they are smaller, or they would only wander."""

HYPER_INDEX = 200

HYPER_FALL = 0.4
"""Beyond that row of the quality grid, the hyper-latents' steps fall with this power of lambda,
since a bit of gradient there comes with more curvature."""


@dataclass(frozen=True)
class Effort:
    """What one level of effort does.

    Attributes:
        weight: w of the dead zone before the search; None rounds plainly.
        rounds: of the search.
    """

    weight: float | None
    rounds: int = 0


EFFORTS = (
    Effort(None),
    *(Effort(PLAIN_WEIGHT, rounds) for rounds in (0, 3, 6, 9, 12, 20, 26, 32, 40)),
)


def _search(
    model: CodecModel, view: TileView, index: int, start: tuple[Floats, Floats], effort: Effort,
    progress: Callable[[], None],
) -> tuple[Floats, Floats, float]:  # fmt: skip
    """The cheapest latents, hyper-latents and w of the dead zone that were found."""
    target, z = start
    best, lowest = (target, z, PLAIN_WEIGHT), np.inf
    with torch.inference_mode(mode=False), torch.enable_grad():
        objective = Objective(model, view, index, relative_quality(index))
        share = min(1.0, HYPER_ROUNDS / effort.rounds)
        pull = np.float32(HYPER_PULL * share)
        share *= _hyper_share(index)
        for weight, pace, hyper_pace in _schedule(effort):
            z_hat = np.floor(z + np.float32(0.5))
            found = objective(target, z_hat, DeadZone(model.prior.symbol_costs, weight))
            if found.loss < lowest:
                best, lowest = (target, z_hat, weight), found.loss
            minimum = found.decoded - found.latents / np.float32(2.0 * CURVATURE)
            target = target + pace * (minimum - target)
            z = z - np.float32(hyper_pace * share) * found.hyper + pull * (z_hat - z)
            progress()
    return best


def _schedule(effort: Effort) -> Iterator[tuple[float, np.float32, float]]:
    """For each round w, the pace, and that of the hyper-latents."""
    for number in range(effort.rounds):
        done = number / max(effort.rounds - 1, 1)
        weight = _between(WEIGHTS, min(done / WEIGHTS_UNTIL, 1.0))
        if number == 0 and effort.weight is not None:
            weight = effort.weight  # what is coded without search, so that it is never better
        yield weight, np.float32(_between(PACES, done)), _between(HYPER_PACES, done)


def _hyper_share(index: int) -> float:
    beyond = max(index - HYPER_INDEX, 0) / (QUALITIES - 1)
    return float(LAMBDA_RATIO ** (-HYPER_FALL * beyond))


def _between(ends: tuple[float, float], part: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * part
