"""`python -m benchmarks rounding` and `lossless`."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import make_picture, make_tiny_model
from PIL import Image

from aecodec import Codec
from aecodec.encoder.networks import EncoderModel
from benchmarks import lossless, rounding
from benchmarks.lossless import Format, Stored, store
from benchmarks.rounding import Cost, format_costs, load_parent, measure_tile


def test_costs_of_rounding_are_small(tiny_coder: EncoderModel) -> None:
    parent = make_tiny_model().eval()
    cost = measure_tile(parent, tiny_coder, make_picture(64, 128), 300)
    assert cost.rounded_bits == pytest.approx(cost.estimated_bits, rel=0.1)
    assert abs(cost.prior_loss) < 0.1
    assert abs(cost.synthesis_loss) < 0.3
    # The coder's state takes up to 64 bits beyond what the symbols cost.
    assert cost.table_bits - 1 <= cost.word_bits <= cost.table_bits + 96


def test_columns_are_sums_of_bits_and_means_of_decibels() -> None:
    costs = [Cost(100, 101, 0.01, 200, 202, 0.02), Cost(300, 303, 0.03, 200, 200, 0.04)]
    last = format_costs({75.0: costs}).split("\n")[-1].split()
    assert last == ["75", "+1.00", "0.0200", "0.0300", "0.0400", "+0.500", "-0.50"]


def test_weights_of_another_run_are_refused(
    tmp_path: Path, tiny_coder: EncoderModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = make_tiny_model().state_dict()
    monkeypatch.setattr(rounding, "load_average", lambda _path: state)
    load_parent(tmp_path, tiny_coder.weights)
    state["prior.base"] = state["prior.base"] + 1e-3
    with pytest.raises(ValueError, match="not exported from"):
        load_parent(tmp_path, tiny_coder.weights)


def test_a_folder_that_is_no_run_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(rounding.main, [str(tmp_path)])
    assert result.exit_code == 1
    assert str(tmp_path) in result.output
    assert len(result.output.splitlines()) == 1


def test_lossless_sizes_are_compared(tmp_path: Path, tiny_weights: Path) -> None:
    for number in range(2):
        Image.fromarray(make_picture(40, 50, seed=number)).save(tmp_path / f"{number}.png")
    result = CliRunner().invoke(lossless.main, [str(tmp_path), "--model", str(tiny_weights)])
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line.split() for line in result.output.splitlines() if line.strip()}
    codec = Codec(tiny_weights)
    sizes = [len(codec.compress(tmp_path / f"{n}.png", lossless=True)) for n in range(2)]
    assert float(rows["aecodec"][1]) == pytest.approx(8 * np.mean(sizes) / 2000, abs=0.006)
    assert {"png", "webp"} < rows.keys()


def test_bad_input_is_one_line_that_names_it(tmp_path: Path) -> None:
    empty, damaged, weights = (tmp_path / name for name in ("empty", "bad.png", "weights"))
    empty.mkdir()
    damaged.write_bytes(b"no picture")
    weights.write_bytes(b"no weights")
    picture = tmp_path / "good.png"
    Image.fromarray(make_picture(8, 8)).save(picture)
    for words, named in (
        ([str(empty)], "no pictures"),
        ([str(damaged)], str(damaged)),
        ([str(picture), "--model", str(weights)], f"{picture}: aecodec"),
    ):
        result = CliRunner().invoke(lossless.main, words)
        assert result.exit_code == 1
        assert isinstance(result.exception, SystemExit)
        assert named in result.output.splitlines()[-1]


def test_a_format_that_changes_the_picture_fails() -> None:
    image = Image.fromarray(make_picture(8, 8))
    with pytest.raises(ValueError, match="does not give the picture back"):
        store(image, Format(lambda _image: b"x", lambda _data: Image.new("RGB", (8, 8))))


def test_the_table_compares_means() -> None:
    found = {
        "aecodec": [Stored(8, 10, 1.0, 0.5), Stored(8, 30, 3.0, 0.5)],
        "png": [Stored(8, 40, 0.5, 0.5), Stored(8, 20, 0.5, 0.5)],
    }
    rows = [line.split() for line in lossless.format_table(found).split("\n")]
    assert rows[1] == ["aecodec", "20.00", "2.00", "0.50"]
    assert rows[2] == ["png", "30.00", "-33.3", "%", "0.50", "0.50", "1/2"]
