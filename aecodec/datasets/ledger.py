"""What earlier runs have done, as digests: 33 bytes a file, whatever the lengths of names."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aecodec.datasets.items import Item
from aecodec.datasets.manifest import Manifest, Row, digest, shown

_COLUMNS = (
    "path", "member", "output", "state", "error", "fingerprint", "options", "begun", "run",
    "finished",
)  # fmt: skip
_DONE = ("done", "larger")
Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Ledger:
    """Files that the manifest knows.

    Attributes:
        keys: `(n, 2)`, digests of paths, sorted by their first half.
        states: `(n, 2)`, digests of what the output was made of; 0 where it was not.
        own: `(n,)`, whether the output, if it is there, comes from an earlier run.
        noted: outputs on which work began that did not end.
    """

    keys: Words
    states: Words
    own: npt.NDArray[np.bool_]
    noted: frozenset[str]

    def __len__(self) -> int:
        """How many files it knows."""
        return len(self.keys)

    def known(self, item: Item, options: str) -> Item | None:
        """The item with what is known of its output; None if there is nothing left to do."""
        own = item.output in self.noted
        place = self._find(item.path)
        if place is not None:
            wanted = words_of(state_of(item.mark, options))
            if bool((self.states[place] == wanted).all()):
                return None
            own = own or bool(self.own[place])
        return replace(item, own=own)

    def _find(self, path: str) -> int | None:
        key = words_of(digest(shown(path)))
        place = int(np.searchsorted(self.keys[:, 0], key[0]))
        while place < len(self.keys) and self.keys[place, 0] == key[0]:
            if self.keys[place, 1] == key[1]:
                return place
            place += 1
        return None


def state_of(mark: str, options: str) -> bytes:
    """A digest of all that an output depends on: the input's content and the options."""
    return digest(f"{shown(mark)}\0{options}")


def words_of(data: bytes) -> Words:
    """A digest as two numbers."""
    return np.frombuffer(data, "<u8").astype(np.uint64)


def read_ledger(manifest: Manifest, run: str = "", options: str = "") -> Ledger:
    """Reads what is known.

    Args:
        manifest: where.
        run: the current run, of which failed files count as done: they are not tried again in it.
        options: those of the current run.

    Raises:
        InputError: a part of the manifest is none.
        OSError: a part cannot be read.
    """
    keys, states, own, times = bytearray(), bytearray(), bytearray(), array("d")
    for table in manifest.tables(_COLUMNS):
        for row in _files(table):
            done = row["error"] is None and row["state"] in _DONE
            keys += digest(row["path"])
            if done:
                states += state_of(row["fingerprint"] or "", row["options"] or "")
            elif run and row["run"] == run:
                states += state_of(row["fingerprint"] or "", options)
            else:
                states += bytes(16)
            own.append(bool(row["begun"]))
            times.append(row["finished"].timestamp())
    noted = frozenset(name for note in manifest.all_noted().values() for name in note.outputs)
    return _sorted(keys, states, own, np.array(times, np.float64), noted)


def _files(table: pa.Table) -> Iterator[Row]:
    """Rows of files; those of members of shards are left out."""
    for row in table.to_pylist():
        if row["member"] is None:
            yield row


def _sorted(
    keys: bytearray, states: bytearray, own: bytearray, times: npt.NDArray[np.float64],
    noted: frozenset[str],
) -> Ledger:  # fmt: skip
    """The last row of each file; the output is its own if any row says so."""
    key = np.frombuffer(bytes(keys), "<u8").reshape(-1, 2).astype(np.uint64)
    state = np.frombuffer(bytes(states), "<u8").reshape(-1, 2).astype(np.uint64)
    mine = np.frombuffer(bytes(own), np.uint8).astype(bool)
    order = np.lexsort((times, key[:, 1], key[:, 0]))
    key, state, mine = key[order], state[order], mine[order]
    if not len(key):
        return Ledger(key, state, mine, noted)
    last = np.append((key[1:] != key[:-1]).any(axis=1), True)
    starts = np.flatnonzero(np.append(True, last[:-1]))
    return Ledger(key[last], state[last], np.logical_or.reduceat(mine, starts), noted)
