"""Options of commands that run over data sets, and what such runs say."""

import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from aecodec.cli.console import INTERRUPTED, say
from aecodec.cli.report import (
    BAR_SECONDS,
    REFRESH_SECONDS,
    Style,
    file_line,
    file_object,
    size_text,
    summary,
)
from aecodec.cli.worker_setup import signals_kept, worker_setup
from aecodec.errors import InputError
from aecodec.jobs.conversion import Converted
from aecodec.jobs.folders import FileTask
from aecodec.jobs.runner import Outcome, Work, say_error
from aecodec.models.registry import named_model

if TYPE_CHECKING:
    from aecodec.datasets.job import Job
    from aecodec.datasets.manifest import Row
    from aecodec.datasets.run import DatasetRun

RAY = "ray"
_FORMAT = "{desc}: {n_fmt} done, {elapsed}{postfix}"
_NUMBERS = ("size", "bytes", "width", "height")
C = TypeVar("C", bound=Callable[..., Any])


class Engine(TypedDict):
    """Where and how to work, as click parses it."""

    engine: str | None
    address: str | None
    workers: int | None
    column: str | None
    block_size: int | None


_OPTIONS = (
    click.option(
        "--engine", type=click.Choice([RAY]),
        help="Work over Ray: INPUT and OUTPUT are folders, on any machine or behind URLs.",
    ),
    click.option("--address", metavar="ADDRESS", help="Of a Ray cluster; else one starts here."),
    click.option(
        "--workers", type=click.IntRange(1), metavar="N",
        help="Processes of the engine that work on pictures; one for each CPU by default.",
    ),
    click.option(
        "--column", metavar="NAME", help="Take pictures out of this column of Parquet files."
    ),
    click.option(
        "--block-size", type=click.IntRange(1), metavar="N",
        help="Files that a worker of the engine takes together, 16 by default.",
    ),
)  # fmt: skip


def engine_options(command: C) -> C:
    """Adds the options of the engine to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def uses_engine(arguments: Engine, psnr_column: bool = False) -> bool:
    """Whether a data set is to be worked on; refuses options that would do nothing else."""
    if arguments["engine"] == RAY:
        return True
    for name in ("address", "workers", "column", "block_size"):
        if arguments[name] is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} needs --engine ray")
    if psnr_column:
        raise click.UsageError("--psnr-column needs --engine ray")
    return False


REFUSED = {
    "jobs": "is for one machine: --workers says how many",
    "preserve": "needs files of one machine on both sides",
}
"""Options of commands over files that make no sense over data sets, and why."""
REFUSED_OF_TABLES = {**REFUSED, "force": "has nothing to replace: the table keeps what is there"}
"""The same, where results go to a table."""


def refuse(reasons: dict[str, str]) -> None:
    """Refuses options of the command at hand that make no sense over a data set.

    Args:
        reasons: by the names of parameters, what is wrong with each.
    """
    context = click.get_current_context()
    for param in context.command.params:
        source = context.get_parameter_source(param.name or "")
        given = source is not None and source.name != "DEFAULT"
        if given and param.name in reasons:
            raise click.UsageError(f"{max(param.opts, key=len)} {reasons[param.name]}")


@dataclass(frozen=True)
class Wishes:
    """A run over a data set, as a command asks for it.

    Attributes:
        work: what is done with each picture.
        columns: what of its result goes into the manifest.
        fields: the columns that are its own, with their types.
        options: a digest of all that outputs depend on beside their inputs.
        kinds: extensions of the pictures that are taken.
        suffix: of outputs; empty for a table.
        full_names: whether outputs keep the extensions of their inputs before their own.
        force: whether existing outputs are replaced.
        dry_run: whether to say only what would be done.
        torch: whether the work needs torch.
        line: says in a line what became of a picture, by its name and row; None where `Style` does.
        as_json: whether such lines are JSON, and nothing else may stand between them.
    """

    work: Work[FileTask, Any]
    columns: "Callable[[Any], Row]"
    options: str
    kinds: frozenset[str]
    suffix: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    full_names: bool = False
    force: bool = False
    dry_run: bool = False
    torch: bool = False
    line: "Callable[[str, Row], str] | None" = None
    as_json: bool = False


def run_dataset(
    inputs: Sequence[str], output: str | None, wishes: Wishes, engine: Engine,
    style: Style | None = None,
) -> int:  # fmt: skip
    """Runs over a data set and speaks of it; the exit code.

    Args:
        inputs: as the user gave them.
        output: the same.
        wishes: what to do.
        engine: where.
        style: how to speak of files that are converted.

    Raises:
        InputError: Ray is missing, the input is not there, or there is no cluster.
        OSError: storage fails for good.
    """
    if len(inputs) != 1:
        raise click.UsageError("--engine ray takes one INPUT: a folder, a shard or a URL")
    if not output:
        raise click.UsageError("--engine ray needs -o: the folder or URL of the outputs")
    if "-" in (inputs[0], output):
        raise click.UsageError("--engine ray takes no standard input or output")
    _prepare_ray(alone=engine["address"] is None)
    from aecodec.datasets.run import DatasetRun, check_engine

    check_engine()
    from aecodec.datasets.ray_engine import Cluster

    speaker = _Speaker(style, wishes)
    run = DatasetRun(_job(inputs[0], output, wishes, engine), speaker.tell)
    speaker.run = run
    try:
        if wishes.dry_run:
            code = run.plan()
        else:
            code = run.run(Cluster(engine["address"], engine["workers"], signals_kept))
    except KeyboardInterrupt:
        speaker.close()
        ended = run.totals.ended
        say(
            f"aecodec: interrupted: {ended} files have ended, and what was in hand is dropped; "
            "the same command goes on",
            err=True,
        )
        return INTERRUPTED
    finally:
        speaker.close()
    say(summary(run.totals, run.seconds, run.passed), err=speaker.as_json)
    return code


def everywhere(model: str | None) -> str | None:
    """A model as workers find it, whose current folder is another one."""
    return model if model is None or named_model(model) else os.path.abspath(model)


def _prepare_ray(*, alone: bool) -> None:
    """Sets what Ray reads when it is imported: it is quiet, and tells nobody of its use.

    Args:
        alone: whether it starts here; its ports then serve those who know a secret of this run.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if alone:
        os.environ.setdefault("RAY_worker_niceness", "0")  # as processes of --jobs have it
        os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # on a busy machine
    if alone and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _job(name: str, output: str, wishes: Wishes, engine: Engine) -> "Job[object]":
    from aecodec.datasets.job import BLOCK_ITEMS, Job
    from aecodec.datasets.listing import Selection, avoided, single_item
    from aecodec.datasets.manifest import FOLDER, Manifest
    from aecodec.datasets.run import new_run
    from aecodec.datasets.stores import store_of

    source, target, single = store_of(name), store_of(output), None
    if not source.is_folder():
        folder, single = single_item(name)
        source = store_of(folder)
        if not source.exists(single):
            raise InputError(f"there is no {name}")
    folder = FOLDER if wishes.suffix else ""
    selection = Selection(
        wishes.kinds, wishes.suffix, full_names=wishes.full_names, column=engine["column"],
        avoid=avoided(source, target),
    )  # fmt: skip
    return Job(
        work=wishes.work, columns=wishes.columns, source=source, target=target,
        manifest=Manifest(target, folder, wishes.fields), selection=selection,
        setup=worker_setup(torch=wishes.torch), options=wishes.options, run=new_run(),
        force=wishes.force, block=engine["block_size"] or BLOCK_ITEMS, single=single,
    )  # fmt: skip


class _Speaker:
    """Says what becomes of pictures, in the order in which they end, and shows a counter."""

    def __init__(self, style: Style | None, wishes: Wishes) -> None:
        self.run: DatasetRun | None = None
        self.as_json = wishes.as_json if style is None else style.as_json
        self._style, self._line, self._start = style, wishes.line, time.monotonic()
        self._wanted = sys.stderr is not None and sys.stderr.isatty()
        self._bar: Any = None

    def tell(self, row: "Row") -> None:
        """Says what became of a picture."""
        assert self.run is not None
        job = self.run.job
        source, target = job.source.name(row["path"]), ""
        if row.get("output"):
            target = job.target.name(row["output"])
        if row.get("member") is not None:
            source = f"{source}/{row['member']}"
            target = row.get("output") or ""
        self._show()
        if self._bar is None:
            self._say(row, FileTask(source, target))
        else:
            with self._bar.external_write_mode(sys.stderr):
                self._say(row, FileTask(source, target))

    def close(self) -> None:
        """Clears the counter for good."""
        self._wanted = False
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _say(self, row: "Row", task: FileTask) -> None:
        warnings = tuple(row.get("warnings") or ())
        for text in warnings:
            say(f"aecodec: {task.source}: warning: {text}", err=True)
        failed = row["state"] == "failed"
        if failed:
            say_error(task.source, row["error"] or "failed", say)
        if self._line is not None and not failed:
            say(self._line(task.source, row), err=False)
        if self._style is None:
            return
        before, after, width, height = (row.get(each) or 0 for each in _NUMBERS)
        seconds = row.get("seconds") or 0.0
        result = Converted(row["state"], before, after, width, height, seconds)
        if self._style.as_json:
            error = row.get("error") or ""
            outcome = Outcome(int(failed), None if failed else result, error, warnings)
            say(json.dumps(file_object(task, outcome)), err=False)
        elif not failed:
            say(file_line(self._style, task, result), err=False)

    def _show(self) -> None:
        """Moves the counter, on a terminal, in runs that take longer than a moment."""
        if not self._wanted or time.monotonic() - self._start < BAR_SECONDS or self.run is None:
            return
        if self._bar is None:
            from tqdm import tqdm  # late, for a run that shows nothing

            self._bar = tqdm(
                desc="all", file=sys.stderr, bar_format=_FORMAT, leave=False,
                mininterval=REFRESH_SECONDS, dynamic_ncols=True,
            )  # fmt: skip
        totals = self.run.totals
        saved = size_text(totals.before - totals.after)
        speed = totals.pixels / 1e6 / max(time.monotonic() - self._start, 1e-9)
        self._bar.set_postfix_str(f"{speed:.3g} MP/s, {saved} saved", refresh=False)
        self._bar.update(totals.ended - self._bar.n)
