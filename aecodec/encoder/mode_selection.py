"""Decides which tiles of a picture keep their pixels, by what both ways really cost.

The learned tiles come first. A sample of its pixels says whether a tile is unlike photographs; if
so, the lossless coders run, and the smaller result replaces the learned tile where

- it costs less: `8 * bytes + lambda * 255^2 * MSE * pixels`, the sum that the model is trained to
  lower, with the lambda of the quality and the MSE of [0, 1] pixels, which is 0 when lossless, or
- the model fails: lambda times the error is beyond what photographs have, or a JPEG (4:2:0,
  `optimize=True`) of at most twice the learned bytes is closer.

Where rows or columns differ so much that the model may fail though nothing else is unusual, the
roughest part of the tile is decoded, and all of it if that part is far from the picture.

Where nothing is visible, lossless tiles hold 0; the learned ones keep their smooth continuation of
what is. Where many small tiles may exceed one PNG of the whole picture, that is tried too, and the
picture becomes a single tile if the PNG is smaller. A picture too long for a single tile is tried
in tiles of the two largest sides.
"""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from aecodec.coding.lossless import WEBP_SIDE_MAX, encode_pixels, encode_png, quick_size
from aecodec.encoder.detail import BLOCK, find_detail
from aecodec.encoder.picture_quality import Lambda
from aecodec.format.chunks import (
    TILE_EXPONENT_MAX,
    TILE_EXPONENT_MIN,
    AnyTile,
    Header,
    Tile,
)
from aecodec.format.constants import STRIDE
from aecodec.format.container import Stream, serialize
from aecodec.format.tiling import Box, latent_grid, tile_boxes
from aecodec.picture.pixels import SIXTEEN_BIT_STEP, Pixels, exact_eight_bit, to_eight_bit

Decode = Callable[[Box], Pixels]

DEFLATE_RATIO = 1032
"""No zlib stream is shorter than its content by more than this factor."""
JPEG_QUALITY_MAX = 100
WHOLE_RATIO = 3.0
"""A whole PNG is tried unless lossless coding seems to need this many times the tiles' bytes."""
THOROUGH_SAMPLES = 2**22
"""Size of a picture up to which WebP's slowest settings are tried for several large tiles."""
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
DOUBTFUL = 10.0
"""Lambda times the energy of detail from which a part of the tile is decoded."""
BENT = 1100.0
"""Energy of detail that photographs do not reach; such a tile is decoded as a whole."""
NEAR = 4.0
"""Lambda times the error of the roughest part up to which the rest is not decoded."""
FAR = 6.5
"""Lambda times the error above which the model fails: thrice what an ideal code of three channels
has where all detail is worth its bits, `1.5 / ln(2)`. Photographs stay below it."""


def choose_tile(
    header: Header, tile: Tile, part: Pixels, plain: Pixels, lmbda: Lambda, decode: Decode
) -> tuple[AnyTile, int]:
    """A learned tile or its lossless replacement, and about how many bytes the latter takes.

    Args:
        header: of the picture.
        tile: the learned one.
        part: its pixels, `(h, w, 3)` or `(h, w)`, uint8 or uint16.
        plain: what a lossless tile would hold: the same, but 0 where nothing is visible.
        lmbda: weight of distortion, in bits per pixel and squared 8-bit step, of all or of each
            latent.
        decode: gives the pixels of a box of the learned tile without its neighbours.
    """
    estimate = estimate_bytes(plain)
    whole = latent_grid(*part.shape[:2])
    if not is_unusual(plain, estimate, tile.size):
        place = doubtful_part(part, lmbda)
        if place is None or _loss(part, decode, place, lmbda) <= NEAR:
            return tile, estimate
        far = _loss(part, decode, whole, lmbda) > FAR
        return (encode_pixels(plain) if far else tile), estimate
    stored = encode_pixels(plain)
    if stored.size <= tile.size:
        return stored, estimate
    gain = _loss(part, decode, whole, lmbda)
    if gain > FAR or 8 * (stored.size - tile.size) <= gain * part.shape[0] * part.shape[1]:
        return stored, estimate
    size = {"width": part.shape[1], "height": part.shape[0]}
    limit = 2 * len(serialize(Stream(replace(header.opaque, **size), (tile,))))
    return (stored if _jpeg_loss(part, limit, lmbda) < gain else tile), estimate


def doubtful_part(pixels: Pixels, lmbda: Lambda) -> Box | None:
    """What to decode of a tile whose detail the model may fail at; None if it has little."""
    detail = find_detail(pixels)
    grid, side = latent_grid(*pixels.shape[:2]), BLOCK // STRIDE
    if detail.energy > BENT:
        return grid
    if float(np.max(lmbda)) * detail.energy <= DOUBTFUL:
        return None
    top = max(min(detail.row // STRIDE, grid.bottom - side), 0)
    left = max(min(detail.column // STRIDE, grid.right - side), 0)
    return Box(top, left, min(top + side, grid.bottom), min(left + side, grid.right))


def _loss(part: Pixels, decode: Decode, box: Box, lmbda: Lambda) -> float:
    """Lambda times the error of a box of a learned tile."""
    original = part[box.slices(STRIDE)]
    weight = lmbda if isinstance(lmbda, float) else lmbda[box.slices()]
    return _weighted(original, decode(box)[: original.shape[0], : original.shape[1]], weight)


def _weighted(a: Pixels, b: Pixels, lmbda: Lambda) -> float:
    """Mean of lambda times the square difference in 8-bit steps, of pictures of any depths."""
    squares = np.square(_in_bytes(a) - _in_bytes(b))
    if isinstance(lmbda, float):
        return lmbda * float(np.mean(squares, dtype=np.float64))
    weights = lmbda.repeat(STRIDE, 0).repeat(STRIDE, 1)[: a.shape[0], : a.shape[1]]
    if squares.ndim == 3:
        squares = squares.mean(2)
    return float(np.mean(weights * squares, dtype=np.float64))


def _in_bytes(pixels: Pixels) -> npt.NDArray[np.float32]:
    x = pixels.astype(np.float32)
    if pixels.dtype == np.uint16:
        x *= np.float32(1 / SIXTEEN_BIT_STEP)
    return x


def _jpeg_loss(pixels: Pixels, limit: int, lmbda: Lambda) -> float:
    """Lambda times the error of the best JPEG of at most `limit` bytes; infinity without one."""
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
        return _weighted(pixels, np.asarray(image), lmbda)


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
    """The picture in few lossless tiles, if these are smaller than all the tiles are.

    Args:
        stream: of several tiles.
        pixels: the picture, 0 where nothing is visible.
        alpha: `(H, W)` of a picture that has it.
        expected: about how many bytes lossless coding of all tiles takes.
    """
    size = sum(tile.size for tile in stream.tiles)
    if size * DEFLATE_RATIO <= pixels.size or expected > WHOLE_RATIO * size:
        return None
    found = None
    for exponent in larger_exponents(stream.header):
        header = replace(stream.header, tile_exponent=exponent, has_quality_map=False)
        found = _stored(found or stream, header, pixels, alpha) or found
    return found


def _stored(stream: Stream, header: Header, pixels: Pixels, alpha: Pixels | None) -> Stream | None:
    """The picture in lossless tiles of another size, if these are smaller."""
    places = [box.slices(STRIDE) for box in tile_boxes(header)]
    alphas = () if alpha is None else tuple(encode_pixels(alpha[place]) for place in places)
    limit = sum(tile.size for tile in (*stream.tiles, *stream.alphas))
    limit -= sum(tile.size for tile in alphas)
    if len(places) == 1 and encode_png(pixels).size >= limit:
        return None
    thorough = len(places) > 1 and pixels.size <= THOROUGH_SAMPLES
    parts = (np.ascontiguousarray(pixels[place]) for place in places)
    tiles = tuple(encode_pixels(part, thorough=thorough) for part in parts)
    if sum(tile.size for tile in tiles) >= limit:
        return None
    return replace(stream, header=header, tiles=tiles, alphas=alphas)


def larger_exponents(header: Header) -> list[int]:
    """Tile exponents that make fewer tiles: of a single tile, else the two largest there are."""
    exponent = (max(header.width, header.height) - 1).bit_length()
    if max(header.width, header.height) > WEBP_SIDE_MAX:
        exponents = [TILE_EXPONENT_MAX - 1, TILE_EXPONENT_MAX]
    else:
        exponents = [max(exponent, TILE_EXPONENT_MIN)]
    return [e for e in exponents if replace(header, tile_exponent=e).tile_count < header.tile_count]


def without_hidden_colours(pixels: Pixels, alpha: Pixels | None) -> Pixels:
    """What lossless tiles hold: 0 where nothing is visible."""
    if alpha is None:
        return pixels
    hidden = alpha == 0
    mask = hidden if pixels.ndim == 2 else hidden[:, :, None]
    return np.where(mask, 0, pixels).astype(pixels.dtype, copy=False)


def estimate_bytes(pixels: Pixels) -> int:
    """About what lossless coding takes, from a sample of at most 43,690 pixels."""
    part = _sample(pixels)[:WEBP_SIDE_MAX, :WEBP_SIDE_MAX]
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
    if pixels.ndim == 3:
        equal = equal[:, :, 0] & equal[:, :, 1] & equal[:, :, 2]
    return float(np.mean(equal))


def _sample(pixels: Pixels) -> Pixels:
    """Two strips of whole rows, at one and three quarters of the height; all of a small tile."""
    height, width = pixels.shape[:2]
    rows = max(2, STRIP_PIXELS // width)
    if height <= 2 * rows:
        return pixels
    starts = (height // 4 - rows // 2, 3 * height // 4 - rows // 2)
    return np.concatenate([pixels[max(start, 0) :][:rows] for start in starts])
