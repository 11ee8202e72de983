"""What commands say of files and runs: a line or a JSON object a file, a bar, a summary."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aecodec.cli.console import INTERRUPTED, say
from aecodec.cli.options import jobs_for
from aecodec.cli.startup import prepare_process
from aecodec.cli.worker_setup import worker_setup
from aecodec.jobs.batch import Batch, FileWatch, Totals
from aecodec.jobs.conversion import Converted
from aecodec.jobs.folders import FileTask, Passed
from aecodec.jobs.runner import Outcome
from aecodec.storage.names import is_standard_output

if TYPE_CHECKING:
    from tqdm import tqdm

BAR_SECONDS = 1.0
"""A bar appears if the work takes longer."""
REFRESH_SECONDS = 0.1
"""At least so much time lies between two changes of the bar."""
_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {remaining} left{postfix}"
_KINDS = ("other file", "other files"), ("hidden one", "hidden ones"), ("link", "links")


@dataclass(frozen=True)
class Style:
    """How a command speaks of its files.

    Attributes:
        line: says in a line what became of a file that was written.
        verb: what a dry run says that would be done.
        as_json: whether to print an object for each file in place of a line.
        summary: whether to end with a summary.
    """

    line: Callable[[FileTask, Converted], str]
    verb: str
    as_json: bool
    summary: bool


class BatchReport(FileWatch):
    """Puts out what becomes of files, and shows a bar on a terminal."""

    def __init__(self, batch: Batch, style: Style) -> None:
        """Speaks of the files of `batch`, which is yet to run."""
        self._batch, self._style = batch, style
        self._bar = Bar(batch)

    def __enter__(self) -> "BatchReport":
        """Shows nothing yet."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Clears the bar."""
        self._bar.close()

    def say(self, text: str, /, *, err: bool) -> None:
        """Puts a line out above the bar."""
        with self._bar.aside():
            say(text, err=err)

    def progress(self, task: FileTask, part: float, pixels: int) -> None:
        """Moves the bar."""
        self._bar.progress(task, part, pixels)

    def finished(self, task: FileTask, outcome: Outcome[Converted]) -> None:
        """Moves the bar."""
        self._bar.finished(task, outcome)

    def report(self, task: FileTask, outcome: Outcome[Converted]) -> None:
        """Puts the line of a file out; errors have had theirs."""
        err = is_standard_output(task.target)
        if self._style.as_json:
            self.say(json.dumps(file_object(task, outcome)), err=err)
        elif outcome.result is not None:
            self.say(file_line(self._style, task, outcome.result), err=err)

    def summarize(self) -> None:
        """Puts the summary out, if there is to be one."""
        if self._style.summary:
            self._bar.close()
            self.say(
                summary(self._batch.totals, self._batch.seconds, self._batch.plan.passed),
                err=self._style.as_json,
            )

    def interruption(self) -> str:
        """What an interrupted run has done."""
        totals = self._batch.totals
        if totals.files <= 1:
            return "interrupted"
        advice = "; --resume goes on" if self._batch.work.manner.journal else ""
        return (
            f"interrupted: {totals.ended} of {totals.files} files have ended, "
            f"and what was in hand is dropped{advice}"
        )


def file_line(style: Style, task: FileTask, found: Converted) -> str:
    """What became of a file, in a line."""
    if found.state == "done":
        return style.line(task, found)
    if found.state == "planned":
        return f"{task.source} -> {task.target}: {style.verb}, {found.before} bytes"
    if found.state == "skipped":
        return f"{task.source} -> {task.target}: skipped, it is done"
    return f"{task.source}: left out, {found.before} -> {found.after} bytes is not smaller"


def file_object(task: FileTask, outcome: Outcome[Converted]) -> dict[str, Any]:
    """What `--json` prints of a file."""
    found = outcome.result or Converted("done")
    numbers = {name: getattr(found, name) for name in ("before", "after", "width", "height")}
    return {
        "source": task.source,
        "target": task.target,
        "state": "failed" if outcome.result is None else found.state,
        **numbers,
        "seconds": round(found.seconds, 3),
        "warnings": outcome.warnings,
        "error": outcome.error or None,
    }


def run_batch(
    batch: Batch, style: Style, inputs: Sequence[str], jobs: int, *, torch: bool = False
) -> int:
    """Runs a batch and speaks of it; the exit code.

    Args:
        batch: what to do.
        style: how to speak of it.
        inputs: as the user gave them.
        jobs: how many to work on at a time.
        torch: whether the work will need torch.
    """
    dry = batch.work.manner.dry_run
    many = 1 if dry else jobs_for(inputs, jobs, len(batch.plan.tasks))
    prepare_process(torch=torch)
    with BatchReport(batch, style) as report:
        try:
            code = batch.run(many, say=report.say, watch=report, setup=worker_setup(torch=torch))
        except KeyboardInterrupt:
            report.say(f"aecodec: {report.interruption()}", err=True)
            return INTERRUPTED
        report.summarize()
    return code


def summary(totals: Totals, seconds: float, passed: Passed) -> str:
    """What a run has done, in a line."""
    counts = {
        "done": totals.done, "to do": totals.planned, "skipped as done": totals.skipped,
        "left out as no smaller": totals.larger, "failed": totals.failed,
    }  # fmt: skip
    parts = [f"{number} {name}" for name, number in counts.items() if number]
    missing = totals.files - totals.ended
    parts += [f"{missing} not begun"] if missing else []
    files = "1 file" if totals.files == 1 else f"{totals.files} files"
    text = f"{files}: {', '.join(parts) or 'nothing to do'}"
    if totals.done and totals.before:
        saved = totals.before - totals.after
        text += (
            f"; {size_text(totals.before)} -> {size_text(totals.after)} "
            f"({saved / max(totals.before, 1):.1%} saved), {seconds_text(seconds)}, "
            f"{totals.pixels / 1e6 / max(seconds, 1e-9):.2f} megapixels/s"
        )
    over = passed_text(passed)
    return f"{text}; {over}" if over else text


def passed_text(passed: Passed) -> str:
    """What was passed over in folders, or nothing."""
    numbers = (passed.others, passed.hidden, passed.links)
    parts = [
        f"{number} {kinds[number > 1]}"
        for number, kinds in zip(numbers, _KINDS, strict=True)
        if number
    ]
    return f"passed over {', '.join(parts)}" if parts else ""


def size_text(size: int) -> str:
    """Bytes in a unit that people read; negative ones, too."""
    number, units = float(size), iter(("bytes", "kB", "MB", "GB"))
    unit = next(units)
    while abs(number) >= 999.5 and unit != "GB":
        number, unit = number / 1000, next(units)
    return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"


def seconds_text(seconds: float) -> str:
    """A time that people read."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"


class Bar:
    """A bar on standard error, if that is a terminal and the run takes longer than a second.

    It moves with the bytes of inputs, and with those that are in hand by the part that is done.
    """

    def __init__(self, batch: Batch) -> None:
        """Begins to count the time."""
        self._start = time.monotonic()
        self._batch = batch
        self._total = sum(_weight(task) for task in batch.plan.tasks)
        self._ended = 0.0
        self._in_hand: dict[str, tuple[float, float]] = {}
        self._bar: Any = None
        self._wanted = sys.stderr is not None and sys.stderr.isatty()

    def progress(self, task: FileTask, part: float, pixels: int) -> None:
        """Shows that a task in hand is so far."""
        self._in_hand[task.source] = part * _weight(task), part * pixels
        self._show()

    def finished(self, task: FileTask, outcome: Outcome[Converted]) -> None:
        """Shows that a task has ended; what took no time is left out of the whole."""
        self._in_hand.pop(task.source, None)
        if outcome.result is not None and outcome.result.state == "skipped":
            self._total -= _weight(task)
        else:
            self._ended += _weight(task)
        self._show()

    def aside(self) -> AbstractContextManager[object]:
        """A block in which other lines may be put out."""
        if self._bar is None:
            return nullcontext()
        block: AbstractContextManager[object] = self._bar.external_write_mode(sys.stderr)
        return block

    def close(self) -> None:
        """Clears the bar for good."""
        self._wanted = False
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _show(self) -> None:
        if not self._wanted or time.monotonic() - self._start < BAR_SECONDS:
            return
        if self._bar is None:
            self._bar = _new_bar(self._label(), self._start)
        self._bar.total = self._total
        self._bar.set_postfix_str(self._text(), refresh=False)
        done = self._ended + sum(weight for weight, _ in self._in_hand.values())
        self._bar.update(min(done, self._total) - self._bar.n)

    def _label(self) -> str:
        tasks = self._batch.plan.tasks
        return tasks[0].source if len(tasks) == 1 else "all"

    def _text(self) -> str:
        """Files, speed and bytes saved."""
        totals = self._batch.totals
        coded = totals.pixels + sum(pixels for _, pixels in self._in_hand.values())
        speed = coded / 1e6 / max(time.monotonic() - self._start, 1e-9)
        parts = [f"{speed:.3g} MP/s"]
        if totals.files > 1:
            parts.insert(0, f"{totals.ended}/{totals.files} files")
            parts.append(f"{size_text(totals.before - totals.after)} saved")
        return ", ".join(parts)


def _weight(task: FileTask) -> int:
    """A task's share of the whole; a file of unknown size has some, too."""
    return max(task.size, 1)


def _new_bar(label: str, start: float) -> "tqdm[Any]":
    from tqdm import tqdm  # late, for a run that shows no bar

    bar = tqdm(
        desc=label, total=1, file=sys.stderr, bar_format=_FORMAT, dynamic_ncols=True,
        smoothing=0.05, leave=False, mininterval=REFRESH_SECONDS, delay=1e-9,
    )  # fmt: skip
    bar.start_t = bar.last_print_t = bar.start_t - (time.monotonic() - start)
    return bar
