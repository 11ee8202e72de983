"""What the simulation says of measured runs, and which sizes of blocks keep workers busy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aecodec.datasets.listing import SHARES_MAX
from benchmarks.scale_engine import EngineCosts
from benchmarks.scale_measure import JOBS, RAY, Load, Measured, Row
from benchmarks.scale_model import (
    TOLERATED,
    Assumptions,
    Costs,
    Job,
    cluster_of,
    pictures_of,
)
from benchmarks.scale_simulation import Blocks, Cluster, Run, Seconds, predict, simulate

BLOCKS = (1, 4, 16, 64, 256, 1024)
"""Sizes of blocks that are tried."""
AHEAD = 1
"""Blocks that Ray Data lets wait at a worker by default, beside that in hand."""
READERS = 16
"""Parts of a manifest that the engine reads at a time."""
LEAST = 1 - TOLERATED
"""An efficiency that is good enough."""
MOST_WORKERS = 2048


@dataclass(frozen=True)
class Check:
    """A measured run beside the same run simulated.

    Attributes:
        row: what was measured.
        traced: simulated seconds, with the times that its own workers told of each picture.
        forecast: simulated seconds, with the times of a warm codec alone on a core.
    """

    row: Row
    traced: float
    forecast: float

    @property
    def errors(self) -> tuple[float, float]:
        """By how much both are longer than the measured run, as parts of it."""
        return self.traced / self.row.wall - 1, self.forecast / self.row.wall - 1


def check(measured: Measured, costs: Costs, block: int) -> list[Check]:
    """Simulates each measured run of a folder.

    The engine gives out blocks of `block` pictures, a folder run each picture alone.
    """
    found = []
    for row in measured.rows:
        if row.way.name not in (JOBS, RAY):
            continue
        warm = np.array(measured.warm[row.load]) + row.storage / row.pictures
        traced = simulated(row, row.ready, np.array(row.run.seconds), costs, block)
        found.append(Check(row, traced.wall, simulated(row, row.start, warm, costs, block).wall))
    return found


def simulated(row: Row, start: float, seconds: Seconds, costs: Costs, block: int) -> Run:
    """The run of a row, if each picture keeps a worker busy for these seconds.

    Args:
        row: the run.
        start: seconds before its first block is given out.
        seconds: of each picture.
        costs: of the engine.
        block: pictures that the engine gives out together.
    """
    if row.way.name == JOBS:
        cluster = Cluster(row.way.workers, start, ahead=0)
        return simulate(cluster, Blocks.of_times(seconds, 1))
    cluster = Cluster(row.way.workers, start, costs.dispatch, costs.told, costs.block, costs.ahead)
    return simulate(cluster, Blocks.of_times(seconds, block))


@dataclass(frozen=True)
class Cell:
    """Efficiencies of a run, by the size of blocks.

    Attributes:
        pictures: how many.
        megapixels: of the mean picture.
        workers: processes.
        efficiency: for each of `BLOCKS`, 0 to 1.
    """

    pictures: int
    megapixels: float
    workers: int
    efficiency: tuple[float, ...]

    @property
    def best(self) -> tuple[int, float]:
        """The size of blocks with the highest efficiency, and that."""
        return max(zip(BLOCKS, self.efficiency, strict=True), key=lambda pair: pair[1])

    @property
    def good(self) -> list[int]:
        """Sizes of blocks that are good enough."""
        return [size for size, part in zip(BLOCKS, self.efficiency, strict=True) if part >= LEAST]


def cell(job: Job, costs: Costs, given: Assumptions, blocks: Sequence[int] = BLOCKS) -> Cell:
    """Simulates a run with all sizes of blocks; the job's own does not count."""
    cluster = cluster_of(job.workers, costs, given)
    pictures = pictures_of(job.megapixels, costs, given)
    parts = tuple(predict(cluster, pictures, job.pictures, size).efficiency for size in blocks)
    return Cell(job.pictures, job.megapixels, job.workers, parts)


def most_workers(
    pictures: int, megapixels: float, costs: Costs, given: Assumptions, most: int = MOST_WORKERS
) -> int:
    """The most workers, a power of two, that some size of blocks keeps busy."""
    found, workers = 0, 1
    while workers <= most:
        job = Job(pictures, megapixels, workers, 1)
        if not any(cell(job, costs, given, [size]).efficiency[0] >= LEAST for size in BLOCKS):
            break
        found, workers = workers, 2 * workers
    return found


def costs_of(measured: Measured, engine: EngineCosts, small: Load, large: Load) -> Costs:
    """The costs that the model and the simulation take.

    A line through small and large pictures gives the time of coding.
    """
    sizes = [load.megapixels / load.count for load in (small, large)]
    times = [float(np.mean(measured.warm[load.name])) for load in (small, large)]
    slope = (times[1] - times[0]) / (sizes[1] - sizes[0])
    fixed = max(0.0, times[0] - slope * sizes[0])
    started = max(row.start for row in measured.rows if row.way.name == RAY)
    return Costs(
        fixed=fixed,
        per_megapixel=(times[1] - fixed) / sizes[1],
        noise=float(np.std(np.log(measured.warm[small.name]))),
        start=started,
        dispatch=engine.dispatch,
        told=engine.told,
        block=engine.manifest,
        storage=measured.storage[small.name],
        ahead=AHEAD,
        manifest_bytes=engine.manifest_bytes,
        ledger_bytes=engine.ledger_bytes,
        ledger_row=engine.ledger_row,
        readers=READERS,
        shares=SHARES_MAX,
    )
