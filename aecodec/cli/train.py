"""`aecodec train` and `export`: a model of your own."""

import logging
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from aecodec.cli.console import say
from aecodec.cli.options import force_option, known_model
from aecodec.cli.startup import keep_freed_memory
from aecodec.errors import InputError
from aecodec.storage.files import check_output
from aecodec.training.config import (
    CHECKPOINT,
    DECAY_SHAPES,
    OPTIMIZERS,
    SETTINGS,
    TrainConfig,
    load_model_config,
)
from aecodec.training.launch import is_launched, restarts, seconds_since_launch

if TYPE_CHECKING:
    from aecodec.models.config import ModelConfig
    from aecodec.training.distributed import Team
    from aecodec.training.loop import Trainer

MINUTES = click.FloatRange(0, min_open=True)
NEW_RUNS = ("init", "model_config", "resume_parts")
"""Options that a new run alone can have."""


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="DIR...")
@click.option("-o", "--output", "run", required=True, metavar="RUN", help="Folder of the run.")
@click.option(
    "--steps", type=click.IntRange(0), help="Length of the run; 0 leaves it as it starts."
)
@click.option("--minutes", type=MINUTES, help="Length of this piece of it, instead, all in all.")
@click.option(
    "--branch-decay",
    type=MINUTES,
    metavar="MINUTES",
    help="Afterwards make a decayed release, apart; the run stays undecayed. Alone: only that.",
)
@click.option("--branch-folder", metavar="DIR", help="Where to; by default RUN-decayed.")
@click.option("--batch", type=click.IntRange(1), help="Patches a step.")
@click.option("--crop", type=click.IntRange(64), help="Side of a patch, a multiple of 64.")
@click.option("--loss", metavar="TEXT", help='Such as "mse" or "0.55 mse + 0.45 ms_ssim".')
@click.option("--optimizer", type=click.Choice(OPTIMIZERS), help="Of matrices.")
@click.option("--learning-rate", type=float, help="Of AdamW; the others follow.")
@click.option("--seed", type=click.IntRange(0), help="Seed of every random draw.")
@click.option("--compile/--no-compile", default=None, help="Use torch.compile.")
@click.option("--device", help="cpu, cuda or mps; the best one at hand by default.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.")
@click.option("--decay-start", type=click.FloatRange(0, 1), help="Part before decay; 1 for none.")
@click.option("--decay-shape", type=click.Choice(DECAY_SHAPES), help="1 - sqrt(t), or 1 - t.")
@click.option(
    "--init", metavar="MODEL", callback=known_model, help="Start a new run from these weights."
)
@click.option("--resume-parts", metavar="DIR", help="Start a new run from another's parts.")
@click.option("--save-parts", metavar="DIR", help="At the end write the state in small files.")
@click.option("--save-weights", metavar="FILE", help="At the end write weights for --init, small.")
@click.option("--model-config", metavar="FILE", help="Sizes of a new run's model, as JSON.")
def train(
    folders: tuple[str, ...], run: str, device: str | None, threads: int | None,
    **options: Any,  # noqa: ANN401  # fields of TrainConfig and of Plan
) -> int:  # fmt: skip
    """Train a model on folders of pictures, or go on with the run in RUN."""
    started = time.monotonic() - seconds_since_launch()
    plan = Plan(**{each.name: options.pop(each.name) for each in fields(Plan)})
    if restarts() and (Path(run) / CHECKPOINT).exists():
        plan = replace(plan, **dict.fromkeys(NEW_RUNS))
    sources = [Path(name) for name in folders]
    if not is_launched():  # where one process of several shall tell what is wrong
        plan.check(Path(run), sources)

    import torch

    from aecodec.training.device import default_device
    from aecodec.training.distributed import LeftAloneError, joined_team

    if threads:
        torch.set_num_threads(threads)
    keep_freed_memory()
    chosen = device or default_device()
    try:
        with joined_team(chosen) as team:
            plan.check(Path(run), sources)
            trainer = _prepared(plan, sources, Path(run), options, device=chosen, team=team)
            with _stop_on_signals() as came:
                by_steps = options["steps"] is not None
                plan.carry_out(trainer, started, team.agreed(came), by_steps=by_steps)
    except LeftAloneError:
        return 1  # the process that failed first has told why
    return 0


def _prepared(
    plan: "Plan", folders: list[Path], run: Path, options: dict[str, Any],
    *, device: str, team: "Team",
) -> "Trainer":  # fmt: skip
    """The trainer of one of the processes of a team."""
    from aecodec.training.device import check_device
    from aecodec.training.loop import Trainer
    from aecodec.training.start_weights import read_initial

    initial = read_initial(plan.init) if plan.init else None
    config = plan.settings(run, initial[0] if initial else None, options)
    level = logging.INFO if team.is_first else logging.ERROR
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", force=True)
    check_device(device)
    return Trainer.prepare(
        folders, run, config, device=device, team=team,
        initial=initial[1] if initial else None,
        parts=Path(plan.resume_parts) if plan.resume_parts else None,
    )  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What to do with a run beside training it by its settings; the options of these names."""

    minutes: float | None
    branch_decay: float | None
    branch_folder: str | None
    init: str | None
    model_config: str | None
    resume_parts: str | None
    save_parts: str | None
    save_weights: str | None

    def check(self, run: Path, folders: Sequence[Path]) -> None:
        """Checks that what a new run starts with is given for a new run, and once.

        Raises:
            InputError: it is not, or a folder of pictures is missing.
        """
        missing = [folder for folder in folders if not folder.is_dir()]
        if missing:
            raise InputError(f"{missing[0]}: not a folder")
        if self.init and self.model_config:
            raise InputError("--init has sizes of its own; leave --model-config out")
        if self.resume_parts and (self.init or self.model_config):
            raise InputError("--resume-parts has a model of its own")
        given = [name for name in NEW_RUNS if getattr(self, name)]
        if given and (run / CHECKPOINT).exists():
            option = given[0].replace("_", "-")
            raise InputError(f"{run} already holds a run; --{option} is for new ones")

    def settings(
        self, run: Path, sizes: "ModelConfig | None", options: dict[str, Any]
    ) -> TrainConfig:
        """The settings of a run: stored ones or the default, changed by options."""
        stored = run / SETTINGS
        config = TrainConfig.load(stored) if stored.exists() else TrainConfig()
        if self.resume_parts:
            from aecodec.training.state_parts import read_config

            config = read_config(Path(self.resume_parts))
        if sizes is not None:
            config = replace(config, model=sizes)
        if self.model_config is not None:
            config = replace(config, model=load_model_config(Path(self.model_config)))
        if self.branch_decay is not None:
            config = replace(config, decay_start=1.0)
        return replace(config, **{k: v for k, v in options.items() if v is not None})

    def carry_out(
        self, trainer: "Trainer", started: float, stop: Callable[[], bool], *, by_steps: bool
    ) -> None:
        """Trains, by time or by steps, branches, and writes what was asked for."""
        if self.minutes is not None:
            trainer.train(stop, trainer.time_budget(60 * self.minutes, started=started))
        elif by_steps or self.branch_decay is None:
            trainer.train(stop)
        if self.save_parts:
            trainer.save_parts(Path(self.save_parts))
        if self.save_weights:
            trainer.save_weights(Path(self.save_weights))
        if self.branch_decay is not None and not stop():
            folder = self.branch_folder or f"{trainer.run}-decayed"
            budget = trainer.time_budget(60 * self.branch_decay, warm=False)
            trainer.branch(Path(folder), budget, stop)


@contextmanager
def _stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Tells whether SIGINT or SIGTERM came since the block began, and does nothing else on them."""
    came = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal came
        came = True

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: came
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@click.command()
@click.argument("run", metavar="RUN")
@click.option("-o", "--output", required=True, metavar="PATH", help="The weights file to write.")
@force_option
def export(run: str, output: str, force: bool) -> int:
    """Make the released form of a run: integer networks, tables, model id.

    Weights are rounded, and tables fitted, for what the model makes of the run's tiles.
    """
    check_output(output, force=force)

    from aecodec.export.run import export_run

    report = export_run(Path(run), Path(output))
    say(f"{output}: model {report.model_id.hex()}, {report.size} bytes", err=False)
    return 0
