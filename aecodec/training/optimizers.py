"""Which parameter learns by which rule: Muon, AdamW, AdamW at a lower rate."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from aecodec.autoencoder.model import HyperpriorModel
from aecodec.training.config import TrainConfig
from aecodec.training.device import computes_bfloat16

LINEAR_LAYERS = ("analysis.entry", "analysis.down", "synthesis.up", "synthesis.exit")
MUON_SMALLEST = 64
"""Shorter side from which on a matrix is worth the iteration."""


class Muon(torch.optim.Optimizer):
    """Momentum orthogonalized by a Newton-Schulz iteration, for 1x1 convolutions.

    Matrices of one shape are iterated together, in bfloat16 where that is fast; `torch.optim.Muon`
    takes them one by one.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; the
    factor 0.2 * sqrt(larger side) after Liu et al., "Muon is Scalable for LLM Training", 2.2.
    """

    MOMENTUM = 0.95
    ITERATIONS = 5
    COEFFICIENTS = (3.4445, -4.7750, 2.0315)

    def __init__(self, params: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # no closure
        """Updates every parameter that has a gradient."""
        for group in self.param_groups:
            shapes: dict[tuple[int, int], list[nn.Parameter]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    sides = sorted(p.shape[:2])
                    shapes.setdefault((sides[0], sides[1]), []).append(p)
            for (_, larger), params in shapes.items():
                directions = self._orthogonalize(torch.stack([self._momentum(p) for p in params]))
                rate = group["lr"] * 0.2 * larger**0.5
                for p, direction in zip(params, directions, strict=True):
                    p.add_(_like(direction, p), alpha=-rate)

    def _momentum(self, p: nn.Parameter) -> Tensor:
        """Nesterov momentum as a matrix with the smaller side first."""
        state = self.state[p]
        gradient = p.grad
        assert gradient is not None
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(gradient)
        momentum: Tensor = state["momentum"]
        momentum.lerp_(gradient, 1 - self.MOMENTUM)
        update = gradient.lerp(momentum, self.MOMENTUM).flatten(1)
        return update if p.shape[0] <= p.shape[1] else update.T

    def _orthogonalize(self, matrices: Tensor) -> Tensor:
        a, b, c = self.COEFFICIENTS
        x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-12)
        if computes_bfloat16(x.device):
            x = x.bfloat16()
        for _ in range(self.ITERATIONS):
            gram = x @ x.mT
            x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
        direction: Tensor = x.float()
        return direction


def make_optimizers(model: HyperpriorModel, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Muon on the inner 1x1 convolutions, AdamW on the rest; each group stores its `full_lr`."""
    muon: list[nn.Parameter] = []
    linear: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, p in model.named_parameters():
        if name.startswith(LINEAR_LAYERS):
            linear.append(p)
        elif p.ndim == 4 and p.shape[2] == 1 and min(p.shape[:2]) >= MUON_SMALLEST:
            muon.append(p)
        else:
            rest.append(p)
    lr = config.learning_rate
    groups: list[dict[str, Any]] = [
        {"params": rest},
        {"params": linear, "lr": lr * config.linear_ratio},
    ]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    if muon:
        optimizers.append(Muon(muon, lr=lr * config.muon_ratio))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["full_lr"] = group["lr"]
    return optimizers


def set_rate(optimizers: Iterable[torch.optim.Optimizer], factor: float) -> None:
    """Sets every group's learning rate to `factor` of its full one."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["full_lr"] * factor


def _like(matrix: Tensor, p: Tensor) -> Tensor:
    return (matrix if p.shape[0] <= p.shape[1] else matrix.T).reshape(p.shape)
