"""The trainer: steps, resuming, logs."""

import csv
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import FAST_RUN, TINY, make_tiny_model

from aecodec.errors import TrainingError
from aecodec.training import optimizers
from aecodec.training.checkpoint import load_average
from aecodec.training.config import CHECKPOINT, SETTINGS, Phase, TrainConfig
from aecodec.training.loop import Trainer
from aecodec.training.validation import VALIDATION_QUALITIES


def prepared(folder: Path, run: Path, **changes: object) -> Trainer:
    return Trainer.prepare([folder], run, replace(FAST_RUN, **changes))  # type: ignore[arg-type]  # mixed types


def test_loss_falls_and_everything_is_logged(picture_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    prepared(picture_folder, run).train()
    with (run / "train.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 6
    assert losses[-1] < losses[0]
    with (run / "validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["step"] for row in rows} == {"10", "20", "30"}
    assert list((run / "tensorboard").iterdir())


@pytest.mark.parametrize("muon_smallest", [4, 64])
def test_a_resumed_run_equals_an_uninterrupted_one(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, muon_smallest: int
) -> None:
    monkeypatch.setattr(optimizers, "MUON_SMALLEST", muon_smallest)
    whole = prepared(picture_folder, tmp_path / "whole")
    for _ in range(6):
        whole.step()
    first = prepared(picture_folder, tmp_path / "parts")
    for _ in range(3):
        first.step()
    first.save()
    second = prepared(picture_folder, tmp_path / "parts")
    assert second.progress.step == 3
    for _ in range(3):
        second.step()
    assert second.progress.patches == 12
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    for name, value in whole.average.items():
        assert torch.equal(value, second.average[name]), name


def test_rounded_fine_tuning(picture_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trainer = prepared(picture_folder, run, quantized_start=0.0)
    before = trainer.model.prior.hyper_synthesis.head.weight.clone()
    for _ in range(3):
        trainer.step()
    means = trainer.collect()
    assert means is not None
    assert means.count == 3
    assert trainer.model.prior.hyper_synthesis.entry.quantized
    assert not torch.equal(before, trainer.model.prior.hyper_synthesis.head.weight)
    trainer.save()
    assert set(load_average(run / CHECKPOINT)) == set(trainer.model.state_dict())


def test_the_dead_zone_teaches_the_decoder_alone(picture_folder: Path, tmp_path: Path) -> None:
    trainer = prepared(picture_folder, tmp_path / "run", decay_start=0.0, dead_zone_start=0.0)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    for _ in range(2):
        trainer.step()
    assert trainer.collect() is not None
    moved = {
        name.split(".")[0]
        for name, value in trainer.model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert {"prior", "synthesis"} <= moved
    assert "analysis" not in moved


def test_phases_come_in_order_and_only_while_a_run_decays() -> None:
    config = replace(FAST_RUN, decay_start=0.5, quantized_start=0.6, dead_zone_start=0.8)
    assert config.phases == [Phase(), Phase(quantized=True), Phase(quantized=True, dead_zone=True)]
    assert config.phase_at(0.7) == Phase(quantized=True)
    assert replace(config, decay_start=1.0).phases == [Phase()]
    assert replace(config, dead_zone_start=1.0).phase_at(1.0) == Phase(quantized=True)


def test_steps_without_finite_gradient_are_skipped(picture_folder: Path, tmp_path: Path) -> None:
    trainer = prepared(picture_folder, tmp_path / "run")
    with torch.no_grad():
        trainer.model.synthesis.exit.weight[0, 0] = float("inf")
    before = trainer.model.analysis.entry.weight.clone()
    trainer.step()
    assert trainer.collect() is None
    assert trainer.progress.skipped == 1
    assert torch.equal(trainer.model.analysis.entry.weight, before)


def test_damaged_checkpoints_are_named(picture_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    prepared(picture_folder, run).save()
    (run / CHECKPOINT).write_bytes(b"damaged")
    with pytest.raises(TrainingError, match="cannot resume"):
        prepared(picture_folder, run)


def test_checkpoints_of_another_model_are_refused(picture_folder: Path, tmp_path: Path) -> None:
    run, other = tmp_path / "run", replace(TINY, channels=16)
    trainer = prepared(picture_folder, run)
    trainer.save()
    with pytest.raises(TrainingError, match="another model: analysis") as found:
        prepared(picture_folder, run, model=other)
    assert "\n" not in str(found.value)
    assert TrainConfig.load(run / SETTINGS) == FAST_RUN
    with pytest.raises(TrainingError, match="initial weights: the weights of another model"):
        Trainer.prepare(
            [picture_folder], tmp_path / "new", replace(FAST_RUN, model=other),
            initial=trainer.average,
        )  # fmt: skip


def test_a_checkpoint_that_cannot_be_written_leaves_nothing(
    picture_folder: Path, tmp_path: Path
) -> None:
    trainer = prepared(picture_folder, tmp_path / "run")
    (tmp_path / "run" / CHECKPOINT).mkdir()
    with pytest.raises(TrainingError, match="cannot save"):
        trainer.save()
    assert not list((tmp_path / "run").glob(".aecodec*"))


def test_a_run_on_other_pictures_is_refused(picture_folder: Path, tmp_path: Path) -> None:
    prepared(picture_folder, tmp_path / "run")
    (picture_folder / "3.png").rename(picture_folder / "4.png")
    with pytest.raises(TrainingError, match=r"tiles\.npy: made from other pictures"):
        prepared(picture_folder, tmp_path / "run")


def test_preparing_leaves_the_callers_random_numbers_alone(
    picture_folder: Path, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    prepared(picture_folder, tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)


def test_a_run_starts_from_given_weights(picture_folder: Path, tmp_path: Path) -> None:
    initial = make_tiny_model().state_dict()
    trainer = Trainer.prepare([picture_folder], tmp_path / "run", FAST_RUN, initial=initial)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, initial[name]), name


def test_batches_larger_than_the_linear_start(picture_folder: Path, tmp_path: Path) -> None:
    trainer = prepared(picture_folder, tmp_path / "run", start_patches=1)
    assert bool(trainer.model.prior.base.any())


def test_a_run_without_pictures_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no pictures"):
        prepared(tmp_path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_in_a_thread_ends_when_it_should_stop(picture_folder: Path, tmp_path: Path) -> None:
    """Signals belong to the main thread; the library leaves them alone."""
    run = tmp_path / "run"
    trainer = prepared(picture_folder, run, validate_every=100)
    asked: list[int] = []

    def should_stop() -> bool:
        asked.append(trainer.progress.step)
        return trainer.progress.step == 3

    with ThreadPoolExecutor(1) as pool:
        pool.submit(trainer.train, should_stop).result()
    assert asked == [1, 2, 3]
    assert not (run / "validation.csv").exists()
    assert prepared(picture_folder, run).progress.step == 3


def test_the_last_validation_is_not_repeated(picture_folder: Path, tmp_path: Path) -> None:
    for steps, expected in ((2, ["2"]), (3, ["2", "3"])):
        run = tmp_path / f"run{steps}"
        prepared(picture_folder, run, steps=steps, validate_every=2).train()
        with (run / "validation.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["step"] for row in rows[:: len(VALIDATION_QUALITIES)]] == expected
        assert all(math.isfinite(float(row["psnr"])) for row in rows)


@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])
def test_mixed_training_needs_a_processor_for_it(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capability: str
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    trainer = prepared(picture_folder, tmp_path / "run", mixed=True)
    asked: list[bool] = []
    forward = trainer.passes._forward

    def observe(*args: torch.Tensor, mixed: bool, **others: object) -> object:
        asked.append(mixed)
        return forward(*args, mixed=False, **others)

    monkeypatch.setattr(trainer.passes, "_forward", observe)
    trainer.step()
    assert asked == [capability == "AVX512"]
