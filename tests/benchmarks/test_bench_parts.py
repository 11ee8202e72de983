"""`python -m benchmarks parts`."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import make_picture, make_tiny_model
from PIL import Image

from aecodec import Codec
from benchmarks.parts import FloatSynthesis, format_parts, kmacs, main, measure_parts


def test_each_part_is_timed_in_each_round(tiny_codec: Codec) -> None:
    times = measure_parts(tiny_codec, Image.fromarray(make_picture(64, 128)), 75.0, 2)
    assert {len(seconds) for seconds in times.values()} == {2}
    assert all(s >= 0 for seconds in times.values() for s in seconds)
    text = format_parts({name: [0.5, 0.5] for name in times}, kmacs(make_tiny_model()), 64 * 128)
    assert "decoding exactly takes 1.00 times as long" in text
    assert all(name in text for name in times)


def test_the_float_synthesis_decodes_the_same_picture(tiny_codec: Codec) -> None:
    """Otherwise the comparison would be of two different things."""
    y_hat = np.random.default_rng(0).integers(-48, 48, (3, 4, 16), np.int16)
    encoder = tiny_codec.encoder
    exact, floats = (
        synthesis.pixels(y_hat, 200, scale=1, inside=(48, 64), sixteen_bit=False, gray=False)
        for synthesis in (encoder.decoder.synthesis, FloatSynthesis(encoder.trainable.synthesis))
    )
    assert exact.shape == floats.shape
    assert np.abs(exact.astype(int) - floats).mean() < 0.5


@pytest.mark.parametrize("size", ["100x64", "2048x64", "wide"])
def test_other_sizes_are_refused(tmp_path: Path, size: str) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(make_picture(64, 64)).save(path)
    result = CliRunner().invoke(main, [str(path), "--size", size])
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit)
