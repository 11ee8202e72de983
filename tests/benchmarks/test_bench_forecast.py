"""The forecast: what is tried, what it says, and what nothing is known of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.cells import Plan
from benchmarks.codecs import ImageCodec, jpeg420
from benchmarks.forecast import TRIAL_SIDE, duration, trials


def write_picture(path: Path, width: int, height: int) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(path)
    return path


def watched(sizes: list[tuple[int, int]]) -> ImageCodec:
    base = jpeg420()

    def encode(image: Image.Image, quality: float) -> bytes:
        sizes.append(image.size)
        return base.encode(image, quality)

    return replace(base, encode=encode)


def failing() -> ImageCodec:
    def encode(_image: Image.Image, _quality: float) -> bytes:
        raise RuntimeError("broken")

    return replace(jpeg420(), name="broken", encode=encode)


def test_each_codec_is_tried_once_on_a_part_of_the_first_good_picture(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    good = write_picture(tmp_path / "good.png", 500, 90)
    sizes: list[tuple[int, int]] = []
    paths = [tmp_path / "bad.png", good]
    speeds = trials([watched(sizes), failing()], paths, Plan(metrics=("psnr",)))
    assert sizes == [(TRIAL_SIDE, 90)]
    whole = speeds.seconds("jpeg420", good)
    assert whole == pytest.approx(speeds.of_codecs["jpeg420"] * 500 * 90)
    assert whole > 0
    assert speeds.seconds("broken", good) == 0
    assert speeds.seconds("jpeg420", tmp_path / "bad.png") == 0


def test_only_the_measured_part_counts(tmp_path: Path) -> None:
    good = write_picture(tmp_path / "good.png", 500, 90)
    speeds = trials([jpeg420()], [good], Plan(metrics=("psnr",), side=100))
    assert speeds.seconds("jpeg420", good) == pytest.approx(speeds.of_codecs["jpeg420"] * 100 * 90)


def test_without_pictures_nothing_is_known(tmp_path: Path) -> None:
    assert trials([jpeg420()], [tmp_path / "none.png"], Plan()).of_codecs == {}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1 s"), (9.6, "10 s"), (33, "35 s"), (91, "2 min"), (3599, "60 min"), (5400, "1.5 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
