"""The command `train`: sizes, starts, signals, wrong arguments."""

import json
import os
import signal
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from conftest import FAST_RUN, TINY, make_tiny_model

from aecodec.cli.train import train
from aecodec.errors import InputError, TrainingError
from aecodec.training.checkpoint import load_average
from aecodec.training.config import CHECKPOINT, SETTINGS, TrainConfig
from aecodec.training.loop import Trainer
from aecodec.training.start_weights import save_start

ONE_STEP = ["--steps", "1", "--batch", "2", "--crop", "64", "--no-compile", "--device", "cpu"]


def run_train(*arguments: str | Path) -> BaseException | None:
    """Runs the command; returns what it raised."""
    result = CliRunner().invoke(train, [str(each) for each in arguments])
    return result.exception


def sizes_file(folder: Path, **changes: int) -> Path:
    path = folder / "sizes.json"
    path.write_text(json.dumps(asdict(TINY) | changes))
    return path


def test_a_new_run_takes_the_sizes_of_its_model(picture_folder: Path, tmp_path: Path) -> None:
    run, sizes = tmp_path / "run", sizes_file(tmp_path, synthesis_blocks=3)
    new = ("--model-config", sizes)
    assert run_train(picture_folder, "-o", run, *ONE_STEP, *new) is None
    assert TrainConfig.load(run / SETTINGS).model == replace(TINY, synthesis_blocks=3)
    assert run_train(picture_folder, "-o", run, "--steps", "2", "--device", "cpu") is None
    again = run_train(picture_folder, "-o", run, *new)
    assert isinstance(again, InputError)
    assert "--model-config is for new ones" in str(again)


def test_a_new_run_goes_on_from_weights(
    picture_folder: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert run_train(picture_folder, "-o", run, *ONE_STEP, "--init", tiny_weights) is None
    assert TrainConfig.load(run / SETTINGS).model == TINY
    both = ("--init", tiny_weights, "--model-config", sizes_file(tmp_path))
    assert isinstance(run_train(picture_folder, "-o", tmp_path / "other", *both), InputError)


def test_a_run_of_no_steps_holds_the_weights_it_starts_from(
    picture_folder: Path, tmp_path: Path
) -> None:
    """So that weights that a piece left can be exported."""
    initial = {name: value.half().float() for name, value in make_tiny_model().state_dict().items()}
    save_start(tmp_path / "decayed.safetensors", initial, TINY)
    given = ("--init", tmp_path / "decayed.safetensors", "--steps", "0", "--device", "cpu")
    assert run_train(picture_folder, "-o", tmp_path / "run", *given) is None
    average = load_average(tmp_path / "run" / CHECKPOINT)
    assert all(torch.equal(value, initial[name]) for name, value in average.items())
    assert (tmp_path / "run" / "validation.csv").exists()


def test_the_loss_is_an_option(
    picture_folder: Path, tiny_weights: Path, tmp_path: Path
) -> None:  # fmt: skip
    run = tmp_path / "run"
    crop = ("--batch", "2", "--crop", "192", "--no-compile", "--device", "cpu")
    tuned = ("-o", run, *crop, "--init", tiny_weights, "--loss", "0.6 mse + 0.4 ms_ssim")
    assert run_train(picture_folder, *tuned, "--steps", "1") is None
    stored = TrainConfig.load(run / SETTINGS).loss
    assert stored.startswith("0.6 mse@")
    assert run_train(picture_folder, "-o", run, "--device", "cpu", "--steps", "2") is None
    assert TrainConfig.load(run / SETTINGS).loss == stored
    wrong = run_train(picture_folder, "-o", tmp_path / "other", *ONE_STEP, "--loss", "0.5 lpips")
    assert isinstance(wrong, TrainingError)
    assert "\n" not in str(wrong)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"layers": 3}', '{"latent_channels": 18}'])
def test_impossible_sizes_are_refused(text: str, picture_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sizes.json").write_text(text)
    new = ("--model-config", tmp_path / "sizes.json")
    error = run_train(picture_folder, "-o", tmp_path / "run", *new)
    assert isinstance(error, TrainingError)
    assert "sizes.json: not the sizes of a model" in str(error)


def test_nothing_to_train_on(tmp_path: Path) -> None:
    error = run_train(tmp_path / "none", "-o", tmp_path / "run")
    assert isinstance(error, InputError)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_its_step(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    replace(FAST_RUN, validate_every=100).save(run / SETTINGS)
    real = Trainer.step

    def step(trainer: Trainer) -> None:
        if trainer.progress.step == 2:
            os.kill(os.getpid(), number)
        real(trainer)

    monkeypatch.setattr(Trainer, "step", step)
    handler = signal.getsignal(number)
    result = CliRunner().invoke(train, [str(picture_folder), "-o", str(run), "--device", "cpu"])
    assert result.exit_code == 0, result.exception
    assert signal.getsignal(number) == handler
    assert not (run / "validation.csv").exists()
    assert Trainer.prepare([picture_folder], run, FAST_RUN).progress.step == 3
