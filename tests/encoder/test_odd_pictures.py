"""Pictures unlike photographs: near the original or exact, and not much larger than their PNG."""

from collections.abc import Callable
from functools import partial
from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture
from PIL import Image

from aecodec.codec import Codec
from aecodec.encoder.detail import find_detail
from aecodec.encoder.mode_selection import larger_exponents
from aecodec.format.chunks import Header, LosslessTile, PixelFormat
from aecodec.format.container import parse

Pixels = npt.NDArray[np.uint8]

HEIGHT, WIDTH = 120, 152
CLOSE = 32.0
"""PSNR in dB at quality 100 of whatever is not exact."""
TILE_ROOM = 60
"""Bytes over the PNG of each further tile, of pictures too long for one."""

Y, X = np.mgrid[:HEIGHT, :WIDTH]
COLOURS = np.array([(255, 20, 120), (0, 120, 200)])


def noise(deviation: float, seed: int = 0) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, deviation, (HEIGHT, WIDTH, 3))


def clipped(values: npt.NDArray[np.float64]) -> Pixels:
    pixels: Pixels = np.clip(values, 0, 255).astype(np.uint8)
    return pixels


def scene() -> Pixels:
    return clipped(make_picture(HEIGHT, WIDTH) + noise(3))


def pattern(index: npt.NDArray[np.int_], deviation: float = 12) -> Pixels:
    """Two colours, by the parity of an index, with noise."""
    return clipped(COLOURS[index % 2] + noise(deviation))


def rows_of_two(step: int = 1) -> Pixels:
    pixels, other = scene(), scene()[::-1, ::-1]
    return np.where((Y // step % 2 == 0)[:, :, None], pixels, other)


def columns_of_two() -> Pixels:
    return np.where((X % 2 == 0)[:, :, None], scene(), scene()[::-1, ::-1])


def fields() -> Pixels:
    """Interlaced rows of a picture that moves."""
    pixels = scene()
    pixels[1::2] = np.roll(pixels, 12, axis=1)[1::2]
    return pixels


def bayer() -> Pixels:
    channel = np.array([[0, 1], [1, 2]])[Y % 2, X % 2]
    return np.take_along_axis(scene(), channel[:, :, None], 2)[:, :, 0]


def mosaic(side: int) -> Pixels:
    coarse = np.random.default_rng(2).integers(0, 256, (HEIGHT // side, WIDTH // side, 3))
    return clipped(coarse.repeat(side, 0).repeat(side, 1) + noise(4)[:120, : WIDTH // side * side])


def dots() -> Pixels:
    pixels = scene()
    pixels[np.random.default_rng(3).random((HEIGHT, WIDTH)) < 0.02] = 255, 0, 255
    return pixels


def dithered() -> Pixels:
    return np.asarray(Image.fromarray(scene()).convert("1").convert("RGB"))


def random_pixels(*shape: int) -> Pixels:
    return np.random.default_rng(4).integers(0, 256, shape, dtype=np.uint8)


ODD: dict[str, Callable[[], Pixels]] = {
    "rows of two": rows_of_two,
    "pairs of rows of two": lambda: rows_of_two(2),
    "columns of two": columns_of_two,
    "fields": fields,
    "negative rows": lambda: np.where((Y % 2 == 0)[:, :, None], scene(), 255 - scene()),
    "dark rows": lambda: scene() // (1 + (Y % 2)[:, :, None]).astype(np.uint8),
    **{f"stripes of {k} rows": partial(pattern, Y // k) for k in (1, 2, 3, 4)},
    **{f"stripes of {k} columns": partial(pattern, X // k) for k in (1, 2, 3, 4)},
    "slanted stripes": lambda: pattern((X + Y) // 3),
    **{f"squares of {k}": partial(pattern, Y // k + X // k) for k in (1, 2, 3)},
    "half stripes": lambda: np.where((X < 40)[:, :, None], pattern(Y), scene()),
    "noise of rows": lambda: clipped(scene() + noise(40)[:, :1]),
    "noise of columns": lambda: clipped(scene() + noise(40)[:1]),
    "weak noise": lambda: clipped(128 + noise(10)),
    "strong noise": lambda: clipped(128 + noise(40)),
    "random colours": lambda: random_pixels(HEIGHT, WIDTH, 3),
    "random gray": lambda: random_pixels(HEIGHT, WIDTH),
    "dither": dithered,
    "sensor": bayer,
    "mosaic of 4": lambda: mosaic(4),
    "mosaic of 8": lambda: mosaic(8),
    "dots": dots,
    "wave": lambda: clipped(128 + 110 * np.cos(Y * 2.6)[:, :, None] + noise(4)),
    "ramp": lambda: clipped((Y + X)[:, :, None] * 0.9 + noise(3)),
    "one row": lambda: scene()[50:51],
    "one column": lambda: np.ascontiguousarray(scene()[:, 50:51]),
    "random row": lambda: random_pixels(1, 300, 3),
    "four pixels": lambda: random_pixels(2, 2, 3),
    "one pixel": lambda: random_pixels(1, 1, 3),
}


def psnr(a: Pixels, b: npt.NDArray[np.uint8 | np.uint16]) -> float:
    error = float(np.mean(np.square(a.astype(np.float64) - b)))
    return float(10 * np.log10(65025 / error)) if error else float("inf")


def png_size(pixels: Pixels) -> int:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return file.tell()


@pytest.fixture(scope="module")
def released() -> Codec:
    return Codec()


@pytest.mark.parametrize("name", ODD)
def test_every_picture_is_close_at_quality_100(released: Codec, name: str) -> None:
    pixels = ODD[name]()
    data = released.compress(pixels, 100)
    assert psnr(pixels, released.decompress_array(data)) >= CLOSE
    assert len(data) <= png_size(pixels) + 64


@pytest.mark.parametrize(
    "name",
    ["stripes of 3 rows", "stripes of 2 rows", "stripes of 1 columns", "noise of columns", "wave"],
)
def test_where_the_model_fails_pixels_are_exact_at_the_usual_quality(
    released: Codec, name: str
) -> None:
    pixels = ODD[name]()
    np.testing.assert_array_equal(released.decompress_array(released.compress(pixels)), pixels)


def test_failed_tiles_are_found_in_16_bits_too(released: Codec) -> None:
    pixels = pattern(Y // 2).astype(np.uint16) * 257 + 3
    np.testing.assert_array_equal(released.decompress_array(released.compress(pixels)), pixels)


def test_detail_is_the_variance_of_noise_and_has_a_place() -> None:
    assert find_detail(clipped(128 + noise(20))).energy == pytest.approx(400, rel=0.1)
    assert find_detail(np.full((1, 1, 3), 9, np.uint8)).energy == 0
    for turned in (False, True):
        pixels = np.full((300, 400), 90, np.uint8)
        pixels[130:190, 200:250] = np.arange(60)[:, None] % 2 * 200
        detail = find_detail(np.ascontiguousarray(pixels.T) if turned else pixels)
        place = (detail.column, detail.row) if turned else (detail.row, detail.column)
        assert place == (128, 192)


def long_rows(*shape: int) -> Pixels:
    """Runs of few colours along the longest side."""
    generator = np.random.default_rng(5)
    colours = generator.integers(0, 256, (4, 3), dtype=np.uint8)
    axis = int(np.argmax(shape))
    length = shape[axis]
    line = colours[generator.integers(0, 4, -(-length // 70))].repeat(70, 0)[:length]
    return np.ascontiguousarray(np.broadcast_to(np.expand_dims(line, 1 - axis), (*shape, 3)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape", [(3, 70000), (70000, 3), (2, 16384), (16383, 1), (3, 16385), (40, 17000)]
)
def test_long_pictures_of_few_colours_stay_near_their_png(
    tiny_codec: Codec, shape: tuple[int, int]
) -> None:
    pixels = long_rows(*shape)
    for part in (pixels, np.ascontiguousarray(pixels[:, :, 0])):
        data = tiny_codec.compress(part)
        stream = parse(data)
        assert all(isinstance(tile, LosslessTile) for tile in stream.tiles)
        beyond = max(-(-max(shape) // 2**13) - 1, 0) if max(shape) > 2**14 else 0
        assert len(data) <= png_size(part) + 64 + TILE_ROOM * beyond
        np.testing.assert_array_equal(tiny_codec.decompress_array(data), part)


def test_the_largest_tiles_may_exceed_what_webp_can_hold(tiny_codec: Codec) -> None:
    for shape in ((1, 16384), (16384, 1)):
        pixels = long_rows(*shape)
        data = tiny_codec.compress(pixels, tile_exponent=14)
        np.testing.assert_array_equal(tiny_codec.decompress_array(data), pixels)


@pytest.mark.parametrize(
    ("size", "exponents"),
    [
        ((1024, 1024), []),
        ((1025, 9), [11]),
        ((9, 16383), [14]),
        ((16384, 9), [13, 14]),
        ((90000, 9), [13, 14]),
    ],
)
def test_larger_tiles_are_those_that_are_fewer(size: tuple[int, int], exponents: list[int]) -> None:
    header = Header(*size, PixelFormat.RGB8, 10, 0, b"tiny")
    assert larger_exponents(header) == exponents
