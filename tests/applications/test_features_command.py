"""`aecodec features`: tables of vectors, and bad input."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from shell import Shell, assert_one_line


def test_a_table_of_pictures_files_and_folders(shell: Shell) -> None:
    folder = shell.folder / "in"
    folder.mkdir()
    shell.picture("in/b.png", 40, 50)
    shell.picture("in/a.png", 64, 30)
    shell.file("in/notes.txt", b"no picture")
    shell.picture("c.png")
    assert shell.model("compress", "c.png", "-q", "60").code == 0
    result = shell.model("features", "in", "c.aec", "c.png", "-o", "f.npz")
    assert (result.code, result.err) == (0, "")
    assert result.out == "f.npz: 4 pictures, 400 features each\n"
    with np.load("f.npz", allow_pickle=False) as table:
        assert [name.replace("\\", "/") for name in table["files"]] == [
            "in/a.png", "in/b.png", "c.aec", "c.png",
        ]  # fmt: skip
        assert table["features"].shape == (4, 400)
        assert table["qualities"].tolist() == [75, 75, 60, 75]
        assert len(str(table["model_id"])) == 8
        assert str(table["format"]) == "aecodec-features-1"


def test_parquet_holds_the_same(shell: Shell) -> None:
    shell.picture("a.png")
    shell.picture("b.png", 33, 70)
    for name in ("f.npz", "f.parquet"):
        assert shell.model("features", "a.png", "b.png", "-o", name).code == 0
    table = pq.read_table("f.parquet")
    assert table.column_names == ["file", "quality", "features"]
    assert table.schema.metadata[b"format"] == b"aecodec-features-1"
    with np.load("f.npz") as arrays:
        assert np.array_equal(np.array(table["features"].to_pylist()), arrays["features"])


def test_a_picture_that_fails_does_not_stop_the_others(shell: Shell) -> None:
    shell.picture("a.png")
    shell.file("b.png", b"broken")
    result = shell.model("features", "b.png", "a.png", "-o", "f.npz")
    assert result.code == 1
    assert result.err.startswith("aecodec: b.png: ")
    with np.load("f.npz") as table:
        assert table["files"].tolist() == ["a.png"]


def test_nothing_is_written_where_all_fail(shell: Shell) -> None:
    shell.file("b.png", b"broken")
    assert shell.model("features", "b.png", "none.png", "-o", "f.npz").code == 1
    assert sorted(shell.listing()) == ["b.png"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("empty", "-o", "f.npz"), "folder empty has no pictures"),
        (("a.png", "-o", "f.csv"), "features are written as .npz or .parquet"),
        (("a.png", "-o", "old.npz"), "exists"),
        (("a.png", "-o", "none/f.npz"), "does not exist"),
    ],
)
def test_bad_input_is_one_line(shell: Shell, arguments: tuple[str, ...], reason: str) -> None:
    (shell.folder / "empty").mkdir()
    shell.picture("a.png")
    shell.file("old.npz", b"old")
    before = shell.listing()
    result = shell.model("features", *arguments)
    assert_one_line(result, 1, reason)
    assert shell.listing() == before
