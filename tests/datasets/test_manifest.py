"""Manifest and ledger: what is written, what counts, what a crash leaves."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from aecodec.datasets.items import Item
from aecodec.datasets.ledger import read_ledger
from aecodec.datasets.manifest import SCHEMA, Manifest, Note, Row, read_manifest
from aecodec.datasets.stores import LocalStore
from aecodec.errors import InputError

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return Manifest(LocalStore(str(tmp_path)))


def row(path: str, second: int = 0, **more: object) -> Row:
    """The row of a picture that is done."""
    about = {
        "path": path, "output": f"{path}.aec", "state": "done", "fingerprint": "f", "options": "o",
        "begun": True, "run": "r", "finished": START + timedelta(seconds=second),
    }  # fmt: skip
    return {**about, **more}


FAILED: dict[str, Any] = {"state": "failed", "error": "is bad"}


def left(manifest: Manifest, *paths: str, mark: str = "f", options: str = "o") -> list[str]:
    """Those that are left to do."""
    ledger = read_ledger(manifest)
    items = (Item(path, mark=mark, output=f"{path}.aec") for path in paths)
    return [item.path for item in items if ledger.known(item, options) is not None]


def test_a_part_keeps_its_rows(manifest: Manifest, tmp_path: Path) -> None:
    assert manifest.read_part("p.parquet") is None
    manifest.write_part(
        "p.parquet", [row("a", width=3, warnings=["odd"]), row("b\udcff", **FAILED)]
    )
    rows = manifest.read_part("p.parquet")
    assert rows is not None
    assert [each["path"] for each in rows] == ["a", "b\\udcff"]
    assert (rows[0]["width"], rows[0]["warnings"], rows[1]["error"]) == (3, ["odd"], "is bad")
    assert pq.read_schema(tmp_path / "_manifest/p.parquet").names == SCHEMA.names


def test_columns_of_ones_own(tmp_path: Path) -> None:
    manifest = Manifest(LocalStore(str(tmp_path)), "", (("features", "floats"),))
    manifest.write_part("p.parquet", [row("a", features=[1.0, 0.5]), row("b", **FAILED)])
    table = pq.read_table(tmp_path)
    assert table.column("features").to_pylist() == [[1.0, 0.5], None]


def test_what_is_done_is_left_out(manifest: Manifest) -> None:
    assert left(manifest, "a", "b") == ["a", "b"]
    manifest.write_part("p.parquet", [row("a"), row("b", **FAILED), row("c", state="larger")])
    assert left(manifest, "a", "b", "c", "d") == ["b", "d"]
    assert left(manifest, "a", mark="changed") == ["a"]
    assert left(manifest, "a", options="others") == ["a"]


def test_the_last_row_counts(manifest: Manifest) -> None:
    manifest.write_part("2.parquet", [row("a", 2), row("b", 2, **FAILED)])
    manifest.write_part("1.parquet", [row("a", 1, **FAILED), row("b", 1)])
    assert left(manifest, "a", "b") == ["b"]
    table = read_manifest(str(manifest.store.name("")))
    assert table.column("path").to_pylist() == ["a", "b"]
    assert table.column("error").to_pylist() == [None, "is bad"]


def test_members_of_shards_are_no_files(manifest: Manifest) -> None:
    manifest.write_part("p.parquet", [row("s", member="x"), row("s", state="partial", error="1")])
    assert left(manifest, "s") == ["s"]
    assert read_manifest(str(manifest.store.name(""))).num_rows == 2


def test_failures_of_the_current_run_are_not_tried_again_in_it(manifest: Manifest) -> None:
    manifest.write_part("p.parquet", [row("a", **FAILED)])
    item = Item("a", mark="f", output="a.aec")
    assert read_ledger(manifest, "r", "o").known(item, "o") is None
    assert read_ledger(manifest, "other", "o").known(item, "o") is not None


def test_outputs_are_known_as_ones_own(manifest: Manifest) -> None:
    manifest.write_part("p.parquet", [row("a", **FAILED), row("b", **FAILED, begun=False)])
    manifest.note("q.parquet", Note(frozenset({"c.aec"}), 1))
    ledger = read_ledger(manifest)
    known = {name: ledger.known(Item(name, output=f"{name}.aec"), "o") for name in "abcd"}
    assert {name: item.own for name, item in known.items() if item} == {
        "a": True, "b": False, "c": True, "d": False,
    }  # fmt: skip


def test_notes(manifest: Manifest, tmp_path: Path) -> None:
    assert manifest.noted("p.parquet") is None
    note = Note(frozenset({"a.aec", "b.aec"}), 2)
    manifest.note("p.parquet", note)
    assert manifest.noted("p.parquet") == note
    assert manifest.all_noted() == {"p.parquet": note}
    (tmp_path / "_manifest/begun/p.parquet.json").write_text('{"outputs": ["a')
    assert manifest.noted("p.parquet") == Note(frozenset(), 0)
    manifest.forget("p.parquet")
    manifest.forget("p.parquet")
    assert manifest.all_noted() == {}


def test_what_is_no_manifest(manifest: Manifest, tmp_path: Path) -> None:
    manifest.store.write("_manifest/p.parquet", b"PAR1 nothing")
    with pytest.raises(InputError, match=r"p\.parquet is no part of a manifest"):
        read_ledger(manifest)


def test_many_parts(manifest: Manifest) -> None:
    for number in range(100):
        manifest.write_part(f"{number}.parquet", [row(f"{number}")])
    ledger = read_ledger(manifest)
    assert len(ledger) == 100
    assert left(manifest, *map(str, range(101))) == ["100"]
