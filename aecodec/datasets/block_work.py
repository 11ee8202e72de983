"""What a worker does with a block: fetch, convert, commit, and write the part of the manifest."""

import os
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic

from aecodec.datasets.items import Item
from aecodec.datasets.job import Job
from aecodec.datasets.manifest import Note, Row, now
from aecodec.datasets.shards import Shard, convert_parquet, convert_tar
from aecodec.datasets.task_process import TaskProcess
from aecodec.errors import InputError
from aecodec.jobs.folders import FileTask
from aecodec.jobs.journal import BEGUN
from aecodec.jobs.runner import R, reason_of

TRIES = 3
"""How often a block is begun whose workers are lost."""


@dataclass
class BlockWorker(Generic[R]):
    """Does blocks one after the other, with one model.

    Attributes:
        job: what is to be done.
    """

    job: Job[R]
    _process: TaskProcess[R] = field(init=False)

    def __post_init__(self) -> None:
        """Starts nothing yet."""
        self._process = TaskProcess(self.job.work, self.job.setup)

    def close(self) -> None:
        """Ends the process that does the pictures."""
        self._process.close()

    def __call__(self, items: tuple[Item, ...]) -> list[Row] | None:
        """Does the items; rows of the manifest, which are written.

        Another worker may have done them, and been lost before it could say so: what it wrote
        counts then.

        Returns:
            None if workers were lost with several items again and again: each is to be done in a
            block of its own then, and the one that costs its workers becomes an error.

        Raises:
            OSError: the manifest cannot be written.
        """
        manifest = self.job.manifest
        part = manifest.part_name(self.job.run, items)
        rows = manifest.read_part(part)
        if rows is None:
            note = self._begin(part, items)
            if note.tries <= TRIES:
                rows = self._done(items, note.outputs)
            elif len(items) == 1:
                reason = f"its worker was lost on each of {TRIES} tries; out of memory?"
                lost, own = replace(items[0], refused=reason), items[0].output in note.outputs
                rows = self._rows(lost, Path(), own=own)
            else:
                return None
            manifest.write_part(part, rows)
        manifest.forget(part)
        return rows

    def _done(self, items: tuple[Item, ...], own: frozenset[str]) -> list[Row]:
        rows = []
        with self._folder() as folder:
            for item in items:
                mine = item.output in own and not item.refused
                rows += self._rows(item, Path(folder), own=mine)
        return rows

    def _folder(self) -> "tempfile.TemporaryDirectory[str]":
        """A folder for files that are being made."""
        scratch = self.job.scratch
        if scratch is None:
            return tempfile.TemporaryDirectory(prefix="aecodec-")
        os.makedirs(scratch, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=self.job.scratch_name, dir=scratch)

    def _begin(self, part: str, items: tuple[Item, ...]) -> Note:
        """Notes that a block is begun, and which outputs are or will be this run's own."""
        note = self.job.manifest.noted(part)
        if note is None:
            own = frozenset(
                item.output for item in items
                if item.output and not item.refused and self._is_own(item)
            )  # fmt: skip
            note = Note(own, 0)
        note = replace(note, tries=note.tries + 1)
        self.job.manifest.note(part, note)
        return note

    def _is_own(self, item: Item) -> bool:
        return item.own or not self.job.target.exists(item.output)

    def _rows(self, item: Item, folder: Path, *, own: bool) -> list[Row]:
        """What became of an item; any error is a row."""
        start, rows = time.perf_counter(), []
        try:
            if item.refused:
                raise InputError(item.refused)
            if self.job.makes_files and not own:
                self._check_free(item)
            if item.kind == "file":
                row = self._file(item, folder)
            else:
                rows = self._shard(item, folder)
                row = _sum_of(rows)
        except Exception as exc:  # other items go on, whatever is wrong with this one
            rows = []
            row = {"state": "failed", "error": reason_of(self.job.source.name(item.path), exc)}
        about = {
            "path": item.path, "output": item.output or None, "size": item.size,
            "fingerprint": item.mark, "options": self.job.options, "begun": own or self.job.force,
            "run": self.job.run, "finished": now(),
        }  # fmt: skip
        members = [{**about, **each} for each in rows]
        return [*members, {**about, **row, "seconds": time.perf_counter() - start}]

    def _check_free(self, item: Item) -> None:
        if not self.job.force and self.job.target.exists(item.output):
            name = self.job.target.name(item.output)
            raise InputError(f"output {name} exists; -f overwrites it")

    def _file(self, item: Item, folder: Path) -> Row:
        """Converts one picture."""
        source, output = self.job.source, self.job.target
        original, made = source.local(item.path), None
        if self.job.makes_files:
            made = folder / ("out" + self.job.selection.suffix)
        try:
            if original is None:
                original = folder / "in"
                source.get(item.path, original)
            names = {str(original): source.name(item.path), str(made): output.name(item.output)}
            row = self._converted(original, made, names)
            if made is not None and row["state"] == "done":
                output.put(made, item.output)
            return row
        finally:
            for path in (folder / "in", made):
                if path is not None:
                    path.unlink(missing_ok=True)

    def _converted(self, source: Path, target: Path | None, names: dict[str, str]) -> Row:
        """What the process makes of a picture on this machine."""
        base = "" if target is None else str(target.parent)
        start, size = time.perf_counter(), source.stat().st_size
        task = FileTask(str(source), str(target or ""), size, base, entry=BEGUN)
        outcome, tries = self._process.run(task)

        def named(text: str) -> str:
            for path, name in names.items():
                text = text.replace(path, name)
            return text

        row: Row = {
            "warnings": [named(each) for each in outcome.warnings], "size": size,
            "seconds": time.perf_counter() - start,
        }  # fmt: skip
        if outcome.code or outcome.result is None:
            again = f", on each of {tries} tries" if tries > 1 else ""
            return row | {"state": "failed", "error": named(outcome.error) + again}
        return row | {"state": "done"} | self.job.columns(outcome.result)

    def _shard(self, item: Item, folder: Path) -> list[Row]:
        """Converts all pictures of a shard."""
        source, output = self.job.source, self.job.target
        original = source.local(item.path)
        if original is None:
            original = folder / "shard-in"
            source.get(item.path, original)
        made = folder / "shard-out" if self.job.makes_files else None

        def convert(picture: Path, target: Path | None) -> Row:
            return self._converted(picture, target, {str(picture): "it", str(target): "it"})

        shard = Shard(original, made, folder, self.job.selection, convert)
        try:
            (convert_tar if item.kind == "tar" else convert_parquet)(shard)
            if made is not None:
                output.put(made, item.output)
        finally:
            for path in (folder / "shard-in", made):
                if path is not None:
                    path.unlink(missing_ok=True)
        return shard.rows


def _sum_of(rows: list[Row]) -> Row:
    """The row of a shard: it is done when all of its pictures are, and else "partial"."""
    failed = sum(1 for row in rows if row.get("error"))
    sums = {"bytes": sum(row.get("bytes") or 0 for row in rows)}
    if failed:
        reason = f"{failed} of {len(rows)} pictures in it failed"
        return {"state": "partial", "error": reason, **sums}
    return {"state": "done", **sums}
