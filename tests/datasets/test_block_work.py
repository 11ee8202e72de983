"""Blocks of work, without an engine: rows, outputs, processes that die, workers that are lost."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import picture_works
import pytest

from aecodec.datasets.block_work import TRIES, BlockWorker
from aecodec.datasets.blocks import blocks_of, shares
from aecodec.datasets.items import Item
from aecodec.datasets.job import Job
from aecodec.datasets.ledger import read_ledger
from aecodec.datasets.listing import Selection
from aecodec.datasets.manifest import Manifest, Note, Row
from aecodec.datasets.stores import LocalStore, store_of
from aecodec.jobs.runner import Setup

ITEMS = tuple(Item(f"{name}.png", output=f"{name}.aec", mark=name) for name in ("a", "b", "c"))


@pytest.fixture
def job(tmp_path: Path) -> Job[int]:
    """Copies three files: from the folder `in` to the folder `out`."""
    (tmp_path / "in").mkdir()
    for item in ITEMS:
        (tmp_path / "in" / item.path).write_bytes(item.mark.encode())
    target = LocalStore(str(tmp_path / "out"))
    return Job(
        picture_works.copy_or_die, picture_works.columns, LocalStore(str(tmp_path / "in")), target,
        Manifest(target), Selection(frozenset({".png"}), ".aec"), Setup(), "o", "r",
    )  # fmt: skip


@pytest.fixture
def worker(job: Job[int]) -> Iterator[BlockWorker[int]]:
    made = BlockWorker(job)
    yield made
    made.close()


def states(rows: list[Row] | None) -> dict[str, str]:
    assert rows is not None
    return {row["path"]: row["error"] if row.get("error") else row["state"] for row in rows}


def outputs(job: Job[int]) -> dict[str, bytes]:
    folder = job.target.local("")
    assert folder is not None
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.slow
def test_a_block_is_done_and_told_of(worker: BlockWorker[int], tmp_path: Path) -> None:
    (tmp_path / "in/b.png").write_bytes(b"bad")
    rows = worker(ITEMS)
    assert states(rows) == {
        "a.png": "done", "b.png": f"{tmp_path}/in/b.png is bad", "c.png": "done",
    }  # fmt: skip
    assert outputs(worker.job) == {"a.aec": b"a", "c.aec": b"c"}
    (part,) = (tmp_path / "out/_manifest").glob("*.parquet")
    assert worker.job.manifest.read_part(part.name) is not None
    assert rows is not None
    assert rows[0]["warnings"] == [f"{tmp_path}/in/a.png is odd"]
    assert rows[0]["bytes"] == rows[0]["size"] == 1
    assert worker.job.manifest.all_noted() == {}
    assert list((tmp_path / "out/_manifest").glob(".work*")) == []


@pytest.mark.slow
def test_what_another_worker_wrote_counts(worker: BlockWorker[int]) -> None:
    worker(ITEMS)
    for name in outputs(worker.job):
        worker.job.target.delete(name)
    assert states(worker(ITEMS)) == dict.fromkeys(("a.png", "b.png", "c.png"), "done")
    assert outputs(worker.job) == {}


@pytest.mark.slow
def test_a_picture_that_kills_its_process(worker: BlockWorker[int], tmp_path: Path) -> None:
    (tmp_path / "in/a.png").write_bytes(b"die")
    (tmp_path / "in/b.png").write_bytes(b"die once " + str(tmp_path / "sign").encode())
    found = states(worker(ITEMS))
    assert "ended unexpectedly (signal 9; out of memory?), on each of 2 tries" in found.pop("a.png")
    assert found == {"b.png": "done", "c.png": "done"}


def lose(job: Job[int], items: tuple[Item, ...], tries: int) -> None:
    """As if workers had been lost with a block."""
    note = Note(frozenset(item.output for item in items), tries)
    job.manifest.note(job.manifest.part_name(job.run, items), note)


@pytest.mark.slow
def test_blocks_of_lost_workers(job: Job[int], worker: BlockWorker[int]) -> None:
    job.target.write("a.aec", b"half done")
    lose(job, ITEMS, TRIES - 1)
    assert set(states(worker(ITEMS)).values()) == {"done"}
    assert outputs(job)["a.aec"] == b"a"


def test_blocks_that_cost_their_workers(job: Job[int], worker: BlockWorker[int]) -> None:
    lose(job, ITEMS, TRIES)
    assert worker(ITEMS) is None
    lose(job, ITEMS[:1], TRIES)
    assert "was lost on each of 3 tries" in states(worker(ITEMS[:1]))["a.png"]
    assert outputs(job) == {}


@pytest.mark.slow
def test_outputs_of_others_are_kept(job: Job[int], worker: BlockWorker[int]) -> None:
    job.target.write("a.aec", b"other")
    job.target.write("b.aec", b"other")
    known = (ITEMS[0], replace(ITEMS[1], own=True))
    found = states(worker(known))
    assert found == {"a.png": f"output {job.target.name('a.aec')} exists; -f overwrites it",
                     "b.png": "done"}  # fmt: skip
    assert outputs(job) == {"a.aec": b"other", "b.aec": b"b"}
    forced = BlockWorker(replace(job, force=True, run="s"))
    assert states(forced(ITEMS[:1])) == {"a.png": "done"}
    forced.close()
    assert outputs(job)["a.aec"] == b"a"


@pytest.mark.slow
def test_files_from_elsewhere(job: Job[int], tmp_path: Path) -> None:
    source, target = store_of("memory://one"), store_of("memory://two")
    source.write("x/a.png", b"a")
    source.write("x/b.png", b"bad")
    elsewhere = replace(job, source=source, target=target, manifest=Manifest(target))
    (_, share) = shares(elsewhere)
    ledger = read_ledger(elsewhere.manifest)
    worker = BlockWorker(elsewhere)
    for block in blocks_of(elsewhere, share, ledger, 9):
        found = states(worker(block.items))
        assert set(found.values()) <= {"done", "memory://one/x/b.png is bad"}
    worker.close()
    assert target.read("x/a.aec") == b"a"
    assert target.read("x/b.aec") is None
    again = list(blocks_of(elsewhere, share, read_ledger(elsewhere.manifest), 9))
    assert [item.path for block in again for item in block.items] == ["x/b.png"]
    assert again[-1].tally is not None
    assert again[-1].tally.skipped == 1
