"""A residual for a learned tile, or the tile stored losslessly where that is smaller."""

from aecodec.coding.lossless import encode_pixels
from aecodec.coding.residual_tables import newest_tables
from aecodec.encoder.residual_fit import encode_residual
from aecodec.format.chunks import AnyTile, ResidualTile, Tile
from aecodec.picture.pixels import Pixels

THOROUGH_BELOW = 1.03
"""Part of the layer's size from which on no slower setting makes a stored tile the smaller one."""


def refine_tile(
    pixels: Pixels, x_hat: Pixels, learned: Tile, bound: int
) -> tuple[AnyTile, ResidualTile | None]:
    """Makes a tile exact, or exact within a bound.

    Args:
        pixels: the original, `(h, w, 3)` or `(h, w)` uint8.
        x_hat: what the learned tile decodes to, of the same shape.
        learned: the learned tile.
        bound: largest error of a sample, 0 to 255.

    Returns:
        The learned tile and its residual, or a lossless tile.
    """
    residual = encode_residual(pixels, x_hat, newest_tables(), bound=bound)
    size = residual.size + learned.size
    stored = encode_pixels(pixels)
    if stored.size < THOROUGH_BELOW * size:
        thorough = encode_pixels(pixels, thorough=True)
        stored = min(stored, thorough, key=lambda each: each.size)
    return (stored, None) if stored.size < size else (learned, residual)
