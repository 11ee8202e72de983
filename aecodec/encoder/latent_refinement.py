"""The encoder's search for cheaper latents of one tile; the decoder does not know of it.

Analysis, rounding and corrections are one good guess. The search starts there and repeats:
quantize, and take the gradient of `bits + pixels * lambda * distortion` at what a decoder would
see (`rd_objective.py`), with the distortion that the model was trained for. The latents that are to
be quantized move towards the point where a quadratic model of the loss has its minimum; its
curvature is known from the model, so that the step needs no tuning. What a latent's own symbol
costs is no part of that gradient, for the dead zone weighs it exactly: together they are one step
of proximal gradient descent (Daubechies, Defrise, De Mol, "An iterative thresholding algorithm for
linear inverse problems", section 2). The hyper-latents, which are few, descend plainly and are
drawn to the integers beside them. The cheapest round is coded.

Source of the idea: Yang, Bamler, Mandt, "Improving Inference for Neural Image Compression",
section 3.1 (iterative inference).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from aecodec.coding.dead_zone import DeadZone
from aecodec.encoder.latents import Proposal
from aecodec.format.quality import LAMBDA_RATIO, QUALITY_INDEX_MAX
from aecodec.models.config import SearchSettings

if TYPE_CHECKING:
    from aecodec.encoder.networks import EncoderModel
    from aecodec.encoder.tile_view import TileView


def refine(
    model: "EncoderModel", view: "TileView", start: Proposal, rounds: int,
    progress: Callable[[], None],
) -> Proposal:  # fmt: skip
    """Searches the cheapest latents of a tile.

    Args:
        model: the encoder.
        view: the tile in its surroundings.
        start: where the search begins, rounded by cost; what it finds is no worse.
        rounds: at least one.
        progress: called after each round.

    Returns:
        The cheapest, with whole hyper-latents.
    """
    from aecodec.encoder.rd_objective import Objective

    settings, target, z = model.search, start.target, start.z
    weight = settings.plain_weight if start.weight is None else start.weight
    best, lowest = start, np.inf
    objective = Objective(model, view)
    share = min(1.0, settings.hyper_rounds / rounds)
    pull = np.float32(settings.hyper_pull * share)
    share *= _hyper_share(settings, float(np.mean(view.tile_quality)))
    for number in range(rounds):
        done = number / rounds
        if number:  # the first round is of what there was without search
            weight = _weight_at(settings, done)
        z_hat = np.floor(z + np.float32(0.5))
        found = objective(target, z_hat, DeadZone(model.symbol_costs, weight))
        if found.loss < lowest:
            best, lowest = Proposal(target, z_hat, weight), found.loss
        minimum = found.decoded - found.latents / np.float32(2.0 * settings.curvature)
        target = target + np.float32(_between(settings.paces, done)) * (minimum - target)
        hyper_pace = np.float32(_between(settings.hyper_paces, done) * share)
        z = z - hyper_pace * found.hyper + pull * (z_hat - z)
        progress()
    z_hat, weight = np.floor(z + np.float32(0.5)), _weight_at(settings, 1.0)
    if objective.loss(target, z_hat, DeadZone(model.symbol_costs, weight)) < lowest:
        best = Proposal(target, z_hat, weight)
    return best


def _weight_at(settings: SearchSettings, done: float) -> float:
    return _between(settings.weights, min(done / settings.weights_until, 1.0))


def _hyper_share(settings: SearchSettings, index: float) -> float:
    """A bit of gradient comes with more curvature at higher rates."""
    beyond = max(index - settings.hyper_index, 0) / QUALITY_INDEX_MAX
    return float(LAMBDA_RATIO ** (-settings.hyper_fall * beyond))


def _between(ends: tuple[float, float], part: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * part
