"""A model on paper of runs over up to a billion pictures: arithmetic on measured costs.

Each figure follows from `Costs`, which are measured, and `Assumptions`, which are not. What could
hold a run up is a strain: its demand over what it may be. The largest breaks first.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

from benchmarks.scale_simulation import Cluster, Pictures

TOLERATED = 0.1
"""What is added to the time that workers code may be a tenth of it: efficiency is then 91 %."""
PICTURE_WRITES, PICTURE_READS = 1, 3
"""Requests for a picture, as an S3 server counts them: put; look twice for an output, get."""
BLOCK_WRITES, BLOCK_READS = 3, 4
"""Requests for a block: put a note and its part of the manifest, delete the note; look for both."""


@dataclass(frozen=True)
class Costs:
    """What the engine was measured to cost on one machine; seconds where nothing else is said.

    Attributes:
        fixed: of coding a picture of no pixels, with its model loaded.
        per_megapixel: of coding.
        noise: standard deviation of the logarithm of the time that equal pictures take.
        start: until the workers have loaded the model, and after the last picture.
        dispatch: of the driver for a block.
        told: of the driver for each picture of a block.
        block: of a worker for a block, beyond its pictures.
        storage: of reading a picture of a local folder and writing its file there.
        ahead: blocks that wait at a worker.
        manifest_bytes: of a picture in the manifest.
        ledger_bytes: of the driver's memory for a picture that an earlier run has done.
        ledger_row: for a picture of the manifest that is read when a run goes on.
        readers: parts of the manifest that are read at a time.
        shares: folders that are listed at a time.
    """

    fixed: float
    per_megapixel: float
    noise: float
    start: float
    dispatch: float
    told: float
    block: float
    storage: float
    ahead: int
    manifest_bytes: float
    ledger_bytes: float
    ledger_row: float
    readers: int
    shares: int

    def coding(self, megapixels: float) -> float:
        """Seconds of coding a picture."""
        return self.fixed + self.per_megapixel * megapixels


@dataclass(frozen=True)
class Assumptions:
    """What was not measured here.

    Attributes:
        jpeg_bpp: bits per pixel of JPEG 4:2:0 at the PSNR of `aec_bpp`, mean of Kodak.
        aec_bpp: bits per pixel of aecodec at quality 75, mean of Kodak.
        shape: standard deviation of the logarithm of picture sizes.
        largest: megapixels that are accepted at most.
        keys: of one listing request.
        request: seconds of a request to an object store, until its answer begins.
        gets: requests a second that one prefix answers.
        puts: the same, for writing.
        node_workers: workers of a node.
        node_gigabits: a second, of a node's network.
        driver_bytes: memory that the driver may use.
        folders: right below the root, into which the pictures are spread.
        lifetime: seconds from one failure of a node to its next.
        detection: seconds from a failure until its blocks are given out again.
        restart: seconds from there until the node works again.
        slowness: standard deviation of the logarithm of how slow a worker is.
    """

    jpeg_bpp: float = 1.98
    aec_bpp: float = 1.045
    shape: float = 0.6
    largest: float = 178.956970
    keys: int = 1000
    request: float = 0.1
    gets: float = 5500
    puts: float = 3500
    node_workers: int = 32
    node_gigabits: float = 10
    driver_bytes: float = 16e9
    folders: int = 1000
    lifetime: float = 7 * 86400
    detection: float = 30
    restart: float = 300
    slowness: float = 0.05


@dataclass(frozen=True)
class Job:
    """A run.

    Attributes:
        pictures: how many.
        megapixels: of the mean picture.
        workers: processes, each on a core of its own.
        block: pictures that are given out together.
    """

    pictures: int
    megapixels: float
    workers: int
    block: int


@dataclass(frozen=True)
class Strain:
    """One thing that may hold a run up.

    Attributes:
        load: its demand: a part of the time that workers code, or of what there is of it.
        most: what its load may be.
    """

    load: float
    most: float

    @property
    def over(self) -> float:
        """The load over what it may be; above 1 it breaks."""
        return self.load / self.most


@dataclass(frozen=True)
class Estimate:
    """What a run takes, as a row of the table.

    Attributes:
        job: the run.
        core_hours: of coding.
        hours: of coding with all workers at work, without what holds them up.
        jpeg_bytes: of the pictures as JPEG 4:2:0 of the same PSNR.
        aec_bytes: of the pictures as .aec.
        network_bytes: read as JPEG and written as .aec.
        node_gigabits: a second that each node reads and writes while its workers code.
        manifest_bytes: of all rows.
        list_requests: to see all names.
        list_seconds: of these, as many at a time as folders are listed.
        ledger_bytes: of the driver's memory when a run goes on that was nearly done.
        ledger_seconds: until it goes on.
        core_workers: for each core, so that it codes while others wait for an object store.
        strains: what may hold the run up, by name.
    """

    job: Job
    core_hours: float
    hours: float
    jpeg_bytes: float
    aec_bytes: float
    network_bytes: float
    node_gigabits: float
    manifest_bytes: float
    list_requests: int
    list_seconds: float
    ledger_bytes: float
    ledger_seconds: float
    core_workers: float
    strains: Mapping[str, Strain]

    @property
    def saved_bytes(self) -> float:
        """Storage that is not needed any more."""
        return self.jpeg_bytes - self.aec_bytes

    @property
    def going_on(self) -> Strain:
        """What a run needs to go on that was nearly done, over the time of the whole run."""
        return Strain(self.ledger_seconds / (self.hours * 3600), TOLERATED)

    @property
    def first(self) -> str:
        """What breaks first, or would with a larger run."""
        return max(self.strains, key=lambda name: self.strains[name].over)


def estimate(job: Job, costs: Costs, given: Assumptions) -> Estimate:
    """The figures of a run."""
    pixels = 1e6 * job.megapixels * job.pictures
    jpeg, aec = (pixels * bpp / 8 for bpp in (given.jpeg_bpp, given.aec_bpp))
    coding = costs.coding(job.megapixels) * job.pictures
    busy = coding / job.workers
    blocks = math.ceil(job.pictures / job.block)
    requests = math.ceil(job.pictures / given.keys)
    ledger = given.request * (math.ceil(blocks / given.keys) + blocks / costs.readers)
    found = Estimate(
        job=job,
        core_hours=coding / 3600,
        hours=busy / 3600,
        jpeg_bytes=jpeg,
        aec_bytes=aec,
        network_bytes=jpeg + aec,
        node_gigabits=8e-9 * (jpeg + aec) / coding * min(given.node_workers, job.workers),
        manifest_bytes=costs.manifest_bytes * job.pictures,
        list_requests=requests,
        list_seconds=math.ceil(requests / min(costs.shares, given.folders)) * given.request,
        ledger_bytes=costs.ledger_bytes * job.pictures,
        ledger_seconds=ledger + costs.ledger_row * job.pictures,
        core_workers=1 + waiting(job.block, given) / costs.coding(job.megapixels),
        strains={},
    )
    return replace(found, strains=_strains(found, costs, given))


def waiting(block: int, given: Assumptions) -> float:
    """Seconds that a worker waits for an object store with each picture of such blocks."""
    of_block = (BLOCK_WRITES + BLOCK_READS) / block
    return given.request * (PICTURE_WRITES + PICTURE_READS + of_block)


def _strains(found: Estimate, costs: Costs, given: Assumptions) -> dict[str, Strain]:
    """What may hold a run up: what is added to its time, what goes on beside it, and memory."""
    job, busy = found.job, found.hours * 3600
    mean = costs.coding(job.megapixels)
    undone = job.block * mean * (0.5 + costs.ahead)
    added = {
        "start": costs.start,
        "the largest picture": costs.coding(largest_of(job, given)),
        "the last block": job.block * mean,
        "failing nodes": busy * (given.detection + given.restart + undone) / given.lifetime,
    }
    writes = PICTURE_WRITES + BLOCK_WRITES / job.block
    reads = PICTURE_READS + BLOCK_READS / job.block
    beside = {
        "the driver": job.pictures * (costs.dispatch / job.block + costs.told),
        "listing": found.list_seconds,
        "requests to one prefix": job.pictures * max(writes / given.puts, reads / given.gets),
    }
    return {
        **{name: Strain(seconds / busy, TOLERATED) for name, seconds in added.items()},
        **{name: Strain(seconds / busy, 1) for name, seconds in beside.items()},
        "network of a node": Strain(found.node_gigabits / given.node_gigabits, 1),
    }


def largest_of(job: Job, given: Assumptions) -> float:
    """Megapixels that about one picture of the run reaches."""
    deviations = NormalDist().inv_cdf(max(0.5, 1 - 1 / job.pictures))
    factor = math.exp(given.shape * deviations - given.shape**2 / 2)
    return min(given.largest, job.megapixels * factor)


def cluster_of(workers: int, costs: Costs, given: Assumptions) -> Cluster:
    """What the simulation takes for a large run."""
    return Cluster(
        workers, costs.start, costs.dispatch, costs.told, costs.block, costs.ahead, given.slowness,
        min(given.node_workers, workers), given.lifetime, given.detection, given.restart,
    )  # fmt: skip


def pictures_of(megapixels: float, costs: Costs, given: Assumptions) -> Pictures:
    """What the simulation takes for pictures of this mean size, in a local folder."""
    return Pictures(
        megapixels, given.shape, given.largest, costs.fixed, costs.per_megapixel, costs.noise,
        costs.storage,
    )  # fmt: skip
