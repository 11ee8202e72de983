"""Blocks of work over Ray Data: the listing is read as a stream, and actors do the blocks.

Each block is one row of one Ray block, so that it is scheduled, lost and done again by itself. Rows
hold names and numbers, never pictures: those go from storage to a worker and back.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray.data import ActorPoolStrategy, ExecutionResources
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from aecodec.datasets.block_work import BlockWorker
from aecodec.datasets.blocks import blocks_of
from aecodec.datasets.items import Block, Item, Tally
from aecodec.datasets.job import Job
from aecodec.datasets.ledger import Ledger
from aecodec.datasets.listing import Share
from aecodec.datasets.manifest import Row
from aecodec.decoder.threads import usable_cores
from aecodec.errors import InputError
from aecodec.jobs.runner import reason_of

OBJECT_STORE_BYTES = 256 * 2**20
"""Of a Ray that is started here: what it holds are names, numbers and the ledger."""
LISTED_BYTES = 4 * 2**20
"""Blocks that are listed and wait for a worker may take so much memory; then the listing waits."""
WORKER_CPUS = 0.5
"""What a worker asks of Ray: with less than one CPU those of a lost node find room on others."""
_TOLD = (
    "path", "member", "output", "state", "size", "bytes", "width", "height", "seconds", "error",
    "warnings",
)  # fmt: skip
"""Columns that the driver is told; the manifest has all."""


@dataclass(frozen=True)
class Cluster:
    """Where the work is done.

    Attributes:
        address: of a Ray cluster; None starts one on this machine.
        workers: actors; None for one a CPU.
        starting: held while Ray starts.
    """

    address: str | None = None
    workers: int | None = None
    starting: Callable[[], AbstractContextManager[object]] = nullcontext


@dataclass(frozen=True)
class Done:
    """What became of a block.

    Attributes:
        items: how many of them have ended.
        rows: what the driver is told of them.
        tally: what the share has counted, with its last block.
    """

    items: int
    rows: list[Row]
    tally: Tally | None


@contextmanager
def joined(cluster: Cluster) -> Iterator[int]:
    """Ray, started here or joined, in the block; yields the number of workers.

    Raises:
        InputError: there is no cluster at the address, or Ray does not start here.
    """
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if ray.is_initialized():
        yield cluster.workers or _cpus()
        return
    about: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if cluster.address is None:
        about |= {
            "address": "local", "num_cpus": cluster.workers or usable_cores(),
            "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES,
        }  # fmt: skip
    else:
        about["address"] = cluster.address
    with cluster.starting(), _without_errors():
        try:
            ray.init(**about)
        except Exception as exc:  # Ray raises that very class when nodes start too slowly
            ray.shutdown()
            what = f"no Ray cluster at {cluster.address}"
            if cluster.address is None:
                what = "Ray does not start on this machine"
            raise InputError(f"{what}: {' '.join(str(exc).split())}") from exc
    try:
        yield cluster.workers or _cpus()
    finally:
        ray.shutdown()


@contextmanager
def _without_errors() -> Iterator[None]:
    """Lets what Ray's own code writes to standard error vanish; its exceptions tell more."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _cpus() -> int:
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def do_blocks(
    job: Job[Any], shares: list[Share], ledger: Ledger, workers: int, most: int
) -> Iterator[Done]:
    """Does all that is left of the shares, in any order.

    Ray starts workers again that are lost, with what they had in hand. Blocks that cost their
    workers again and again come back with no items: who counts them finds that out.

    Args:
        job: what to do.
        shares: of the listing.
        ledger: what is known.
        workers: actors.
        most: items of a block.
    """
    source = _Listing(job, shares, ray.put(ledger), most)
    listed = ray.data.read_datasource(
        source, num_cpus=0, override_num_blocks=len(shares),
        concurrency=min(len(shares), 1 + workers // 8),
    )  # fmt: skip
    _set_up(listed.context)
    done = listed.map_batches(
        _Actor, fn_constructor_args=(job,), batch_size=None, batch_format="pyarrow",
        compute=ActorPoolStrategy(size=workers), num_cpus=WORKER_CPUS,
    )  # fmt: skip
    for table in done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for text in table.column("done").to_pylist():
            found = json.loads(text)
            tally = found["tally"]
            yield Done(found["items"], found["rows"], None if tally is None else Tally(**tally))


def _set_up(context: ray.data.DataContext) -> None:
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = 1  # rows are never put together
    context.max_errored_blocks = -1
    limits = ExecutionResources(object_store_memory=LISTED_BYTES)
    context.execution_options.resource_limits = limits


class _Listing(Datasource):  # type: ignore[misc]  # Ray is not checked
    """The listing as a source of Ray Data, with a task for each share."""

    def __init__(
        self, job: Job[Any], shares: list[Share], ledger: ray.ObjectRef, most: int
    ) -> None:
        super().__init__()
        self._job, self._shares, self._ledger, self._most = job, shares, ledger, most

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, **_more: object) -> list[ReadTask]:
        about = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        make = partial(_tables, self._job, self._ledger, self._most)
        return [ReadTask(partial(make, share), about) for share in self._shares]


def _tables(job: Job[Any], ledger: ray.ObjectRef, most: int, share: Share) -> Iterator[pa.Table]:
    for block in blocks_of(job, share, ray.get(ledger), most):
        yield pa.table({"block": pa.array([block.dumps()], pa.binary())})


class _Actor:
    """Does blocks; the model is loaded once."""

    def __init__(self, job: Job[Any]) -> None:
        self._worker = BlockWorker(job)

    def __call__(self, table: pa.Table) -> pa.Table:
        texts = [self._done(Block.loads(each)) for each in table.column("block").to_pylist()]
        return pa.table({"done": pa.array(texts, pa.string())})

    def _done(self, block: Block) -> str:
        rows = told(self._worker, block.items) if block.items else []
        tally = None if block.tally is None else vars(block.tally)
        items = 0 if rows is None else len(block.items)
        return json.dumps({"items": items, "rows": rows or [], "tally": tally})


def told(work: BlockWorker[Any], items: tuple[Item, ...]) -> list[Row] | None:
    """Does items; what the driver is told of them. If the manifest fails, all of them have."""
    try:
        rows = work(items)
    except Exception as exc:
        reason = f"the manifest cannot be written: {reason_of(None, exc)}"
        rows = [{"path": item.path, "state": "failed", "error": reason} for item in items]
    if rows is None:
        return None
    own = (name for name, kind in work.job.manifest.fields if kind != "floats")
    names = (*_TOLD, *own)
    return [{name: row.get(name) for name in names} for row in rows]
