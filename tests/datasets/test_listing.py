"""Listings: what is taken, what is passed over, outputs that collide, shares."""

from pathlib import Path

import pytest

from aecodec.datasets.blocks import blocks_of, shares
from aecodec.datasets.items import Block, Item, Tally
from aecodec.datasets.job import Job
from aecodec.datasets.ledger import read_ledger
from aecodec.datasets.listing import Selection, Share, avoided, list_items, shares_of, single_item
from aecodec.datasets.manifest import Manifest
from aecodec.datasets.stores import LocalStore
from aecodec.errors import InputError
from aecodec.jobs.folders import FileTask
from aecodec.jobs.runner import JobLog, Setup

PNG = Selection(frozenset({".png", ".jpg"}), ".aec")


def nothing(_task: FileTask, _log: JobLog) -> None:
    """No work."""


def job_over(source: Path, target: Path, **more: object) -> Job[None]:
    store = LocalStore(str(target))
    about = {
        "work": nothing, "columns": lambda _result: {}, "source": LocalStore(str(source)),
        "target": store, "manifest": Manifest(store), "selection": PNG, "setup": Setup(),
        "options": "o", "run": "r", **more,
    }  # fmt: skip
    return Job(**about)  # type: ignore[arg-type]  # each is what the field takes


def listed(folder: Path, selection: Selection = PNG) -> tuple[dict[str, Item], Tally]:
    """All items below a folder by their paths, and what was counted."""
    store, tally, items = LocalStore(str(folder)), Tally(), dict[str, Item]()
    for share in shares_of(store):
        items |= {item.path: item for item in list_items(store, share, selection, tally)}
    return items, tally


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * 7)


def test_a_tree_is_mirrored(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b/c.JPG", "b/d/e.png", "f.txt", ".g.png", ".h/i.png", "b/.j/k.png")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    (tmp_path / "lost.png").symlink_to(tmp_path / "nowhere")
    items, tally = listed(tmp_path)
    assert {path: item.output for path, item in items.items()} == {
        "a.png": "a.aec", "b/c.JPG": "b/c.aec", "b/d/e.png": "b/d/e.aec",
    }  # fmt: skip
    assert (tally.others, tally.hidden, tally.links) == (1, 3, 2)
    assert items["a.png"].size == 7
    assert items["a.png"].mark.startswith("7-")


def test_shares_are_parts_of_the_whole(tmp_path: Path) -> None:
    touch(tmp_path, "top.png", *(f"{number:03}/{number}.png" for number in range(200)))
    dealt = shares_of(LocalStore(str(tmp_path)))
    assert [share.number for share in dealt] == list(range(65))
    names = [name for share in dealt for name in share.folders]
    assert sorted(names) == [f"{number:03}" for number in range(200)]
    assert len(listed(tmp_path)[0]) == 201


def test_outputs_that_collide(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.jpg", "x/a.m.png", "x/a.png", "x/ab.png", "x/b.png")
    items, _ = listed(tmp_path)
    assert items["x/a.png"].refused.startswith("would become x/a.aec as x/a.jpg does")
    assert [path for path, item in items.items() if item.refused] == ["x/a.png"]
    whole, _ = listed(tmp_path, Selection(PNG.kinds, ".aec", full_names=True))
    assert whole["x/a.png"].output == "x/a.png.aec"
    assert not any(item.refused for item in whole.values())


def test_shards_are_taken_as_they_are_asked_for(tmp_path: Path) -> None:
    touch(tmp_path, "a.tar", "b.parquet")
    items, tally = listed(tmp_path)
    assert [(item.kind, item.output) for item in items.values()] == [("tar", "a.tar")]
    assert tally.others == 1
    items, _ = listed(tmp_path, Selection(PNG.kinds, ".aec", column="image"))
    assert items["b.parquet"].kind == "parquet"


def test_outputs_among_inputs_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.tar", "out/c.png", "_manifest/d.png")
    inside = avoided(LocalStore(str(tmp_path)), LocalStore(str(tmp_path / "out")))
    assert inside == "out"
    items, _ = listed(tmp_path, Selection(PNG.kinds, ".aec", avoid=inside))
    assert sorted(items) == ["_manifest/d.png", "a.png", "b.tar"]
    same = avoided(LocalStore(str(tmp_path)), LocalStore(str(tmp_path)))
    assert same == ""
    items, _ = listed(tmp_path, Selection(PNG.kinds, ".aec", avoid=same))
    assert sorted(items) == ["a.png", "b.tar", "out/c.png"]
    assert "need different folders" in items["b.tar"].refused


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "a/b.png")
    store, share = LocalStore(str(tmp_path)), Share(0, ("a", "gone"))
    items = list(list_items(store, share, PNG, Tally()))
    assert [(item.path, item.refused) for item in items] == [
        ("a/b.png", ""), ("gone", "No such file or directory"),
    ]  # fmt: skip


def test_a_single_file(tmp_path: Path) -> None:
    assert single_item("a/b/c.png") == ("a/b", "c.png")
    assert single_item("c.png") == (".", "c.png")
    assert single_item("s3://bucket/c.png") == ("s3://bucket", "c.png")
    touch(tmp_path, "odd.name")
    job = job_over(tmp_path, tmp_path / "out", single="odd.name")
    (share,) = shares(job)
    blocks = list(blocks_of(job, share, read_ledger(job.manifest), 16))
    assert [item.output for block in blocks for item in block.items] == ["odd.aec"]


def test_blocks_grow(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number:03}.png" for number in range(100)))
    job = job_over(tmp_path, tmp_path / "out")
    (share,) = shares(job)
    blocks = list(blocks_of(job, share, read_ledger(job.manifest), 4))
    sizes = [len(block.items) for block in blocks]
    assert sizes[:10] == [1] * 10
    assert max(sizes) == 4
    assert sum(sizes) == 100
    assert blocks[-1].tally == Tally(0, listed=100)
    assert all(block.tally is None for block in blocks[:-1])


def test_blocks_travel() -> None:
    block = Block((Item("a\udcff.png", 3, "m", "a.aec", own=True),), Tally(2, 1, others=4))
    assert Block.loads(block.dumps()) == block


def test_there_must_be_an_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        shares(job_over(tmp_path / "none", tmp_path / "out"))
