"""Seconds and peak memory of processes."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks.__main__ import cli
from benchmarks.footprint import run_once, scaled


def test_peak_memory_is_that_of_the_process() -> None:
    _, small = run_once(["-c", "pass"], 1)
    _, large = run_once(["-c", "x = b'1' * (200 << 20)"], 1)
    assert 1 < small < 100
    assert 190 < large - small < 230


def test_seconds_are_those_of_the_process() -> None:
    seconds, _ = run_once(["-c", "import time; time.sleep(0.3)"], 1)
    assert 0.3 <= seconds < 5


def test_a_failed_command_is_one_line() -> None:
    with pytest.raises(RuntimeError, match=r"^broken$"):
        run_once(["-c", "import sys; sys.exit('first\\nbroken')"], 1)


def test_scaled_keeps_proportions() -> None:
    assert scaled(Image.new("RGB", (200, 100)), 0.005).size == (100, 50)


@pytest.mark.parametrize("sizes", ["big", "0", "-1", "0.1,1e9"])
def test_bad_sizes_fail_clearly(tmp_path: Path, sizes: str) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    result = CliRunner().invoke(cli, ["footprint", str(tmp_path / "a.png"), "--sizes", sizes])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
