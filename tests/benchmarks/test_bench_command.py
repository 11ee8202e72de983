"""`aecodec bench` reaches the harness, or says what is missing."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from aecodec.cli import bench as module
from aecodec.cli import cli
from benchmarks.results import load_results

ROOT = Path(__file__).resolve().parents[2]


def test_bench_measures_and_writes_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.linear_gradient("L").resize((48, 32)).save(tmp_path / "a.png")
    result = CliRunner().invoke(cli, ["bench", str(tmp_path), "--codecs", "jpeg420,jpeg444"])
    assert result.exit_code == 0, result.output
    assert "jpeg444 vs jpeg420" in result.output
    assert re.search(r"^1 picture; .*; 2 codecs; .*: about \d+ s$", result.output, re.MULTILINE)
    page = (tmp_path / module.REPORT / "report.html").read_text(encoding="utf-8")
    assert "At a glance" in page


@pytest.mark.slow
def test_bench_is_quick_unless_all_is_asked_for(tmp_path: Path) -> None:
    """A few codecs at five qualities in two metrics, on the middle of large pictures."""
    noise = np.random.default_rng(0).integers(0, 256, (12, 1100, 3), np.uint8)
    Image.fromarray(noise).resize((1100, 200), Image.Resampling.BICUBIC).save(tmp_path / "a.png")
    folder = tmp_path / "here"
    command = ["bench", str(tmp_path / "a.png"), "-o", str(folder), "--codecs", "jpeg420,webp"]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    quick = load_results(folder / "results.json")
    assert {(cell.width, cell.height) for cell in quick.cells} == {(1024, 200)}
    assert len(quick.cells) == 2 * 5
    assert quick.metrics == ["psnr", "ms_ssim_db"]
    result = CliRunner().invoke(cli, [*command, "--full", "--metrics", "psnr"])
    full = load_results(folder / "results.json")
    assert {(cell.width, cell.height) for cell in full.cells} == {(1100, 200)}
    assert len(full.cells) > 2 * 5


def test_bench_without_the_source_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    result = CliRunner().invoke(cli, ["bench", "a.png"])
    assert result.exit_code == 1
    assert "not part of this installation" in result.output
    assert "[bench]" in result.output


def test_bench_without_a_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_name: str) -> None:
        raise ModuleNotFoundError("No module named 'bjontegaard'")

    monkeypatch.setattr(module, "import_module", fail)
    result = CliRunner().invoke(cli, ["bench", "a.png"])
    assert result.exit_code == 1
    assert "No module named 'bjontegaard'" in result.output


@pytest.mark.parametrize("arguments", [["bench", "--help"], ["bench"]])
def test_help_and_wrong_usage_do_not_load_torch(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom aecodec.cli import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_bench_without_pictures_fails_with_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aecodec", "bench", str(tmp_path)],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("aecodec: no pictures found")
    assert len(done.stderr.splitlines()) == 1
