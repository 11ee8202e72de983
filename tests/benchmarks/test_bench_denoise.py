"""Parts of the denoise benchmark."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import make_picture
from PIL import Image

from aecodec.codec import Codec
from benchmarks.denoise import estimates, lost_when_clean, main, measure, noisy, psnr, rivals

PICTURE = make_picture(96, 128)


def test_noise_is_seeded_and_has_its_level() -> None:
    first, second = noisy(PICTURE, 20, 1), noisy(PICTURE, 20, 1)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, noisy(PICTURE, 20, 2))
    assert np.std(first.astype(float) - PICTURE) == pytest.approx(20, rel=0.05)


def test_psnr_is_of_what_can_be_seen() -> None:
    assert psnr(PICTURE, PICTURE + np.full(PICTURE.shape, 5.0)) == pytest.approx(34.15, abs=0.05)
    white = np.full((4, 4, 3), 255, np.uint8)
    assert psnr(white, white + 30.0) > 100


def test_rivals_take_noise_out_of_a_smooth_picture(tiny_codec: Codec) -> None:
    quality, rates, seconds = measure(tiny_codec, [PICTURE], 25, rivals(with_bm3d=False))
    assert set(seconds) == set(quality)
    assert set(rates) == {"as it is", "denoised"}
    for name in rivals(with_bm3d=False):
        assert quality[name] > quality["noisy"] + 2


def test_levels_and_losses_of_each_picture(tiny_codec: Codec) -> None:
    assert estimates([PICTURE, PICTURE], 20) == pytest.approx([20, 20], rel=0.1)
    flat = np.full((40, 40, 3), 90, np.uint8)
    assert lost_when_clean(tiny_codec, [flat]) == (0, 0)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path)])
    assert result.exit_code == 1
    assert "no pictures found" in result.output


@pytest.mark.slow
def test_the_table_has_every_row(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    result = CliRunner().invoke(main, [str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "| 1 pictures, PSNR in dB | 15 | 25 | 50 | CPU s |" in result.output
    for name in (*rivals(with_bm3d=False), "bits per pixel, denoised", "noise of 50", "clean"):
        assert name in result.output
