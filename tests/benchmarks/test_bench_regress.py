"""The guard of compression: it fails when bits rise, and only then."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aecodec.models.registry import MODELS, tuned_model
from benchmarks import regress
from benchmarks.__main__ import cli
from benchmarks.curves import Point

BASELINE = Path(regress.__file__).parent / "baseline.json"
CURVE = [Point(q, 0.02 * q, 26 + 0.14 * q) for q in regress.QUALITIES]


def dearer(factor: float) -> list[Point]:
    return [Point(p.quality, factor * p.bpp, p.psnr) for p in CURVE]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Result]:
    """Runs the command on curves that cost `factor` times what the baseline says."""
    baseline = tmp_path / "baseline.json"
    regress.write_baseline(baseline, "any", {"a.png": CURVE, "b.png": CURVE})

    def command(factor: float) -> Result:
        curves = {"a.png": dearer(factor), "b.png": dearer(factor)}
        monkeypatch.setattr(regress, "measure_pictures", lambda *_: curves)
        return CliRunner().invoke(cli, ["regress", str(baseline)])

    return command


@pytest.mark.parametrize(("factor", "code"), [(0.9, 0), (1.0, 0), (1.004, 0), (1.006, 1), (2, 1)])
def test_more_bits_fail(run: Callable[[float], Result], factor: float, code: int) -> None:
    result = run(factor)
    assert result.exit_code == code, result.output
    assert f"{100 * (factor - 1):+.2f} %" in result.output


def test_one_worse_picture_shows_but_does_not_fail_alone() -> None:
    before = dict.fromkeys("abcdefgh", CURVE)
    found = regress.changes(before, before | {"c": dearer(1.02)})
    assert found["c"] == pytest.approx(2.0, abs=1e-6)
    assert found["a"] == pytest.approx(0.0, abs=1e-9)
    assert 0.0 < found["mean"] < regress.TOLERANCE


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"model": "a", "points": {"a": [[1]]}}', '{"points": {}}', '{"points": 3}'],
)
def test_what_is_no_baseline(tmp_path: Path, text: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(cli, ["regress", str(path)])
    assert result.exit_code == 1
    assert "not a baseline" in result.output


def test_other_pictures_or_no_overlap_are_named() -> None:
    with pytest.raises(ValueError, match=r"differ: b\.png"):
        regress.changes({"a.png": CURVE, "b.png": CURVE}, {"a.png": CURVE})
    far = [Point(p.quality, p.bpp, p.psnr + 60) for p in CURVE]
    with pytest.raises(ValueError, match="do not overlap"):
        regress.changes({"a.png": CURVE}, {"a.png": far})


def test_each_released_model_has_a_baseline_of_the_samples() -> None:
    names = {p.name for p in regress.SAMPLES.glob("*.png")} - regress.NO_SAMPLES
    models = []
    for path in BASELINE.parent.glob("baseline*.json"):
        model, points = regress.read_baseline(path)
        models.append(model)
        assert set(points) == names
        assert "torch" in json.loads(path.read_text(encoding="utf-8"))["machine"]
    assert sorted(models) == sorted(model.name for model in MODELS)


def test_a_baseline_is_compared_with_its_own_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []

    def measured(_paths: object, model: str | None = None) -> dict[str, list[Point]]:
        asked.append(model)
        return {"a.png": CURVE}

    monkeypatch.setattr(regress, "measure_pictures", measured)
    path = str(tmp_path / "baseline.json")
    for options in (["--write", "--model", "mine"], [], ["--model", "other"], ["--write"]):
        assert CliRunner().invoke(cli, ["regress", path, *options]).exit_code == 0
    assert asked == ["mine", "mine", "other", tuned_model().name]
