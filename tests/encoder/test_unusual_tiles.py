"""Which tiles are worth a lossless try, and what it is expected to cost."""

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture

from aecodec.coding.lossless import encode_pixels
from aecodec.encoder.mode_selection import estimate_bytes, is_unusual, roughness

Pixels = npt.NDArray[np.uint8 | np.uint16]


def blocks(height: int, width: int) -> Pixels:
    """Few colours in large blocks, as in a drawing."""
    coarse = np.random.default_rng(3).integers(0, 4, (height // 8 + 1, width // 8 + 1, 3)) * 85
    return coarse.astype(np.uint8).repeat(8, 0).repeat(8, 1)[:height, :width]


def test_the_estimate_is_near_the_size() -> None:
    for pixels in (make_picture(300, 400), blocks(300, 400), make_picture(20, 9)):
        size = encode_pixels(pixels).size
        assert size / 3 < estimate_bytes(pixels) < 3 * size


def test_roughness_is_the_variance_of_noise_and_0_in_ramps() -> None:
    noise = np.random.default_rng(0).normal(128, 20, (200, 200, 3)).astype(np.uint8)
    assert roughness(noise) == pytest.approx(400, rel=0.1)
    ramp = np.add.outer(np.arange(100), np.arange(100)).astype(np.uint8)
    assert roughness(ramp) == 0
    assert roughness(ramp[:1]) == 0


def test_only_unusual_tiles_are_tried() -> None:
    photo = np.clip(
        make_picture(200, 300).astype(int) + make_picture(200, 300, seed=2) % 16, 0, 255
    )
    photo = photo.astype(np.uint8)
    estimate = estimate_bytes(photo)
    assert not is_unusual(photo, estimate, estimate // 4)
    assert is_unusual(photo, estimate, estimate // 2 + 1)
    flat = blocks(200, 300)
    assert is_unusual(flat, estimate_bytes(flat), 0)
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    assert is_unusual(noise, estimate_bytes(noise), 0)
