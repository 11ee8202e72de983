"""How much the encoder does for the latents of a tile before it codes them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aecodec.coding.dead_zone import DeadZone
from aecodec.encoder.latent_correction import Correction
from aecodec.encoder.latents import Proposal

if TYPE_CHECKING:
    from aecodec.encoder.networks import EncoderModel
    from aecodec.encoder.tile_view import TileView


@dataclass(frozen=True)
class Effort:
    """What one level of effort does.

    Attributes:
        by_cost: rounds by rate and distortion rather than plainly.
        corrections: of what rounding did, see `latent_correction.py`.
        rounds: of the search, see `latent_refinement.py`.
    """

    by_cost: bool = True
    corrections: int = 0
    rounds: int = 0

    @property
    def decodes(self) -> bool:
        """Whether tiles are decoded on the way."""
        return self.corrections + self.rounds > 0

    @property
    def steps(self) -> int:
        """What a tile takes, its last coding included."""
        return self.corrections + self.rounds + 1


EFFORTS = (
    Effort(by_cost=False),
    Effort(),
    Effort(corrections=2),
    *(Effort(corrections=2, rounds=rounds) for rounds in (1, 3, 6, 10, 16, 24, 36)),
)
"""Levels 0 to 9."""


def improved(
    model: "EncoderModel", view: "TileView", effort: Effort, progress: Callable[[], None]
) -> Proposal:
    """Latents of a tile after all that an effort does for them.

    Args:
        model: the encoder.
        view: the tile in its surroundings.
        effort: how much.
        progress: called after each correction and each round of the search.
    """
    target = view.latents()
    z = model.analysis.hyper(target, view.tile_quality)
    weight = model.search.plain_weight if effort.by_cost else None
    if effort.corrections:
        correction, weight = Correction(model, view), model.search.correction_weight
        for _ in range(effort.corrections):
            target = correction(target, z, DeadZone(model.symbol_costs, weight))
            progress()
    proposal = Proposal(target, z, weight)
    if not effort.rounds:
        return proposal
    from aecodec.encoder.latent_refinement import refine

    return refine(model, view, proposal, effort.rounds, progress)
