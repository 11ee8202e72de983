"""The trainer: data, resuming, logs, settings."""

import csv
import logging
import math
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from conftest import TINY, make_picture, make_tiny_model
from PIL import Image
from safetensors import SafetensorError

from aecodec.autoencoder.model import HyperpriorModel
from aecodec.cli import main
from aecodec.codec import Codec
from aecodec.encoder.networks import load_weights
from aecodec.errors import TrainingError
from aecodec.export.statistics import observe_symbols
from aecodec.export.weights import export_weights
from aecodec.training import data, loop, optimizers
from aecodec.training.checkpoint import load_average
from aecodec.training.config import TrainConfig
from aecodec.training.optimizers import Muon

if TYPE_CHECKING:
    from collections.abc import Callable

FAST = TrainConfig(
    steps=30, batch=2, crop=64, warmup=2, compile=False, mixed=False, ema=0.5, validate_every=10
)


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of small pictures; models are tiny, reports frequent."""
    monkeypatch.setattr(loop, "HyperpriorModel", lambda _config=None: HyperpriorModel(TINY))
    monkeypatch.setattr(loop, "REPORT_STEPS", 5)
    monkeypatch.setattr(loop, "LINEAR_START_PATCHES", 8)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        Image.fromarray(make_picture(200, 220, seed=number)).save(folder / f"{number}.png")
    return folder


def test_loss_falls_and_everything_is_logged(pictures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    loop.Trainer([pictures], run, FAST).train()
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
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, muon_smallest: int
) -> None:
    monkeypatch.setattr(optimizers, "MUON_SMALLEST", muon_smallest)
    whole = loop.Trainer([pictures], tmp_path / "whole", FAST)
    for _ in range(6):
        whole.step()
    first = loop.Trainer([pictures], tmp_path / "parts", FAST)
    for _ in range(3):
        first.step()
    first.save()
    second = loop.Trainer([pictures], tmp_path / "parts", FAST)
    assert second.progress.step == 3
    for _ in range(3):
        second.step()
    assert second.progress.patches == 12
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    for name, value in whole.average.items():
        assert torch.equal(value, second.average[name]), name


def test_rounded_fine_tuning_then_export(pictures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trainer = loop.Trainer([pictures], run, replace(FAST, quantized_start=0.0))
    before = trainer.model.prior.hyper_synthesis.head.weight.clone()
    for _ in range(3):
        assert trainer.step() is not None
    assert trainer.model.prior.hyper_synthesis.entry.quantized
    assert not torch.equal(before, trainer.model.prior.hyper_synthesis.head.weight)
    trainer.save()
    assert set(load_average(run / loop.CHECKPOINT)) == set(trainer.model.state_dict())


def test_export_command(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run, output = tmp_path / "run", tmp_path / "w.safetensors"
    loop.Trainer([pictures], run, FAST).save()
    monkeypatch.setattr("aecodec.model.HyperpriorModel", lambda: HyperpriorModel(TINY))
    with pytest.raises(SystemExit) as exit_:
        main(["export", str(run), "-o", str(output)])
    assert exit_.value.code == 0
    said = capsys.readouterr().out
    assert load_weights(output).model_id.hex() in said
    assert "fitted tables" in said


def test_fitted_tables_cost_less(tmp_path: Path) -> None:
    model = make_tiny_model()
    tiles = np.stack([make_picture(512, 512, seed=seed) for seed in range(3)])
    observed = observe_symbols(model, tiles, patches=2)
    np.testing.assert_array_equal(observed, observe_symbols(model, tiles, patches=2))
    sizes = []
    for name, counts in (("gaussian", None), ("fitted", observed)):
        path = tmp_path / name
        export_weights(model, path, counts)
        sizes.append(len(Codec(path).compress(tiles[1, :256, :256], 70)))
    assert sizes[1] < 0.9 * sizes[0]


def test_damaged_tiles_are_named(tmp_path: Path) -> None:
    path = tmp_path / "tiles.npy"
    path.write_bytes(b"no tiles")
    with pytest.raises(TrainingError, match=r"tiles\.npy: damaged"):
        data.open_tiles(path)
    np.save(path, np.zeros((2, 3)))
    with pytest.raises(TrainingError, match=r"tiles\.npy: holds no tiles"):
        data.open_tiles(path)


def test_steps_without_finite_gradient_are_skipped(pictures: Path, tmp_path: Path) -> None:
    trainer = loop.Trainer([pictures], tmp_path / "run", FAST)
    with torch.no_grad():
        trainer.model.synthesis.exit.weight[0, 0] = float("inf")
    before = trainer.model.analysis.entry.weight.clone()
    assert trainer.step() is None
    assert trainer.progress.skipped == 1
    assert torch.equal(trainer.model.analysis.entry.weight, before)


def test_batches_depend_on_seed_and_step_alone(pictures: Path, tmp_path: Path) -> None:
    found = data.find_pictures([pictures])
    tiles = data.load_tiles(found, tmp_path / "t.npy", per_picture=1, seed=0)
    first = data.batch_at(tiles, step=5, batch=3, crop=64, seed=1)
    assert torch.equal(first, data.batch_at(tiles, step=5, batch=3, crop=64, seed=1))
    assert not torch.equal(first, data.batch_at(tiles, step=6, batch=3, crop=64, seed=1))
    q = data.qualities_at(step=5, batch=4, seed=1)
    assert sorted((q * 4).floor().tolist()) == [0, 1, 2, 3]


def test_every_fiftieth_picture_is_held_out() -> None:
    pictures = [Path(f"{n:03}.png") for n in range(120)]
    training, held_out = data.split(pictures)
    assert held_out == [pictures[0], pictures[50], pictures[100]]
    assert sorted(training + held_out) == pictures


def test_unreadable_pictures_are_left_out_with_a_warning(
    pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (pictures / "bad.png").write_text("no picture")
    Image.fromarray(np.zeros((10, 10, 3), np.uint8)).save(pictures / "small.png")
    with caplog.at_level(logging.WARNING):
        tiles = data.load_tiles(
            data.find_pictures([pictures]), tmp_path / "t.npy", per_picture=1, seed=0
        )
    assert len(tiles) == 4
    assert {"bad.png", "small.png"} == {Path(r.args[0]).name for r in caplog.records}  # type: ignore[index, arg-type]  # logging's args are loosely typed
    with pytest.raises(TrainingError, match="none of 1 pictures"):
        data.load_tiles([pictures / "bad.png"], tmp_path / "u.npy", per_picture=1, seed=0)


def test_nothing_to_train_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TrainingError, match="no pictures"):
        data.find_pictures([tmp_path])
    with pytest.raises(SystemExit) as exit_:
        main(["train", str(tmp_path / "none"), "-o", str(tmp_path / "run")])
    assert exit_.value.code == 1
    assert capfd.readouterr().err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_damaged_checkpoints_are_named(pictures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    loop.Trainer([pictures], run, FAST).save()
    (run / loop.CHECKPOINT).write_bytes(b"damaged")
    with pytest.raises(TrainingError, match="cannot resume"):
        loop.Trainer([pictures], run, FAST)


def test_checkpoints_of_another_model_are_refused(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    trainer = loop.Trainer([pictures], run, FAST)
    trainer.save()
    other = replace(TINY, channels=16)
    monkeypatch.setattr(loop, "HyperpriorModel", lambda _config=None: HyperpriorModel(other))
    with pytest.raises(TrainingError, match="cannot resume"):
        loop.Trainer([pictures], run, FAST)
    with pytest.raises(TrainingError, match="another model"):
        loop.Trainer([pictures], tmp_path / "new", FAST, initial=trainer.average)


def test_a_full_disk_keeps_the_last_checkpoint(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    trainer = loop.Trainer([pictures], run, FAST)
    trainer.save()
    before = (run / loop.CHECKPOINT).read_bytes()

    def fail(_tensors: object, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("No space left on device")

    monkeypatch.setattr("aecodec.training.checkpoint.save_file", fail)
    with pytest.raises(TrainingError, match="No space left"):
        trainer.save()
    assert (run / loop.CHECKPOINT).read_bytes() == before
    assert not list(run.glob("*.partial"))


def test_a_run_starts_from_given_weights(pictures: Path, tmp_path: Path) -> None:
    initial = make_tiny_model().state_dict()
    trainer = loop.Trainer([pictures], tmp_path / "run", FAST, initial=initial)
    calibrated = ("scale", "mix_in.weight", "expand.weight", "expand.bias", "contract.weight",
                  "contract.bias")  # fmt: skip
    for name, value in trainer.model.state_dict().items():
        if not name.endswith(calibrated) or name.startswith("hyper_analysis"):
            assert torch.equal(value, initial[name]), name


def test_batches_larger_than_the_linear_start(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LINEAR_START_PATCHES", 1)
    trainer = loop.Trainer([pictures], tmp_path / "run", FAST)
    assert bool(trainer.model.prior.base.any())


def test_a_run_without_pictures_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no pictures"):
        loop.Trainer([tmp_path], tmp_path / "run", FAST)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_its_step(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    replace(FAST, validate_every=100).save(run / loop.SETTINGS)
    real = loop.Trainer.step

    def step(trainer: loop.Trainer) -> loop.StepResult | None:
        if trainer.progress.step == 2:
            os.kill(os.getpid(), number)
        return real(trainer)

    monkeypatch.setattr(loop.Trainer, "step", step)
    handler = signal.getsignal(number)
    with pytest.raises(SystemExit) as exit_:
        main(["train", str(pictures), "-o", str(run), "--device", "cpu"])
    assert exit_.value.code == 0
    assert signal.getsignal(number) == handler
    assert not (run / "validation.csv").exists()
    assert loop.Trainer([pictures], run, FAST).progress.step == 3


def test_a_run_in_a_thread_ends_when_it_should_stop(pictures: Path, tmp_path: Path) -> None:
    """Signals belong to the main thread; the library leaves them alone."""
    run = tmp_path / "run"
    trainer = loop.Trainer([pictures], run, replace(FAST, validate_every=100))
    asked: list[int] = []

    def should_stop() -> bool:
        asked.append(trainer.progress.step)
        return trainer.progress.step == 3

    with ThreadPoolExecutor(1) as pool:
        pool.submit(trainer.train, should_stop).result()
    assert asked == [1, 2, 3]
    assert not (run / "validation.csv").exists()
    assert loop.Trainer([pictures], run, FAST).progress.step == 3


def test_the_last_validation_is_not_repeated(pictures: Path, tmp_path: Path) -> None:
    for steps, expected in ((2, ["2"]), (3, ["2", "3"])):
        run = tmp_path / f"run{steps}"
        loop.Trainer([pictures], run, replace(FAST, steps=steps, validate_every=2)).train()
        with (run / "validation.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["step"] for row in rows[:: len(loop.VALIDATION_QUALITIES)]] == expected
        assert all(math.isfinite(float(row["psnr"])) for row in rows)


@pytest.mark.parametrize("shape", [(128, 64), (64, 128)])
def test_orthogonalized_steps_are_nearly_orthogonal(shape: tuple[int, int]) -> None:
    """Each step of Muon moves along a matrix whose singular values are near one."""
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.zeros(*shape, 1, 1))
    optimizer = Muon([p], lr=1.0)
    p.grad = torch.randn_like(p)
    optimizer.step()
    singular = torch.linalg.svdvals(p.detach().flatten(1)) / (0.2 * max(shape) ** 0.5)
    assert 0.5 < singular.min() <= singular.max() < 1.3
    assert (p.detach() * p.grad).sum().item() < 0


@pytest.mark.parametrize(
    ("capability", "expected"), [("AVX2", torch.float32), ("AVX512", torch.bfloat16)]
)
def test_the_optimizer_multiplies_in_a_type_that_the_processor_has(
    monkeypatch: pytest.MonkeyPatch, capability: str, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    used: list[torch.dtype] = []
    product: Callable[..., torch.Tensor] = torch.baddbmm

    def observe(x: torch.Tensor, *args: torch.Tensor, **options: float) -> torch.Tensor:
        used.append(x.dtype)
        return product(x, *args, **options)

    monkeypatch.setattr(torch, "baddbmm", observe)
    p = torch.nn.Parameter(torch.eye(8)[:, :, None, None])
    p.grad = torch.ones_like(p)
    Muon([p], lr=1.0).step()
    assert set(used) == {expected}


@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])
def test_mixed_training_needs_a_processor_for_it(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capability: str
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    trainer = loop.Trainer([pictures], tmp_path / "run", replace(FAST, mixed=True))
    asked: list[bool] = []
    forward = trainer._forward

    def observe(*args: torch.Tensor, mixed: bool, noisy: bool) -> object:
        asked.append(mixed)
        return forward(*args, mixed=False, noisy=noisy)

    monkeypatch.setattr(trainer, "_forward", observe)
    trainer.step()
    assert asked == [capability == "AVX512"]


def test_muon_has_momentum() -> None:
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.zeros(8, 16, 1, 1))
    optimizer = Muon([p], lr=1.0)
    p.grad = torch.randn_like(p)
    optimizer.step()
    first = p.detach().clone()
    p.grad = torch.zeros_like(p)
    optimizer.step()
    second = p.detach() - first
    torch.testing.assert_close(second, first, atol=0.05, rtol=0.05)


def test_every_parameter_has_one_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizers, "MUON_SMALLEST", 4)
    model = make_tiny_model()
    made = optimizers.make_optimizers(model, FAST)
    owned = [id(p) for o in made for group in o.param_groups for p in group["params"]]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())
    assert [type(o).__name__ for o in made] == ["AdamW", "Muon"]
    optimizers.set_rate(made, 0.5)
    rates = [group["lr"] for o in made for group in o.param_groups]
    assert rates == pytest.approx(
        [0.5 * FAST.learning_rate * f for f in (1, FAST.linear_ratio, FAST.muon_ratio)]
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"batch": 0},
        {"crop": 0},
        {"crop": 100},
        {"crop": data.TILE + 64},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"decay_start": 1.0},
        {"ema": 1.0},
        {"validate_every": 0},
    ],
)
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(TrainingError):
        replace(FAST, **wrong)  # type: ignore[arg-type]  # mixed types


def test_settings_survive_a_file(tmp_path: Path) -> None:
    FAST.save(tmp_path / "c.json")
    assert TrainConfig.load(tmp_path / "c.json") == FAST
    for text in ("{", "[]", '{"layers": 3}', '{"steps": "many"}'):
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(TrainingError, match=r"c\.json"):
            TrainConfig.load(tmp_path / "c.json")


def test_schedule() -> None:
    config = TrainConfig(steps=1000, warmup=100)
    assert config.rate_factor(0) == pytest.approx(0.01)
    assert config.rate_factor(499) == 1.0
    assert config.rate_factor(750) == pytest.approx(0.5)
    assert config.rate_factor(999) == pytest.approx(0.002)
