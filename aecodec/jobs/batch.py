"""Works on all files of a plan, with journals and sums.

Example:
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from aecodec.jobs.batch import Batch
    >>> from aecodec.jobs.conversion import Compression, Manner
    >>> from aecodec.jobs.folders import PICTURES, plan_folders
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (40, 30), "teal").save(Path(folder, "a.png"))
    ...     plan = plan_folders([folder], f"{folder}/out", ".aec", PICTURES)
    ...     batch = Batch(plan, Compression(manner=Manner(journal=True)))
    ...     batch.run(jobs=1)
    ...     batch.totals.done
    0
    1
"""

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from aecodec.jobs.conversion import Compression, Converted, Decompression
from aecodec.jobs.folders import FileTask, Plan
from aecodec.jobs.journal import BEGUN, GIVEN_UP, Journal
from aecodec.jobs.runner import Outcome, Say, Setup, Watch, for_each


@dataclass
class Totals:
    """Sums over the files that have ended.

    Attributes:
        files: all that are to be worked on.
        done: written.
        skipped: left out since the journal knows them.
        larger: left out since they do not shrink.
        planned: looked at in a dry run.
        failed: that could not be done.
        before: bytes of the inputs that were worked on.
        after: bytes of what is there for them now: the outputs, and inputs that do not shrink.
        pixels: that were coded.
    """

    files: int = 0
    done: int = 0
    skipped: int = 0
    larger: int = 0
    planned: int = 0
    failed: int = 0
    before: int = 0
    after: int = 0
    pixels: int = 0

    @property
    def ended(self) -> int:
        """Files that need no more work."""
        return self.done + self.skipped + self.larger + self.planned + self.failed

    def add(self, outcome: Outcome[Converted]) -> None:
        """Counts a file that has ended."""
        found = outcome.result
        if found is None:
            self.failed += 1
            return
        setattr(self, found.state, getattr(self, found.state) + 1)
        if found.state in ("done", "larger"):
            self.before += found.before
            self.after += found.after if found.state == "done" else found.before
            self.pixels += found.width * found.height


FileWatch = Watch[FileTask, Converted]


class Batch:
    """A run over all files of a plan; an interrupted one leaves its totals to look at."""

    def __init__(self, plan: Plan, work: Compression | Decompression) -> None:
        """Prepares to do `work` on the files of `plan`; journals are read by `run`."""
        self.plan, self.work = plan, work
        self.totals = Totals(len(plan.tasks))
        self.seconds = 0.0
        """How long `run` took."""

    def run(
        self, jobs: int = 1, *, say: Say | None = None, watch: FileWatch | None = None,
        setup: Setup | None = None,
    ) -> int:  # fmt: skip
        """Does the work; takes and gives what `runner.for_each` does.

        Raises:
            OSError: a journal cannot be read or written.
        """
        start = time.perf_counter()
        try:
            with ExitStack() as stack:
                journals = self._journals(stack)
                tasks = self.plan.tasks
                if self.work.manner.resume:
                    tasks = [_with_entry(task, journals) for task in tasks]
                noted = {} if self.work.manner.dry_run else journals
                noting = _Noting(self.totals, noted, watch or Watch())
                return for_each(
                    tasks, self.work, jobs, say=say or _silent, watch=noting, setup=setup
                )
        finally:
            self.seconds = time.perf_counter() - start

    def _journals(self, stack: ExitStack) -> dict[str, Journal]:
        """The journal of each folder of outputs."""
        if not self.work.manner.journal:
            return {}
        bases = {task.base for task in self.plan.tasks if task.base}
        return {base: stack.enter_context(Journal(Path(base))) for base in sorted(bases)}


class _Noting(FileWatch):
    """Sums and notes what has ended, and passes all on."""

    def __init__(self, totals: Totals, journals: dict[str, Journal], watch: FileWatch) -> None:
        self._totals, self._journals, self._watch = totals, journals, watch

    def started(self, task: FileTask) -> None:
        unknown = not task.refused and task.entry in (None, GIVEN_UP)
        if self._journals and unknown and not os.path.lexists(task.target):
            self._journals[task.base].add(task.place, BEGUN)
        self._watch.started(task)

    def progress(self, task: FileTask, part: float, pixels: int) -> None:
        self._watch.progress(task, part, pixels)

    def finished(self, task: FileTask, outcome: Outcome[Converted]) -> None:
        self._totals.add(outcome)
        if self._journals and not task.refused:
            self._note(task, outcome.result)
        self._watch.finished(task, outcome)

    def report(self, task: FileTask, outcome: Outcome[Converted]) -> None:
        self._watch.report(task, outcome)

    def _note(self, task: FileTask, result: Converted | None) -> None:
        journal = self._journals[task.base]
        if result is not None and result.entry is not None:
            journal.add(task.place, result.entry)
        elif journal.find(task.place) == BEGUN:
            journal.add(task.place, GIVEN_UP)


def _with_entry(task: FileTask, journals: dict[str, Journal]) -> FileTask:
    if task.refused:
        return task
    return replace(task, entry=journals[task.base].find(task.place))


def _silent(_text: str, /, *, err: bool) -> None:
    """Says nothing: errors are in the outcomes."""
