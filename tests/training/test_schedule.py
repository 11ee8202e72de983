"""Budgets by steps and by time, and the learning rate within them."""

from dataclasses import replace

import pytest
from conftest import FAST_RUN

from aecodec.training.config import TrainConfig
from aecodec.training.schedule import StepBudget, TimeBudget, rate_factor

PLATEAU_AND_DECAY = replace(FAST_RUN, decay_start=0.7, warmup_share=0.1)


class FakeClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def run_through(budget: TimeBudget, clock: FakeClock, seconds: list[float]) -> list[float]:
    """Takes steps of these lengths, over and over; the rates of those that were allowed."""
    budget.begin(50)
    factors: list[float] = []
    while not budget.is_over(50 + len(factors)):
        factors.append(rate_factor(budget.moment(50 + len(factors)), PLATEAU_AND_DECAY))
        clock.now += seconds[len(factors) % len(seconds)]
    return factors


def rises_then_falls(factors: list[float]) -> bool:
    top = factors.index(max(factors))
    return factors[: top + 1] == sorted(factors[: top + 1]) and factors[top:] == sorted(
        factors[top:], reverse=True
    )


def test_steps_warm_up_and_decay() -> None:
    config = TrainConfig(steps=1000, warmup=100, decay_shape="linear")
    budget = StepBudget(config)
    factors = [rate_factor(budget.moment(step), config) for step in (0, 499, 750, 999)]
    assert factors == pytest.approx([0.01, 1.0, 0.5, 0.002])
    assert not budget.is_over(999)
    assert budget.is_over(1000)
    late = StepBudget(config, start=400)
    assert rate_factor(late.moment(400), config) == pytest.approx(0.01)


def test_the_square_root_falls_faster_at_first() -> None:
    config = TrainConfig(steps=1000, warmup=1)
    budget = StepBudget(config)
    assert rate_factor(budget.moment(625), config) == pytest.approx(0.5)
    assert rate_factor(budget.moment(1000), config) == 0.0


def test_without_decay_the_rate_stays() -> None:
    config = TrainConfig(steps=1000, warmup=1, decay_start=1.0)
    assert rate_factor(StepBudget(config).moment(1000), config) == 1.0


@pytest.mark.parametrize("seconds", [[1.0], [0.01], [0.5, 0.5, 0.5, 8.0], [3.0, 1.0]])
def test_time_is_kept_and_the_rate_rises_and_falls_once(seconds: list[float]) -> None:
    clock = FakeClock()
    budget = TimeBudget(130.0, warmup_share=0.1, reserve=10.0, clock=clock)
    clock.now += 20.0  # the start
    factors = run_through(budget, clock, seconds)
    assert 1100.0 < clock.now <= 1120.0
    assert rises_then_falls(factors)
    assert 0 < factors[0] < 0.15
    assert max(factors) > 0.95
    assert factors[-1] < 0.35


def test_the_start_is_not_part_of_the_schedule() -> None:
    clock = FakeClock()
    budget = TimeBudget(200.0, warmup_share=0.0, clock=clock, started=900.0)
    clock.now += 50
    budget.begin(0)
    assert budget.moment(0).share == 0.0
    clock.now += 25
    assert budget.moment(1).share == pytest.approx(0.5)
    assert budget.seconds_left(1, 0.0) == 25
    budget.reserve = 10.0
    assert budget.has_time(15.0)
    assert not budget.has_time(16.0)
    assert budget.has_time(25.0, at_end=True)


def test_a_step_that_takes_everything_ends_the_run() -> None:
    clock = FakeClock()
    budget = TimeBudget(10.0, warmup_share=0.1, clock=clock)
    assert len(run_through(budget, clock, [500.0])) == 1
