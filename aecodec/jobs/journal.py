"""What was done in an output folder, so that a later run can leave it out.

The journal is a file of JSON lines in the folder, one for each output, of which the last counts. It
knows inputs, options and outputs by their digests, and no times. A line that was cut off by a crash
is as if it were not there. An output gets a line before work on it begins, so that one that was
written just before a crash is known to be no stranger's.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

NAME = ".aecodec-journal.jsonl"
_ENTRY: dict[str, tuple[type, ...]] = {
    "source": (str,), "options": (str,), "output": (str, type(None)),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One output.

    Attributes:
        source: SHA-256 of the input's bytes, in hexadecimal digits.
        options: the fingerprint of how it was made.
        output: SHA-256 of the output's bytes; None where it was left out, for it was not smaller.
    """

    source: str
    options: str
    output: str | None


BEGUN = Entry("", "", "")
"""An output that was not there when work on it began; what is there now comes from that work."""
GIVEN_UP = Entry("", "", None)
"""An output of which nothing is known."""


class Journal:
    """The journal of one folder; it is written line by line as works end."""

    def __init__(self, folder: Path) -> None:
        """Reads what is there.

        Args:
            folder: need not exist yet.

        Raises:
            OSError: there is a journal that cannot be read.
        """
        self._path = folder / NAME
        self._file: IO[str] | None = None
        self._entries: dict[str, Entry] = {}
        try:
            data = self._path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            data = b""
        self._whole = not data or data.endswith(b"\n")
        for line in data.decode("utf-8", "replace").splitlines():
            _read_line(line, self._entries)

    def __enter__(self) -> Self:
        """Does nothing more."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def find(self, target: str) -> Entry | None:
        """What is known of an output, by its name within the folder."""
        return self._entries.get(target)

    def add(self, target: str, entry: Entry) -> None:
        """Notes an output that is on disk.

        Raises:
            OSError: the journal cannot be written.
        """
        if self._entries.get(target) == entry:
            return
        self._entries[target] = entry
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a", encoding="utf-8")
            if not self._whole:
                self._file.write("\n")
        line = {"target": target, **{name: getattr(entry, name) for name in _ENTRY}}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def digest_of(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(*facts: object) -> str:
    """A digest of facts whose text says all about them, such as frozen dataclasses."""
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()


def _read_line(line: str, entries: dict[str, Entry]) -> None:
    """Adds what a line tells; lines that tell nothing sensible are passed over."""
    try:
        found = json.loads(line)
        kinds = {"target": (str,), **_ENTRY}
        if all(isinstance(found[name], kind) for name, kind in kinds.items()):
            entries[found["target"]] = Entry(*(found[name] for name in _ENTRY))
    except (ValueError, KeyError, TypeError, RecursionError):
        return
