"""The state in small files, and weights to start from."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import FAST_RUN, TINY
from safetensors import safe_open

from aecodec.autoencoder.model import HyperpriorModel
from aecodec.errors import TrainingError
from aecodec.models.config import ModelConfig
from aecodec.training import optimizers, start_weights, state_parts
from aecodec.training.checkpoint import Progress
from aecodec.training.loop import Trainer
from aecodec.training.start_weights import read_initial, save_start
from aecodec.training.state_parts import load_parts, read_config, save_parts

WARM = replace(FAST_RUN, warmup=10, steps=10_000)


def mean_loss(trainer: Trainer, steps: int) -> float:
    for _ in range(steps):
        trainer.step()
    means = trainer.collect()
    assert means is not None
    return means.loss


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["muon", "adamw", "soap"])
def test_going_on_from_parts_gives_nearly_the_same_losses(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    monkeypatch.setattr(optimizers, "MUON_SMALLEST", 4)
    monkeypatch.setattr(optimizers, "SOAP_SMALLEST", 8)
    config = replace(WARM, optimizer=optimizer)
    trainer = Trainer.prepare([picture_folder], tmp_path / "run", config)
    mean_loss(trainer, 20)
    trainer.save_parts(tmp_path / "parts")
    assert read_config(tmp_path / "parts") == config
    other = Trainer.prepare(
        [picture_folder], tmp_path / "other", config, parts=tmp_path / "parts"
    )  # fmt: skip
    assert other.progress == trainer.progress
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(other.model.state_dict()[name], value)
        torch.testing.assert_close(other.average[name], trainer.average[name], rtol=1e-2, atol=1e-4)
    for steps in (5, 10):
        assert mean_loss(other, steps) == pytest.approx(mean_loss(trainer, steps), rel=0.03)


def test_second_moments_come_back_nearly(picture_folder: Path, tmp_path: Path) -> None:
    trainer = Trainer.prepare([picture_folder], tmp_path / "run", WARM)
    mean_loss(trainer, 10)
    trainer.save_parts(tmp_path / "parts")
    other = Trainer.prepare([picture_folder], tmp_path / "other", WARM, parts=tmp_path / "parts")
    pairs = zip(trainer.model.parameters(), other.model.parameters(), strict=True)
    for p, q in pairs:
        state, restored = trainer.optimizers[0].state[p], other.optimizers[0].state[q]
        assert restored["step"] == state["step"]
        torch.testing.assert_close(restored["exp_avg"], state["exp_avg"], rtol=1e-2, atol=1e-6)
        if p.ndim == 1:
            torch.testing.assert_close(restored["exp_avg_sq"], state["exp_avg_sq"])
        else:
            torch.testing.assert_close(restored["exp_avg_sq"].sum(), state["exp_avg_sq"].sum())


def parts_of(config: ModelConfig, folder: Path, *, moments: bool) -> list[Path]:
    model = HyperpriorModel(config)
    made = optimizers.make_optimizers(model, replace(FAST_RUN, model=config))
    for p in model.parameters():
        p.grad = torch.zeros_like(p) if moments else None
    for optimizer in made:
        optimizer.step()
    progress = Progress()
    return save_parts(folder, model, model.state_dict(), made, progress, FAST_RUN)


def test_parts_are_small_and_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    paths = parts_of(ModelConfig(), tmp_path, moments=True)
    assert len(paths) <= 3
    assert max(path.stat().st_size for path in paths) <= state_parts.PART_BYTES
    parts_of(TINY, tmp_path, moments=True)
    assert len(list(tmp_path.iterdir())) == 1
    size = sum(value.nbytes for value in HyperpriorModel(TINY).state_dict().values())
    monkeypatch.setattr(state_parts, "_HEADER_BYTES", 0)
    monkeypatch.setattr(state_parts, "PARTS", 3)
    monkeypatch.setattr(state_parts, "PART_BYTES", int(0.65 * size))
    with safe_open(parts_of(TINY, tmp_path, moments=True)[0], "pt") as file:
        assert not [name for name in file.keys() if name.startswith("first/")]  # noqa: SIM118
    monkeypatch.setattr(state_parts, "PART_BYTES", int(0.5 * size))
    path = parts_of(TINY, tmp_path, moments=True)[0]
    with safe_open(path, "pt") as file:
        assert not [name for name in file.keys() if name.startswith("average/")]  # noqa: SIM118
    other = HyperpriorModel(TINY)
    average = {name: torch.zeros_like(value) for name, value in other.state_dict().items()}
    load_parts(tmp_path, other, average, optimizers.make_optimizers(other, FAST_RUN))
    for name, value in other.state_dict().items():
        assert torch.equal(average[name], value)
    monkeypatch.setattr(state_parts, "PART_BYTES", size // 10)
    with pytest.raises(TrainingError, match="more than 3 parts"):
        parts_of(TINY, tmp_path, moments=False)


def test_missing_and_damaged_parts_are_named(tmp_path: Path) -> None:
    model = HyperpriorModel(TINY)
    with pytest.raises(TrainingError, match="no parts of a state"):
        read_config(tmp_path)
    (path,) = parts_of(TINY, tmp_path, moments=False)
    made = optimizers.make_optimizers(model, FAST_RUN)
    second = tmp_path / "state-2.safetensors"
    second.write_bytes(path.read_bytes())
    with pytest.raises(TrainingError, match="2 of 1 parts"):
        load_parts(tmp_path, model, model.state_dict(), made)
    second.write_bytes(b"damaged")
    with pytest.raises(TrainingError, match="cannot read"):
        load_parts(tmp_path, model, model.state_dict(), made)
    save_start(second, model.state_dict(), TINY)
    with pytest.raises(TrainingError, match="no part of a state"):
        load_parts(tmp_path, model, model.state_dict(), made)


def test_weights_to_start_from_are_nearly_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = HyperpriorModel(TINY), tmp_path / "new" / "start.safetensors"
    state = model.state_dict()
    size = sum(value.nbytes for value in state.values())
    for most, tolerance in ((size, 1e-3), (int(0.46 * size), 1e-3)):
        monkeypatch.setattr(start_weights, "MOST_BYTES", most + 2**17)
        save_start(path, state, TINY)
        config, read = read_initial(str(path))
        assert config == TINY
        assert read.keys() == state.keys()
        for name, value in state.items():
            atol = tolerance * float(value.abs().max())
            torch.testing.assert_close(read[name], value, rtol=1e-3, atol=atol)
    assert path.stat().st_size < 0.52 * size + 20_000
    monkeypatch.setattr(start_weights, "MOST_BYTES", 1000)
    with pytest.raises(TrainingError, match="more than 1000"):
        save_start(path, state, TINY)


def test_released_weights_and_other_files_are_told_apart(
    tiny_weights: Path, tmp_path: Path
) -> None:
    config, state = read_initial(str(tiny_weights))
    assert config == TINY
    assert state.keys() == HyperpriorModel(TINY).state_dict().keys()
    path = tmp_path / "start.safetensors"
    save_start(path, state, replace(TINY, channels=16))
    assert read_initial(str(path))[0].channels == 16
    path.write_bytes(b"none")
    with pytest.raises(Exception, match=r"start\.safetensors"):
        read_initial(str(path))
