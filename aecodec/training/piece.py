"""One piece of a run on a machine that is lent for minutes.

    python -m aecodec.training.piece PACKED -o OUT --seconds 540 --decay-seconds 100 \
        [--resume OUT_OF_THE_LAST_PIECE] [--init FILE] [--config config.json]

It unpacks what `pack` packed, decodes it on all cores, trains on a plateau for the time that is
given, leaves the undecayed state, and spends the last seconds on a decayed branch. OUT then holds
at most eight files of at most 15 MiB, 60 MiB in all: up to four parts of the state, `log.csv`,
`summary.json`, `decayed.safetensors` (weights of the branch) and, where there is room,
`start.safetensors` (the undecayed averages, which the parts hold too).
"""

import argparse
import csv
import json
import logging
import math
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from aecodec.errors import AecError, TrainingError
from aecodec.training.checkpoint import load_average
from aecodec.training.config import CHECKPOINT, TrainConfig
from aecodec.training.device import check_device, default_device
from aecodec.training.launch import process_age
from aecodec.training.logs import TRAIN_LOG
from aecodec.training.loop import Trainer
from aecodec.training.pack import unpack
from aecodec.training.preparation import check_loss
from aecodec.training.start_weights import read_initial, save_start
from aecodec.training.state_parts import read_config, whole_bytes
from aecodec.training.validation import ValidationPoint, mean_loss, mean_own_loss

START, DECAYED = "start.safetensors", "decayed.safetensors"
LOG, SUMMARY = "log.csv", "summary.json"
MOST_BYTES = 60 * 2**20
"""Of the state and of weights, all in all."""
FIRST_SECONDS = 60.0
"""Time whose speed the summary tells apart."""
WRITING_SHARE, WRITING_LEAST = 0.02, 0.7
"""Of the time, and seconds, that are kept for writing results at the end."""

logger = logging.getLogger(__name__)


def run_piece(
    packed: Path, output: Path, config: TrainConfig, options: argparse.Namespace
) -> dict[str, Any]:
    """Trains for the time that is given and leaves the results; see the module.

    Args:
        packed: folder of tar files.
        output: folder of the results, made when absent.
        config: settings, from which the decay is taken out.
        options: of the command.

    Returns:
        The summary.

    Raises:
        TrainingError: something is missing, damaged, or does not fit.
    """
    started = options.started
    check_loss(config)
    config = replace(config, decay_start=1.0)
    for folder in (output, options.work):
        if folder is not None:
            _make(folder)
    with tempfile.TemporaryDirectory(dir=options.work, prefix="piece") as work:
        pictures, run = Path(work) / "pictures", Path(work) / "run"
        count = unpack(packed, pictures)
        trainer = _prepared(pictures, run, config, options)
        prepared = time.monotonic() - started
        logger.info("%d pictures, ready to train after %.1f s", count, prepared)
        first = trainer.progress.patches
        writing = max(WRITING_LEAST, WRITING_SHARE * options.seconds)
        plateau = options.seconds - options.decay_seconds - writing
        points = trainer.train(budget=trainer.time_budget(plateau, started=started))
        _write_state(trainer, output, decays=options.decay_seconds > 0)
        summary: dict[str, Any] = {
            "device": _device_name(trainer.device), "pictures": count,
            "prepared_seconds": prepared, "progress": asdict(trainer.progress),
            "patches": trainer.progress.patches - first, "plateau": _validated(points),
        }  # fmt: skip
        logs = {"plateau": run / TRAIN_LOG}
        if options.decay_seconds:
            branch = run.with_name("decayed")
            left = options.seconds - writing - (time.monotonic() - started)
            points = trainer.branch(branch, trainer.time_budget(left, warm=False))
            average = load_average(branch / CHECKPOINT)
            save_start(output / DECAYED, average, trainer.model.config)
            summary["decayed"] = _validated(points)
            logs["decay"] = branch / TRAIN_LOG
        rows = _joined(logs)
        summary |= _speed(rows)
        summary["seconds"] = time.monotonic() - started
        _write(output, rows, summary)
    return summary


def _write_state(trainer: Trainer, output: Path, *, decays: bool) -> None:
    """Writes the undecayed state, and leaves room for the weights of a branch."""
    start = output / START
    trainer.save_weights(start)
    size = start.stat().st_size
    room = MOST_BYTES - size if decays else MOST_BYTES
    if whole_bytes(trainer.model, trainer.average, trainer.optimizers) + size > room:
        start.unlink()
        size = 0
    trainer.save_parts(output, room - size)


def _prepared(
    pictures: Path, run: Path, config: TrainConfig, options: argparse.Namespace
) -> Trainer:
    """The trainer of a piece: from parts, from weights, or new."""
    initial = None
    if options.init is not None and options.resume is None:
        sizes, initial = read_initial(str(options.init))
        config = replace(config, model=sizes)
    return Trainer.prepare(
        [pictures], run, config, device=options.device, initial=initial, parts=options.resume
    )


def _validated(points: Sequence[ValidationPoint]) -> dict[str, Any] | None:
    if not points:
        return None
    return {
        "loss": mean_loss(points), "own_loss": mean_own_loss(points),
        "points": [asdict(point) for point in points],
    }  # fmt: skip


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def _joined(logs: dict[str, Path]) -> list[dict[str, str]]:
    """The rows of several logs, each with the name of its phase."""
    rows: list[dict[str, str]] = []
    for phase, path in logs.items():
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                rows += [{"phase": phase} | row for row in csv.DictReader(file)]
    return rows


def _speed(rows: Sequence[dict[str, str]]) -> dict[str, float | None]:
    """Patches a second in the first minute of training and in all, by the log."""
    speeds = [float(row["patches_per_second"]) for row in rows]
    until = float(rows[0]["hours"]) + FIRST_SECONDS / 3600 if rows else 0.0
    first = [speed for speed, row in zip(speeds, rows, strict=True) if float(row["hours"]) <= until]
    return {
        "patches_per_second": _harmonic(speeds),
        "first_patches_per_second": _harmonic(first),
    }


def _harmonic(speeds: Sequence[float]) -> float | None:
    """The speed over reports of equally many steps."""
    if not speeds:
        return None
    return len(speeds) / math.fsum(1 / speed for speed in speeds)


def _write(output: Path, rows: Sequence[dict[str, str]], summary: dict[str, Any]) -> None:
    with (output / LOG).open("w", newline="", encoding="utf-8") as file:
        if rows:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)
    (output / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _settings(options: argparse.Namespace) -> TrainConfig:
    """The settings of a piece: those given, those of the state that it goes on from, or default."""
    if options.config is not None:
        return TrainConfig.load(options.config)
    return TrainConfig() if options.resume is None else read_config(options.resume)


def _process_seconds() -> float:
    """Age of this process; where the system does not tell it, the time that it computed."""
    age = process_age(os.getpid())
    return time.process_time() if age is None else age


def main(arguments: Sequence[str] | None = None, spent: float = 0.0) -> None:
    """Runs the command.

    Args:
        arguments: of the command line, by default those of the process.
        spent: seconds of the time given that are gone already.
    """
    parser = argparse.ArgumentParser(description="Train one piece on a lent machine.")
    parser.add_argument("packed", type=Path, help="what `aecodec.training.pack` wrote")
    parser.add_argument("-o", "--output", required=True, type=Path)
    parser.add_argument("--seconds", required=True, type=float, help="all in all")
    parser.add_argument("--decay-seconds", type=float, default=0.0, help="at the end of them")
    parser.add_argument("--resume", type=Path, help="results of the piece before")
    parser.add_argument("--init", help="weights to start from")
    parser.add_argument("--config", type=Path, help="settings, as in the folder of a run")
    parser.add_argument("--device", default=default_device())
    parser.add_argument("--work", type=Path, help="where to put tiles; a temporary folder")
    options = parser.parse_args(arguments)
    options.started = time.monotonic() - spent
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    try:
        check_device(options.device)
        summary = run_piece(options.packed, options.output, _settings(options), options)
    except AecError as exc:
        sys.exit(f"piece: {exc}")
    plain = {k: v for k, v in summary.items() if k not in ("plateau", "decayed")}
    logger.info("%s", json.dumps(plain))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise TrainingError(f"{folder}: cannot be made: {exc.strerror}") from exc


if __name__ == "__main__":
    main(spent=_process_seconds())  # imports take several
