"""Seconds and peak memory of processes."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks.__main__ import cli
from benchmarks.contestants import Contestant
from benchmarks.footprint import format_footprints, measure_commands, run_once
from benchmarks.pictures import of_size, parse_sizes


def test_peak_memory_is_that_of_the_process() -> None:
    small = run_once(["-c", "pass"]).peak_mib
    large = run_once(["-c", "x = b'1' * (200 << 20)"]).peak_mib
    assert 1 < small < 100
    assert 190 < large - small < 230


def test_seconds_are_those_of_the_process() -> None:
    waiting = run_once(["-c", "import time; time.sleep(0.3)"])
    assert 0.3 <= waiting.seconds < 5
    assert waiting.cpu_seconds < 0.3
    busy = "import time\nwhile time.process_time() < 0.4: pass"
    assert 0.4 <= run_once(["-c", busy]).cpu_seconds < 2


def test_a_failed_command_is_one_line() -> None:
    with pytest.raises(RuntimeError, match=r"^broken$"):
        run_once(["-c", "import sys; sys.exit('first\\nbroken')"])


def test_commands_of_all_rows_take_turns(tmp_path: Path) -> None:
    rows = []
    for name in ("one", "two"):
        package = tmp_path / name / "aecodec"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        noted = f"import os, sys; print({name!r}, *sys.argv[1:2], os.environ['OMP_NUM_THREADS'],"
        code = f"{noted} file=open({str(tmp_path / 'log')!r}, 'a'))\n"
        (package / "__main__.py").write_text(code, encoding="utf-8")
        rows.append(Contestant(name, {"kind": "aecodec", "model": None}, tmp_path / name))
    found = measure_commands(rows, Image.new("RGB", (8, 6)), [1, 2], 1)
    words = ("--help", "compress", "info", "decompress")
    turn = [f"{row} {word} {n}" for n in (1, 2) for row in ("one", "two") for word in words]
    assert (tmp_path / "log").read_text(encoding="utf-8").splitlines() == 2 * turn
    assert {(each.row, each.threads) for each in found} == {
        ("one", 1), ("one", 2), ("two", 1), ("two", 2),
    }  # fmt: skip
    table = format_footprints(found, "two").splitlines()
    assert len(table) == 3 + len(found)
    for line in table[3:]:
        cells = line.split()
        assert ("1.000" in (cells[-2], cells[-4])) or "two" not in cells


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
