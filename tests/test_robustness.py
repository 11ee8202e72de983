"""Pictures that are no photographs, with the released weights: nothing diverges, no file is large.

Each is judged by what users can have instead: the PNG of the same picture, and a JPEG of twice the
file's size.
"""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFont

import aecodec
from aecodec.codec import shared_codec
from aecodec.format.chunks import LosslessTile
from aecodec.format.container import parse

Pixels = npt.NDArray[np.uint8 | np.uint16]
Make = Callable[[int, int], Pixels]
QUALITIES = (0, 30, 75, 100)
PNG_OVERHEAD = 64
"""Bytes that a file may exceed the PNG by."""
SAMPLES = Path(__file__).parent.parent / "samples"


def drawn(paint: Callable[[ImageDraw.ImageDraw, int, int], None]) -> Make:
    def make(height: int, width: int) -> Pixels:
        image = Image.new("RGB", (width, height), (245, 245, 248))
        paint(ImageDraw.Draw(image), width, height)
        return np.asarray(image)

    return make


def text(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    for top in range(0, height, 12):
        draw.text((2, top), f"the quick brown fox {top * width}", (20, 20, 20), _font())


def screenshot(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    draw.rectangle((0, 0, width, 14), (45, 90, 160))
    draw.text((4, 1), "File  Edit  View", "white", _font())
    for number, top in enumerate(range(20, height - 8, 18)):
        draw.rectangle((6, top, width - 8, top + 13), (255, 255, 255), (120, 120, 130))
        draw.text((10, top + 1), f"value {number * 37}", (200, 30 * number % 255, 30), _font())


def line_art(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    for n in range(10):
        draw.line((n * 7 % width, 0, width - n * 11 % width, height), "black")
        draw.ellipse((n * 2, n * 3, width - n * 2, height - n * 3), outline="black")


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=10)


def pattern(formula: Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], object]) -> Make:
    """Gray, 0 to 255, from row and column."""

    def make(height: int, width: int) -> Pixels:
        rows, columns = np.mgrid[:height, :width]
        gray = np.broadcast_to(np.asarray(formula(rows, columns)), (height, width))
        return np.repeat(gray.astype(np.uint8)[:, :, None], 3, axis=2)

    return make


def coloured(make: Make, low: tuple[int, int, int], high: tuple[int, int, int]) -> Make:
    def paint(height: int, width: int) -> Pixels:
        share = make(height, width) / 255
        return (share * high + (1 - share) * low).astype(np.uint8)

    return paint


def noise(levels: int, *, gray: bool = False) -> Make:
    def make(height: int, width: int) -> Pixels:
        shape = (height, width, 1 if gray else 3)
        values = np.random.default_rng(levels).integers(0, levels, shape) * (255 // (levels - 1))
        return np.ascontiguousarray(np.broadcast_to(values.astype(np.uint8), (height, width, 3)))

    return make


def repeated(make: Make, side: int) -> Make:
    def tile(height: int, width: int) -> Pixels:
        copies = (-(-height // side), -(-width // side), 1)
        return np.ascontiguousarray(np.tile(make(side, side), copies)[:height, :width])

    return tile


checkers = pattern(lambda y, x: (y + x) % 2 * 255)
PICTURES: dict[str, Make] = {
    "text": drawn(text),
    "screenshot": drawn(screenshot),
    "line art": drawn(line_art),
    "black": pattern(lambda y, x: 0),
    "white": pattern(lambda y, x: 255),
    "red": coloured(pattern(lambda y, x: 255), (0, 0, 0), (255, 0, 0)),
    "checkers of 1": checkers,
    "checkers of 8": pattern(lambda y, x: (y // 8 + x // 8) % 2 * 255),
    "red and cyan": coloured(checkers, (255, 0, 0), (0, 255, 255)),
    "blue and yellow": coloured(pattern(lambda y, x: x // 9 % 2 * 255), (0, 0, 255), (255, 255, 0)),
    "stripes": pattern(lambda y, x: x % 2 * 255),
    "one pixel": pattern(lambda y, x: ((y == 7) & (x == 5)) * 255),
    "dots": pattern(lambda y, x: ((y % 16 == 0) & (x % 16 == 0)) * 255),
    "ramp": pattern(lambda y, x: x * 255 // max(x.shape[1] - 1, 1)),
    "slope": pattern(lambda y, x: (x + y) * 255 // (x.shape[0] + x.shape[1])),
    "zone plate": pattern(lambda y, x: 127.5 + 127.5 * np.cos((x**2 + y**2) / 40)),
    "noise": noise(256),
    "saturated noise": noise(2),
    "gray noise": noise(256, gray=True),
    "repeated noise": repeated(noise(256), 24),
}


def encoded(pixels: Pixels, kind: str, **options: object) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, kind, optimize=True, **options)
    return file.getvalue()


def psnr(a: Pixels, b: Pixels) -> float:
    mse = float(np.mean((a.astype(float) - b) ** 2))
    return float(10 * np.log10(255**2 / max(mse, 1e-9)))


def jpeg_psnr(pixels: Pixels, size: int) -> float:
    """The best of all JPEGs of at most `size` bytes; 0 if there is none."""
    best = 0.0
    for quality in range(1, 97, 5):
        data = encoded(pixels, "JPEG", quality=quality)
        if len(data) <= size:
            with Image.open(BytesIO(data)) as image:
                best = max(best, psnr(pixels, np.asarray(image)))
    return best


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("gray", [False, True], ids=["RGB", "gray"])
def test_no_picture_costs_more_than_png_or_looks_worse_than_jpeg(name: str, gray: bool) -> None:
    pixels = PICTURES[name](90, 110)
    pixels = np.ascontiguousarray(pixels[:, :, 0]) if gray else pixels
    png = len(encoded(pixels, "PNG"))
    for quality in QUALITIES:
        data = aecodec.compress(pixels, quality)
        decoded = aecodec.decompress_array(data)
        assert decoded.shape == pixels.shape
        assert decoded.dtype == np.uint8
        assert len(data) <= png + PNG_OVERHEAD, quality
        if not np.array_equal(decoded, pixels):
            assert psnr(decoded, pixels) >= jpeg_psnr(pixels, 2 * len(data)), quality


@pytest.mark.parametrize("name", PICTURES)
def test_the_model_alone_does_not_diverge(name: str) -> None:
    """It is at worst as far off as a gray surface, or 28 dB where that is closer."""
    pixels = PICTURES[name](64, 80)
    gray = psnr(pixels, np.full_like(pixels, 128))
    for quality in (0, 100):
        data = shared_codec().compress(pixels, quality, lossless_tiles=False)
        found = psnr(shared_codec().decompress_array(data), pixels)
        assert found >= min(gray - 0.5, 28), quality


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 5), (1, 97), (97, 1), (17, 33)])
@pytest.mark.parametrize("name", ["text", "red", "slope", "noise", "gray noise"])
def test_no_size_costs_more_than_png(name: str, size: tuple[int, int]) -> None:
    pixels = PICTURES[name](*size)
    for quality in (0, 100):
        data = aecodec.compress(pixels, quality)
        assert aecodec.decompress_array(data).shape == pixels.shape
        assert len(data) <= len(encoded(pixels, "PNG")) + PNG_OVERHEAD


@pytest.mark.parametrize("name", ["screenshot", "line art", "slope", "repeated noise"])
def test_many_tiles_cost_no_more_than_one_png(name: str) -> None:
    pixels = PICTURES[name](150, 200)
    data = shared_codec().compress(pixels, 90, tile_exponent=6)
    assert len(data) <= len(encoded(pixels, "PNG")) + PNG_OVERHEAD
    np.testing.assert_array_equal(shared_codec().decompress_array(data), pixels)


def sample(name: str) -> Pixels:
    with Image.open(SAMPLES / f"{name}.png") as image:
        return np.asarray(image)[100:228, 100:292]


@pytest.mark.parametrize("quality", [20, 75])
def test_no_seam_beside_lossless_tiles(quality: float) -> None:
    """At the border a learned tile is as good as where its neighbour is learned too."""
    pixels = sample("chelsea").copy()
    whole = shared_codec().compress(pixels, quality, tile_exponent=6)
    pixels[:64, 64:128] = PICTURES["checkers of 8"](64, 64)
    mixed = shared_codec().compress(pixels, quality, tile_exponent=6)
    kinds = [isinstance(tile, LosslessTile) for tile in parse(mixed).tiles]
    assert kinds == [False, True, False, False, False, False]
    assert not parse(whole).lossless_count
    before, after = (shared_codec().decompress_array(data) for data in (whole, mixed))
    ring = np.zeros(pixels.shape[:2], np.bool_)
    ring[:80, 48:144] = True
    ring[:64, 64:128] = False
    assert psnr(after[ring], pixels[ring]) >= psnr(before[ring], pixels[ring]) - 0.3


@pytest.mark.parametrize("name", ["chelsea", "astronaut", "camera", "coffee", "rocket"])
def test_photographs_are_learned(name: str) -> None:
    pixels = sample(name)
    for quality in (10, 60, 100):
        assert not parse(aecodec.compress(pixels, quality)).lossless_count
