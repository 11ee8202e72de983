"""How far the engine goes: `python -m benchmarks scale`.

It measures small and large pictures by one command each, by `--jobs` and by `--engine ray`, makes a
model on paper of runs over up to a billion pictures, and checks it by a simulation.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.codecs import describe
from benchmarks.machine import machine_facts
from benchmarks.plots import draw
from benchmarks.scale_check import BLOCKS, Cell, Check, cell, check, costs_of, most_workers
from benchmarks.scale_engine import BLOCK, EngineCosts, measure_engine
from benchmarks.scale_measure import JOBS, PLAIN, RAY, Load, Measured, Way, measure
from benchmarks.scale_model import Assumptions, Costs, Estimate, Job, estimate
from benchmarks.scale_report import (
    blocks_table,
    breaking_table,
    check_table,
    measured_table,
    model_table,
    plot,
    short_table,
    workers_table,
)

ROOT = Path(__file__).resolve().parents[1]
SMALL = Load("small", ((256, 256, 160),))
LARGE = Load("large", ((2448, 1632, 6),))
MIXED = Load("mixed", ((256, 256, 80), (2448, 1632, 4)))
WAYS = (Way(PLAIN, 1), Way(JOBS, 1), Way(JOBS, 2), Way(RAY, 1), Way(RAY, 2))
COUNTS = (10**3, 10**6, 10**9)
WORKERS = (2, 64, 1000)
MEGAPIXELS = (SMALL.megapixels / SMALL.count, 4.0)
PLOTTED = 10**6


@dataclass(frozen=True)
class Findings:
    """All results of a run.

    Attributes:
        measured: of ways and loads.
        engine: what it costs beside the pictures.
        costs: what the model takes.
        given: what it assumes.
        estimates: of runs, in groups that differ only in workers.
        checks: measured runs beside simulated ones.
        cells: simulated efficiencies.
        most: the most workers that some size of blocks keeps busy, by pictures and megapixels.
    """

    measured: Measured
    engine: EngineCosts
    costs: Costs
    given: Assumptions
    estimates: list[list[Estimate]]
    checks: list[Check]
    cells: list[Cell]
    most: dict[tuple[int, float], int]


def find(measured: Measured, engine: EngineCosts, given: Assumptions) -> Findings:
    """Draws all conclusions from what was measured."""
    costs = costs_of(measured, engine, SMALL, LARGE)
    kinds = [(count, size) for size in reversed(MEGAPIXELS) for count in COUNTS]
    return Findings(
        measured, engine, costs, given,
        [
            [estimate(Job(count, size, workers, BLOCK), costs, given) for workers in WORKERS]
            for count, size in kinds
        ],
        check(measured, costs, BLOCK),
        [
            cell(Job(count, size, workers, BLOCK), costs, given)
            for count, size in kinds for workers in WORKERS
        ],
        {(count, size): most_workers(count, size, costs, given) for count, size in kinds},
    )  # fmt: skip


def sections(found: Findings, facts: Mapping[str, object]) -> dict[str, str]:
    """The parts of the documents, by the names of their places."""
    machine = ", ".join(f"{name} {value}" for name, value in facts.items())
    return {
        "scale machine": f"Measured with {machine}; one thread in each process.",
        "scale measured": measured_table(found.measured, found.engine),
        "scale model": model_table(found.estimates),
        "scale breaking": breaking_table(found.estimates),
        "scale checks": check_table(found.checks),
        "scale blocks": blocks_table(found.cells),
        "scale workers": workers_table(found.most),
        "scale short": short_table(found.estimates[: len(COUNTS)]),
    }


def as_json(found: Findings, facts: Mapping[str, object]) -> str:
    """All results as JSON; times of single pictures are left out."""
    rows: list[dict[str, Any]] = [
        {
            "way": row.way.name, "workers": row.way.workers, "load": row.load,
            "pictures": row.pictures, "megapixels": row.megapixels, "wall": row.wall,
            "busy": row.busy, "ready": row.ready, "start": row.start, "coding": row.coding,
            "storage": row.storage, "manifest_bytes": row.run.manifest_bytes,
            "peak_mib": row.run.usage.peak_mib,
        }
        for row in found.measured.rows
    ]  # fmt: skip
    return json.dumps(
        {
            "machine": facts,
            "measured": rows,
            "engine": asdict(found.engine),
            "costs": asdict(found.costs),
            "assumptions": asdict(found.given),
            "estimates": [asdict(each) for group in found.estimates for each in group],
            "checks": [
                {"way": each.row.way.name, "workers": each.row.way.workers, "load": each.row.load,
                 "measured": each.row.wall, "traced": each.traced, "forecast": each.forecast}
                for each in found.checks
            ],
            "blocks": list(BLOCKS),
            "efficiency": [asdict(each) for each in found.cells],
            "most_workers": [
                {"pictures": count, "megapixels": size, "workers": workers}
                for (count, size), workers in found.most.items()
            ],
        },
        indent=1,
    )  # fmt: skip


def put(text: str, parts: Mapping[str, str], *, name: str) -> str:
    """A document with those parts whose places it has, between comments of their names.

    Raises:
        ValueError: the end of a place is missing.
    """
    for part, content in parts.items():
        begin, end = f"<!-- {part} -->\n", f"<!-- end of {part} -->"
        before, found, rest = text.partition(begin)
        if found:
            if end not in rest:
                raise ValueError(f"{name} has no {end}")
            text = f"{before}{begin}{content}\n{end}{rest.partition(end)[2]}"
    return text


def write(found: Findings, facts: Mapping[str, object], root: Path) -> None:
    """Rewrites tables, plot and JSON of a checkout.

    Raises:
        OSError: a document cannot be read or written.
        ValueError: a place in it has no end.
    """
    parts = sections(found, facts)
    for path in (root / "README.md", root / "benchmarks" / "README.md"):
        text = put(path.read_text(encoding="utf-8"), parts, name=str(path))
        path.write_text(text, encoding="utf-8")
    (root / "benchmarks" / "scale.json").write_text(as_json(found, facts) + "\n", encoding="utf-8")
    figure = draw(plot(found.cells, PLOTTED), "png")
    (root / "benchmarks" / "scale.png").write_bytes(figure)


@click.command()
@click.option("--repeats", type=click.IntRange(1), default=1, show_default=True)
@click.option("--write", "is_written", is_flag=True, help="Rewrite tables, plot and scale.json.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON in place of tables.")
def main(repeats: int, is_written: bool, is_json: bool) -> None:
    """Measures folder runs and the engine on samples/, and says how far they go."""
    try:
        with tempfile.TemporaryDirectory(prefix="aecodec-scale-") as name:
            folder = Path(name)
            measured = measure(
                WAYS, (SMALL, LARGE, MIXED), ROOT / "samples", folder / "runs", repeats,
                lambda text: click.echo(text, err=True),
            )  # fmt: skip
            (folder / "engine").mkdir()
            engine = measure_engine(folder / "engine")
        found = find(measured, engine, Assumptions())
        facts = machine_facts()
        if is_written:
            write(found, facts, ROOT)
    except (OSError, ValueError, RuntimeError) as exc:
        raise click.ClickException(describe(exc)) from exc
    if is_json:
        click.echo(as_json(found, facts))
        return
    for part in sections(found, facts).values():
        click.echo(part + "\n")
