"""The encoder's search for cheaper latents of one tile; the decoder does not know of it.

Analysis and rounding are one good guess. The search starts there and repeats: quantize, and take
the gradient of `bits + pixels * lambda * distortion` at what a decoder would see
(`rd_objective.py`), with the distortion that the model was trained for. The latents that are to be
quantized move towards the point where a quadratic model of the loss has its minimum; its curvature
is known from the model, so that the step needs no tuning. What a latent's own symbol costs is no
part of that gradient, for the dead zone weighs it exactly: together they are one step of proximal
gradient descent (Daubechies, Defrise, De Mol, "An iterative thresholding algorithm for linear
inverse problems", section 2). The hyper-latents, which are few, descend plainly and are drawn to
the integers beside them. The cheapest round is coded.

Source of the idea: Yang, Bamler, Mandt, "Improving Inference for Neural Image Compression",
section 3.1 (iterative inference).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aecodec.coding.dead_zone import DeadZone, Floats
from aecodec.format.quality import LAMBDA_RATIO, QUALITY_INDEX_MAX
from aecodec.models.config import SearchSettings

if TYPE_CHECKING:
    from aecodec.encoder.networks import EncoderModel
    from aecodec.encoder.tile_view import TileView


@dataclass(frozen=True)
class Effort:
    """What one level of effort does.

    Attributes:
        by_cost: rounds by rate and distortion rather than plainly.
        rounds: of the search.
    """

    by_cost: bool = True
    rounds: int = 0


EFFORTS = (
    Effort(by_cost=False),
    *(Effort(rounds=rounds) for rounds in (0, 3, 6, 9, 12, 20, 26, 32, 40)),
)
"""Levels 0 to 9."""


def refine(
    model: "EncoderModel", view: "TileView", z: Floats, effort: Effort,
    progress: Callable[[], None],
) -> tuple[Floats, Floats, float]:  # fmt: skip
    """Searches the cheapest latents of a tile.

    Args:
        model: the encoder.
        view: the tile in its surroundings.
        z: hyper-latents to start from.
        effort: with at least one round.
        progress: called after each round.

    Returns:
        Latents `(h, w, M)`, hyper-latents `(h/4, w/4, Z)`, and w of the dead zone that rounds them.
    """
    from aecodec.encoder.rd_objective import Objective

    settings, target = model.search, view.latents()
    best, lowest = (target, z, settings.plain_weight), np.inf
    objective = Objective(model, view)
    share = min(1.0, settings.hyper_rounds / effort.rounds)
    pull = np.float32(settings.hyper_pull * share)
    share *= _hyper_share(settings, float(np.mean(view.tile_quality)))
    for weight, pace, hyper_pace in _schedule(settings, effort.rounds):
        z_hat = np.floor(z + np.float32(0.5))
        found = objective(target, z_hat, DeadZone(model.symbol_costs, weight))
        if found.loss < lowest:
            best, lowest = (target, z_hat, weight), found.loss
        minimum = found.decoded - found.latents / np.float32(2.0 * settings.curvature)
        target = target + pace * (minimum - target)
        z = z - np.float32(hyper_pace * share) * found.hyper + pull * (z_hat - z)
        progress()
    return best


def _schedule(settings: SearchSettings, rounds: int) -> Iterator[tuple[float, np.float32, float]]:
    """For each round w, the pace, and that of the hyper-latents."""
    for number in range(rounds):
        done = number / max(rounds - 1, 1)
        weight = _between(settings.weights, min(done / settings.weights_until, 1.0))
        if number == 0:
            weight = settings.plain_weight  # as without search, which is never better then
        pace = np.float32(_between(settings.paces, done))
        yield weight, pace, _between(settings.hyper_paces, done)


def _hyper_share(settings: SearchSettings, index: float) -> float:
    """A bit of gradient comes with more curvature at higher rates."""
    beyond = max(index - settings.hyper_index, 0) / QUALITY_INDEX_MAX
    return float(LAMBDA_RATIO ** (-settings.hyper_fall * beyond))


def _between(ends: tuple[float, float], part: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * part
