"""Muon, and which parameter learns by which rule."""

from typing import TYPE_CHECKING

import pytest
import torch
from conftest import FAST_RUN, make_tiny_model

from aecodec.training import optimizers
from aecodec.training.optimizers import Muon

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("shape", [(128, 64), (64, 128)])
def test_orthogonalized_steps_are_nearly_orthogonal(shape: tuple[int, int]) -> None:
    """Each step of Muon moves along a matrix whose singular values are near one."""
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.zeros(*shape, 1, 1))
    optimizer = Muon([p], lr=1.0)
    p.grad = torch.randn_like(p)
    optimizer.step()
    singular = torch.linalg.svdvals(p.detach().flatten(1)) / (0.2 * max(shape) ** 0.5)
    assert 0.5 < singular.min() <= singular.max() < 1.3
    assert (p.detach() * p.grad).sum().item() < 0


@pytest.mark.parametrize(
    ("capability", "expected"), [("AVX2", torch.float32), ("AVX512", torch.bfloat16)]
)
def test_the_optimizer_multiplies_in_a_type_that_the_processor_has(
    monkeypatch: pytest.MonkeyPatch, capability: str, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    used: list[torch.dtype] = []
    product: Callable[..., torch.Tensor] = torch.baddbmm

    def observe(x: torch.Tensor, *args: torch.Tensor, **options: float) -> torch.Tensor:
        used.append(x.dtype)
        return product(x, *args, **options)

    monkeypatch.setattr(torch, "baddbmm", observe)
    p = torch.nn.Parameter(torch.eye(8)[:, :, None, None])
    p.grad = torch.ones_like(p)
    Muon([p], lr=1.0).step()
    assert set(used) == {expected}


def test_muon_has_momentum() -> None:
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.zeros(8, 16, 1, 1))
    optimizer = Muon([p], lr=1.0)
    p.grad = torch.randn_like(p)
    optimizer.step()
    first = p.detach().clone()
    p.grad = torch.zeros_like(p)
    optimizer.step()
    second = p.detach() - first
    torch.testing.assert_close(second, first, atol=0.05, rtol=0.05)


def test_every_parameter_has_one_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizers, "MUON_SMALLEST", 4)
    model = make_tiny_model()
    made = optimizers.make_optimizers(model, FAST_RUN)
    owned = [id(p) for o in made for group in o.param_groups for p in group["params"]]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())
    assert [type(o).__name__ for o in made] == ["AdamW", "Muon"]
    optimizers.set_rate(made, 0.5)
    rates = [group["lr"] for o in made for group in o.param_groups]
    assert rates == pytest.approx(
        [0.5 * FAST_RUN.learning_rate * f for f in (1, FAST_RUN.linear_ratio, FAST_RUN.muon_ratio)]
    )
