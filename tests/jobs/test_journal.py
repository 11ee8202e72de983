"""What the journal keeps from run to run, and what damage does to it."""

import json
from pathlib import Path

import pytest

from aecodec.jobs.journal import NAME, Entry, Journal, digest_of, fingerprint
from aecodec.options import EncodeOptions

FIRST, SECOND = Entry("ab", "cd", "ef"), Entry("12", "34", None)


def test_entries_come_back_and_the_last_counts(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    with Journal(folder) as journal:
        assert journal.find("a.aec") is None
        journal.add("a.aec", SECOND)
        journal.add("sub/b.aec", SECOND)
        journal.add("a.aec", FIRST)
    with Journal(folder) as journal:
        assert journal.find("a.aec") == FIRST
        assert journal.find("sub/b.aec") == SECOND


def test_reading_writes_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "none") as journal:
        assert journal.find("a") is None
    assert list(tmp_path.iterdir()) == []


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    for _ in range(3):
        with Journal(tmp_path) as journal:
            journal.add("a.aec", FIRST)
    assert len((tmp_path / NAME).read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "line",
    [
        b'{"target": "b.aec", "sou',
        b"\xff\xfe\x00",
        b"[]",
        b"3",
        b'{"target": "b.aec"}',
        b'{"target": "b.aec", "source": 1, "options": "", "output": null}',
        b"[" * 100_000,
    ],
)
def test_damaged_lines_are_passed_over(tmp_path: Path, line: bytes) -> None:
    """The last one was cut off: what is added later stands on a line of its own."""
    with Journal(tmp_path) as journal:
        journal.add("a.aec", FIRST)
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes() + line)
    with Journal(tmp_path) as journal:
        assert journal.find("a.aec") == FIRST
        assert journal.find("b.aec") is None
        journal.add("c.aec", SECOND)
    with Journal(tmp_path) as journal:
        assert (journal.find("a.aec"), journal.find("c.aec")) == (FIRST, SECOND)


def test_names_of_any_bytes_are_kept(tmp_path: Path) -> None:
    name = b"caf\xe9\n.aec".decode("utf-8", "surrogateescape")
    with Journal(tmp_path) as journal:
        journal.add(name, FIRST)
    with Journal(tmp_path) as journal:
        assert journal.find(name) == FIRST


def test_lines_hold_digests_and_no_times(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add("a.aec", FIRST)
    line = json.loads((tmp_path / NAME).read_text())
    assert line == {"target": "a.aec", "source": "ab", "options": "cd", "output": "ef"}


def test_digests(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert digest_of(tmp_path / "a").startswith("ba7816bf")
    assert fingerprint(EncodeOptions(quality=50)) == fingerprint(EncodeOptions(quality=50))
    assert fingerprint(EncodeOptions(quality=50)) != fingerprint(EncodeOptions(quality=51))
    assert fingerprint("\udce9")
