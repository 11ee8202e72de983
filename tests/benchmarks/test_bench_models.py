"""Each tuning of ours is a row, and `--tune` or `--model` choose the model of the row aecodec."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import make_picture
from PIL import Image

from aecodec.format.container import parse_header
from aecodec.models import registry
from aecodec.models.registry import TUNES, ReleasedModel, Tune
from benchmarks import rd
from benchmarks.codecs import FACTORIES, OURS, CodecUnavailableError, is_ours
from benchmarks.comparison import Measurements, compare_all
from benchmarks.contestants import NATIVE, NUMPY, contestants
from benchmarks.curves import Point
from benchmarks.results import CODEC_FACT

Tunings = dict[Tune, ReleasedModel]


def test_each_tuning_is_a_row_of_its_own(tunings: Tunings, tiny_weights: Path) -> None:
    image = Image.fromarray(make_picture(64, 80))
    for tune, model in tunings.items():
        for given in (None, str(tiny_weights)):
            codec = FACTORIES[f"aecodec-{tune}"](given)
            data = codec.encode(image, 50)
            assert codec.name == f"aecodec-{tune}"
            assert parse_header(data).model_id == model.model_id
            assert model.model_id.hex() in codec.version
            assert f"weights {model.name}," in codec.settings
    default = FACTORIES[OURS](None)
    assert tunings[registry.DEFAULT_TUNE].model_id.hex() in default.version


def test_a_tuning_without_a_model_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MODELS", (registry.tuned_model("psnr"),))
    with pytest.raises(CodecUnavailableError, match="no model has been released for the tuning v"):
        FACTORIES["aecodec-visual"](None)


@pytest.mark.parametrize("tune", TUNES)
def test_the_option_chooses_the_model_of_our_row(
    tunings: Tunings, tune: Tune, tmp_path: Path
) -> None:
    path, output = tmp_path / "a.png", tmp_path / "points.json"
    Image.fromarray(make_picture(64, 80)).save(path)
    arguments = [str(path), "--codecs", OURS, "--points", "2", "--json", str(output)]
    done = CliRunner().invoke(rd.main, [*arguments, "--tune", tune])
    assert done.exit_code == 0, done.output
    found = json.loads(output.read_text(encoding="utf-8"))
    assert found["model"] == tunings[tune].name
    assert tunings[tune].model_id.hex() in found["machine"][CODEC_FACT + OURS]
    both = CliRunner().invoke(rd.main, [*arguments, "--tune", tune, "--model", "aec-1"])
    assert both.exit_code == 2
    assert "--model and --tune exclude each other" in both.output


def test_a_full_run_has_both_tunings_unless_one_model_is_chosen() -> None:
    plain = {
        "full": True, "model": None, "tune": None, "metrics": None, "repeats": 1, "processes": 1,
        "threads": None,
    }  # fmt: skip
    assert [name for name in rd._codecs(plain) if is_ours(name)] == [f"{OURS}-{t}" for t in TUNES]  # type: ignore[arg-type]
    for chosen in ({"model": "aec-1"}, {"tune": "visual"}):
        names = rd._codecs(plain | chosen)  # type: ignore[arg-type]
        assert [name for name in names if is_ours(name)] == [OURS]
        assert "jpeg420" in names


def test_each_of_our_rows_is_compared_with_the_others() -> None:
    curve = [Point(q, 0.1 * q, 30.0 + q) for q in (1, 2, 3)]
    names = ("aecodec-psnr", "aecodec-visual", "jpeg420", "avif-iq")
    found = Measurements(curves={name: {"a": curve} for name in names})
    assert [(c.test, c.anchor) for c in compare_all(found)] == [
        ("aecodec-psnr", "jpeg420"), ("aecodec-psnr", "avif-iq"), ("aecodec-visual", "jpeg420"),
        ("aecodec-visual", "avif-iq"), ("aecodec-psnr", "aecodec-visual"), ("avif-iq", "jpeg420"),
    ]  # fmt: skip
    assert np.isclose([c.of_means.percent for c in compare_all(found) if c.of_means], 0).all()


def test_the_other_tuning_is_timed_too(tunings: Tunings) -> None:
    (other,) = (tune for tune in tunings if tune != registry.DEFAULT_TUNE)
    names = [row.name for row in contestants(None, None) if row.has_commands]
    assert names == [NUMPY, NATIVE, f"{OURS}-{other}"]
    (row,) = (row for row in contestants(None, None) if row.name == f"{OURS}-{other}")
    assert row.spec["model"] == tunings[other].name
    assert [r.name for r in contestants("mine", None) if r.has_commands] == [NUMPY, NATIVE]
