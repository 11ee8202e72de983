"""Effort: what the encoder gains by searching, and what it must not change."""

import math
from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture
from PIL import Image

from aecodec.codec import Codec
from aecodec.encoder.latent_refinement import EFFORTS
from aecodec.errors import InputError
from aecodec.options import EFFORT_MAX
from aecodec.picture.pixels import Pixels

CHELSEA = Path(__file__).resolve().parents[2] / "samples" / "chelsea.png"
QUALITY = 30


def loss(pixels: Pixels, decoded: Pixels, size: int) -> float:
    """`bits + lambda * 255**2 * MSE` for each pixel."""
    error = np.square(pixels.astype(float) - decoded).mean()
    weight = 0.001 * 200.0 ** (QUALITY / 100)
    return float(8 * size / (pixels.shape[0] * pixels.shape[1]) + weight * error)


def test_more_effort_costs_less() -> None:
    with Image.open(CHELSEA) as image:
        pixels = np.asarray(image.convert("RGB").crop((120, 40, 312, 232)))
    codec = Codec("aec-1")
    losses = []
    for effort in (0, 1, 3, 6):
        data = codec.compress(pixels, QUALITY, effort=effort)
        losses.append(loss(pixels, codec.decompress_array(data), len(data)))
    assert losses == sorted(losses, reverse=True)
    assert losses[1] < 0.99 * losses[0]
    assert losses[3] < 0.985 * losses[1]


def test_tiles_and_odd_sides(tiny_codec: Codec) -> None:
    pixels = make_picture(150, 131)
    data = tiny_codec.compress(pixels, QUALITY, effort=3, tile_exponent=6)
    plain = tiny_codec.compress(pixels, QUALITY, effort=0, tile_exponent=6)
    after, before = (
        loss(pixels, tiny_codec.decompress_array(each), len(each)) for each in (data, plain)
    )
    assert after < before


def test_gray(tiny_codec: Codec) -> None:
    pixels = make_picture(70, 50)[:, :, 0]
    data = tiny_codec.compress(pixels, QUALITY, effort=2)
    assert tiny_codec.decompress_array(data).shape == (70, 50)


def test_the_same_picture_gives_the_same_bytes(tiny_codec: Codec) -> None:
    pixels = make_picture(64, 80)
    first, second = (tiny_codec.compress(pixels, 60, effort=4) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("effort", [-1, 10, 1.5, True, "3", None, math.nan])
def test_bad_efforts_are_refused(tiny_codec: Codec, effort: object) -> None:
    with pytest.raises(InputError, match="effort must"):
        tiny_codec.compress(make_picture(16, 16), effort=effort)  # type: ignore[arg-type]


def test_progress_rises_to_one(tiny_codec: Codec) -> None:
    seen: list[float] = []
    tiny_codec.compress(make_picture(100, 70), effort=2, tile_exponent=6, progress=seen.append)
    assert seen == sorted(seen)
    assert len(seen) == 4 * (EFFORTS[2].rounds + 1)
    assert seen[-1] == 1.0


def test_rounds_rise_with_effort() -> None:
    assert len(EFFORTS) == EFFORT_MAX + 1
    rounds = [effort.rounds for effort in EFFORTS]
    assert rounds == sorted(rounds)
