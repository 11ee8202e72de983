"""Effort: what the encoder gains by searching, and what it must not change."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_picture
from PIL import Image

from aecodec.autoencoder.mixture_text import parse_mixture
from aecodec.codec import Codec
from aecodec.encoder.effort import EFFORTS
from aecodec.errors import InputError
from aecodec.options import EFFORT_MAX, SEARCH_EFFORT
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
    for effort in (0, 1, 2, 3, 6):
        data = codec.compress(pixels, QUALITY, effort=effort)
        losses.append(loss(pixels, codec.decompress_array(data), len(data)))
    assert losses == sorted(losses, reverse=True)
    assert losses[1] < 0.99 * losses[0]
    assert losses[2] < 0.998 * losses[1]
    assert losses[4] < 0.99 * losses[2]


def test_the_model_for_the_eye_lowers_what_it_was_trained_for() -> None:
    with Image.open(CHELSEA) as image:
        pixels = np.asarray(image.convert("RGB").crop((120, 40, 296, 216)))
    codec = Codec("aec-1-visual")
    mixture = parse_mixture(codec.encoder.search.distortion)
    losses = []
    for effort in (1, 2, 4):
        data = codec.compress(pixels, QUALITY, effort=effort, variance_boost=0)
        decoded = codec.decompress_array(data)
        found, original = (
            torch.from_numpy(each.astype(np.float32) / 255).permute(2, 0, 1)[None]
            for each in (decoded, pixels)
        )
        rate = 8 * len(data) / (pixels.shape[0] * pixels.shape[1])
        losses.append(rate + 0.001 * 200.0 ** (QUALITY / 100) * mixture(found, original).item())
    assert losses[1] < 0.998 * losses[0]
    assert losses[2] < 0.995 * losses[1]


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
    data = tiny_codec.compress(pixels, QUALITY, effort=3)
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
    tiny_codec.compress(make_picture(100, 70), effort=3, tile_exponent=6, progress=seen.append)
    assert seen == sorted(seen)
    assert len(seen) == 4 * EFFORTS[3].steps
    assert seen[-1] == 1.0


def test_steps_rise_with_effort() -> None:
    assert len(EFFORTS) == EFFORT_MAX + 1
    steps = [effort.steps for effort in EFFORTS]
    assert steps == sorted(steps)
    assert [effort.rounds > 0 for effort in EFFORTS] == [n >= SEARCH_EFFORT for n in range(10)]
