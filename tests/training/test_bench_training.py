"""The measurement of training speed."""

import json
from dataclasses import asdict
from pathlib import Path

from click.testing import CliRunner
from conftest import TINY

from benchmarks.training import main


def test_parts_of_a_step_are_measured(tmp_path: Path) -> None:
    sizes = tmp_path / "sizes.json"
    sizes.write_text(json.dumps(asdict(TINY)))
    options = ["--seconds", "0.1", "--device", "cpu", "--crop", "64", "--batch", "2"]
    result = CliRunner().invoke(main, [*options, "--model-config", str(sizes)])
    assert result.exception is None, result.exception
    *parts, total = result.output.splitlines()
    assert [line.split("  ")[0].strip() for line in parts] == [
        "data", "forward", "forward and backward", "optimizer", "whole step",
    ]  # fmt: skip
    assert "patches/s: 64x64" in total
