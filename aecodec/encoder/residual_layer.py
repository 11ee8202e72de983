"""Adds a residual layer to a picture, tile by tile, unless storing a tile losslessly is smaller."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from aecodec.coding.lossless import encode_pixels
from aecodec.coding.residual_tables import newest_tables
from aecodec.decoder.rows import render
from aecodec.encoder.latent_refinement import Effort
from aecodec.encoder.networks import CodecModel
from aecodec.encoder.residual_fit import encode_residual
from aecodec.encoder.tile import encode_picture_tile
from aecodec.format.chunks import Layer, LayerHead, ResidualTile
from aecodec.format.constants import STRIDE
from aecodec.format.container import Stream
from aecodec.format.tiling import Box, Mask, boxes_of, latent_grid, touches
from aecodec.picture.pixels import Pixels, split

THOROUGH_BELOW = 1.03
"""Of the layer's size; from there on no slower setting makes a stored tile the smaller one."""


def add_layer(
    model: CodecModel, pixels: Pixels, stream: Stream, bound: int, effort: Effort,
    *, step: Callable[[], None] = lambda: None,
) -> Stream:  # fmt: skip
    """Makes a lossy stream exact, or exact within a bound.

    Args:
        model: that made the stream.
        pixels: the picture, `(H, W, 3)` or `(H, W)` uint8.
        stream: learned tiles only.
        bound: largest error of a sample, 0 to 255.
        effort: for tiles that are made again beside stored ones.
        step: called after each tile.

    Returns:
        The stream with a layer, some tiles replaced by stored ones; of a 16-bit picture all are,
        and there is no layer.
    """
    header, tables = stream.header, newest_tables()
    boxes = list(boxes_of(header))
    x_hat, _ = split(render(model, stream))
    sixteen_bit = header.pixel_format.is_sixteen_bit
    tiles = list(stream.tiles)
    residuals: dict[int, ResidualTile] = {}
    grid = latent_grid(header.height, header.width)
    stored: Mask = np.zeros((grid.height, grid.width), np.bool_)

    def residual(box: Box) -> ResidualTile:
        part = box.slices(STRIDE)
        return encode_residual(pixels[part], x_hat[part], tables, bound=bound)

    for number, box in enumerate(boxes):
        found = None if sixteen_bit else residual(box)
        part = np.ascontiguousarray(pixels[box.slices(STRIDE)])
        exact = encode_pixels(part)
        if found is not None and exact.size < THOROUGH_BELOW * (found.size + tiles[number].size):
            exact = min(exact, encode_pixels(part, thorough=True), key=lambda each: each.size)
        if found is None or exact.size < found.size + tiles[number].size:
            tiles[number] = exact
            stored[box.slices()] = True
        else:
            residuals[number] = found
        step()
    again = [n for n in residuals if touches(boxes[n], grid, stored)]
    if again:
        for number in again:
            tiles[number] = encode_picture_tile(
                model, pixels, boxes[number], header.quality_index, effort, lambda: None, stored
            )
        x_hat, _ = split(render(model, replace(stream, tiles=tuple(tiles))))
        for number in again:
            residuals[number] = residual(boxes[number])
    if sixteen_bit:
        return replace(stream, tiles=tuple(tiles))
    found_all = tuple(residuals[number] for number in sorted(residuals))
    layer = Layer(LayerHead(tables.tables_id, bound), found_all)
    return replace(stream, tiles=tuple(tiles), layer=layer)
