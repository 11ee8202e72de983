"""How far the engine goes: the model's arithmetic, the tables, and the command's parts."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.footprint import Usage
from benchmarks.scale import LARGE, MIXED, SMALL, WAYS, find, put, sections, write
from benchmarks.scale_check import BLOCKS, cell, check, costs_of, most_workers
from benchmarks.scale_engine import EngineCosts
from benchmarks.scale_measure import (
    JOBS,
    PLAIN,
    PLAIN_COUNTS,
    RAY,
    Load,
    Measured,
    Row,
    Trace,
    Way,
    measure,
    storage_seconds,
    warm_seconds,
)
from benchmarks.scale_model import Assumptions, Costs, Job, estimate, largest_of, waiting

ROOT = Path(__file__).resolve().parents[2]
COSTS = Costs(
    fixed=0.01, per_megapixel=0.1, noise=0.1, start=8, dispatch=0.005, told=5e-5, block=0.01,
    storage=0.002, ahead=1, manifest_bytes=500, ledger_bytes=70, ledger_row=1e-4, readers=16,
    shares=64,
)  # fmt: skip
ENGINE = EngineCosts(0.01, 500, 0.005, 5e-5, 600, 1e-4, 70)
GIVEN = Assumptions()
CODING = {"small": 0.01, "large": 0.5}


def row_of(way: Way, load: Load) -> Row:
    """A run in which every worker is busy all the time after a start of a second."""
    count = PLAIN_COUNTS if way.name == PLAIN else load.count
    seconds = warm_of(load)[:count]
    ready = 0.0 if way.name == PLAIN else 0.9
    start = 0.0 if way.name == PLAIN else 1.0
    wall = ready + sum(seconds) / way.workers
    return Row(
        way, load.name, count, load.megapixels * count / load.count,
        Trace(Usage(wall, wall, 100), seconds), ready, start, sum(seconds) * 0.8,
        sum(seconds) * 0.1,
    )  # fmt: skip


def warm_of(load: Load) -> tuple[float, ...]:
    return tuple(CODING["small" if width < 1000 else "large"] for width, _, count in load.sizes
                 for _ in range(count))  # fmt: skip


def made_up() -> Measured:
    loads = (SMALL, LARGE, MIXED)
    return Measured(
        tuple(row_of(way, load) for way in WAYS for load in loads),
        {load.name: warm_of(load) for load in loads},
        {load.name: 0.002 for load in loads},
    )


def test_the_figures_of_a_million_pictures() -> None:
    found = estimate(Job(10**6, 4, 100, 10), COSTS, GIVEN)
    assert found.core_hours == pytest.approx(0.41 * 10**6 / 3600)
    assert found.hours == pytest.approx(found.core_hours / 100)
    assert found.jpeg_bytes == pytest.approx(4e12 * 1.98 / 8)
    assert found.saved_bytes == pytest.approx(4e12 * (1.98 - 1.045) / 8)
    assert found.network_bytes == pytest.approx(4e12 * (1.98 + 1.045) / 8)
    assert found.manifest_bytes == 5e8
    assert found.list_requests == 1000
    assert found.list_seconds == pytest.approx(16 * 0.1)
    assert found.ledger_bytes == 7e7
    assert found.ledger_seconds == pytest.approx(100 * 0.1 + 1e5 * 0.1 / 16 + 1e-4 * 10**6)
    # A node's 32 workers read and write 32 / 0.41 pictures a second.
    assert found.node_gigabits == pytest.approx(32 / 0.41 * 4e6 * (1.98 + 1.045) / 1e9)


@pytest.mark.parametrize(
    ("job", "first"),
    [
        (Job(1000, 0.07, 64, 16), "start"),
        (Job(10**9, 0.07, 1000, 1), "the driver"),
        (Job(10**9, 0.07, 1000, 1024), "requests to one prefix"),
        (Job(10**5, 4, 8, 10**5), "the last block"),
    ],
)
def test_what_breaks_first(job: Job, first: str) -> None:
    found = estimate(job, COSTS, GIVEN)
    assert found.first == first
    assert found.strains[first].over > 1


def test_strains_grow_with_what_they_depend_on() -> None:
    job = Job(10**6, 1, 64, 16)
    usual = estimate(job, COSTS, GIVEN).strains
    many = estimate(replace(job, workers=128), COSTS, GIVEN).strains
    for name in ("start", "the driver", "requests to one prefix", "the last block"):
        assert many[name].over == pytest.approx(2 * usual[name].over)
    assert many["network of a node"] == usual["network of a node"]
    frail = estimate(job, COSTS, replace(GIVEN, lifetime=GIVEN.lifetime / 10)).strains
    assert frail["failing nodes"].over == pytest.approx(10 * usual["failing nodes"].over)


def test_waiting_for_an_object_store_falls_with_larger_blocks() -> None:
    assert waiting(1, GIVEN) == pytest.approx(1.1)
    assert waiting(10**6, GIVEN) == pytest.approx(0.4, rel=1e-3)


def test_the_largest_picture_is_a_quantile_within_limits() -> None:
    """Of 44 pictures one in 44 is two standard deviations above the median."""
    job = Job(44, 4, 1, 1)
    median = 4 * math.exp(-(0.6**2) / 2)
    assert largest_of(job, GIVEN) == pytest.approx(median * math.exp(2 * 0.6), rel=0.01)
    assert largest_of(Job(10**9, 40, 1, 1), GIVEN) == GIVEN.largest
    assert largest_of(job, replace(GIVEN, shape=0)) == pytest.approx(4)


def test_shares_sum_up_to_all_of_the_workers_time() -> None:
    for row in made_up().rows:
        assert sum(row.shares(0.03).values()) == pytest.approx(1)
    row = row_of(Way(JOBS, 2), SMALL)
    whole = 2 * row.wall
    shares = row.shares()
    assert shares["start"] == pytest.approx(2 / whole)
    assert shares["coding"] == pytest.approx(0.8 * row.busy / whole)
    assert shares["scheduling"] == pytest.approx(0)


def test_costs_are_a_line_through_small_and_large_pictures() -> None:
    costs = costs_of(made_up(), ENGINE, SMALL, LARGE)
    for load in (SMALL, LARGE):
        seconds = costs.coding(load.megapixels / load.count)
        assert seconds == pytest.approx(CODING[load.name], rel=1e-6)
    assert costs.start == 1
    assert costs.dispatch == ENGINE.dispatch


def test_runs_without_overhead_are_simulated_exactly() -> None:
    costs = replace(COSTS, dispatch=0, told=0, block=0)
    found = {(each.row.way, each.row.load): each for each in check(made_up(), costs, 1)}
    assert {way.name for way, _ in found} == {JOBS, RAY}
    for (way, load), each in found.items():
        if load == "small" or way.workers == 1:
            assert each.errors[0] == pytest.approx(0, abs=1e-9), (way, load)
        assert -0.2 < each.errors[0] < 0.2
    assert all(each.forecast > each.traced for each in found.values())


def test_larger_blocks_relieve_the_driver_and_lengthen_the_end() -> None:
    small = cell(Job(10**6, 0.07, 64, 16), COSTS, GIVEN)
    assert len(small.efficiency) == len(BLOCKS)
    assert small.efficiency[0] < 0.1 < 0.5 < small.best[1]
    assert small.best[0] > 16
    few = cell(Job(1000, 4, 8, 16), COSTS, GIVEN)
    assert few.efficiency[0] > few.efficiency[-1]
    assert all(0 < part <= 1 for part in small.efficiency + few.efficiency)
    assert set(small.good) <= set(BLOCKS)


def test_more_pictures_keep_more_workers_busy() -> None:
    assert most_workers(1000, 4, COSTS, GIVEN, most=64) <= 8
    assert most_workers(10**6, 4, COSTS, GIVEN, most=64) == 64


def test_parts_are_put_between_their_comments_alone() -> None:
    text = "a\n<!-- x -->\nold\n<!-- end of x -->\nb\n"
    assert put(text, {"x": "new", "y": "no"}, name="f") == text.replace("old", "new")
    assert put(put(text, {"x": "1"}, name="f"), {"x": "old"}, name="f") == text
    with pytest.raises(ValueError, match="f has no <!-- end of x -->"):
        put("<!-- x -->\nold\n", {"x": "new"}, name="f")


@pytest.mark.slow
def test_findings_are_written_into_the_documents(tmp_path: Path) -> None:
    found = find(made_up(), ENGINE, GIVEN)
    (tmp_path / "benchmarks").mkdir()
    for name in ("README.md", "benchmarks/README.md"):
        (tmp_path / name).write_text((ROOT / name).read_text("utf-8"), "utf-8")
    write(found, {"processor": "made up"}, tmp_path)
    parts = sections(found, {"processor": "made up"})
    short = (tmp_path / "README.md").read_text("utf-8")
    assert parts["scale short"] in short
    assert len(short.splitlines()) <= 200
    long = (tmp_path / "benchmarks" / "README.md").read_text("utf-8")
    for name, part in parts.items():
        assert name == "scale short" or part in long, name
    stored = json.loads((tmp_path / "benchmarks" / "scale.json").read_text("utf-8"))
    assert {each["job"]["pictures"] for each in stored["estimates"]} == {10**3, 10**6, 10**9}
    with Image.open(tmp_path / "benchmarks" / "scale.png") as plot:
        assert plot.width > 500


def test_pictures_have_the_sizes_of_their_load(tmp_path: Path) -> None:
    load = Load("some", ((32, 16, 3), (700, 650, 1)))
    paths = load.write(tmp_path, ROOT / "samples")
    sizes = []
    for path in paths:
        with Image.open(path) as image:
            sizes.append(image.size)
    assert sorted(sizes) == [(32, 16)] * 3 + [(700, 650)]
    assert load.megapixels == pytest.approx((3 * 32 * 16 + 700 * 650) / 1e6)
    times = warm_seconds(paths[:2], tmp_path / "warm")
    assert len(times) == 2
    assert all(0 < each < 60 for each in times)
    assert 0 < storage_seconds(paths[:2], tmp_path / "warm", tmp_path / "copies") < 60


@pytest.mark.slow
def test_ways_are_measured_in_turns(tmp_path: Path) -> None:
    loads = [Load("tiny", ((24, 16, 5),)), Load("more", ((40, 24, 4),))]
    ways, said = [Way(PLAIN, 1), Way(JOBS, 2), Way(RAY, 1)], list[str]()
    found = measure(ways, loads, ROOT / "samples", tmp_path, 1, said.append)
    assert said == ["1 of 1: tiny", "1 of 1: more"]
    assert [(row.way, row.load) for row in found.rows] == [
        (way, load.name) for way in ways for load in loads
    ]
    plain, jobs = found.row(ways[0], "tiny"), found.row(ways[1], "tiny")
    assert plain.pictures == PLAIN_COUNTS
    assert jobs.pictures == 5
    assert 0 < jobs.ready < jobs.start  # of runs of their own: `wall` is no bound
    assert jobs.wall > 0
    assert plain.start == plain.run.manifest_bytes == 0
    assert found.row(ways[2], "more").run.manifest_bytes > 1000
    assert len(found.row(ways[2], "more").run.seconds) == 4
    assert np.isclose(jobs.coding, sum(found.warm["tiny"]))
