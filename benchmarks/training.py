"""How fast a model trains, and with what: `python -m benchmarks training`.

Tiles are noise, since time does not depend on what they show. Each part is measured on its own, the
device being waited for before and after it; whole steps are measured as a run takes them, waiting
for nothing. So the parts may add up to more than a step.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import torch

from aecodec.autoencoder.model import HyperpriorModel
from aecodec.training.batches import Batches, store_tiles
from aecodec.training.config import OPTIMIZERS, TrainConfig, load_model_config
from aecodec.training.data import TILE, RunTiles
from aecodec.training.device import check_device, default_device
from aecodec.training.loop import Trainer
from aecodec.training.optimizers import apply_gradients

TILES = 32
WARM_STEPS = 2
PARTS_SHARE = 0.5
"""Part of the time that goes to measuring parts; the rest goes to whole steps."""


class StepParts:
    """The parts of a trainer's step, each to be called on its own."""

    def __init__(self, trainer: Trainer) -> None:
        """Takes a trainer, whose step it spoils nothing of."""
        self._trainer = trainer
        store = store_tiles(trainer.tiles.training, trainer.device)
        self._batches = Batches(store, trainer.config, trainer.device)
        self._x, self._q = self._batches.at(0)

    def data(self) -> None:
        """Makes a batch."""
        self._x, self._q = self._batches.at(0)

    def forward(self) -> None:
        """Computes the loss, keeping what the gradient needs."""
        self._trainer.passes.forward(self._x, self._q, self._trainer.loss)

    def forward_and_backward(self) -> None:
        """Computes the gradient."""
        self._trainer.passes.backward(self._x, self._q, self._trainer.loss)

    def optimizer(self) -> None:
        """Clips gradients and changes weights."""
        apply_gradients(self._trainer.optimizers, self._trainer.model.parameters())


def measure(work: Callable[[], None], seconds: float, device: torch.device) -> float:
    """Mean seconds of a call, over as many as fit."""
    for _ in range(WARM_STEPS):
        work()
    _wait(device)
    count, start = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - start < seconds:
        work()
        count += 1
        if device.type != "cpu":
            _wait(device)
    return (time.perf_counter() - start) / count


def measure_steps(trainer: Trainer, seconds: float) -> float:
    """Mean seconds of a whole step, the device being waited for at the end alone."""
    for _ in range(WARM_STEPS):
        trainer.step()
    trainer.collect()
    count, start = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - start < seconds:
        trainer.step()
        count += 1
    trainer.collect()
    return (time.perf_counter() - start) / count


def make_trainer(config: TrainConfig, run: Path, device: str) -> Trainer:
    """A trainer on noise, its model new."""
    shape = (TILES, TILE, TILE, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    torch.manual_seed(0)
    return Trainer(
        run, HyperpriorModel(config.model), RunTiles(noise, noise[:1]), config, device=device
    )


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@click.command()
@click.option("--seconds", type=click.FloatRange(0), default=20.0, help="About how long.")
@click.option("--device", help="cpu, cuda or mps; the best one at hand by default.")
@click.option("--model-config", metavar="FILE", help="Sizes of the model, as JSON.")
@click.option("--batch", type=click.IntRange(1), default=TrainConfig.batch)
@click.option("--crop", type=click.IntRange(64), default=TrainConfig.crop)
@click.option("--optimizer", type=click.Choice(OPTIMIZERS), default=TrainConfig.optimizer)
@click.option("--compile/--no-compile", default=False, help="Use torch.compile.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.")
def main(
    seconds: float, device: str | None, model_config: str | None, threads: int | None,
    **settings: object,
) -> None:  # fmt: skip
    """Patches a second of a training step, and where the time goes."""
    if threads:
        torch.set_num_threads(threads)
    chosen = device or default_device()
    check_device(chosen)
    config = replace(TrainConfig(), **settings)  # type: ignore[arg-type]  # of these names and types
    if model_config:
        config = replace(config, model=load_model_config(Path(model_config)))
    with TemporaryDirectory() as run:
        trainer = make_trainer(config, Path(run), chosen)
        parts = StepParts(trainer)
        works = {
            "data": parts.data,
            "forward": parts.forward,
            "forward and backward": parts.forward_and_backward,
            "optimizer": parts.optimizer,
        }
        for name, work in works.items():
            taken = measure(work, PARTS_SHARE * seconds / len(works), trainer.device)
            click.echo(f"{name:22} {1000 * taken:9.1f} ms")
        taken = measure_steps(trainer, (1 - PARTS_SHARE) * seconds)
    click.echo(f"{'whole step':22} {1000 * taken:9.1f} ms")
    parameters = sum(p.numel() for p in trainer.model.parameters())
    click.echo(
        f"{config.batch / taken:.1f} patches/s: {config.crop}x{config.crop}, {parameters} "
        f"parameters, {config.optimizer}, {trainer.device}, {torch.get_num_threads()} threads"
    )
