"""Compares settings, optimizers or sizes of models by equal time.

    python -m aecodec.training.trials CONFIGS.json FOLDER... --seconds 60

CONFIGS.json holds an object: a name for each trial, and what it changes in the default settings.
Each trial starts anew on the same tiles, decays within its time, and is validated afterwards, which
does not count. A row of the table has the loss by decibels on held-out tiles, whatever the
trial lowers, how many patches were seen, and the bits per pixel and the decibels at five qualities.
"""

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aecodec.errors import AecError, TrainingError
from aecodec.training import data
from aecodec.training.config import TrainConfig, parse_config
from aecodec.training.device import check_device, default_device
from aecodec.training.loop import Trainer
from aecodec.training.preparation import check_loss
from aecodec.training.validation import VALIDATION_QUALITIES, ValidationPoint, mean_loss


@dataclass(frozen=True)
class TrialResult:
    """What came of one trial.

    Attributes:
        name: of the trial.
        loss: on held-out tiles, by decibels, mean over the qualities.
        patches: seen.
        seconds: taken, without the start and the validation.
        points: of the validation.
    """

    name: str
    loss: float
    patches: int
    seconds: float
    points: Sequence[ValidationPoint]


def read_trials(path: Path) -> dict[str, TrainConfig]:
    """Settings by name.

    Raises:
        TrainingError: the file is damaged, or holds impossible settings.
    """
    try:
        changes = json.loads(path.read_text(encoding="utf-8"))
        trials = {name: parse_config(json.dumps(each), name) for name, each in changes.items()}
    except (OSError, ValueError, AttributeError) as exc:
        raise TrainingError(f"{path}: no trials: {exc}") from exc
    for config in trials.values():
        check_loss(config)
    return trials


def run_trials(
    trials: Mapping[str, TrainConfig],
    folders: Sequence[Path],
    work: Path,
    *,
    seconds: float,
    device: str = "cpu",
) -> Iterator[TrialResult]:
    """Runs trials one after the other.

    Args:
        trials: settings by name.
        folders: of pictures.
        work: folder of the tiles and the runs.
        seconds: for each, the start and the validation apart.
        device: see `Trainer`.

    Yields:
        The result of each when it is over.
    """
    data.prepare_tiles(folders, work, 0)
    for number, (name, config) in enumerate(trials.items()):
        run = work / str(number)
        data.share_tiles(work, run)
        trainer = Trainer.prepare(folders, run, config, device=device)
        trainer.warm_up()
        start = time.monotonic()
        trainer.train(budget=trainer.time_budget(seconds, validates=False))
        taken = time.monotonic() - start
        points = trainer.validate()
        yield TrialResult(name, mean_loss(points), trainer.progress.patches, taken, points)


def table_row(result: TrialResult) -> str:
    """A row of the table, see the module."""
    points = " ".join(f"{point.bpp:7.3f} {point.psnr:6.2f}" for point in result.points)
    return (
        f"{result.name:24} {result.loss:8.4f} {result.patches:8d} {result.seconds:7.1f}  {points}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description="Compare settings by equal time.")
    parser.add_argument("configs", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--device", default=default_device())
    parser.add_argument("--work", type=Path, help="where to put runs; a temporary folder")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    head = " ".join(f"{f'q{100 * q:g} bpp':>7} {'dB':>6}" for q in VALIDATION_QUALITIES)
    try:
        check_device(given.device)
        trials = read_trials(given.configs)
        sys.stdout.write(f"{'trial':24} {'loss':>8} {'patches':>8} {'seconds':>7}  {head}\n")
        with tempfile.TemporaryDirectory(dir=given.work, prefix="trials") as work:
            for result in run_trials(
                trials, given.folders, Path(work), seconds=given.seconds, device=given.device
            ):
                sys.stdout.write(table_row(result) + "\n")
                sys.stdout.flush()
    except AecError as exc:
        sys.exit(f"trials: {exc}")


if __name__ == "__main__":
    main()
