"""`aecodec train` with bad arguments, and `aecodec export`."""

import json
import os
from dataclasses import asdict

import pytest
from conftest import FAST_RUN
from shell import Shell, assert_one_line


def test_existing_weights_need_force(shell: Shell) -> None:
    path = shell.file("new.safetensors", b"old")
    assert_one_line(shell.run("export", "run", "-o", "new.safetensors"), 1, "exists", "-f")
    assert_one_line(shell.run("export", "run", "-o", "new.safetensors", "-f"), 1, "run/")
    assert path.read_bytes() == b"old"


def test_exports_that_cannot_be_are_named(shell: Shell) -> None:
    run = shell.folder / "run"
    run.mkdir()
    assert_one_line(shell.run("export", "run", "-o", "x.st"), 1, "checkpoint.safetensors")
    assert_one_line(shell.run("export", "none", "-o", "x.st"), 1, "none/checkpoint.safetensors")
    (run / "checkpoint.safetensors").write_bytes(shell.weights.read_bytes())
    assert_one_line(shell.run("export", "run", "-o", "x.st"), 1, "config.json")
    (run / "config.json").write_text(json.dumps(asdict(FAST_RUN)))
    assert_one_line(shell.run("export", "run", "-o", "x.st"), 1, "run/tiles.npy: missing")
    assert os.listdir(shell.folder) == ["run"]


def test_training_on_a_missing_folder_is_named(shell: Shell) -> None:
    assert_one_line(shell.run("train", "none", "-o", "run"), 1, "none: not a folder")
    assert os.listdir(shell.folder) == []


@pytest.mark.parametrize(
    ("option", "value"), [("--crop", "100"), ("--crop", "576"), ("--learning-rate", "nan")]
)
def test_training_with_bad_settings_is_refused(shell: Shell, option: str, value: str) -> None:
    result = shell.run("train", str(shell.folder), "-o", "run", option, value)
    assert_one_line(result, 1, value)
    assert os.listdir(shell.folder) == []
