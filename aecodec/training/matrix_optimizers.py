"""Optimizers for the matrices of convolutions: Muon and SOAP.

Both take matrices of one shape together, and neither waits for the device: a step whose gradient is
not finite is one that changes nothing, which the device itself sees to. A trainer tells them so by
the attribute `found_inf`, as PyTorch's fused optimizers are told.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from aecodec.training.device import computes_bfloat16

HOST_STATE = frozenset({"age"})
"""Names of state that stays on the host."""
BASIS_LARGEST = 1024
"""Sides longer than this are not rotated by SOAP."""


class MatrixOptimizer(torch.optim.Optimizer):
    """Sorts parameters by shape; a parameter `(O, I, ...)` counts as the matrix `(O, I * ...)`.

    Attributes:
        found_inf: `()`, 1 for a gradient that is not finite, else 0; None if nobody looked.
    """

    found_inf: Tensor | None = None

    def __init__(self, params: Iterable[Any], lr: float | Tensor) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # no closure
        """Updates every parameter that has a gradient."""
        for params, rate in self._shapes():
            gradients = torch.stack([_gradient(p).flatten(1) for p in params])
            if self.found_inf is None:
                keep = torch.ones((), device=gradients.device)
            else:
                keep = 1.0 - self.found_inf
                gradients = torch.where(keep > 0, gradients, 0.0)
            changes = self._changes(params, gradients, keep) * (-rate * keep)
            for p, change in zip(params, changes.unbind(), strict=True):
                p.add_(change.reshape(p.shape))

    def _changes(self, params: Sequence[nn.Parameter], gradients: Tensor, keep: Tensor) -> Tensor:
        """Takes note of gradients and says in which direction to go.

        Args:
            params: of one shape.
            gradients: `(k, rows, columns)`, finite.
            keep: `()`, 1, or 0 for a step that changes nothing.

        Returns:
            `(k, rows, columns)`, to be multiplied by the negative rate.
        """
        raise NotImplementedError

    def _shapes(self) -> Iterator[tuple[list[nn.Parameter], float | Tensor]]:
        """Parameters of one shape and one rate."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault(p.shape, []).append(p)
            for params in shapes.values():
                yield params, group["lr"]

    def _gather(self, params: Sequence[nn.Parameter], key: str) -> Tensor:
        """One part of the state of some parameters, `(k, ...)`."""
        return torch.stack([self.state[p][key] for p in params])

    def _scatter(self, params: Sequence[nn.Parameter], key: str, values: Tensor) -> None:
        for p, value in zip(params, values.unbind(), strict=True):
            if key in self.state[p]:
                self.state[p][key].copy_(value)
            else:
                self.state[p][key] = value.clone()


class Muon(MatrixOptimizer):
    """Momentum orthogonalized by a Newton-Schulz iteration, for 1x1 convolutions.

    The iteration runs in bfloat16 where that is fast; `torch.optim.Muon` takes matrices one by one.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; the
    factor 0.2 * sqrt(larger side) after Liu et al., "Muon is Scalable for LLM Training", 2.2.
    """

    MOMENTUM = 0.95
    ITERATIONS = 5
    COEFFICIENTS = (3.4445, -4.7750, 2.0315)

    def _changes(self, params: Sequence[nn.Parameter], gradients: Tensor, keep: Tensor) -> Tensor:
        for p in params:
            if "momentum" not in self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
        momentum = self._gather(params, "momentum").reshape(gradients.shape)
        momentum = torch.lerp(momentum, gradients, (1 - self.MOMENTUM) * keep)
        self._scatter(params, "momentum", momentum.reshape(-1, *params[0].shape))
        wide = gradients.lerp(momentum, self.MOMENTUM)  # Nesterov's
        larger = max(wide.shape[1:])
        tall = wide.shape[1] > wide.shape[2]
        direction = self._orthogonalize(wide.mT if tall else wide)
        direction = direction.mT if tall else direction
        return direction * float(0.2 * larger**0.5)

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


class SOAP(MatrixOptimizer):
    """Adam in the eigenbases of Shampoo's preconditioners, which turn slowly.

    The first step measures the bases and changes no weight. Then the bases follow the
    preconditioners by a power iteration and a QR decomposition every `every` steps.

    Source: Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", algorithms 3 and 4,
    https://arxiv.org/abs/2409.11321; sorting by eigenvalues as in the authors' code.
    Turned moments are clipped to [-1, 1], which neither has.
    """

    BETAS = (0.95, 0.95)
    SHAMPOO_BETA = 0.95
    EPSILON = 1e-8

    def __init__(self, params: Iterable[Any], lr: float | Tensor, *, every: int = 10) -> None:
        """Takes parameters and their rate.

        Args:
            params: or groups of them.
            lr: the rate.
            every: steps between new bases.
        """
        super().__init__(params, lr)
        self.every = every

    def _changes(self, params: Sequence[nn.Parameter], gradients: Tensor, keep: Tensor) -> Tensor:
        states = [self.state[p] for p in params]
        new = any("second" not in state for state in states)
        if new:
            self._start(params, gradients)
        first = torch.lerp(
            self._gather(params, "first").reshape(gradients.shape), gradients,
            (1 - self.BETAS[0]) * keep,
        )  # fmt: skip
        self._scatter(params, "first", first.reshape(-1, *params[0].shape))
        if new:
            return torch.zeros_like(gradients)
        bases = [self._gather(params, f"basis_{side}") for side in _sides(gradients)]
        turned = _turn(gradients, bases)
        second = torch.lerp(
            self._gather(params, "second"), turned.square(), (1 - self.BETAS[1]) * keep
        )
        for state in states:
            state["step"] += keep
        step = states[0]["step"]
        bias = [1.0 - torch.pow(beta, step) for beta in self.BETAS]
        root = (second / bias[1]).sqrt() + self.EPSILON
        # With equal betas and fixed bases no entry exceeds 1, by the Cauchy-Schwarz inequality.
        # Where bases have turned, second moments are those of other axes: entries would explode.
        normed = (_turn(first / bias[0], bases) / root).clamp(-1, 1)
        direction = _turn_back(normed, bases)
        self._scatter(params, "second", self._follow(params, gradients, second, keep))
        return direction

    def _start(self, params: Sequence[nn.Parameter], gradients: Tensor) -> None:
        """Makes the state of parameters, their first gradients being known."""
        for side in _sides(gradients):
            gram = _gram(gradients, side)
            self._scatter(params, f"gram_{side}", gram * (1 - self.SHAMPOO_BETA))
            self._scatter(params, f"basis_{side}", torch.linalg.eigh(gram)[1].flip(2))
        self._scatter(params, "second", torch.zeros_like(gradients))
        for p in params:
            self.state[p]["first"] = torch.zeros_like(p)
            self.state[p]["step"] = torch.zeros((), device=p.device)
            self.state[p]["age"] = torch.zeros(())

    def _follow(
        self, params: Sequence[nn.Parameter], gradients: Tensor, second: Tensor, keep: Tensor
    ) -> Tensor:
        """Adds gradients to the preconditioners, and from time to time turns the bases.

        Returns:
            `second`, its rows and columns in the order of the new bases.
        """
        for p in params:
            self.state[p]["age"] += 1
        turning = int(self.state[params[0]]["age"]) % self.every == 0
        for side in _sides(gradients):
            gram = torch.lerp(
                self._gather(params, f"gram_{side}"), _gram(gradients, side),
                (1 - self.SHAMPOO_BETA) * keep,
            )  # fmt: skip
            self._scatter(params, f"gram_{side}", gram)
            if turning:
                basis = self._gather(params, f"basis_{side}")
                order = (basis * (gram @ basis)).sum(1).argsort(1, descending=True)  # (k, n)
                basis = basis.gather(2, order[:, None].expand_as(basis))
                index = order[:, :, None] if side == 0 else order[:, None, :]
                second = second.gather(side + 1, index.expand_as(second))
                self._scatter(params, f"basis_{side}", torch.linalg.qr(gram @ basis)[0])
        return second


def _gradient(p: nn.Parameter) -> Tensor:
    assert p.grad is not None
    return p.grad


def _sides(matrices: Tensor) -> list[int]:
    """The sides, 0 for rows and 1 for columns, that are rotated."""
    return [side for side in (0, 1) if matrices.shape[side + 1] <= BASIS_LARGEST]


def _gram(matrices: Tensor, side: int) -> Tensor:
    return matrices @ matrices.mT if side == 0 else matrices.mT @ matrices


def _turn(matrices: Tensor, bases: Sequence[Tensor]) -> Tensor:
    """`Qrows^T M Qcolumns`, as far as there are bases."""
    for side, basis in zip(_sides(matrices), bases, strict=True):
        matrices = basis.mT @ matrices if side == 0 else matrices @ basis
    return matrices


def _turn_back(matrices: Tensor, bases: Sequence[Tensor]) -> Tensor:
    for side, basis in zip(_sides(matrices), bases, strict=True):
        matrices = basis @ matrices if side == 0 else matrices @ basis.mT
    return matrices
