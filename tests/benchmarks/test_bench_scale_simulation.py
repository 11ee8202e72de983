"""The simulated run against what arithmetic says of it, and what must hold of any run."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scale_simulation import (
    Blocks,
    Cluster,
    Pictures,
    block_lengths,
    predict,
    simulate,
)


def equal(count: int, seconds: float = 1.0) -> Blocks:
    return Blocks.of_times(np.full(count, seconds), 1)


@pytest.mark.parametrize(("count", "workers", "rounds"), [(7, 3, 3), (6, 3, 2), (1, 5, 1)])
def test_equal_blocks_go_in_rounds(count: int, workers: int, rounds: int) -> None:
    run = simulate(Cluster(workers, start=4, ahead=0), equal(count, 2))
    assert run.wall == pytest.approx(4 + 2 * rounds)
    assert run.efficiency == pytest.approx(2 * count / (workers * run.wall))


def test_a_slow_driver_sets_the_pace() -> None:
    run = simulate(Cluster(100, dispatch=0.5, told=0.1), equal(50))
    assert run.wall == pytest.approx(50 * 0.6 + 1)
    assert run.pace == pytest.approx(0.6)


def test_a_block_that_waits_at_a_worker_hides_the_driver() -> None:
    """Without one each worker waits for the driver after each block."""
    blocks = equal(40)
    assert simulate(Cluster(1, dispatch=0.5, ahead=0), blocks).wall == pytest.approx(40 * 1.5)
    assert simulate(Cluster(1, dispatch=0.5, ahead=1), blocks).wall == pytest.approx(0.5 + 40)


def test_a_worker_pays_for_each_block() -> None:
    run = simulate(Cluster(1, block=0.5), equal(4))
    assert run.wall == pytest.approx(4 * 1.5)
    assert run.efficiency == pytest.approx(1 / 1.5)


def test_a_large_picture_at_the_end_is_waited_for() -> None:
    last = Blocks.of_times(np.array([1.0] * 9 + [10.0]), 1)
    first = Blocks.of_times(np.array([10.0] + [1.0] * 9), 1)
    assert simulate(Cluster(2, ahead=0), last).wall == pytest.approx(14)
    assert simulate(Cluster(2, ahead=0), first).wall == pytest.approx(10)


def test_failures_cost_time_and_lose_no_block() -> None:
    cluster = Cluster(8, node_workers=2, lifetime=40, detection=1, restart=5)
    blocks = equal(400)
    run, without = simulate(cluster, blocks), simulate(replace(cluster, lifetime=math.inf), blocks)
    assert without.wall == pytest.approx(50)
    assert without.failures == without.lost == 0
    assert run.failures > 0
    assert 0 < run.lost <= run.failures * 2  # a node has two blocks of a second in hand
    assert run.work == pytest.approx(400)
    assert run.wall > without.wall


def test_what_failures_take_is_as_arithmetic_says() -> None:
    """Of each life of a node, detection, restart and half a block are gone."""
    cluster = Cluster(20, node_workers=2, lifetime=50, detection=1, restart=4)
    run = simulate(cluster, equal(20_000))
    expected = 50 / (50 + 5 + 0.5)
    assert run.efficiency == pytest.approx(expected, abs=0.01)


def test_a_seed_decides_everything() -> None:
    cluster = Cluster(4, slowness=0.2, lifetime=30, node_workers=1, restart=2, detection=1)
    pictures = Pictures(4, 0.6, 100, 0.01, 0.1, 0.1, 0.01)
    runs = [predict(cluster, pictures, 500, 4, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_uneven_workers_are_as_fast_together_as_even_ones() -> None:
    run = simulate(Cluster(8, slowness=0.5), equal(8000, 0.1))
    assert run.efficiency == pytest.approx(1, abs=0.01)


def test_drawn_pictures_have_the_mean_and_the_limit_that_are_asked_for() -> None:
    rng = np.random.default_rng(0)
    pictures = Pictures(4, 0.6, math.inf, 0.5, 0.25, 0.1)
    times = pictures.seconds(200_000, rng)
    assert times.mean() == pytest.approx(0.5 + 0.25 * 4, rel=0.01)
    assert replace(pictures, largest=1, noise=0).seconds(1000, rng).max() == pytest.approx(0.75)


@given(st.integers(1, 400), st.integers(1, 50))
def test_blocks_hold_every_picture_once(count: int, most: int) -> None:
    lengths = block_lengths(count, most)
    assert sum(lengths) == count
    assert all(1 <= length <= most for length in lengths)
    assert lengths[:-1] == sorted(lengths[:-1])
    blocks = Blocks.of_times(np.arange(count, dtype=float), most)
    assert blocks.seconds.sum() == pytest.approx(count * (count - 1) / 2)
    assert blocks.lengths.tolist() == lengths


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 2), st.integers(0, 99))
def test_no_run_is_faster_than_its_work(count: int, workers: int, ahead: int, seed: int) -> None:
    times = np.random.default_rng(seed).uniform(0.1, 3, count)
    run = simulate(Cluster(workers, start=1, ahead=ahead), Blocks.of_times(times, 1))
    assert run.wall >= 1 + max(times.max(), times.sum() / workers) - 1e-9
    assert run.wall <= 1 + times.sum() + 1e-9
    assert 0 < run.efficiency <= 1


@pytest.mark.parametrize("most", [1, 16])
def test_a_long_run_goes_on_as_a_shorter_one(most: int) -> None:
    cluster = Cluster(16, start=5, dispatch=0.01, block=0.02, slowness=0.05)
    pictures = Pictures(1, 0.6, 100, 0.01, 0.1, 0.05, 0.002)
    count = 24 * 16 * most * 8
    whole = predict(cluster, pictures, count, most, rounds=10_000)
    lengthened = predict(cluster, pictures, count, most)
    assert lengthened.wall == pytest.approx(whole.wall, rel=0.03)
    assert lengthened.work == pytest.approx(whole.work, rel=0.03)


@pytest.mark.parametrize(("count", "workers"), [(0, 1), (1, 0)])
def test_nothing_cannot_be_simulated(count: int, workers: int) -> None:
    empty = Blocks(np.zeros(count), np.ones(count, np.int64))
    with pytest.raises(ValueError, match="at least one"):
        simulate(Cluster(workers), empty)
