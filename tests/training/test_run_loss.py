"""Runs that lower a mixture: its factors are found once, and resuming keeps them."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import FAST_RUN, make_tiny_model

from aecodec.autoencoder.mixture_text import parse_mixture
from aecodec.errors import TrainingError
from aecodec.training import preparation
from aecodec.training.config import SETTINGS, TrainConfig
from aecodec.training.loop import Trainer
from aecodec.training.preparation import check_loss, keep_factors

MIXTURE = "0.55 mse + 0.45 ms_ssim"
MIXED_RUN = replace(FAST_RUN, crop=192, loss=MIXTURE)


@pytest.fixture(autouse=True)
def _few_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    assert preparation.CALIBRATION_PATCHES == 64
    monkeypatch.setattr(preparation, "CALIBRATION_PATCHES", 6)


def prepared(folder: Path, run: Path, config: TrainConfig = MIXED_RUN) -> Trainer:
    return Trainer.prepare([folder], run, config)


def test_a_resumed_run_lowers_the_same_mixture(picture_folder: Path, tmp_path: Path) -> None:
    whole = prepared(picture_folder, tmp_path / "whole")
    for _ in range(4):
        whole.step()
    first = prepared(picture_folder, tmp_path / "parts")
    for _ in range(2):
        first.step()
    first.save()
    stored = TrainConfig.load(tmp_path / "parts" / SETTINGS)
    mixture = parse_mixture(stored.loss)
    assert mixture.calibrated
    assert mixture.shares == {"mse": 0.55, "ms_ssim": 0.45}
    second = prepared(picture_folder, tmp_path / "parts")  # as the same command would
    assert second.config == stored == whole.config
    for _ in range(2):
        second.step()
    assert second.progress.step == 4
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    for name, value in whole.average.items():
        assert torch.equal(value, second.average[name]), name
    points = second.validate()
    assert [point.distortion for point in points] == sorted(
        (point.distortion for point in points), reverse=True
    )
    with (tmp_path / "parts" / "validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["distortion"]) for row in rows] == [
        pytest.approx(point.distortion, abs=1e-4) for point in points
    ]


def test_parts_go_on_with_their_mixture_unless_there_is_another(
    picture_folder: Path, tmp_path: Path
) -> None:
    initial = make_tiny_model().state_dict()
    trainer = Trainer.prepare([picture_folder], tmp_path / "run", MIXED_RUN, initial=initial)
    trainer.step()
    trainer.save_parts(tmp_path / "parts")
    same = Trainer.prepare([picture_folder], tmp_path / "same", MIXED_RUN, parts=tmp_path / "parts")
    assert same.config.loss == trainer.config.loss
    other = replace(MIXED_RUN, loss="0.2 mse + 0.8 ms_ssim")
    changed = Trainer.prepare([picture_folder], tmp_path / "other", other, parts=tmp_path / "parts")
    assert parse_mixture(changed.config.loss).shares == {"mse": 0.2, "ms_ssim": 0.8}
    assert changed.config.loss != trainer.config.loss


def test_factors_that_are_given_stay() -> None:
    given = replace(MIXED_RUN, loss="0.55 mse@1 + 0.45 ms_ssim@2")
    stored = replace(MIXED_RUN, loss="0.55 mse@3 + 0.45 ms_ssim@4")
    assert keep_factors(given, stored) == given
    assert keep_factors(MIXED_RUN, stored) == stored
    assert keep_factors(FAST_RUN, stored) == FAST_RUN
    assert keep_factors(MIXED_RUN, None) == MIXED_RUN


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "0.5 mse + 0.5 lpips"}, 'no distortion "lpips"'),
        ({"crop": 128}, "at least 161 pixels"),
    ],
)
def test_losses_that_cannot_be_are_refused_before_anything_is_read(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    config = replace(MIXED_RUN, **change)  # type: ignore[arg-type]  # mixed types
    with pytest.raises(TrainingError, match=message) as found:
        check_loss(config)
    assert "\n" not in str(found.value)
    with pytest.raises(TrainingError, match=message):
        prepared(tmp_path, tmp_path / "run", config)
