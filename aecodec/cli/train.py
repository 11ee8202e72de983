"""`aecodec train` and `export`: a model of your own."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import click

from aecodec.cli.options import force_option
from aecodec.cli.startup import keep_freed_memory
from aecodec.errors import InputError, TrainingError
from aecodec.storage.files import check_output


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="DIR...")
@click.option("-o", "--output", "run", required=True, metavar="RUN", help="Folder of the run.")
@click.option("--steps", type=click.IntRange(1), help="Length of the run.")
@click.option("--batch", type=click.IntRange(1), help="Patches a step.")
@click.option("--crop", type=click.IntRange(64), help="Side of a patch, a multiple of 64.")
@click.option("--learning-rate", type=float, help="Of AdamW; the others follow.")
@click.option("--seed", type=click.IntRange(0), help="Seed of every random draw.")
@click.option("--compile/--no-compile", "compiled", default=None, help="Use torch.compile.")
@click.option("--device", help="cpu, cuda or mps; the best one at hand by default.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.")
@click.option("--init", metavar="PATH", help="Start a new run from these weights.")
def train(
    folders: tuple[str, ...], run: str, device: str | None, threads: int | None,
    init: str | None, compiled: bool | None, **options: Any,  # noqa: ANN401  # fields of TrainConfig
) -> int:  # fmt: skip
    """Train a model on folders of pictures, or go on with the run in RUN."""
    from aecodec.training.config import TrainConfig

    stored = Path(run) / "config.json"
    config = TrainConfig.load(stored) if stored.exists() else TrainConfig()
    options["compile"] = compiled
    config = replace(config, **{k: v for k, v in options.items() if v is not None})
    missing = [name for name in folders if not Path(name).is_dir()]
    if missing:
        raise InputError(f"{missing[0]}: not a folder")

    import torch

    from aecodec.training.device import check_device, default_device
    from aecodec.training.initialization import trainable_state
    from aecodec.training.loop import CHECKPOINT, Trainer

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    if threads:
        torch.set_num_threads(threads)
    chosen = device or default_device()
    check_device(chosen)
    if init and (Path(run) / CHECKPOINT).exists():
        raise InputError(f"{run} already holds a run; --init is for new ones")
    initial = trainable_state(Path(init)) if init else None
    keep_freed_memory()
    trainer = Trainer(
        [Path(name) for name in folders], Path(run), config, device=chosen, initial=initial
    )
    with _stop_on_signals() as should_stop:
        trainer.train(should_stop)
    return 0


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

    The tables are fitted to what the model makes of the run's tiles, if they are still there.
    """
    check_output(output, force=force)

    from aecodec.autoencoder.model import HyperpriorModel
    from aecodec.export.statistics import observe_inputs, observe_symbols
    from aecodec.export.weights import export_weights
    from aecodec.training.checkpoint import load_average
    from aecodec.training.data import open_tiles
    from aecodec.training.loop import CHECKPOINT, TILES

    model = HyperpriorModel()
    try:
        model.load_state_dict(load_average(Path(run) / CHECKPOINT))
    except RuntimeError as exc:
        raise TrainingError(f"{run}: holds another model: {exc}") from exc
    cache = Path(run) / TILES
    tiles = open_tiles(cache) if cache.exists() else None
    observed = None if tiles is None else observe_symbols(model, tiles)
    statistics = None if tiles is None else observe_inputs(model, tiles)
    model_id = export_weights(model, Path(output), observed, statistics)
    kind = "fitted" if observed is not None else "Gaussian"
    size = Path(output).stat().st_size
    click.echo(f"{output}: model {model_id.hex()}, {kind} tables, {size} bytes")
    return 0
