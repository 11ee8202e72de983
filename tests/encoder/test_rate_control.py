"""Targets of size and fidelity: on smooth relations, real files, and the command line."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from aecodec.autoencoder.transforms import AnalysisTransform
from aecodec.cli import main
from aecodec.codec import Codec
from aecodec.encoder.networks import CodecModel
from aecodec.encoder.rate_control import EVALUATIONS, search_quality
from aecodec.encoder.tile import BegunTiles, view_tile
from aecodec.errors import InputError
from aecodec.format.tiling import Box, latent_grid
from aecodec.options import KINDS, Target, parse_size
from aecodec.picture.metrics import MEASURES

CHELSEA = Path(__file__).resolve().parents[1] / "samples" / "chelsea.png"


@given(st.floats(2, 100), st.floats(2, 4), st.floats(0.7, 1.4), st.floats(0, 0.002))
def test_sizes_are_met(quality: float, slope: float, bend: float, noise: float) -> None:
    def size(at: float) -> float:
        return math.exp(7 + slope * (at / 100) ** bend + noise * math.sin(37 * at))

    found = search_quality(Target("size", size(quality)), size)
    assert found.met
    assert found.evaluations <= EVALUATIONS
    assert found.measured == size(found.quality)
    assert (found.quality * 4).is_integer()


@given(st.floats(0, 100))
def test_psnrs_are_met(quality: float) -> None:
    found = search_quality(Target("psnr", 28 + 0.13 * quality), lambda at: 28 + 0.13 * at)
    assert found.met
    assert found.evaluations <= EVALUATIONS


@pytest.mark.parametrize(("wish", "quality"), [(1.0, 0.0), (1e9, 100.0)])
def test_what_is_out_of_reach_gives_the_nearest(wish: float, quality: float) -> None:
    found = search_quality(Target("size", wish), lambda at: 1000 + 100 * at)
    assert (found.quality, found.met) == (quality, False)


@pytest.mark.parametrize(
    ("text", "size"),
    [("120KB", 120_000), ("1.5 MiB", 1.5 * 2**20), ("900", 900), ("2mb", 2e6), ("7 b", 7)],
)
def test_sizes_as_people_write_them(text: str, size: float) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "KB", "12 apples", "-3KB", "1e3", "1,5MB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InputError, match="is no size"):
        parse_size(text)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_impossible_wishes(value: float) -> None:
    with pytest.raises(InputError, match="cannot be met"):
        Target("psnr", value)


@pytest.mark.parametrize("value", [1.0, 1.5, -0.1])
def test_impossible_similarities(value: float) -> None:
    with pytest.raises(InputError, match="cannot be met"):
        Target("ssim", value)


@given(st.floats(1, 99))
def test_similarities_are_met(quality: float) -> None:
    def ssim(at: float) -> float:
        return float(1 - 10 ** -(0.7 + 0.02 * at))

    found = search_quality(Target("ssim", ssim(quality)), ssim)
    assert found.met
    assert found.evaluations <= EVALUATIONS


@given(st.integers(1, 60), st.floats(0.02, 0.05))
def test_errors_are_bounded_at_the_lowest_quality_seen(bound: int, slope: float) -> None:
    seen = {}

    def error(at: float) -> float:
        seen[at] = max(0, round(80 * math.exp(-slope * at) + 2 * math.sin(at)))
        return seen[at]

    found = search_quality(Target("max_error", bound), error)
    kept = [quality for quality, measured in seen.items() if measured <= bound]
    assert found.met == bool(kept)
    assert found.quality == min(kept, default=found.quality)
    assert len(seen) <= EVALUATIONS


def test_a_bound_is_not_left_at_the_first_quality_that_keeps_it() -> None:
    found = search_quality(Target("max_error", 30), lambda at: 80 - 0.8 * at)
    assert found.quality == pytest.approx(62.5, abs=0.25)


@pytest.mark.parametrize("kind", KINDS)
def test_real_files(tiny_codec: Codec, kind: str) -> None:
    pixels = make_picture(200, 220)

    def measure(data: bytes) -> float:
        if kind == "size":
            return len(data)
        return MEASURES[kind](pixels, tiny_codec.decompress_array(data))

    target = Target(kind, measure(tiny_codec.compress(pixels, 60)))
    data, found = tiny_codec.compress_to(pixels, target)
    assert found.met
    assert measure(data) == found.measured
    assert target.is_met(found.measured)


@pytest.mark.parametrize("room", [0, 2**28])
def test_the_analysis_begins_once_if_there_is_room(
    tiny_codec: Codec, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    pixels = make_picture(100, 90)
    monkeypatch.setattr("aecodec.codec.KEPT_BYTES", room)
    begin, begun = AnalysisTransform.begin, 0

    def count(self: AnalysisTransform, x: Tensor) -> Tensor:
        nonlocal begun
        begun += 1
        return begin(self, x)

    monkeypatch.setattr(AnalysisTransform, "begin", count)
    data, found = tiny_codec.compress_to(pixels, Target("psnr", 31))
    assert found.evaluations > 2
    assert begun == 1 if room else begun >= found.evaluations
    assert data == tiny_codec.compress(pixels, found.quality)


def test_tiles_beside_lossless_ones_begin_anew(tiny_coder: CodecModel) -> None:
    pixels = make_picture(128, 192)
    grid = latent_grid(128, 192)
    box = Box(0, 0, 4, 4)
    beside, corner = np.zeros((2, grid.height, grid.width), np.bool_)
    beside[:4, 4:8] = True
    corner[4:, 4:8] = True
    begun = BegunTiles(2**28)
    with torch.inference_mode():
        for lossless in (None, beside, corner, np.zeros_like(beside), beside):
            for index in (100, 300):
                kept, plain = (
                    view_tile(tiny_coder, pixels, box, index, lossless, each)
                    for each in (begun, None)
                )
                assert torch.equal(kept.y, plain.y)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["aecodec", *arguments])
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    return int(exit_.value.code or 0)


def test_the_command_line_meets_a_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Image.open(CHELSEA) as image:
        image.crop((100, 30, 356, 222)).save(tmp_path / "a.png")
    output = tmp_path / "a.aec"
    code = run(monkeypatch, "compress", str(tmp_path / "a.png"), "--bpp", "0.8", "-o", str(output))
    assert code == 0
    assert output.stat().st_size == pytest.approx(0.8 * 256 * 192 / 8, rel=0.01)
    assert "warning" not in capsys.readouterr().err


def test_the_command_line_warns_of_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(make_picture(60, 50)).save(tmp_path / "a.png")
    assert run(monkeypatch, "compress", str(tmp_path / "a.png"), "--size", "9MB") == 0
    assert "9e+06 bytes is out of reach" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ("--size", "9KB", "--bpp", "1"),
        ("-q", "50", "--psnr", "30"),
        ("--ssim", "0.9", "--max-error", "30"),
        ("--ssim", "38"),
        ("--max-error", "-1"),
        ("--lossless", "--psnr", "30"),
        ("--lossless", "--max-error", "2"),
        ("--size", "nine"),
        ("-q", "nan"),
    ],
)
def test_options_that_make_no_sense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
) -> None:  # fmt: skip
    assert run(monkeypatch, "compress", str(tmp_path / "a.png"), *options) in (1, 2)
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_picture_too_small_for_ms_ssim_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(make_picture(160, 300)).save(tmp_path / "a.png")
    assert run(monkeypatch, "compress", str(tmp_path / "a.png"), "--ssim", "0.98") == 1
    assert "MS-SSIM needs 161 pixels a side, the picture has 300x160" in capsys.readouterr().err
    assert not (tmp_path / "a.aec").exists()
