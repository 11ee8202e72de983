"""Encodes huge pictures by rows of tiles, in memory that does not grow with their height.

The result is what encoding at once gives, except that the whole picture is not tried as one PNG.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from aecodec.decoder.rows import render
from aecodec.encoder.latent_refinement import Effort
from aecodec.encoder.mode_selection import choose_tile
from aecodec.encoder.networks import CodecModel
from aecodec.encoder.tile import encode_picture_tile
from aecodec.format.chunks import AnyTile, Chunk, Header, LosslessTile, tile_chunk
from aecodec.format.constants import STRIDE
from aecodec.format.container import ENDING, opening
from aecodec.format.quality import lmbda, relative_quality
from aecodec.format.tiling import HALO, Box, Mask, latent_grid, tile_boxes, touches
from aecodec.picture.row_readers import NetpbmSource, ScanlineSource


def pack(
    model: CodecModel,
    picture: NetpbmSource | ScanlineSource,
    header: Header,
    effort: Effort,
    *,
    step: Callable[[], None],
    optional: tuple[Chunk, ...] = (),
    lossless_tiles: bool = True,
) -> Iterator[bytes]:
    """Yields a file piece by piece.

    Args:
        model: the encoder.
        picture: what to encode.
        header: of the file.
        effort: of the search.
        step: called after each tile and round; may raise.
        optional: chunks of metadata.
        lossless_tiles: see `Codec.compress`.
    """
    grid = latent_grid(header.height, header.width)
    lossless: Mask = np.zeros((grid.height, grid.width), np.bool_)
    boxes = list(tile_boxes(header.height, header.width, header.tile_side))
    rows = [boxes[n : n + header.tile_columns] for n in range(0, len(boxes), header.tile_columns)]
    index = header.quality_index
    weight = float(lmbda(relative_quality(index)))

    @torch.inference_mode()  # here, so that it ends before the consumer has the piece
    def encode(row: list[Box], tiles: list[AnyTile] | None) -> list[AnyTile]:
        """Encodes a row; with tiles, those again that have lossless neighbours."""
        if tiles and not any(touches(box, grid, lossless) for box in row):
            return tiles
        halo = HALO // STRIDE
        band = Box(max(row[0].top - halo, 0), 0, min(row[0].bottom + halo, grid.bottom), grid.right)
        pixels = picture.rows(band.top * STRIDE, min(band.bottom * STRIDE, header.height))
        mask = lossless[band.slices()]
        found: list[AnyTile] = []
        for number, box in enumerate(row):
            inner = box.relative_to(band)
            if not tiles:
                tile = encode_picture_tile(model, pixels, inner, index, effort, step)
                part = np.ascontiguousarray(pixels[inner.slices(STRIDE)])
                found.append(
                    choose_tile(header, tile, part, weight, lambda s: render(model, s))[0]
                    if lossless_tiles
                    else tile
                )
            elif isinstance(tiles[number], LosslessTile) or not touches(box, grid, lossless):
                found.append(tiles[number])
            else:
                found.append(encode_picture_tile(model, pixels, inner, index, effort, step, mask))
        return found

    yield opening(header, optional)
    waiting: list[AnyTile] = []
    for number, row in enumerate(rows):
        tiles = encode(row, None)
        for box, tile in zip(row, tiles, strict=True):
            lossless[box.slices()] = isinstance(tile, LosslessTile)
        if number:
            yield b"".join(tile_chunk(tile) for tile in encode(rows[number - 1], waiting))
        waiting = tiles
    yield b"".join(tile_chunk(tile) for tile in encode(rows[-1], waiting))
    yield ENDING
