"""The files of the kit: pictures that are made here, and how they are coded."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from faults import drawing

from aecodec.codec import Codec
from aecodec.coding.residual_tables import newest_tables
from aecodec.encoder.residual_fit import encode_residual
from aecodec.format.chunks import (
    Chunk,
    Header,
    Layer,
    LayerHead,
    LosslessTile,
    PixelFormat,
    Tile,
)
from aecodec.format.constants import STRIDE
from aecodec.format.container import Stream, parse, serialize
from aecodec.format.digest import PixelDigest, with_digest
from aecodec.format.tiling import tile_box
from aecodec.picture.pixels import Pixels as AnyPixels
from aecodec.picture.pixels import split as split_alpha

Pixels = npt.NDArray[np.uint8]


def smooth(height: int, width: int, seed: int = 0) -> Pixels:
    """Waves with a little noise, `(height, width, 3)`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 16.0
    channels = [
        128 + 70 * np.sin(x * a + y * b + c) + rng.normal(0, 3, (height, width))
        for a, b, c in ((0.7, 0.4, 0), (0.5, -0.6, 1), (0.2, 0.9, 2))
    ]
    pixels: Pixels = np.clip(np.stack(channels, -1), 0, 255).astype(np.uint8)
    return pixels


def with_alpha(pixels: Pixels) -> Pixels:
    """The same pixels with alpha that rises from 0 at the left to 255 at the right."""
    height, width = pixels.shape[:2]
    alpha = np.broadcast_to(np.linspace(-50, 300, width).clip(0, 255), (height, width))
    return np.dstack([pixels, alpha.astype(np.uint8)])


def sixteen_bit(pixels: Pixels) -> npt.NDArray[np.uint16]:
    """The same pixels in 16 bits, with detail below the eighth."""
    noise = np.random.default_rng(2).integers(0, 257, pixels.shape)
    wide: npt.NDArray[np.uint16] = (
        (pixels.astype(np.int64) * 256 + noise).clip(0, 65535).astype(np.uint16)
    )
    return wide


def extremes(height: int, width: int) -> Pixels:
    """Random samples of 0 and 255, as far from a photograph as can be."""
    rng = np.random.default_rng(9)
    return (rng.integers(0, 2, (height, width, 3)) * 255).astype(np.uint8)


def tiled(codec: Codec, pixels: AnyPixels, quality: float = 50) -> bytes:
    """Tiles of 64 pixels a side, all learned."""
    return codec.compress(pixels, quality, tile_exponent=6, lossless_tiles=False, variance_boost=0)


def learned(codec: Codec, pixels: AnyPixels, quality: float = 50) -> bytes:
    """One learned tile."""
    return codec.compress(pixels, quality, lossless_tiles=False, variance_boost=0)


def layered(codec: Codec, pixels: AnyPixels, bound: int) -> bytes:
    """Learned tiles of 64 pixels a side with a residual layer, even where storing is smaller."""
    return with_layer(codec, pixels, tiled(codec, pixels), bound)


def with_layer(codec: Codec, pixels: AnyPixels, data: bytes, bound: int) -> bytes:
    """A file of these pixels, with a residual for each tile of it that is learned.

    Raises:
        RuntimeError: it does not decode to these pixels, give or take the bound.
    """
    stream, tables, decoded = parse(data), newest_tables(), codec.decompress_array(data)
    original, x_hat = pixels, decoded
    if stream.alphas:
        (original, _), (x_hat, _) = split_alpha(pixels), split_alpha(decoded)
    residuals = [
        encode_residual(original[part], x_hat[part], tables, bound=bound)
        for part, tile in zip(parts_of(stream.header), stream.tiles, strict=True)
        if isinstance(tile, Tile)
    ]
    layer = Layer(LayerHead(tables.tables_id, bound), tuple(residuals))
    layered_file = serialize(replace(stream, layer=layer))
    error = np.abs(codec.decompress_array(layered_file).astype(int) - pixels).max()
    if error > bound:
        raise RuntimeError(f"a residual layer within {bound} leaves an error of {error}")
    return layered_file


def with_checksum(codec: Codec, data: bytes) -> bytes:
    """The same picture with the checksum of its pixels."""
    digest = PixelDigest()
    digest.update(codec.decompress_array(data))
    return serialize(with_digest(parse(data), digest.result()))


def parts_of(header: Header) -> list[tuple[slice, slice]]:
    """Rows and columns of each tile's pixels."""
    return [tile_box(header, number).slices(STRIDE) for number in range(header.tile_count)]


def stored(codec: Codec, pixels: Pixels, encode: Callable[[Pixels], LosslessTile]) -> bytes:
    """One lossless tile."""
    form = PixelFormat.GRAY8 if pixels.ndim == 2 else PixelFormat.RGB8
    header = Header(pixels.shape[1], pixels.shape[0], form, 10, 300, codec.encoder.decoder.model_id)
    return serialize(Stream(header, (encode(np.ascontiguousarray(pixels)),)))


def described(data: bytes, *chunks: Chunk) -> bytes:
    """The same picture with optional chunks."""
    return serialize(replace(parse(data), ancillary=chunks))


def layer_mixed(codec: Codec) -> bytes:
    """Learned tiles with residuals on both sides of a lossless one.

    Each window of the synthesis ends at the lossless tile, as at the picture's border. A residual
    of what a tile shows beside learned neighbours would miss that.
    """
    pixels = smooth(8, 140, 13)
    pixels[:, 64:128] = drawing(8, 64)
    data = codec.compress(pixels, 20, tile_exponent=6, variance_boost=0)
    kinds = [type(tile) for tile in parse(data).tiles]
    if kinds != [Tile, LosslessTile, Tile]:
        raise RuntimeError(f"the tiles are {kinds}")
    return with_layer(codec, pixels, data, 0)


def layer_rows(codec: Codec) -> bytes:
    """Two rows of two tiles with all that there is: alpha, residuals and a checksum."""
    pixels = with_alpha(smooth(70, 70, 14))
    return with_checksum(codec, layered(codec, pixels, 0))


def mixed(codec: Codec) -> bytes:
    """A drawing in a smooth picture: learned tiles beside lossless ones."""
    pixels = smooth(150, 200, 3)
    pixels[64:128, 64:128] = drawing(64, 64)
    return codec.compress(pixels, 60, tile_exponent=6, variance_boost=0)
