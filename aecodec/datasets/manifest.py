"""The manifest of a run: Parquet files with a row for each picture, written as work is done.

Each block of work writes one part, whole, in a single step: the block is done when its part is
there. Before it begins, a note says which outputs were not there, so that what a crash leaves is
known to be no stranger's. Later runs read the parts, of which the last row of a file counts.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from aecodec import __version__
from aecodec.datasets.items import Item
from aecodec.datasets.stores import Store, store_of
from aecodec.errors import InputError

FOLDER = "_manifest"
_NOTES = f"{FOLDER}/begun"
"""The folder of notes about blocks in work."""
_READERS = 16
"""Parts that are read at a time."""
SCHEMA = pa.schema(
    [
        ("path", pa.string()), ("member", pa.string()), ("output", pa.string()),
        ("state", pa.string()), ("size", pa.int64()), ("bytes", pa.int64()),
        ("width", pa.int32()), ("height", pa.int32()), ("bpp", pa.float64()),
        ("psnr", pa.float64()), ("sha256", pa.string()), ("error", pa.string()),
        ("warnings", pa.list_(pa.string())), ("seconds", pa.float64()),
        ("fingerprint", pa.string()), ("options", pa.string()), ("begun", pa.bool_()),
        ("run", pa.string()), ("finished", pa.timestamp("us", tz="UTC")),
    ],
    metadata={"format": "aecodec-manifest-1", "aecodec": __version__},
)  # fmt: skip
"""Columns of every manifest."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Note:
    """What is known of a block that has begun.

    Attributes:
        outputs: those that come from it: they were not there before, or came from an earlier run.
        tries: how often it was begun.
    """

    outputs: frozenset[str]
    tries: int


@dataclass(frozen=True)
class Manifest:
    """Where the parts are.

    Attributes:
        store: of outputs.
        folder: of parts, below its root; empty for the root itself.
        fields: columns that a command adds, with their Arrow types by name.
    """

    store: Store
    folder: str = FOLDER
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """All columns."""
        schema = SCHEMA
        for name, kind in self.fields:
            schema = schema.append(pa.field(name, _TYPES[kind]))
        return schema

    def at(self, name: str) -> str:
        """The path of a file of the manifest below the store's root."""
        return f"{self.folder}/{name}" if self.folder else name

    def part_name(self, run: str, items: Sequence[Item]) -> str:
        """The name of the part of a block, which is the same when a lost worker's is done again."""
        names = "\0".join(item.path for item in items)
        return f"{run}-{digest(names).hex()}.parquet"

    def read_part(self, name: str) -> list[Row] | None:
        """The rows of a part; None if there is none."""
        data = self._probed(self.at(name))
        return None if data is None else list(_table(data).to_pylist())

    def write_part(self, name: str, rows: Sequence[Row]) -> None:
        """Puts a part."""
        whole = [_clean(row) for row in rows]
        file = BytesIO()
        pq.write_table(pa.Table.from_pylist(whole, self.schema), file, compression="zstd")
        self.store.write(self.at(name), file.getvalue())

    def note(self, part: str, note: "Note") -> None:
        """Notes, before work on a block begins, what is known of it."""
        data = json.dumps({"outputs": sorted(note.outputs), "tries": note.tries}).encode()
        self.store.write(self._note_of(part), data)

    def noted(self, part: str) -> "Note | None":
        """What a note says of a block; None without one."""
        data = self._probed(self._note_of(part))
        if data is None:
            return None
        try:
            found = json.loads(data)
            return Note(frozenset(str(each) for each in found["outputs"]), int(found["tries"]))
        except (ValueError, KeyError, TypeError):
            return Note(frozenset(), 0)

    def forget(self, part: str) -> None:
        """Takes the note of a block away, whose part is there."""
        self.store.delete(self._note_of(part))

    def all_noted(self) -> "dict[str, Note]":
        """All notes of blocks that have not ended, by the names of their parts."""
        names = self.store.names(_NOTES)
        parts = [name.removesuffix(".json") for name in names if name.endswith(".json")]
        found = {part: self.noted(part) for part in parts}
        return {part: note for part, note in found.items() if note is not None}

    def tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """All parts, as many at a time as the reading threads take, with these columns.

        Raises:
            InputError: a part is none.
        """
        names = self.store.names(self.folder)
        parts = [name for name in names if name.endswith(".parquet") and name[0] not in "._"]
        with ThreadPoolExecutor(_READERS) as pool:
            for start in range(0, len(parts), 4 * _READERS):
                chunk = parts[start : start + 4 * _READERS]
                for name, data in zip(
                    chunk, pool.map(self.store.read, map(self.at, chunk)), strict=True
                ):
                    if data is not None:
                        yield self._checked(name, data, columns)

    def _checked(self, name: str, data: bytes, columns: Sequence[str]) -> pa.Table:
        try:
            return pq.read_table(BytesIO(data), columns=list(columns))
        except (pa.ArrowException, OSError) as exc:
            where = self.store.name(self.at(name))
            raise InputError(f"{where} is no part of a manifest: {exc}") from exc

    def _probed(self, path: str) -> bytes | None:
        """A file that is hardly ever there, which costs one request."""
        return self.store.read(path) if self.store.exists(path) else None

    def _note_of(self, part: str) -> str:
        return f"{_NOTES}/{part}.json"


_TYPES = {
    "string": pa.string(), "double": pa.float64(), "bool": pa.bool_(),
    "floats": pa.list_(pa.float32()), "ints": pa.list_(pa.int32()),
}  # fmt: skip


def digest(text: str) -> bytes:
    """A digest of 16 bytes."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def now() -> datetime:
    """The time, as rows have it."""
    return datetime.now(UTC)


def shown(text: str) -> str:
    """A name as UTF-8 can write it: bytes of file names that are none become codes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _clean(row: Row) -> Row:
    return {name: shown(each) if isinstance(each, str) else each for name, each in row.items()}


def _table(data: bytes) -> pa.Table:
    return pq.read_table(BytesIO(data))


def read_manifest(folder: str, *, subfolder: str = FOLDER) -> pa.Table:
    """The manifest of a folder of outputs, with the last row of each picture.

    Args:
        folder: the path or URL of the outputs.
        subfolder: where the parts are below it: empty for tables of features and scores.

    Raises:
        InputError: a part is none.
        OSError: a part cannot be read.
    """
    manifest = Manifest(store_of(folder), subfolder)
    names = SCHEMA.names
    last: dict[tuple[str, str | None], Row] = {}
    for table in manifest.tables(names):
        for row in table.to_pylist():
            key = row["path"], row["member"]
            if key not in last or row["finished"] >= last[key]["finished"]:
                last[key] = row
    return pa.Table.from_pylist([last[key] for key in sorted(last, key=str)], SCHEMA)
