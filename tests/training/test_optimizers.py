"""Muon, and which parameter learns by which rule."""

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from conftest import FAST_RUN, make_tiny_model

from aecodec.training import optimizers
from aecodec.training.matrix_optimizers import SOAP, Muon

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


@pytest.mark.parametrize(
    ("optimizer", "made"),
    [("muon", ["AdamW", "Muon"]), ("soap", ["AdamW", "SOAP"]), ("adamw", ["AdamW"])],
)
def test_every_parameter_has_one_optimizer(
    monkeypatch: pytest.MonkeyPatch, optimizer: str, made: list[str]
) -> None:
    monkeypatch.setattr(optimizers, "MUON_SMALLEST", 4)
    monkeypatch.setattr(optimizers, "SOAP_SMALLEST", 4)
    model, config = make_tiny_model(), replace(FAST_RUN, optimizer=optimizer)
    found = optimizers.make_optimizers(model, config)
    owned = [id(p) for o in found for group in o.param_groups for p in group["params"]]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())
    assert [type(o).__name__ for o in found] == made
    optimizers.set_rate(found, 0.5)
    rates = {group["lr"] / config.learning_rate for o in found for group in o.param_groups}
    others = {config.muon_ratio / 2} if optimizer == "muon" else set()
    assert rates == {0.5, 0.5 * config.linear_ratio} | others


@pytest.mark.parametrize("kind", ["Muon", "SOAP", "AdamW"])
def test_a_gradient_that_is_not_finite_changes_nothing(kind: str) -> None:
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.randn(8, 16, 1, 1))
    made: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "Muon": lambda: Muon([p], lr=0.1),
        "SOAP": lambda: SOAP([p], lr=0.1, every=2),
        "AdamW": lambda: torch.optim.AdamW([p], lr=0.1, fused=True),
    }
    optimizer = made[kind]()
    for _ in range(3):
        p.grad = torch.randn_like(p)
        assert bool(optimizers.apply_gradients([optimizer], [p]))
    before, state = p.detach().clone(), copy.deepcopy(optimizer.state[p])
    p.grad = torch.randn_like(p)
    p.grad[0, 0] = float("nan")
    assert not bool(optimizers.apply_gradients([optimizer], [p]))
    assert torch.equal(p, before)
    for key, value in optimizer.state[p].items():
        if key.startswith("basis") or key == "age":
            continue
        pair = [value, state[key]]
        if key == "second":  # in the order of new bases
            pair = [each.flatten().sort()[0] for each in pair]
        assert torch.equal(*pair), key
    p.grad = torch.randn_like(p)
    assert bool(optimizers.apply_gradients([optimizer], [p]))
    assert bool(p.isfinite().all())
    assert not torch.equal(p, before)


def last_loss(make: "Callable[[torch.nn.Parameter], torch.optim.Optimizer]", rate: float) -> float:
    """Of a quadratic whose axes are oblique and of very different curvature, after 200 steps."""
    torch.manual_seed(0)
    target = torch.randn(32, 24)
    rows = torch.linalg.qr(torch.randn(32, 32))[0] * torch.logspace(-1, 0.5, 32)
    columns = torch.linalg.qr(torch.randn(24, 24))[0] * torch.logspace(-1, 0.5, 24)
    weight = torch.nn.Parameter(torch.zeros(32, 24, 1, 1))
    optimizer = make(weight)
    for step in range(200):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / 200)
        optimizer.zero_grad()
        error = rows.T @ (weight.flatten(1) - target) @ columns
        loss = error.square().sum()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


def test_soap_gets_further_than_adam_in_as_many_steps() -> None:
    """Each at its best rate, and with the same memory."""
    rates = (0.1, 0.2, 0.4)
    soap = min(last_loss(lambda p: SOAP([p], lr=0.1, every=5), rate) for rate in rates)
    adam = min(
        last_loss(lambda p: torch.optim.AdamW([p], betas=SOAP.BETAS, weight_decay=0.0), rate)
        for rate in rates
    )
    assert soap < 0.3 * adam


@pytest.mark.parametrize("shape", [(8, 4, 2, 2), (16, 8, 1, 1), (4, 1200, 1, 1)])
def test_soap_turns_with_orthonormal_bases_where_sides_are_short(
    shape: tuple[int, int, int, int],
) -> None:
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.zeros(shape).to(memory_format=torch.channels_last))
    optimizer = SOAP([p], lr=0.1, every=2)
    for _ in range(5):
        p.grad = torch.randn_like(p)
        optimizer.step()
    bases = {key: value for key, value in optimizer.state[p].items() if key.startswith("basis")}
    assert len(bases) == (1 if shape[1] > 1000 else 2)
    for basis in bases.values():
        torch.testing.assert_close(basis.T @ basis, torch.eye(len(basis)), atol=1e-5, rtol=0)
    assert p.abs().max() > 0.05


def test_soaps_first_step_only_measures() -> None:
    p = torch.nn.Parameter(torch.ones(8, 8, 1, 1))
    p.grad = torch.randn_like(p)
    SOAP([p], lr=0.1).step()
    assert torch.equal(p, torch.ones_like(p))
