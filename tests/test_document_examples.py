"""What documents show is run, in a copy of the samples: commands line by line, and Python."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from documents import ROOT, blocks, commands, name_of
from PIL import Image

SKIPPED = {
    "python3 -m venv .venv && . .venv/bin/activate": ".ci/run sets up from scratch",
    "pip install -e '.[test]'": ".ci/run sets up from scratch",
    "pytest": "it would run this test again",
    "ruff format --check . && ruff check . && mypy": ".ci/run checks the whole tree",
}
"""Lines that are not run here, and why."""
PACKAGE = ROOT / "aecodec"
RUN = [
    ROOT / "README.md",
    PACKAGE / "applications" / "FEATURES.md",
    PACKAGE / "applications" / "ANOMALY.md",
    PACKAGE / "applications" / "DENOISE.md",
    PACKAGE / "cli" / "MANUAL.md",
]
IN_PYTHON = [*RUN[:4], PACKAGE / "plugins" / "README.md"]
SECONDS = 120

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="examples are for bash")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the samples, where `aecodec` and `python` are those of this tree."""
    samples = tmp_path / "samples"
    samples.mkdir()
    for kind in ("*.png", "*.py"):
        for sample in (ROOT / "samples").glob(kind):
            shutil.copy(sample, samples)
    tools = tmp_path / ".tools"
    tools.mkdir()
    for name, arguments in (("python", ""), ("aecodec", "-m aecodec ")):
        script = f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n'
        (tools / name).write_text(script, encoding="utf-8")
        (tools / name).chmod(0o755)
    return tmp_path


def run(command: list[str], place: Path, seconds: float = SECONDS) -> str:
    """Runs a command in `place`, which must end well; what it says."""
    environment = {
        **os.environ,
        "PATH": f"{place / '.tools'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, timeout=seconds,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.slow
@needs_bash
@pytest.mark.parametrize("path", RUN, ids=name_of)
def test_commands_work_one_after_the_other(path: Path, place: Path) -> None:
    for line in commands(path, "sh"):
        if line not in SKIPPED:
            run(["bash", "-e", "-o", "pipefail", "-c", line], place)


@pytest.mark.slow
@pytest.mark.parametrize("path", IN_PYTHON, ids=name_of)
def test_python_works(path: Path, place: Path) -> None:
    found = list(blocks(path, "python"))
    assert found
    for block in found:
        run([sys.executable, "-W", "error", "-c", block], place)


@pytest.mark.slow
@needs_bash
def test_the_tour_works(place: Path) -> None:
    shutil.copy(ROOT / "samples" / "tour.sh", place / "samples")
    out = run(["bash", "samples/tour.sh", "taken"], place, seconds=5 * SECONDS)
    assert "(verify says so, and exits with 1)" in out
    assert out.index("2 files: 2 done") < out.index("2 files: 2 skipped as done")
    assert (place / "taken" / "unpacked" / "space" / "rocket.jpg").exists()
    exact, original = place / "taken" / "exact.png", place / "samples" / "chelsea.png"
    with Image.open(exact) as image, Image.open(original) as expected:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))


def test_lines_that_are_skipped_are_there() -> None:
    assert set(SKIPPED) <= {line for path in RUN for line in commands(path, "sh")}


def test_the_setting_up_from_scratch_runs_lines_of_the_readme() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    quoted = [line.split('"')[1] for line in script.splitlines() if line.startswith("readme ")]
    assert len(quoted) == 4
    assert set(quoted) <= set(lines)
