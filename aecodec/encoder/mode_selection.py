"""Decides which tiles of a picture keep their pixels, by what both ways really cost.

The learned tiles come first. A sample of its pixels says whether a tile is unlike photographs; if
so, the lossless coders run, and the smaller result replaces the learned tile where

- it costs less: `8 * bytes + lambda * 255^2 * MSE * pixels`, the sum that the model is trained to
  lower, with the lambda of the quality and the MSE of [0, 1] pixels, which is 0 when lossless, or
- the model fails: a JPEG (4:2:0, `optimize=True`) of at most twice the learned bytes is closer.

Where nothing is visible, lossless tiles hold 0; the learned ones keep their smooth continuation of
what is. Where many small tiles may exceed one PNG of the whole picture, that is tried too, and the
picture becomes a single tile if the PNG is smaller.
"""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from aecodec.coding.lossless import encode_pixels, encode_png, quick_size
from aecodec.format.chunks import (
    TILE_EXPONENT_MAX,
    TILE_EXPONENT_MIN,
    AnyTile,
    Header,
    Tile,
)
from aecodec.format.constants import STRIDE
from aecodec.format.container import Stream, serialize
from aecodec.format.tiling import tile_boxes
from aecodec.picture.pixels import SIXTEEN_BIT_STEP, Pixels, exact_eight_bit, to_eight_bit

Render = Callable[[Stream], Pixels]

DEFLATE_RATIO = 1032
"""No zlib stream is shorter than its content by more than this factor."""
JPEG_QUALITY_MAX = 100
WHOLE_RATIO = 3.0
"""A whole PNG is tried unless lossless coding seems to need this many times the tiles' bytes."""
STRIP_PIXELS = 2**16 // 3
"""Pixels of one sample; in RGB twice as far as PNG looks back, so it finds what that does."""
LIKELY_BPP = 2.5
"""Lossless bits per pixel that photographs do not reach."""
LEARNED_RATIO = 2.0
"""Lossless over learned bytes; photographs have 3.5 or more at any quality."""
FLAT = 0.6
"""Part of the pixels that equal their left neighbour; photographs have 0.02 to 0.4."""
ROUGH = 400.0
"""Mean square of the finest diagonal detail, in 8-bit steps; photographs have 5 to 200."""


def choose_tile(
    header: Header, tile: Tile, part: Pixels, plain: Pixels, lmbda: float, render: Render
) -> tuple[AnyTile, int]:
    """A learned tile or its lossless replacement, and about how many bytes the latter takes.

    Args:
        header: of the picture.
        tile: the learned one.
        part: its pixels, `(h, w, 3)` or `(h, w)`, uint8 or uint16.
        plain: what a lossless tile would hold: the same, but 0 where nothing is visible.
        lmbda: weight of distortion, in bits per pixel and squared 8-bit step.
        render: decodes a stream of one learned tile.
    """
    estimate = estimate_bytes(plain)
    if not is_unusual(plain, estimate, tile.size):
        return tile, estimate
    stored = encode_pixels(plain)
    if stored.size <= tile.size:
        return stored, estimate
    size = {"width": part.shape[1], "height": part.shape[0]}
    alone = Stream(replace(header.opaque, **size), (tile,))
    error = _mse(part, render(alone))
    if 8 * (stored.size - tile.size) <= lmbda * error * part.shape[0] * part.shape[1]:
        return stored, estimate
    limit = 2 * len(serialize(alone))
    return (stored if _jpeg_error(part, limit) < error else tile), estimate


def _mse(a: Pixels, b: Pixels) -> float:
    """Mean square difference in 8-bit steps, of pictures of any depths."""
    return float(np.mean(np.square(_in_bytes(a) - _in_bytes(b)), dtype=np.float64))


def _in_bytes(pixels: Pixels) -> npt.NDArray[np.float32]:
    x = pixels.astype(np.float32)
    if pixels.dtype == np.uint16:
        x *= np.float32(1 / SIXTEEN_BIT_STEP)
    return x


def _jpeg_error(pixels: Pixels, limit: int) -> float:
    """MSE of the best JPEG of at most `limit` bytes; infinity if there is none."""
    best = b""
    low, high = 0, JPEG_QUALITY_MAX
    while low < high:
        quality = (low + high + 1) // 2
        data = _jpeg(pixels, quality)
        if data and len(data) <= limit:
            low, best = quality, data
        else:
            high = quality - 1
    if not best:
        return float("inf")
    with Image.open(BytesIO(best)) as image:
        return _mse(pixels, np.asarray(image))


def _jpeg(pixels: Pixels, quality: int) -> bytes:
    """A JPEG; empty if it exceeds the buffer that Pillow gives it, as noise does."""
    file = BytesIO()
    try:
        image = Image.fromarray(to_eight_bit(pixels))
        image.save(file, "JPEG", quality=quality, optimize=True)
    except OSError:
        return b""
    return file.getvalue()


def with_larger_tiles(
    stream: Stream, pixels: Pixels, alpha: Pixels | None, expected: int
) -> Stream | None:
    """The picture in few lossless tiles, if its PNG is smaller than all the tiles are.

    Args:
        stream: of several tiles.
        pixels: the picture, 0 where nothing is visible.
        alpha: `(H, W)` of a picture that has it.
        expected: about how many bytes lossless coding of all tiles takes.
    """
    exponent = larger_exponent(stream.header)
    size = sum(tile.size for tile in stream.tiles)
    if exponent is None:
        return None
    if size * DEFLATE_RATIO <= pixels.size or expected > WHOLE_RATIO * size:
        return None
    header = replace(stream.header, tile_exponent=exponent)
    places = [box.slices(STRIDE) for box in tile_boxes(header)]
    alphas = () if alpha is None else tuple(encode_pixels(alpha[place]) for place in places)
    gained = sum(each.size for each in stream.alphas) - sum(each.size for each in alphas)
    parts = [np.ascontiguousarray(pixels[place]) for place in places]
    if sum(encode_png(part).size for part in parts) >= size + gained:
        return None
    tiles = tuple(encode_pixels(part) for part in parts)
    return replace(stream, header=header, tiles=tiles, alphas=alphas)


def larger_exponent(header: Header) -> int | None:
    """The tile exponent of the fewest tiles, a single one if possible; None if they are as few."""
    exponent = max((max(header.width, header.height) - 1).bit_length(), TILE_EXPONENT_MIN)
    exponent = min(exponent, TILE_EXPONENT_MAX)
    larger = replace(header, tile_exponent=exponent)
    return exponent if larger.tile_count < header.tile_count else None


def without_hidden_colours(pixels: Pixels, alpha: Pixels | None) -> Pixels:
    """What lossless tiles hold: 0 where nothing is visible."""
    if alpha is None:
        return pixels
    hidden = alpha == 0
    mask = hidden if pixels.ndim == 2 else hidden[:, :, None]
    return np.where(mask, 0, pixels).astype(pixels.dtype, copy=False)


def estimate_bytes(pixels: Pixels) -> int:
    """About what lossless coding takes, from a sample of at most 43,690 pixels."""
    part = _sample(pixels)
    eight_bit = exact_eight_bit(part)
    planes = [part >> 8, part & 255] if eight_bit is None else [eight_bit]
    size = sum(quick_size(plane.astype(np.uint8)) for plane in planes)
    return round(size * pixels.size / part.size)


def is_unusual(pixels: Pixels, estimate: int, learned_bytes: int) -> bool:
    """Whether a tile is so unlike photographs that lossless coding must be tried.

    Args:
        pixels: `(h, w, 3)` or `(h, w)`, uint8 or uint16, the tile's.
        estimate: what `estimate_bytes` says of them.
        learned_bytes: size of the learned tile.
    """
    area = pixels.shape[0] * pixels.shape[1]
    if estimate <= max(LIKELY_BPP * area / 8, LEARNED_RATIO * learned_bytes):
        return True
    sample = _sample(pixels)
    return roughness(sample) > ROUGH or flatness(sample) > FLAT


def roughness(pixels: Pixels) -> float:
    """Mean square of the diagonal Haar coefficients of 2x2 pixels, in 8-bit steps."""
    height, width = (side & ~1 for side in pixels.shape[:2])
    if not height or not width:
        return 0.0
    x = pixels[:height, :width].astype(np.float64)
    if pixels.dtype == np.uint16:
        x /= SIXTEEN_BIT_STEP
    rows = x[::2] - x[1::2]
    detail = rows[:, ::2] - rows[:, 1::2]
    return float(np.square(detail).sum()) / 4 / detail.size


def flatness(pixels: Pixels) -> float:
    """Part of the pixels, 0 to 1, that equal their left neighbour."""
    if pixels.shape[1] < 2:
        return 0.0
    equal = pixels[:, 1:] == pixels[:, :-1]
    return float(np.mean(equal if pixels.ndim == 2 else equal.all(axis=2)))


def _sample(pixels: Pixels) -> Pixels:
    """Two strips of whole rows, at one and three quarters of the height; all of a small tile."""
    height, width = pixels.shape[:2]
    rows = max(2, STRIP_PIXELS // width)
    if height <= 2 * rows:
        return pixels
    starts = (height // 4 - rows // 2, 3 * height // 4 - rows // 2)
    return np.concatenate([pixels[max(start, 0) :][:rows] for start in starts])
