"""Packing, pieces on lent machines, trials, and runs by time."""

import csv
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import FAST_RUN, TINY
from PIL import Image, features

from aecodec.cli.train import train
from aecodec.errors import TrainingError
from aecodec.training import pack, piece, state_parts, trials
from aecodec.training.config import CHECKPOINT, SETTINGS, TrainConfig
from aecodec.training.loop import Trainer
from aecodec.training.state_parts import PART_BYTES

STEADY = replace(FAST_RUN, validate_every=10_000)


def test_packed_pictures_come_back_as_they_were(picture_folder: Path, tmp_path: Path) -> None:
    for number in range(4):
        (picture_folder / f"{number}.png").rename(picture_folder / f"{'long' * 30}{number}.png")
    most = 2 * max(path.stat().st_size for path in picture_folder.iterdir()) + 20_000
    paths = pack.pack([picture_folder], tmp_path / "packed", most=most)
    assert len(paths) == 2
    assert max(path.stat().st_size for path in paths) <= most
    first = [path.read_bytes() for path in paths]
    again = pack.pack([picture_folder], tmp_path / "packed", most=most)
    assert [path.read_bytes() for path in again] == first
    assert pack.unpack(tmp_path / "packed", tmp_path / "out") == 4
    for path in picture_folder.iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def test_what_cannot_be_packed_is_named(picture_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="larger than a part"):
        pack.pack([picture_folder], tmp_path / "packed", most=20_000)
    with pytest.raises(TrainingError, match="same name"):
        pack.pack([picture_folder, picture_folder], tmp_path / "packed")
    with pytest.raises(TrainingError, match="holds no packed pictures"):
        pack.unpack(picture_folder, tmp_path / "out")
    (tmp_path / "packed" / "pictures-000.tar").write_bytes(b"damaged" * 1000)
    with pytest.raises(TrainingError, match="cannot unpack"):
        pack.unpack(tmp_path / "packed", tmp_path / "out")


def test_a_pillow_without_avif_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.avif").write_bytes(b"a picture")
    pack.main([str(tmp_path / "in"), "-o", str(tmp_path / "packed")])
    monkeypatch.setattr(features, "check", lambda _name: False)
    with pytest.raises(TrainingError, match="cannot read AVIF"):
        pack.unpack(tmp_path / "packed", tmp_path / "out")


def run_piece(packed: Path, output: Path, seconds: float, *options: str) -> dict[str, object]:
    given = [str(packed), "-o", str(output), "--seconds", str(seconds), "--device", "cpu"]
    start = time.monotonic()
    piece.main([*given, *options])
    assert time.monotonic() - start <= seconds
    summary: dict[str, object] = json.loads((output / piece.SUMMARY).read_text())
    return summary


def test_folders_of_a_piece_are_made_or_named(tmp_path: Path) -> None:
    given = [str(tmp_path), "--seconds", "9", "--device", "cpu", "-o"]
    work, taken = tmp_path / "new" / "work", tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(SystemExit, match="holds no packed pictures"):
        piece.main([*given, str(tmp_path / "out"), "--work", str(work)])
    assert work.is_dir()
    for folders in ([str(taken)], [str(tmp_path / "out"), "--work", str(taken / "work")]):
        with pytest.raises(SystemExit, match=r"piece: .*taken.*: cannot be made: "):
            piece.main([*given, *folders])


@pytest.mark.slow
def test_two_pieces_in_a_row(picture_folder: Path, tmp_path: Path) -> None:
    packed, settings = tmp_path / "packed", tmp_path / "config.json"
    pack.pack([picture_folder], packed)
    STEADY.save(settings)
    first = run_piece(
        packed, tmp_path / "1", 6, "--config", str(settings), "--decay-seconds", "2"
    )  # fmt: skip
    second = run_piece(packed, tmp_path / "2", 4, "--resume", str(tmp_path / "1"))
    before, after = first["progress"], second["progress"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert before["step"] > 5
    assert after["step"] > before["step"] + 5
    assert second["patches"] == after["patches"] - before["patches"]
    assert isinstance(first["patches_per_second"], float)
    assert isinstance(first["decayed"], dict)
    for number, names in (("1", 5), ("2", 4)):
        files = list((tmp_path / number).iterdir())
        assert len(files) == names
        assert max(path.stat().st_size for path in files) <= PART_BYTES
    with (tmp_path / "1" / piece.LOG).open() as file:
        phases = [row["phase"] for row in csv.DictReader(file)]
    assert set(phases) == {"plateau", "decay"}
    with pytest.raises(SystemExit, match=r"piece: .*holds no packed pictures"):
        piece.main([str(tmp_path), "-o", str(tmp_path / "3"), "--seconds", "1", "--device", "cpu"])
    start = str(tmp_path / "1" / piece.DECAYED)
    third = run_piece(packed, tmp_path / "3", 3, "--init", start, "--config", str(settings))
    assert isinstance(third["progress"], dict)
    assert third["progress"]["step"] > 0


@pytest.mark.parametrize("decays", [False, True])
def test_results_of_a_piece_are_small_in_all(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, decays: bool
) -> None:
    trainer = Trainer.prepare([picture_folder], tmp_path / "run", STEADY)
    trainer.step()
    trainer.save_weights(tmp_path / "weights")
    weights = (tmp_path / "weights").stat().st_size * (2 if decays else 1)
    state = state_parts.whole_bytes(trainer.model, trainer.average, trainer.optimizers)
    for room, expected in ((0, True), (-1, False)):
        monkeypatch.setattr(piece, "MOST_BYTES", state + weights + room)
        output = tmp_path / f"out{expected}"
        output.mkdir()
        piece._write_state(trainer, output, decays=decays)
        assert (output / piece.START).exists() == expected
        written = sum(path.stat().st_size for path in output.iterdir())
        assert written + decays * weights // 2 <= piece.MOST_BYTES


@pytest.mark.slow
def test_a_run_by_time_is_validated_and_ends_in_time(
    picture_folder: Path, tmp_path: Path
) -> None:  # fmt: skip
    trainer = Trainer.prepare([picture_folder], tmp_path / "run", replace(STEADY, steps=1))
    start = time.monotonic()
    points = trainer.train(budget=trainer.time_budget(3.0))
    assert 2.0 < time.monotonic() - start <= 3.5
    assert trainer.progress.step > 10
    assert len(points) == 5
    with (tmp_path / "run" / "train.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(0 <= float(row["waiting_data"]) < 1 for row in rows)


@pytest.mark.slow
def test_a_branch_decays_and_leaves_the_run_alone(picture_folder: Path, tmp_path: Path) -> None:
    run, branch = tmp_path / "run", tmp_path / "branch"
    trainer = Trainer.prepare([picture_folder], run, replace(STEADY, decay_start=1.0))
    for _ in range(5):
        trainer.step()
    state = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    points = trainer.branch(branch, trainer.time_budget(2.0, warm=False))
    assert trainer.optimizers[0].param_groups[0]["lr"] < 0.5 * FAST_RUN.learning_rate
    assert points
    assert trainer.run == run
    assert trainer.progress.step == 5
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, state[name])
    assert TrainConfig.load(branch / SETTINGS).decay_start == 0.0
    assert (branch / CHECKPOINT).read_bytes() != (run / CHECKPOINT).read_bytes()
    np.testing.assert_array_equal(np.load(branch / "tiles.npy"), np.load(run / "tiles.npy"))
    whole = Trainer.prepare([picture_folder], tmp_path / "whole", replace(STEADY, decay_start=1.0))
    for _ in range(7):
        whole.step()
    for _ in range(2):
        trainer.step()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, trainer.model.state_dict()[name])


@pytest.mark.slow
def test_the_command_goes_on_from_parts_and_branches(
    picture_folder: Path, tmp_path: Path
) -> None:  # fmt: skip
    sizes, run, parts = tmp_path / "sizes.json", tmp_path / "run", tmp_path / "parts"
    sizes.write_text(json.dumps(asdict(TINY)))
    common = ["--batch", "2", "--crop", "64", "--no-compile", "--device", "cpu"]
    new = ["-o", str(run), "--model-config", str(sizes), "--minutes", "0.04", *common]
    branching = ["--branch-decay", "0.03", "--save-parts", str(parts)]
    weights = ["--save-weights", str(tmp_path / "w.safetensors"), "--optimizer", "soap"]
    start = time.monotonic()
    result = CliRunner().invoke(train, [str(picture_folder), *new, *branching, *weights])
    assert result.exception is None, result.exception
    assert time.monotonic() - start < 60 * 0.07 + 2
    assert TrainConfig.load(run / SETTINGS).optimizer == "soap"
    assert (tmp_path / "run-decayed" / CHECKPOINT).exists()
    other = ["-o", str(tmp_path / "other"), "--resume-parts", str(parts), "--device", "cpu"]
    result = CliRunner().invoke(train, [str(picture_folder), *other, "--steps", "1"])
    assert result.exception is None, result.exception
    assert TrainConfig.load(tmp_path / "other" / SETTINGS).model == TINY
    again = CliRunner().invoke(train, [str(picture_folder), *other])
    assert "--resume-parts is for new ones" in str(again.exception)


@pytest.mark.slow
def test_trials_take_equal_time(
    picture_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"batch": 2, "crop": 64, "compile": False, "model": asdict(TINY), "start_patches": 8}
    path = tmp_path / "trials.json"
    path.write_text(json.dumps({"plain": changes, "soap": changes | {"optimizer": "soap"}}))
    trials.main([str(path), str(picture_folder), "--seconds", "1.5", "--device", "cpu"])
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["trial", "loss", "patches", "seconds"]
    assert [row.split()[0] for row in rows] == ["plain", "soap"]
    for row in rows:
        assert len(row.split()) == 14
        assert 1.0 < float(row.split()[3]) <= 2.0  # a loaded machine may take longer to save
    path.write_text("[]")
    with pytest.raises(SystemExit, match="no trials"):
        trials.main([str(path), str(picture_folder), "--seconds", "1", "--device", "cpu"])


def test_pictures_are_named_where_they_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "in" / "small.png")
    pack.pack([tmp_path / "in"], tmp_path / "packed")
    given = [str(tmp_path / "packed"), "-o", str(tmp_path / "out"), "--seconds", "1"]
    with pytest.raises(SystemExit, match="none of 1 pictures"):
        piece.main([*given, "--device", "cpu"])
