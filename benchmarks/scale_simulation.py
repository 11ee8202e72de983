"""Simulates a run over many pictures event by event: one driver, workers on nodes that fail.

The driver hands blocks of pictures to workers, one after the other, as Ray Data does: a worker
holds the block that it works on, and a few that wait, so that it need not wait for the driver.
Nothing is started twice in the hope that the second is faster. When a node fails, its blocks are
given out again whole. Everything random is drawn from a seed.
"""

import math
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

RAMP = 8
"""A block holds at most so small a part of the pictures that are listed by then."""
Seconds = NDArray[np.float64]
Steps = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Cluster:
    """What a run is made on; all times in seconds.

    Attributes:
        workers: processes that code one picture at a time.
        start: before the first block is given out, with what follows on the last.
        dispatch: of the driver for a block; it does one at a time.
        told: of the driver for each picture of a block.
        block: of the worker for a block, beyond its pictures.
        ahead: blocks that wait at a worker.
        slowness: standard deviation of the logarithm of how slow a worker is.
        node_workers: workers of a node, which fail together.
        lifetime: mean time from one failure of a node to its next; failures come at random.
        detection: from a failure until its blocks are given out again.
        restart: from there until the node works again.
    """

    workers: int
    start: float = 0.0
    dispatch: float = 0.0
    told: float = 0.0
    block: float = 0.0
    ahead: int = 1
    slowness: float = 0.0
    node_workers: int = 32
    lifetime: float = math.inf
    detection: float = 10.0
    restart: float = 120.0


@dataclass(frozen=True)
class Pictures:
    """What pictures cost a worker, drawn at random.

    Attributes:
        megapixels: mean size.
        shape: standard deviation of the logarithm of sizes; 0 for equal ones.
        largest: no picture has more megapixels.
        fixed: seconds of coding a picture of no pixels.
        per_megapixel: seconds of coding.
        noise: standard deviation of the logarithm of the time that equal pictures take.
        storage: seconds of reading and writing a picture.
    """

    megapixels: float
    shape: float = 0.0
    largest: float = math.inf
    fixed: float = 0.0
    per_megapixel: float = 0.0
    noise: float = 0.0
    storage: float = 0.0

    def seconds(self, count: int, rng: np.random.Generator) -> Seconds:
        """Seconds of `count` pictures, (count,)."""
        sizes = self.megapixels * rng.lognormal(-(self.shape**2) / 2, self.shape, count)
        coding = self.fixed + self.per_megapixel * np.minimum(sizes, self.largest)
        noise = rng.lognormal(-(self.noise**2) / 2, self.noise, count)
        return np.asarray(coding * noise + self.storage)


@dataclass(frozen=True)
class Blocks:
    """Work that is given out.

    Attributes:
        seconds: (n,) that a worker of the usual speed has the pictures of a block in hand.
        lengths: (n,) pictures of each.
    """

    seconds: Seconds
    lengths: NDArray[np.int64]

    @classmethod
    def of_times(cls, seconds: Seconds, most: int) -> "Blocks":
        """Blocks of at most `most` pictures.

        Args:
            seconds: (pictures,) of each picture, in their order.
            most: pictures of a block.
        """
        lengths = np.array(block_lengths(len(seconds), most))
        return cls(np.add.reduceat(seconds, np.cumsum(lengths) - lengths), lengths)

    @classmethod
    def drawn(cls, pictures: Pictures, count: int, size: int, rng: np.random.Generator) -> "Blocks":
        """`count` full blocks of `size` pictures."""
        sums = np.array([pictures.seconds(size, rng).sum() for _ in range(count)])
        return cls(sums, np.full(count, size))


def block_lengths(pictures: int, most: int) -> list[int]:
    """Pictures of each block as the engine cuts them: few at first, and more as more are listed.

    Example:
        >>> block_lengths(20, 4)
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 1]
    """
    lengths, listed, length = [], 0, 0
    for _ in range(pictures):
        listed, length = listed + 1, length + 1
        if length >= min(most, max(1, listed // RAMP)):
            lengths.append(length)
            length = 0
    return [*lengths, length] if length else lengths


@dataclass(frozen=True)
class Run:
    """What became of a run.

    Attributes:
        workers: that it had.
        wall: seconds from its start to its end.
        work: seconds that all pictures needed, once each.
        pace: seconds from one block that is done to the next, in the middle of the run.
        lost: seconds of work that failures undid.
        failures: of nodes.
    """

    workers: int
    wall: float
    work: float
    pace: float
    lost: float = 0.0
    failures: int = 0

    @property
    def efficiency(self) -> float:
        """The part of all workers' time that was work on pictures, done once; 0 to 1."""
        return self.work / (self.workers * self.wall)


class _Simulation:
    """The state of one run."""

    def __init__(self, cluster: Cluster, blocks: Blocks, rng: np.random.Generator) -> None:
        self.cluster, self.rng = cluster, rng
        self.seconds, self.lengths = blocks.seconds.tolist(), blocks.lengths.tolist()
        self.env = simpy.Environment()
        slow = np.exp(rng.normal(0, cluster.slowness, cluster.workers))
        self.slow = (slow * np.mean(1 / slow)).tolist()  # all together as fast as equal ones
        self.waiting = deque(range(len(self.seconds)))
        self.came_back = self.env.event()
        self.slots = simpy.Store(self.env)
        """A pair for each block that a worker could take: the worker, and which of its lives."""
        self.lives = [0] * cluster.workers
        self.queues = [simpy.Store(self.env) for _ in range(cluster.workers)]
        self.in_hand: dict[int, tuple[int, float]] = {}
        self.done, self.finished = list[float](), self.env.event()
        """When each block was done, in the order of these times."""
        self.lost, self.failures = 0.0, 0

    def run(self) -> None:
        """Runs until every block is done."""
        self.processes = [self.env.process(self.worker(n)) for n in range(self.cluster.workers)]
        self.env.process(self.driver())
        if math.isfinite(self.cluster.lifetime):
            for first in range(0, self.cluster.workers, self.cluster.node_workers):
                self.env.process(self.node(first))
        self.env.run(until=self.finished)

    def driver(self) -> Steps:
        """Gives blocks out, one after the other, each to the worker that has waited longest."""
        yield self.env.timeout(self.cluster.start)
        for _ in range(self.cluster.ahead + 1):
            for worker in range(self.cluster.workers):
                self.slots.put((worker, self.lives[worker]))
        while True:
            worker, life = yield self.slots.get()
            while not self.waiting:
                yield self.came_back
            seconds = self.cluster.dispatch + self.cluster.told * self.lengths[self.waiting[0]]
            if seconds:
                yield self.env.timeout(seconds)
            if life == self.lives[worker]:
                self.queues[worker].put(self.waiting.popleft())

    def worker(self, worker: int) -> Steps:
        """Does block after block, for ever; a failure of the node interrupts it."""
        while True:
            try:
                yield from self.life(worker)
            except simpy.Interrupt:
                yield from self.recovery(worker)

    def life(self, worker: int) -> Steps:
        """Does what is in the worker's queue."""
        queue, life = self.queues[worker], self.lives[worker]
        while True:
            number = yield queue.get()
            self.in_hand[worker] = (number, self.env.now)
            seconds = self.cluster.block + self.seconds[number] * self.slow[worker]
            yield self.env.timeout(seconds)
            del self.in_hand[worker]
            self.done.append(self.env.now)
            if len(self.done) == len(self.seconds):
                self.finished.succeed()
            self.slots.put((worker, life))

    def recovery(self, worker: int) -> Steps:
        """Gives back what a worker had that died, and starts it anew."""
        lost = list(self.queues[worker].items)
        self.queues[worker] = simpy.Store(self.env)
        self.lives[worker] += 1
        if worker in self.in_hand:
            number, since = self.in_hand.pop(worker)
            self.lost += self.env.now - since
            lost.append(number)
        yield self.env.timeout(self.cluster.detection)
        self.waiting.extend(lost)
        if lost:
            self.came_back.succeed()
            self.came_back = self.env.event()
        yield self.env.timeout(self.cluster.restart)
        for _ in range(self.cluster.ahead + 1):
            self.slots.put((worker, self.lives[worker]))

    def node(self, first: int) -> Steps:
        """Fails now and then, with all workers from `first` on that are on it."""
        yield self.env.timeout(self.cluster.start)
        while True:
            yield self.env.timeout(self.rng.exponential(self.cluster.lifetime))
            self.failures += 1
            for process in self.processes[first : first + self.cluster.node_workers]:
                process.interrupt()
            yield self.env.timeout(self.cluster.detection + self.cluster.restart)


def simulate(cluster: Cluster, blocks: Blocks, seed: int = 0) -> Run:
    """Runs all blocks, in their order, on a cluster.

    Raises:
        ValueError: there is nothing to do, or nobody to do it.
    """
    if not len(blocks.seconds) or cluster.workers < 1:
        raise ValueError("a run needs at least one block and one worker")
    state = _Simulation(cluster, blocks, np.random.default_rng(seed))
    state.run()
    return Run(
        cluster.workers, state.env.now, float(blocks.seconds.sum()),
        _pace(state.done, (cluster.ahead + 1) * cluster.workers), state.lost, state.failures,
    )  # fmt: skip


def _pace(done: list[float], edge: int) -> float:
    """The time between blocks without `edge` of them at each end, or with all if they are few."""
    first, last = (edge, len(done) - edge) if len(done) > 3 * edge else (1, len(done))
    return (done[last - 1] - done[first - 1]) / max(1, last - first)


def predict(
    cluster: Cluster, pictures: Pictures, count: int, size: int, *, rounds: int = 10, seed: int = 0
) -> Run:
    """A run over `count` pictures in blocks of `size`.

    At most `rounds` blocks for each worker are simulated, or 1000; a longer run goes on at the pace
    of its middle, since start and end stay what they are.

    Raises:
        ValueError: there is nothing to do, or nobody to do it.
    """
    most = max(rounds * cluster.workers, 1000)
    if count > most * size:
        run = _sample(cluster, pictures, most, size, seed)
        factor = count / (most * size)
        more = most * (factor - 1) * run.pace
        return replace(
            run, wall=run.wall + more, work=run.work * factor, lost=run.lost * factor,
            failures=round(run.failures * factor),
        )  # fmt: skip
    times = pictures.seconds(count, np.random.default_rng(seed))
    return simulate(cluster, Blocks.of_times(times, size), seed)


@lru_cache(maxsize=256)
def _sample(cluster: Cluster, pictures: Pictures, count: int, size: int, seed: int) -> Run:
    """A run over so many full blocks, which many longer runs begin as."""
    rng = np.random.default_rng(seed)
    return simulate(cluster, Blocks.drawn(pictures, count, size, rng), seed)
