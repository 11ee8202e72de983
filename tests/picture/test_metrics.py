"""Measures of fidelity, against hand-made pictures and a second implementation."""

import math

import numpy as np
import pytest
import torch
from conftest import make_picture
from pytorch_msssim import ms_ssim

from aecodec.errors import InputError
from aecodec.picture.metrics import (
    MEASURES,
    PSNR_MAX,
    measure,
    pixels_max_error,
    pixels_ms_ssim,
    pixels_mse,
    pixels_psnr,
    psnr,
)
from aecodec.picture.pixels import Pixels, peak


def test_psnr() -> None:
    black, gray = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 10, np.uint8)
    assert pixels_psnr(black, black) == PSNR_MAX
    assert pixels_mse(black, gray) == 100
    assert pixels_psnr(black, gray) == psnr(100) == pytest.approx(10 * math.log10(65025 / 100))
    assert psnr(0.01, maximum=1) == pytest.approx(20)
    assert psnr(1e-12) == PSNR_MAX


def test_max_error_goes_both_ways() -> None:
    first, second = np.array([[0, 255, 7]], np.uint8), np.array([[200, 250, 7]], np.uint8)
    assert pixels_max_error(first, second) == 200
    assert pixels_max_error(second, first) == 200
    assert pixels_max_error(first, first) == 0


def test_ms_ssim_is_one_for_equal_pictures_and_falls_with_noise() -> None:
    picture = make_picture(170, 180)
    noise = np.random.default_rng(1).normal(size=picture.shape)
    noisy = [np.clip(picture + s * noise, 0, 255).astype(np.uint8) for s in (4, 16)]
    little, much = (pixels_ms_ssim(picture, each) for each in noisy)
    assert pixels_ms_ssim(picture, picture) == pytest.approx(1.0)
    assert 1 > little > much > 0


def test_ms_ssim_of_a_colour_picture_is_the_mean_of_its_channels() -> None:
    first = make_picture(170, 180)
    second = np.clip(first.astype(int) + np.array([0, 20, -30]), 0, 255).astype(np.uint8)
    second[::3] //= 2
    channels = [pixels_ms_ssim(first[..., c], second[..., c]) for c in range(3)]
    assert pixels_ms_ssim(first, second) == pytest.approx(sum(channels) / 3)


def published_ms_ssim(first: Pixels, second: Pixels) -> float:
    """By the package pytorch-msssim, in double precision."""
    planes = [
        torch.from_numpy(np.atleast_3d(each).transpose(2, 0, 1).astype(np.float64))[:, None]
        for each in (first, second)
    ]
    return float(ms_ssim(*planes, float(peak(first))))


@pytest.mark.parametrize("size", [(161, 161), (176, 200), (323, 275), (168, 641)])
@pytest.mark.parametrize("kind", ["noise", "strong noise", "steps", "negative", "gray", "deep"])
def test_ms_ssim_is_that_of_another_implementation(size: tuple[int, int], kind: str) -> None:
    first: Pixels = make_picture(*size, seed=3)
    rng = np.random.default_rng(5)
    second: Pixels = first // 16 * 16
    if kind.endswith("noise"):
        noise = rng.normal(0, 60 if kind == "strong noise" else 4, first.shape)
        second = np.clip(first + noise, 0, 255).astype(np.uint8)
    elif kind == "negative":
        second = 255 - first
    elif kind == "gray":
        first, second = first[..., 0], second[..., 0]
    elif kind == "deep":
        first, second = first.astype(np.uint16) * 257, second.astype(np.uint16) * 256 + 99
    expected = published_ms_ssim(first, second)
    assert pixels_ms_ssim(first, second) == pytest.approx(expected, abs=1e-5)


def test_ms_ssim_of_flat_pictures_is_their_brightness_alone() -> None:
    dark, light = np.zeros((176, 176), np.uint8), np.full((176, 176), 255, np.uint8)
    assert pixels_ms_ssim(dark, dark) == pytest.approx(1)
    assert pixels_ms_ssim(light, light) == pytest.approx(1)
    brightness = (1e-4 / (1 + 1e-4)) ** 0.1333
    assert pixels_ms_ssim(dark, light) == pytest.approx(brightness, abs=1e-5)


def test_ms_ssim_needs_room_for_its_window() -> None:
    with pytest.raises(InputError, match="needs 161 pixels a side, the picture has 200x160"):
        pixels_ms_ssim(make_picture(160, 200), make_picture(160, 200))
    assert pixels_ms_ssim(make_picture(161, 161), make_picture(161, 161)) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", MEASURES)
def test_hidden_pixels_do_not_count(kind: str) -> None:
    original = make_picture(161, 170)
    decoded, alpha = original.copy(), np.full((161, 170), 255, np.uint8)
    decoded[40:90] = 0
    alpha[40:90] = 0
    nothing_lost = MEASURES[kind](original, original)
    assert measure(kind, original, decoded, alpha) == pytest.approx(nothing_lost)
    assert measure(kind, original, decoded) != pytest.approx(nothing_lost)
    assert measure(kind, original, decoded, np.zeros_like(alpha)) == pytest.approx(nothing_lost)
