"""Many small pictures: cut apart, run as a folder, and counted without the start of processes."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import make_picture
from PIL import Image

from benchmarks.__main__ import cli
from benchmarks.jobs import WARM, Cost, cut, format_costs


def test_parts_are_as_many_and_as_large_as_asked_for(tmp_path: Path) -> None:
    cut(Image.fromarray(make_picture(50, 40)), tmp_path / "parts", 7, 16)
    paths = sorted((tmp_path / "parts").iterdir())
    assert len(paths) == 7
    for path in paths:
        with Image.open(path) as image:
            assert image.size == (16, 16)
    assert len({path.read_bytes() for path in paths}) > 1


def test_the_table_compares_with_a_warm_codec_and_with_one_job() -> None:
    text = format_costs({WARM: Cost(20, 20), 1: Cost(22, 25), 2: Cost(12, 22)})
    warm, one, two = (line.split() for line in text.splitlines()[1:])
    assert warm == ["warm", "20.0", "20.0", "1.00"]
    assert one == ["1", "22.0", "25.0", "0.80", "1.00"]
    assert two == ["2", "12.0", "22.0", "0.91", "1.83"]


@pytest.mark.slow
def test_the_command_measures(tmp_path: Path, tiny_weights: Path) -> None:
    Image.fromarray(make_picture(50, 40)).save(tmp_path / "a.png")
    options = ["--jobs", "1", "--count", "12", "--side", "24", "--repeats", "1"]
    result = CliRunner().invoke(
        cli, ["jobs", str(tmp_path / "a.png"), *options, "--model", str(tiny_weights)]
    )
    assert result.exit_code == 0, result.output
    assert "12 pictures of 24x24 pixels" in result.output
    assert [line.split()[0] for line in result.output.splitlines()[3:5]] == ["warm", "1"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--jobs", "0"], "at least one job"),
        (["--jobs", "a"], "not a list of numbers"),
        (["--side", "99"], "no 99 pixels a side"),
        (["--count", "2"], "2 pictures are too few for 2 jobs"),
    ],
)
def test_bad_wishes_fail_clearly(tmp_path: Path, options: list[str], reason: str) -> None:
    Image.fromarray(make_picture(50, 40)).save(tmp_path / "a.png")
    result = CliRunner().invoke(cli, ["jobs", str(tmp_path / "a.png"), *options])
    assert result.exit_code != 0
    assert reason in result.stderr
