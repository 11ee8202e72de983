"""A run over a data set, from the listing to the last row.

The engine is loaded only where work is to be done. Its blocks may get lost with their workers; so
items are counted, and what is missing is listed again and done one by one, each in a block of its
own. What is missing after that has cost its worker each time, and becomes an error.
"""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aecodec.datasets.blocks import items_of, shares
from aecodec.datasets.items import Tally
from aecodec.datasets.job import Job
from aecodec.datasets.ledger import Ledger, read_ledger
from aecodec.datasets.listing import Share
from aecodec.datasets.manifest import Row, now
from aecodec.errors import InputError
from aecodec.jobs.batch import Totals
from aecodec.jobs.folders import Passed

if TYPE_CHECKING:
    from aecodec.datasets.ray_engine import Cluster

PASSES = 3
"""How often what has got lost is listed and done again."""
Tell = Callable[[Row], None]


def new_run() -> str:
    """A name for a run, different from that of every other."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.urandom(4).hex()}"


def check_engine() -> None:
    """Checks that Ray is there.

    Raises:
        InputError: it is not; says what to install.
    """
    try:
        import ray.data  # noqa: F401  # only whether it is there
    except ImportError as exc:
        reason = "the engine ray needs Ray and pyarrow: pip install 'aecodec[ray]'"
        raise InputError(f"{reason} ({exc})") from exc


@dataclass
class DatasetRun:
    """A run; an interrupted one leaves its totals to look at.

    Attributes:
        job: what to do.
        tell: is given the row of each picture that has ended.
        totals: sums over pictures.
        passed: what was passed over.
        seconds: how long `run` took.
    """

    job: Job[Any]
    tell: Tell
    totals: Totals = field(default_factory=Totals)
    passed: Passed = field(default_factory=Passed)
    seconds: float = 0.0

    def plan(self) -> int:
        """Tells what `run` would do, and does nothing; the exit code."""
        ledger = read_ledger(self.job.manifest)
        for share in shares(self.job):
            tally = Tally()
            for item in items_of(self.job, share, ledger, tally):
                state = "failed" if item.refused else "planned"
                if not item.refused and self._is_taken(item.output, item.own):
                    state, reason = "failed", f"output {self.job.target.name(item.output)} exists"
                    item_error: str | None = f"{reason}; -f overwrites it"
                else:
                    item_error = item.refused or None
                self._note({
                    "path": item.path, "output": item.output, "state": state, "size": item.size,
                    "error": item_error,
                })  # fmt: skip
            self._count(tally)
        return int(self.totals.failed > 0)

    def _is_taken(self, output: str, own: bool) -> bool:
        if own or self.job.force or not output:
            return False
        return self.job.target.exists(output)

    def run(self, cluster: "Cluster") -> int:
        """Does all that is left to do; the exit code.

        Raises:
            InputError: there is no input, or no cluster.
            OSError: storage fails for good.
        """
        from aecodec.datasets.ray_engine import joined

        start = time.perf_counter()
        try:
            parts = shares(self.job)
            ledger = read_ledger(self.job.manifest)
            self._sweep(own=False)
            with joined(cluster) as workers:
                complete = self._pass(parts, ledger, workers, self.job.block, first=True)
                for _ in range(1, PASSES):
                    if complete:
                        break
                    later = read_ledger(self.job.manifest, self.job.run, self.job.options)
                    complete = self._pass(parts, later, workers, 1, first=False)
                if not complete:
                    self._give_up(parts)
            self._forget()
            return int(self.totals.failed > 0)
        finally:
            self._sweep(own=True)
            self.seconds = time.perf_counter() - start

    def _pass(
        self, parts: list[Share], ledger: Ledger, workers: int, most: int, *, first: bool
    ) -> bool:
        """Does what is left of all shares; whether every item has come back."""
        from aecodec.datasets.ray_engine import do_blocks

        listed, ended, tallies = 0, 0, 0
        for done in do_blocks(self.job, parts, ledger, workers, most):
            ended += done.items
            if done.tally is not None:
                tallies += 1
                listed += done.tally.listed
                if first:
                    self._count(done.tally)
            for row in done.rows:
                self._note(row)
        return tallies == len(parts) and listed == ended

    def _give_up(self, parts: list[Share]) -> None:
        """Makes errors of what is still missing."""
        ledger = read_ledger(self.job.manifest, self.job.run, self.job.options)
        for share in parts:
            for item in items_of(self.job, share, ledger, Tally()):
                row: Row = {
                    "path": item.path, "output": item.output or None, "state": "failed",
                    "size": item.size, "fingerprint": item.mark, "options": self.job.options,
                    "error": f"its worker was lost in each of {PASSES} passes; out of memory?",
                    "begun": item.own, "run": self.job.run, "finished": now(),
                }  # fmt: skip
                part = self.job.manifest.part_name(self.job.run, (item,))
                self.job.manifest.write_part(part, [row])
                self._note(row)

    def _note(self, row: Row) -> None:
        """Counts a picture, and tells of it; shards are told of by their pictures."""
        if row.get("member") is None and _is_shard(row) and row["state"] in ("done", "partial"):
            return
        self.totals.files += 1
        if row["state"] == "failed":
            self.totals.failed += 1
        else:
            setattr(self.totals, row["state"], getattr(self.totals, row["state"]) + 1)
        if row["state"] in ("done", "larger") and self.job.makes_files:
            before = row.get("size") or 0
            self.totals.before += before
            self.totals.after += (row.get("bytes") or 0) if row["state"] == "done" else before
            self.totals.pixels += (row.get("width") or 0) * (row.get("height") or 0)
        self.tell(row)

    def _count(self, tally: Tally) -> None:
        self.totals.files += tally.skipped
        self.totals.skipped += tally.skipped
        self.passed.others += tally.others
        self.passed.hidden += tally.hidden
        self.passed.links += tally.links

    def _forget(self) -> None:
        """Takes notes away that lost workers left: all that they told of has ended."""
        for part in self.job.manifest.all_noted():
            self.job.manifest.forget(part)

    def _sweep(self, *, own: bool) -> None:
        """Takes away temporary folders beside outputs: this run's, or those of crashed ones."""
        scratch = self.job.scratch
        if scratch is None or not Path(scratch).is_dir():
            return
        for path in Path(scratch).glob(".work-*"):
            if path.name.startswith(self.job.scratch_name) == own:
                with suppress(OSError):
                    shutil.rmtree(path)


def _is_shard(row: Row) -> bool:
    return str(row["path"]).lower().endswith((".tar", ".parquet"))
