"""Which parameter learns by which rule, and steps that wait for nothing.

Matrices learn by Muon, SOAP or AdamW, everything else by AdamW; the four linear layers, which start
near their optimum, at a lower rate.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from aecodec.training.config import TrainConfig
from aecodec.training.matrix_optimizers import SOAP, MatrixOptimizer, Muon

LINEAR_LAYERS = ("analysis.entry", "analysis.down", "synthesis.up", "synthesis.exit")
MUON_SMALLEST = 64
"""Shorter side from which on a matrix is worth the iteration."""
SOAP_SMALLEST = 16
"""Shorter side from which on a matrix is worth its bases."""
GRADIENT_NORM = 1.0
"""Longer gradients are cut to this length."""


def make_optimizers(model: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """The optimizers that `config.optimizer` names; each group stores its `full_lr`.

    The model must be on its device: AdamW is fused there, and on CUDA rates are tensors, so that
    setting them waits for nothing.
    """
    lr, ratio = config.learning_rate, config.linear_ratio
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, p in model.named_parameters():
        linear = name.startswith(LINEAR_LAYERS)
        groups.setdefault((_is_matrix(p, config.optimizer, linear=linear), linear), []).append(p)
    made: list[torch.optim.Optimizer] = []
    plain = _groups(groups, lr, lr * ratio, matrices=False)
    if plain:
        fused = next(model.parameters()).device.type in ("cpu", "cuda")
        made.append(
            torch.optim.AdamW(plain, lr=lr, betas=(0.9, 0.98), weight_decay=0.0, fused=fused)
        )
    full = lr * (config.muon_ratio if config.optimizer == "muon" else config.soap_ratio)
    matrices = _groups(groups, full, lr * ratio, matrices=True)
    if matrices and config.optimizer == "muon":
        made.append(Muon(matrices, full))
    elif matrices:
        made.append(SOAP(matrices, full, every=config.precondition_every))
    for optimizer in made:
        for group in optimizer.param_groups:
            group["full_lr"] = group["lr"]
            if group["params"][0].is_cuda:
                group["lr"] = torch.tensor(group["lr"], device=group["params"][0].device)
    return made


def set_rate(optimizers: Iterable[torch.optim.Optimizer], factor: float) -> None:
    """Sets every group's learning rate to `factor` of its full one."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(group["full_lr"] * factor)
            else:
                group["lr"] = group["full_lr"] * factor


def apply_gradients(
    optimizers: Sequence[torch.optim.Optimizer], parameters: Iterable[nn.Parameter]
) -> Tensor:
    """Clips the gradients and takes one step, or none where they are not finite.

    Nothing is read from the device, but for optimizers that cannot skip a step there.

    Returns:
        `()`, whether they are finite, on the device.
    """
    norm = torch.nn.utils.clip_grad_norm_(parameters, GRADIENT_NORM)
    finite = norm.isfinite()
    found_inf = (~finite).float()
    for optimizer in optimizers:
        if isinstance(optimizer, MatrixOptimizer) or optimizer.defaults.get("fused"):
            optimizer.found_inf = found_inf  # type: ignore[attr-defined]  # PyTorch reads it when fused
        elif not finite:
            continue
        optimizer.step()
    return finite


def _is_matrix(p: nn.Parameter, optimizer: str, *, linear: bool) -> bool:
    """Whether this parameter is one for Muon or SOAP."""
    if p.ndim != 4 or optimizer == "adamw":
        return False
    if optimizer == "muon":
        return not linear and p.shape[2] == 1 and min(p.shape[:2]) >= MUON_SMALLEST
    small = p.shape[2] <= 2 or linear
    return small and min(p.shape[0], p[0].numel()) >= SOAP_SMALLEST


def _groups(
    groups: dict[tuple[bool, bool], list[nn.Parameter]],
    full: float,
    lowered: float,
    *,
    matrices: bool,
) -> list[dict[str, Any]]:
    rates = {False: full, True: lowered}
    return [
        {"params": groups[matrices, linear], "lr": rate}
        for linear, rate in rates.items()
        if (matrices, linear) in groups
    ]
