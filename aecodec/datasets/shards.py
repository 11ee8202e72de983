"""Shards: one file with many pictures becomes one file with what each of them became.

A WebDataset tar keeps the order of its members and the files beside the pictures; a Parquet file
keeps its other columns. The names of members come from strangers: those that lead out of a folder
are refused, and none is used for a file outside the tar.
"""

import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from aecodec.datasets.listing import Selection
from aecodec.datasets.manifest import Row
from aecodec.errors import InputError

_ROWS = 16
"""Rows of Parquet that are held at a time."""

Value = bytes | dict[str, object] | None
"""What a column of pictures holds: bytes, or a struct with bytes and the name of a file."""
Convert = Callable[[Path, Path | None], Row]
"""Makes a file of a picture, or none; what the manifest is to say, with `error` if it failed."""


@dataclass(frozen=True)
class Made:
    """What became of a member.

    Attributes:
        data: its bytes; None if it failed, or if nothing is written.
        kept: whether these are the input's, since the output is not smaller.
    """

    data: bytes | None
    kept: bool = False


@dataclass
class Shard:
    """A shard in work.

    Attributes:
        source: the input, on this machine.
        output: where the output is written; None if there is none.
        folder: for files of one member, which are taken away at once.
        selection: which members are pictures, and what they become.
        convert: makes a file of a picture.
        rows: one for each picture.
    """

    source: Path
    output: Path | None
    folder: Path
    selection: Selection
    convert: Convert
    rows: list[Row] = field(default_factory=list)

    def done(self, member: str, source: Callable[[Path], object], output: str) -> Made:
        """Converts a member.

        Args:
            member: its name, or the number of its row.
            source: writes its bytes to a file.
            output: what it becomes; empty if its name is not told.
        """
        original, target = self.folder / "member.in", None
        if self.output is not None:
            target = self.folder / ("member" + self.selection.suffix)
        try:
            source(original)
            row = self.convert(original, target)
            larger = row["state"] == "larger"
            self.rows.append(
                {**row, "member": member, "output": None if larger else output or None}
            )
            if row.get("error") or target is None:
                return Made(None)
            return Made((original if larger else target).read_bytes(), kept=larger)
        finally:
            for path in (original, target):
                if path is not None:
                    path.unlink(missing_ok=True)

    def failed(self, member: str, reason: str) -> None:
        """Notes a member that cannot even begin."""
        self.rows.append({"member": member, "state": "failed", "error": reason})


def convert_tar(shard: Shard) -> None:
    """Converts the pictures of a tar; all other files are taken over as they are.

    Raises:
        InputError: it is no tar, or is cut off.
        OSError: a file cannot be read or written.
    """
    try:
        with tarfile.open(shard.source, "r:") as tar, _written(shard.output) as out:
            seen: set[str] = set()
            for member in tar:
                if not member.isdir():
                    _member(shard, tar, member, out, seen)
    except tarfile.TarError as exc:
        raise InputError(f"it is no whole tar: {exc}") from exc


@contextmanager
def _written(path: Path | None) -> Iterator[tarfile.TarFile | None]:
    if path is None:
        yield None
        return
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as out:
        yield out


def _member(
    shard: Shard, tar: tarfile.TarFile, member: tarfile.TarInfo, out: tarfile.TarFile | None,
    seen: set[str],
) -> None:  # fmt: skip
    name = member.name
    reason = refusal(member)
    stem, suffix = os.path.splitext(name)
    wanted = suffix.lower() in shard.selection.kinds
    whole = name if shard.selection.full_names else stem
    output = whole + shard.selection.suffix if wanted and out is not None else name
    if not reason and out is not None and output in seen:
        reason = f"a second member would become {output}"
    if reason:
        shard.failed(name, reason)
        return
    seen.add(output)
    file = tar.extractfile(member)
    assert file is not None
    if wanted:
        made = shard.done(name, lambda path: _copy(file, path), output)
        if made.data is not None and out is not None:
            info = _info(member, name if made.kept else output, len(made.data))
            out.addfile(info, BytesIO(made.data))
    elif out is not None:
        out.addfile(_info(member, name, member.size), file)


def refusal(member: tarfile.TarInfo) -> str:
    """Why a member is not taken; empty if it is."""
    parts = member.name.replace("\\", "/").split("/")
    if member.name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        return "its name leads out of the folder where a tar is unpacked"
    if not member.isfile():
        return "it is no regular file"
    return ""


def _copy(file: IO[bytes], path: Path) -> None:
    with path.open("wb") as target:
        shutil.copyfileobj(file, target)


def _info(member: tarfile.TarInfo, name: str, size: int) -> tarfile.TarInfo:
    """The header of a member of the output, with what of the input's does no harm."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, int(member.mtime), member.mode & 0o777
    return info


def convert_parquet(shard: Shard) -> None:
    """Converts the pictures of a column; one that fails leaves its place empty.

    Raises:
        InputError: it is no Parquet, or has no such column of bytes.
        OSError: a file cannot be read or written.
    """
    column = shard.selection.column
    assert column is not None
    try:
        with pq.ParquetFile(shard.source) as file:
            schema = _with_pictures(file.schema_arrow, column)
            place = schema.get_field_index(column)
            writer = None if shard.output is None else pq.ParquetWriter(shard.output, schema)
            try:
                number = 0
                columns = None if writer is not None else [column]
                for batch in file.iter_batches(_ROWS, columns=columns, use_threads=False):
                    values = batch.column(column).to_pylist()
                    made = [_value(shard, number + n, each) for n, each in enumerate(values)]
                    number += len(values)
                    if writer is not None:
                        arrays = list(batch.columns)
                        arrays[place] = pa.array(made, schema.field(column).type)
                        writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
            finally:
                if writer is not None:
                    writer.close()
    except pa.ArrowException as exc:
        raise InputError(f"it is no whole Parquet file: {exc}") from exc


def _with_pictures(schema: pa.Schema, column: str) -> pa.Schema:
    """The schema with a column whose pictures may be missing."""
    place = schema.get_field_index(column)
    if place < 0:
        raise InputError(f"it has no column {column!r}; there are {', '.join(schema.names)}")
    kind = schema.field(place).type
    inner = kind
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        inner = kind.field("bytes").type
    if not (pa.types.is_binary(inner) or pa.types.is_large_binary(inner)):
        raise InputError(f"its column {column!r} holds {kind}, not bytes")
    return schema.set(place, schema.field(place).with_nullable(True))


def _value(shard: Shard, number: int, value: Value) -> Value:
    """What becomes of one value."""
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes):
        return value
    made = shard.done(str(number), lambda path: path.write_bytes(data), "")
    if not isinstance(value, dict) or made.kept:
        return made.data if not isinstance(value, dict) else value
    name = value.get("path")
    if isinstance(name, str):
        value["path"] = os.path.splitext(name)[0] + shard.selection.suffix
    return {**value, "bytes": made.data}
