"""Passes of a model over batches, forward and backward, compiled where that is wanted."""

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from aecodec.autoencoder.model import ForwardOutput, HyperpriorModel
from aecodec.autoencoder.priors import ContextPrior, gaussian_bits
from aecodec.autoencoder.quantization import WHOLE, Part
from aecodec.coding.dead_zone import COSTS, DeadZone
from aecodec.format.constants import SCALE_LEVELS
from aecodec.models.config import SearchSettings
from aecodec.training.config import Phase, TrainConfig
from aecodec.training.device import compiled, computes_bfloat16
from aecodec.training.loss import LossTerms, RateDistortionLoss

if TYPE_CHECKING:
    from collections.abc import Callable


class Passes:
    """The passes of one run."""

    def __init__(
        self, model: HyperpriorModel, config: TrainConfig, device: torch.device, part: Part = WHOLE
    ) -> None:
        """Takes a model on its device, and which part of each batch it will see."""
        self._model, self._config, self._device, self._part = model, config, device, part
        self._forward: Callable[..., ForwardOutput] = (
            compiled(model, device) if config.compile else model
        )
        self._mixed = config.mixed and computes_bfloat16(device)

    def backward(self, x: Tensor, q: Tensor, loss: RateDistortionLoss) -> tuple[Tensor, ...]:
        """Gradients of the loss of one batch, see `RateDistortionLoss`.

        Returns:
            Loss, bits per pixel, share of z and MSE, each `()`.
        """
        self._model.zero_grad(set_to_none=True)
        output, terms = self.forward(x, q, loss)
        terms.loss.backward()  # type: ignore[no-untyped-call]  # torch
        return terms.loss, output.bpp.mean(), output.z_bpp.mean(), terms.mse.mean()

    def forward(
        self, x: Tensor, q: Tensor, loss: RateDistortionLoss
    ) -> tuple[ForwardOutput, LossTerms]:
        """What the model makes of one batch, and its loss."""
        if self._config.compile and self._device.type == "cuda":
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # torch
        output: ForwardOutput = self._forward(x, q, noisy=True, mixed=self._mixed, part=self._part)
        return output, loss(output, x, q)

    def enter(self, phase: Phase) -> None:
        """Makes the model round as this phase of a run wants it."""
        self._model.set_quantized(phase.quantized)
        self._model.prior.dead_zone = self._edges if phase.dead_zone else None

    @cached_property
    def _edges(self) -> Tensor:
        """Of the encoder's dead zone under Gaussians, on the device; see `quantize_dead_zone`."""
        levels = torch.arange(SCALE_LEVELS, dtype=torch.float64)[:, None]
        symbols = torch.arange(COSTS + 1, dtype=torch.float64).expand(SCALE_LEVELS, -1)
        costs = gaussian_bits(symbols, ContextPrior.scales(levels)).numpy()
        edges = DeadZone(costs.astype(np.float32), SearchSettings().plain_weight).edges
        return torch.from_numpy(edges).to(self._device)

    def warm_up(
        self, x: Tensor, q: Tensor, loss: RateDistortionLoss, phases: Iterable[Phase]
    ) -> None:
        """Compiles what steps will need, so that none of them takes a minute."""
        if not self._config.compile:
            return
        for phase in phases:
            self.enter(phase)
            for _ in range(3 if self._device.type == "cuda" else 1):  # the others record graphs
                self.backward(x, q, loss)
