"""The stored results of the benchmarks and their metrics."""

import csv
import json
import math
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecodec.picture import perceptual
from aecodec.picture.perceptual import MetricUnavailableError
from benchmarks import metrics
from benchmarks.metrics import measure_all
from benchmarks.results import Cell, Results, load_results


def cell(quality: float = 50, **values: float) -> Cell:
    return Cell("jpeg420", "a.png", quality, 96, 48, 32, values, 0.25, 0.5)


def noisy(side: int, sigma: float) -> tuple[Image.Image, Image.Image]:
    rng = np.random.default_rng(3)
    base = np.add.outer(np.arange(side), np.arange(side))[..., None] * 200 / (2 * side) + [0, 20, 9]
    other = np.clip(base + rng.normal(0, sigma, base.shape), 0, 255)
    return Image.fromarray(base.astype(np.uint8)), Image.fromarray(other.astype(np.uint8))


def test_results_survive_storing_with_infinite_values(tmp_path: Path) -> None:
    results = Results([cell(psnr=31.5), cell(90, psnr=math.inf)], ["b.png: bad"], {"cpus": 2})
    results.save(tmp_path / "new")
    assert load_results(tmp_path / "new" / "results.json") == results
    document = json.loads((tmp_path / "new" / "results.json").read_text(encoding="utf-8"))
    assert document["cells"][1]["metrics"] == {"psnr": None}


def test_csv_has_a_line_for_each_cell() -> None:
    results = Results([cell(psnr=31.5), cell(90, psnr=math.inf, ms_ssim_db=9.0)])
    rows = list(csv.DictReader(StringIO(results.to_csv())))
    assert [row["psnr"] for row in rows] == ["31.5", "inf"]
    assert [row["ms_ssim_db"] for row in rows] == ["", "9.0"]
    assert rows[0]["bpp"] == "0.5"


def test_curves_are_in_the_order_of_quality_and_skip_absent_metrics() -> None:
    results = Results([cell(90, psnr=40.0), cell(10, psnr=30.0, y_psnr=31.0)])
    points = results.curves("psnr")["jpeg420"]["a.png"]
    assert [(p.quality, p.psnr) for p in points] == [(10, 30.0), (90, 40.0)]
    assert len(results.curves("y_psnr")["jpeg420"]["a.png"]) == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cells": [{}], "left_out": [], "machine": {}}'])
def test_what_is_no_results_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ValueError, match=r"results\.json: not a results\.json"):
        load_results(tmp_path / "results.json")


def test_y_psnr_weighs_channels_as_bt601() -> None:
    black = Image.new("RGB", (4, 4))
    for channel, weight in enumerate((0.299, 0.587, 0.114)):
        colour = [0, 0, 0]
        colour[channel] = 10
        value = metrics.y_psnr(black, Image.new("RGB", (4, 4), tuple(colour)))
        assert value == pytest.approx(20 * math.log10(255 / (10 * weight)))
    assert metrics.y_psnr(black, black) == math.inf


def test_chroma_is_that_of_jpeg() -> None:
    """Cb and Cr of ITU-T T.871, section 7: +0.5 and -0.0813 of blue, and 0 of gray."""
    black, blue = Image.new("RGB", (4, 4)), Image.new("RGB", (4, 4), (0, 0, 10))
    mse = (5.0**2 + 0.81312411**2) / 2
    assert metrics.chroma_psnr(black, blue) == pytest.approx(20 * math.log10(255 / mse**0.5))
    assert metrics.chroma_psnr(black, Image.new("RGB", (4, 4), (9, 9, 9))) > 200
    original, restored = noisy(64, 16)
    planes = (np.asarray(image.convert("YCbCr"), np.float64) for image in (original, restored))
    first, second = (plane[..., 1:] for plane in planes)
    rounded = 10 * math.log10(255**2 / np.square(first - second).mean())
    assert metrics.chroma_psnr(original, restored) == pytest.approx(rounded, abs=0.05)


@pytest.mark.parametrize("name", list(metrics.METRICS))
def test_each_metric_grows_with_fidelity(name: str) -> None:
    pytest.importorskip("ssimulacra2")
    pytest.importorskip("flip_evaluator")
    compute = metrics.METRICS[name].compute
    assert compute(*noisy(256, 4)) > compute(*noisy(256, 16))


def test_known_values_of_equal_pictures() -> None:
    pytest.importorskip("ssimulacra2")
    pytest.importorskip("flip_evaluator")
    image, _ = noisy(256, 1)
    values, lines = measure_all(image, image)
    assert lines == []
    assert values == dict.fromkeys(("psnr", "y_psnr", "chroma_psnr", "ms_ssim_db"), math.inf) | {
        "ssimulacra2": 100.0,
        "flip": 1.0,
    }


def test_flip_of_black_and_white_is_the_largest_error() -> None:
    pytest.importorskip("flip_evaluator")
    black, white = Image.new("RGB", (40, 30)), Image.new("RGB", (40, 30), "white")
    assert metrics.flip(black, white) < 0.05
    assert metrics.flip(white, white) == 1


def test_too_small_pictures_lose_a_metric_and_not_the_run() -> None:
    values, lines = measure_all(*noisy(255, 4))
    assert set(values) == set(metrics.METRICS) - {"ssimulacra2"}
    assert lines == ["SSIMULACRA2: needs sides of at least 256 pixels, got 255x255"]
    values, lines = measure_all(*noisy(160, 4))
    assert set(values) == {"psnr", "y_psnr", "chroma_psnr", "flip"}
    assert len(lines) == 2
    assert "ms_ssim_db" in measure_all(*noisy(161, 4))[0]


def test_a_missing_package_is_named_with_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "find_spec", lambda _name: None)
    with pytest.raises(MetricUnavailableError, match=r"no ssimulacra2 here; pip install"):
        perceptual.ssimulacra2(*noisy(16, 4))
