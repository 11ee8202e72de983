"""`python -m benchmarks parts`."""

from pathlib import Path

import pytest
import torch
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
    y = torch.randint(-48, 48, (1, 16, 3, 4), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        exact = tiny_codec.model.synthesis(y, 200)
        floats = FloatSynthesis(tiny_codec.model)(y, 200)
    assert exact.shape == floats.shape
    assert float((exact.float() - floats.float()).abs().mean()) < 0.5


@pytest.mark.parametrize("size", ["100x64", "2048x64", "wide"])
def test_other_sizes_are_refused(tmp_path: Path, size: str) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(make_picture(64, 64)).save(path)
    result = CliRunner().invoke(main, [str(path), "--size", size])
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit)
