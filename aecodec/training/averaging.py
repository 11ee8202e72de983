"""The moving average of the weights, which is what ships."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Averager:
    """Keeps an average of a model's weights, all of them in one operation."""

    def __init__(self, model: nn.Module, average: Mapping[str, Tensor], decay: float) -> None:
        """Takes a model, which must keep its tensors, and a copy of its state.

        Args:
            model: on its device.
            average: of all that is in its state, by name; at first the same.
            decay: part of the average that a late step leaves.
        """
        state = model.state_dict()
        floating = [name for name, value in state.items() if value.is_floating_point()]
        self._average = [average[name] for name in floating]
        self._weights = [state[name] for name in floating]
        self._decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Moves the average to the weights of step `step` since it began, at first by much."""
        decay = min(self._decay, max(0.0, 1.0 - 9.0 / (step + 1)))
        torch._foreach_lerp_(self._average, self._weights, 1 - decay)
