"""The scripts in `samples/` run, and what they print is true."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from shell import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[2]


def run(script: str, *arguments: str) -> str:
    """What a script prints."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "samples" / script), *arguments],
        cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_autoencoder_finds_more_frauds_than_simple_detectors() -> None:
    areas = {
        name: float(area) for name, area in re.findall(r"(.+): AUROC ([\d.]+)", run("fraud.py"))
    }
    assert set(areas) == {"autoencoder", "isolation forest", "PCA"}
    assert areas["autoencoder"] > 0.84
    assert areas["autoencoder"] > max(areas["isolation forest"], areas["PCA"]) + 0.01


@pytest.mark.slow
def test_the_search_finds_the_picture_in_its_file_first() -> None:
    out = run("search.py", "samples/coffee.png", "samples/aec-1")
    first = out.splitlines()[0].split()
    assert first[1] == str(Path("samples/aec-1") / "coffee.aec")
    assert float(first[0]) > 0.95
    assert len(out.splitlines()) == 5
