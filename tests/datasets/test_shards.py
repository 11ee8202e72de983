"""Shards: members, what is beside them, names of strangers, files that are cut off."""

import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aecodec.datasets.listing import Selection
from aecodec.datasets.manifest import Row
from aecodec.datasets.shards import Shard, convert_parquet, convert_tar
from aecodec.errors import InputError

PNG = Selection(frozenset({".png", ".jpg"}), ".aec", column="image")


def upper(source: Path, target: Path | None) -> Row:
    """Stands for a codec: refuses what begins with "bad"; what begins with "big" is no smaller."""
    data = source.read_bytes()
    if data.startswith(b"bad"):
        return {"state": "failed", "error": "is bad"}
    if data.startswith(b"big"):
        return {"state": "larger"}
    if target is not None:
        target.write_bytes(data.upper())
    return {"state": "done", "bytes": len(data)}


def shard_of(source: Path, *, output: bool = True, selection: Selection = PNG) -> Shard:
    folder = source.parent / "work"
    folder.mkdir()
    made = source.parent / "made" if output else None
    return Shard(source, made, folder, selection, upper)


def make_tar(path: Path, *members: tuple[str, bytes], **about: object) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1234
            for key, value in about.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))
    return path


def members_of(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]  # files


def test_a_tar_keeps_its_order_and_what_is_beside(tmp_path: Path) -> None:
    source = make_tar(
        tmp_path / "a.tar", ("0/a.png", b"x"), ("0/a.cls", b"7"), ("b.left.jpg", b"y"),
        ("bad.png", b"bad"), ("big.png", b"big"),
    )  # fmt: skip
    shard = shard_of(source)
    convert_tar(shard)
    assert list(members_of(tmp_path / "made").items()) == [
        ("0/a.aec", b"X"), ("0/a.cls", b"7"), ("b.left.aec", b"Y"), ("big.png", b"big"),
    ]  # fmt: skip
    told = [(row["member"], row["state"], row["output"]) for row in shard.rows]
    assert told == [
        ("0/a.png", "done", "0/a.aec"), ("b.left.jpg", "done", "b.left.aec"),
        ("bad.png", "failed", "bad.aec"), ("big.png", "larger", None),
    ]  # fmt: skip
    assert list((tmp_path / "work").iterdir()) == []
    with tarfile.open(tmp_path / "made") as tar:
        assert {member.mtime for member in tar} == {1234}


@pytest.mark.parametrize(
    "name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "C:/evil.png"]
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    shard = shard_of(make_tar(tmp_path / "a.tar", (name, b"x"), ("good.png", b"x")))
    convert_tar(shard)
    assert list(members_of(tmp_path / "made")) == ["good.aec"]
    assert "leads out of the folder" in shard.rows[0]["error"]


def test_links_are_refused(tmp_path: Path) -> None:
    link = make_tar(
        tmp_path / "a.tar", ("a.png", b""), type=tarfile.SYMTYPE, linkname="/etc/passwd"
    )
    shard = shard_of(link)
    convert_tar(shard)
    assert members_of(tmp_path / "made") == {}
    assert shard.rows[0]["error"] == "it is no regular file"


def test_members_that_collide(tmp_path: Path) -> None:
    shard = shard_of(make_tar(tmp_path / "a.tar", ("a.png", b"x"), ("a.jpg", b"y")))
    convert_tar(shard)
    assert members_of(tmp_path / "made") == {"a.aec": b"X"}
    assert shard.rows[1]["error"] == "a second member would become a.aec"


def test_what_is_no_whole_tar(tmp_path: Path) -> None:
    whole = make_tar(tmp_path / "a.tar", ("a.png", b"x" * 5000), ("b.png", b"y" * 5000))
    for number, data in enumerate((b"no tar", whole.read_bytes()[:8000])):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "a.tar").write_bytes(data)
        with pytest.raises(InputError, match="it is no whole tar"):
            convert_tar(shard_of(folder / "a.tar"))


def test_a_table_needs_no_output(tmp_path: Path) -> None:
    shard = shard_of(make_tar(tmp_path / "a.tar", ("a.png", b"x"), ("a.txt", b"y")), output=False)
    convert_tar(shard)
    assert [(row["member"], row["state"]) for row in shard.rows] == [("a.png", "done")]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_a_column_of_bytes(tmp_path: Path, kind: pa.DataType) -> None:
    values = pa.array([b"x", None, b"bad", b"big", *[b"z"] * 40], kind)
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("image", kind)], {"note": "kept"})
    pq.write_table(pa.table([list(range(44)), values], schema=schema), tmp_path / "a.parquet")
    shard = shard_of(tmp_path / "a.parquet")
    convert_parquet(shard)
    made = pq.read_table(tmp_path / "made")
    assert made.column("image").to_pylist() == [b"X", None, None, b"big", *[b"Z"] * 40]
    assert made.column("id").to_pylist() == list(range(44))
    assert made.schema.metadata[b"note"] == b"kept"
    assert [row["member"] for row in shard.rows] == ["0", *map(str, range(2, 44))]


def test_a_column_of_bytes_and_names(tmp_path: Path) -> None:
    values = [{"bytes": b"x", "path": "../a.png"}, {"bytes": None, "path": "b.png"}, None]
    pq.write_table(pa.table({"image": values}), tmp_path / "a.parquet")
    shard = shard_of(tmp_path / "a.parquet")
    convert_parquet(shard)
    made = pq.read_table(tmp_path / "made").column("image").to_pylist()
    assert made == [{"bytes": b"X", "path": "../a.aec"}, *values[1:]]


def test_what_is_no_column_of_bytes(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": ["text"], "id": [1]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="its column 'image' holds string, not bytes"):
        convert_parquet(shard_of(tmp_path / "a.parquet"))
    other = tmp_path / "other"
    other.mkdir()
    pq.write_table(pa.table({"id": [1]}), other / "a.parquet")
    with pytest.raises(InputError, match="it has no column 'image'; there are id"):
        convert_parquet(shard_of(other / "a.parquet"))
    (tmp_path / "work").rmdir()
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="it is no whole Parquet file"):
        convert_parquet(shard_of(tmp_path / "a.parquet"))
