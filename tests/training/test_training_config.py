"""Settings of a run."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import FAST_RUN

from aecodec.errors import TrainingError
from aecodec.training.config import CROP_MAX, TrainConfig


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": -1},
        {"batch": 0},
        {"crop": 0},
        {"crop": 100},
        {"crop": CROP_MAX + 64},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"decay_start": 1.1},
        {"decay_shape": "cosine"},
        {"loss": " "},
        {"optimizer": "sgd"},
        {"warmup_share": -0.1},
        {"downscale": 2.0},
        {"noise": 100.0},
        {"precondition_every": 0},
        {"ema": 1.0},
        {"validate_every": 0},
        {"report_every": 0},
        {"start_patches": 0},
    ],
)
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(TrainingError):
        replace(FAST_RUN, **wrong)  # type: ignore[arg-type]  # mixed types


def test_settings_survive_a_file(tmp_path: Path) -> None:
    FAST_RUN.save(tmp_path / "c.json")
    assert TrainConfig.load(tmp_path / "c.json") == FAST_RUN
    for text in (
        "{",
        "[]",
        '{"layers": 3}',
        '{"steps": "many"}',
        '{"loss": 5}',
        '{"model": 5}',
        '{"model": {"channels": 0}}',
    ):
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(TrainingError, match=r"c\.json"):
            TrainConfig.load(tmp_path / "c.json")
