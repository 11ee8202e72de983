"""Seconds and peak memory of processes."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks.__main__ import cli
from benchmarks.footprint import run_once
from benchmarks.pictures import of_size, parse_sizes


def test_peak_memory_is_that_of_the_process() -> None:
    small = run_once(["-c", "pass"], 1).peak_mib
    large = run_once(["-c", "x = b'1' * (200 << 20)"], 1).peak_mib
    assert 1 < small < 100
    assert 190 < large - small < 230


def test_seconds_are_those_of_the_process() -> None:
    assert 0.3 <= run_once(["-c", "import time; time.sleep(0.3)"], 1).seconds < 5


def test_a_failed_command_is_one_line() -> None:
    with pytest.raises(RuntimeError, match=r"^broken$"):
        run_once(["-c", "import sys; sys.exit('first\\nbroken')"], 1)


def test_sizes_keep_proportions_or_are_exact() -> None:
    assert parse_sizes("0.005,7x9,0.005", Image.new("RGB", (200, 100))) == [(100, 50), (7, 9)]


def test_larger_sizes_mirror_and_smaller_ones_scale() -> None:
    image = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3)).convert("RGB")
    wide = np.asarray(of_size(image, 7, 2))[..., 0]
    assert wide.tolist() == [[0, 1, 2, 2, 1, 0, 0], [3, 4, 5, 5, 4, 3, 3]]
    assert np.asarray(of_size(image, 3, 5))[:, 0, 0].tolist() == [0, 3, 3, 0, 0]
    assert of_size(Image.new("RGB", (200, 100)), 50, 40).size == (50, 40)


@pytest.mark.parametrize("sizes", ["big", "0", "-1", "0.1,1e9", "7x", "0x5", "1x2x3", "nan", ""])
def test_bad_sizes_fail_clearly(tmp_path: Path, sizes: str) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    result = CliRunner().invoke(cli, ["footprint", str(tmp_path / "a.png"), "--sizes", sizes])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
