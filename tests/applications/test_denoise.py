"""Pictures without their noise: how much goes, what stays, and the level that is found."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture
from PIL import Image

import aecodec
from aecodec.codec import Codec, shared_codec
from aecodec.encoder.noise import noise_level
from aecodec.encoder.shrinkage import Shrinkage, averaged
from aecodec.errors import InputError
from aecodec.format.container import parse
from aecodec.options import EncodeOptions, Target
from aecodec.picture.picture import Picture
from aecodec.picture.pixels import Pixels
from aecodec.picture.row_readers import PictureRows, open_rows

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "chelsea.png"


def noisy(pixels: Pixels, level: float, seed: int = 0) -> Pixels:
    """The same picture with white noise, of the same depth."""
    step = 257 if pixels.dtype == np.uint16 else 1
    noise = np.random.default_rng(seed).normal(0, level * step, pixels.shape)
    return np.rint(pixels + noise).clip(0, 255 * step).astype(pixels.dtype)


def distance(a: Pixels, b: Pixels) -> float:
    """Root of the mean squared difference in 8-bit steps."""
    step = 257 if a.dtype == np.uint16 else 1
    return float(np.sqrt(np.mean((a.astype(np.float64) - b) ** 2))) / step


def level_of(pixels: Pixels, alpha: Pixels | None = None) -> float:
    return noise_level(PictureRows(Picture(pixels, alpha=alpha)))


@pytest.fixture(scope="module")
def sample() -> npt.NDArray[np.uint8]:
    with Image.open(SAMPLE) as image:
        return np.asarray(image.convert("RGB"))[:256, 60:380]


@pytest.mark.parametrize("level", [15, 25, 50])
def test_most_of_the_noise_goes_and_its_bits(sample: Pixels, level: int) -> None:
    codec, noise = shared_codec(), noisy(sample, level)
    plain, denoised = codec.compress(noise), codec.compress(noise, denoise=level)
    assert len(denoised) < 0.7 * len(plain)
    assert distance(codec.decompress_array(denoised), sample) < 0.6 * level
    assert distance(aecodec.denoise(noise, level), sample) < 0.55 * level


def test_a_search_makes_it_smaller_and_does_not_restore_the_noise(sample: Pixels) -> None:
    codec, part = shared_codec(), np.ascontiguousarray(sample[:128, :128])
    noise = noisy(part, 25)
    fast, slow = (codec.compress(noise, denoise=25, effort=effort) for effort in (1, 3))
    assert len(slow) < len(fast)
    far = distance(codec.decompress_array(fast), part)
    assert distance(codec.decompress_array(slow), part) < 1.05 * far


@pytest.mark.parametrize("level", [5, 15, 30, 50])
@pytest.mark.parametrize("kind", ["rgb", "gray", "16 bit"])
def test_the_level_is_found(sample: Pixels, level: int, kind: str) -> None:
    pixels = {
        "rgb": sample, "gray": sample[:, :, 1], "16 bit": sample.astype(np.uint16) * 257,
    }[kind]  # fmt: skip
    assert level_of(noisy(pixels, level)) == pytest.approx(level, rel=0.12)


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((64, 80, 3), 200, np.uint8),
        np.zeros((300, 300), np.uint16),
        np.full((1, 1), 3, np.uint8),
        noisy(np.full((6, 7, 3), 100, np.uint8), 20),
        np.indices((90, 90)).sum(0).astype(np.uint8),
    ],
    ids=["one colour", "black", "a pixel", "tiny", "ramp"],
)
def test_pictures_without_noise_to_be_seen_stay_as_they_are(
    tiny_codec: Codec, pixels: Pixels
) -> None:
    assert level_of(pixels) == 0
    assert np.array_equal(aecodec.denoise(pixels, codec=tiny_codec), pixels)
    assert tiny_codec.compress(pixels, denoise="auto") == tiny_codec.compress(pixels)
    assert tiny_codec.compress(pixels, denoise=0) == tiny_codec.compress(pixels)


def test_a_clean_photograph_stays_as_it_is(sample: Pixels) -> None:
    assert level_of(sample) == 0


def test_hidden_pixels_say_nothing_of_the_level(sample: Pixels) -> None:
    alpha = np.full(sample.shape[:2], 255, np.uint8)
    alpha[:, :200] = 0
    pixels = sample.copy()
    pixels[:, :200] = noisy(pixels[:, :200], 40)
    assert level_of(pixels, alpha) == level_of(np.ascontiguousarray(pixels[:, 200:])) == 0


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (40, 17), (130, 90)])
@pytest.mark.parametrize("kind", ["rgb", "gray", "alpha", "16 bit"])
def test_every_kind_keeps_its_size_type_and_alpha(
    tiny_codec: Codec, size: tuple[int, int], kind: str
) -> None:
    pixels: Pixels = noisy(make_picture(*size), 20)
    if kind == "gray":
        pixels = np.ascontiguousarray(pixels[:, :, 0])
    elif kind == "alpha":
        pixels = np.dstack((pixels, np.arange(size[0] * size[1]).reshape(size).astype(np.uint8)))
    elif kind == "16 bit":
        pixels = pixels.astype(np.uint16) * 257
    file = tiny_codec.compress(pixels, denoise=20)
    for found in (
        aecodec.denoise(pixels, 20, codec=tiny_codec), tiny_codec.decompress_array(file),
    ):  # fmt: skip
        assert (found.shape, found.dtype) == (pixels.shape, pixels.dtype)
        if kind == "alpha":
            assert np.array_equal(found[:, :, 3], pixels[:, :, 3])
    assert parse(file).lossless_count == 0


@pytest.mark.parametrize("wish", [12, "auto"])
def test_rows_of_a_file_give_the_bytes_of_the_whole_picture(
    tiny_codec: Codec, tmp_path: Path, wish: Any  # noqa: ANN401
) -> None:  # fmt: skip
    pixels, path = noisy(make_picture(900, 70), 12), tmp_path / "a.ppm"
    Image.fromarray(pixels).save(path)
    options = EncodeOptions(denoise=wish, tile_exponent=6)
    with open_rows(path) as rows:
        assert rows is not None
        assert rows.picture is None
        streamed = b"".join(tiny_codec.compress_rows(rows, options))
    assert streamed == tiny_codec.compress(pixels, options=options)


def test_sixteen_bits_are_denoised_as_eight_are(sample: Pixels) -> None:
    noise = noisy(sample, 20)
    deep = aecodec.denoise(noise.astype(np.uint16) * 257, 20)
    eight = aecodec.denoise(noise, 20)
    assert distance(deep, eight.astype(np.uint16) * 257) < 0.5


def test_tiles_meet_without_seams(tiny_codec: Codec) -> None:
    """A single tile and many give nearly the same."""
    pixels = noisy(make_picture(192, 192), 15)
    one, many = (
        tiny_codec.decompress_array(tiny_codec.compress(pixels, denoise=15, tile_exponent=exponent))
        for exponent in (8, 6)
    )
    assert distance(one, many) < 3


def test_a_size_is_met_with_noise_taken_out(sample: Pixels) -> None:
    data, found = shared_codec().compress_to(
        noisy(sample, 25), Target("size", 6000), denoise="auto"
    )
    assert found.met
    assert abs(len(data) - 6000) <= 60


def test_variances_grow_with_the_level(tiny_coder: Any) -> None:  # noqa: ANN401
    low, high = (Shrinkage(tiny_coder, level).variances(300, gray=False) for level in (10, 20))
    assert 3 < (high.sum() / low.sum()) < 5


def test_averages_keep_what_is_constant() -> None:
    x = np.full((3, 9, 2), 5, np.float32)
    np.testing.assert_allclose(averaged(x, 2.0), x, rtol=1e-6)


@pytest.mark.parametrize(
    ("strength", "message"),
    [
        (-1, r"denoise must lie in \[0, 100\], not -1"),
        (float("nan"), "denoise must lie in"),
        (101, "denoise must lie in"),
        ("", "denoise takes \"auto\" or a number, not ''"),
        ("strong", "denoise takes"),
        (True, "denoise must be a number, not bool"),
        ([5], "denoise must be a number, not list"),
    ],
)
def test_wrong_strengths(strength: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(InputError, match=message):
        EncodeOptions(denoise=strength)
    with pytest.raises(InputError, match=message):
        aecodec.denoise(np.zeros((4, 4), np.uint8), strength)


@pytest.mark.parametrize(
    "others",
    [
        {"lossless": True},
        {"max_error": 3},
        {"target": Target("psnr", 35)},
        {"target": Target("ssim", 0.9)},
    ],
    ids=str,
)
def test_what_would_keep_the_noise_is_refused(others: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"denoise and .* exclude each other"):
        EncodeOptions(denoise="auto", **others)
