"""Decides which tiles of a picture keep their pixels, by what both ways really cost.

The learned tiles come first. A sample of its pixels says whether a tile is unlike photographs; if
so, both lossless coders run, and the smaller result replaces the learned tile where

- it costs less: `8 * bytes + lambda * 255^2 * MSE * pixels`, the sum that the model is trained to
  lower, with the lambda of the quality and the MSE of [0, 1] pixels, which is 0 when lossless, or
- the model fails: a JPEG (4:2:0, `optimize=True`) of at most twice the learned bytes is closer.

Where nothing is visible, lossless tiles hold 0, so that one without any visible pixel takes 20
bytes, or 23 in 16 bits; the learned ones keep their smooth continuation of what is.

Learned tiles beside a lossless one are made again, since it is outside the picture to them. At
last, where many small tiles may exceed one PNG of the whole picture, that is tried too, and the
picture becomes a single tile if the PNG is smaller. So a file exceeds the picture's PNG by 64 bytes
at most. Exceptions: pictures of more than 16384 pixels a side, which cannot become a single tile;
detail that the sample misses; large tiles whose PNG is not optimized, since a fast one exceeds the
WebP by half.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.WebPImagePlugin import SUPPORTED as HAS_WEBP

from aecodec.coding.lossless import _webp_data, encode_pixels, encode_png
from aecodec.decoder.rows import render
from aecodec.encoder.latent_refinement import Effort
from aecodec.encoder.networks import CodecModel
from aecodec.encoder.tile import BegunTiles, encode_picture_tile
from aecodec.format.chunks import (
    TILE_EXPONENT_MAX,
    TILE_EXPONENT_MIN,
    AnyTile,
    Header,
    LosslessTile,
    Tile,
)
from aecodec.format.constants import STRIDE
from aecodec.format.container import Stream, serialize
from aecodec.format.quality import lmbda, relative_quality
from aecodec.format.tiling import Box, Mask, latent_grid, tile_boxes, touches
from aecodec.picture.pixels import SIXTEEN_BIT_STEP, Pixels, as_bytes, rounded_to_bytes

Render = Callable[[Stream], Pixels]

Encode = Callable[[Box, Mask], Tile]

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
"""Part of the pixels that equal their left neighbour; Kodak has 0.02 to 0.4."""

ROUGH = 400.0
"""Mean square of the finest diagonal detail, in 8-bit steps; photographs have 5 to 200."""


def store_unusual(
    stream: Stream,
    pixels: Pixels,
    lmbda: float,
    *,
    render: Render,
    encode: Encode,
    alpha: Pixels | None = None,
) -> Stream:
    """Stores tiles losslessly where that costs less.

    Args:
        stream: the picture in learned tiles.
        pixels: the picture, `(H, W, 3)` or `(H, W)`, uint8 or uint16.
        lmbda: weight of distortion, in bits per pixel and squared 8-bit step.
        render: decodes a stream of learned tiles.
        encode: makes a learned tile, given which latents belong to lossless ones.
        alpha: `(H, W)` of a picture that has it.

    Returns:
        The stream with some tiles replaced.
    """
    tiles: list[AnyTile] = []
    expected = 0
    plain = pixels if alpha is None else np.where(_beside(alpha == 0, pixels), 0, pixels)
    plain = plain.astype(pixels.dtype, copy=False)
    for box, tile in zip(_boxes(stream.header), stream.tiles, strict=True):
        at = box.slices(STRIDE)
        chosen, estimate = choose_tile(
            stream.header, tile, pixels[at], lmbda, render, plain=plain[at]
        )
        tiles.append(chosen)
        expected += chosen.size if isinstance(chosen, LosslessTile) else estimate
    mixed = _settle(replace(stream, tiles=tuple(tiles)), encode)
    return _as_whole(mixed, plain, alpha, expected) or mixed


def choose_tile(
    header: Header,
    tile: AnyTile,
    part: Pixels,
    lmbda: float,
    render: Render,
    *,
    plain: Pixels | None = None,
) -> tuple[AnyTile, int]:
    """A tile or its lossless replacement, and about how many bytes the latter takes.

    Args:
        header: of the picture.
        tile: the learned one.
        part: its pixels.
        lmbda: see `store_unusual`.
        render: see `store_unusual`.
        plain: what a lossless tile would hold, if hidden pixels make it differ from `part`.
    """
    plain = part if plain is None else plain
    estimate = estimate_bytes(plain)
    if isinstance(tile, Tile) and is_unusual(plain, estimate, tile.size):
        return _cheaper(header, tile, (part, plain), lmbda, render), estimate
    return tile, estimate


def _beside(mask: Mask, pixels: Pixels) -> Mask:
    return mask if pixels.ndim == 2 else mask[:, :, None]


def lossless_mask(stream: Stream) -> Mask | None:
    """Whether each latent's tile is stored losslessly, `(h, w)`; None if no tile is."""
    if not any(isinstance(tile, LosslessTile) for tile in stream.tiles):
        return None
    grid = latent_grid(stream.header.height, stream.header.width)
    mask = np.zeros((grid.height, grid.width), np.bool_)
    for box, tile in zip(_boxes(stream.header), stream.tiles, strict=True):
        mask[box.slices()] = isinstance(tile, LosslessTile)
    return mask


def _boxes(header: Header) -> Iterator[Box]:
    return tile_boxes(header.height, header.width, header.tile_side)


def _cheaper(
    header: Header, tile: Tile, parts: tuple[Pixels, Pixels], lmbda: float, render: Render
) -> AnyTile:
    """The learned tile or the lossless one."""
    part, plain = parts
    stored = encode_pixels(plain)
    if stored.size <= tile.size:
        return stored
    size = {"width": part.shape[1], "height": part.shape[0]}
    alone = Stream(replace(header.opaque, **size), (tile,))
    error = _mse(part, render(alone))
    area = part.shape[0] * part.shape[1]
    if 8 * (stored.size - tile.size) <= lmbda * error * area:
        return stored
    return stored if _jpeg_error(part, 2 * len(serialize(alone))) < error else tile


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
        image = Image.fromarray(rounded_to_bytes(pixels))
        image.save(file, "JPEG", quality=quality, optimize=True)
    except OSError:
        return b""
    return file.getvalue()


def _settle(stream: Stream, encode: Encode) -> Stream:
    """Makes the learned tiles again that have lossless neighbours."""
    mask = lossless_mask(stream)
    if mask is None or mask.all():
        return stream
    grid = latent_grid(stream.header.height, stream.header.width)
    tiles = [
        encode(box, mask) if isinstance(tile, Tile) and touches(box, grid, mask) else tile
        for box, tile in zip(_boxes(stream.header), stream.tiles, strict=True)
    ]
    return replace(stream, tiles=tuple(tiles))


def _as_whole(stream: Stream, pixels: Pixels, alpha: Pixels | None, expected: int) -> Stream | None:
    """The picture as a single lossless tile, if its PNG is smaller than all the tiles are."""
    header = stream.header
    exponent = max((max(header.width, header.height) - 1).bit_length(), TILE_EXPONENT_MIN)
    size = sum(tile.size for tile in stream.tiles)
    if header.tile_count == 1 or exponent > TILE_EXPONENT_MAX:
        return None
    if size * DEFLATE_RATIO <= pixels.size or expected > WHOLE_RATIO * size:
        return None
    alphas = () if alpha is None else (encode_pixels(alpha),)
    gained = sum(each.size for each in stream.alphas) - sum(each.size for each in alphas)
    if encode_png(pixels).size >= size + gained:
        return None
    single = replace(header, tile_exponent=exponent)
    return replace(stream, header=single, tiles=(encode_pixels(pixels),), alphas=alphas)


def estimate_bytes(pixels: Pixels) -> int:
    """About what lossless coding takes, from a sample of at most 43,690 pixels."""
    if not HAS_WEBP:
        return 0
    part = _sample(pixels)
    eight_bit = as_bytes(part)
    planes = [part >> 8, part & 255] if eight_bit is None else [eight_bit]
    size = sum(len(_webp_data(plane.astype(np.uint8), 0, 0)) for plane in planes)
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


def store_unusual_tiles(
    model: CodecModel, pixels: Pixels, stream: Stream, effort: Effort, alpha: Pixels | None = None,
    begun: BegunTiles | None = None,
) -> Stream:  # fmt: skip
    """Replaces the tiles that lossless coding makes cheaper, see `selection.py`."""
    index = stream.header.quality_index

    def encode(box: Box, lossless: Mask) -> Tile:
        return encode_picture_tile(model, pixels, box, index, effort, lambda: None, lossless, begun)

    return store_unusual(
        stream,
        pixels,
        float(lmbda(relative_quality(index))),
        render=lambda part: render(model, part),
        encode=encode,
        alpha=alpha,
    )
