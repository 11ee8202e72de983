"""`aecodec train` and `export`: a model of your own."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import click

from aecodec.cli.options import force_option, known_model
from aecodec.cli.startup import keep_freed_memory
from aecodec.errors import InputError
from aecodec.storage.files import check_output
from aecodec.training.config import (
    CHECKPOINT,
    SETTINGS,
    TrainConfig,
    load_model_config,
)

if TYPE_CHECKING:
    from aecodec.models.weights import Weights


class _Settings(TypedDict):
    """Fields of `TrainConfig`, None where they were not given."""

    steps: int | None
    batch: int | None
    crop: int | None
    learning_rate: float | None
    seed: int | None
    compile: bool | None


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="DIR...")
@click.option("-o", "--output", "run", required=True, metavar="RUN", help="Folder of the run.")
@click.option("--steps", type=click.IntRange(1), help="Length of the run.")
@click.option("--batch", type=click.IntRange(1), help="Patches a step.")
@click.option("--crop", type=click.IntRange(64), help="Side of a patch, a multiple of 64.")
@click.option("--learning-rate", type=float, help="Of AdamW; the others follow.")
@click.option("--seed", type=click.IntRange(0), help="Seed of every random draw.")
@click.option("--compile/--no-compile", default=None, help="Use torch.compile.")
@click.option("--device", help="cpu, cuda or mps; the best one at hand by default.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.")
@click.option(
    "--init", metavar="MODEL", callback=known_model, help="Start a new run from these weights."
)
@click.option("--model-config", metavar="FILE", help="Sizes of a new run's model, as JSON.")
def train(
    folders: tuple[str, ...], run: str, device: str | None, threads: int | None,
    init: str | None, model_config: str | None, **settings: Unpack[_Settings],
) -> int:  # fmt: skip
    """Train a model on folders of pictures, or go on with the run in RUN."""
    missing = [name for name in folders if not Path(name).is_dir()]
    if missing:
        raise InputError(f"{missing[0]}: not a folder")
    _check_new(Path(run), init, model_config)

    import torch

    from aecodec.models.registry import load_model
    from aecodec.training.device import check_device, default_device
    from aecodec.training.initialization import trainable_state
    from aecodec.training.loop import Trainer

    weights = load_model(init) if init else None
    config = _configured(Path(run), weights, model_config, settings)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    if threads:
        torch.set_num_threads(threads)
    chosen = device or default_device()
    check_device(chosen)
    keep_freed_memory()
    trainer = Trainer.prepare(
        [Path(name) for name in folders], Path(run), config, device=chosen,
        initial=None if weights is None else trainable_state(weights),
    )  # fmt: skip
    with _stop_on_signals() as should_stop:
        trainer.train(should_stop)
    return 0


def _check_new(run: Path, init: str | None, model_config: str | None) -> None:
    """Checks that what a new run starts with is given for a new run, and once.

    Raises:
        InputError: it is not.
    """
    if init and model_config:
        raise InputError("--init has sizes of its own; leave --model-config out")
    given = "--init" if init else "--model-config" if model_config else None
    if given and (run / CHECKPOINT).exists():
        raise InputError(f"{run} already holds a run; {given} is for new ones")


def _configured(
    run: Path, weights: "Weights | None", model_config: str | None, settings: _Settings
) -> TrainConfig:
    """The settings of a run: stored ones or the default, changed by what was given."""
    stored = run / SETTINGS
    config = TrainConfig.load(stored) if stored.exists() else TrainConfig()
    if weights is not None:
        config = replace(config, model=weights.config)
    if model_config is not None:
        config = replace(config, model=load_model_config(Path(model_config)))
    given: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    return replace(config, **given)


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
    click.echo(f"{output}: model {report.model_id.hex()}, {report.size} bytes")
    return 0
