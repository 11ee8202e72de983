"""Files with quality maps, made of flat ones: their latents, in the steps of other qualities."""

from dataclasses import replace

import numpy as np

from aecodec.codec import Codec
from aecodec.coding.map_words import join_map
from aecodec.decoder.gains import Gains
from aecodec.decoder.latents import Grid, decode_latents
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.networks import EncoderModel
from aecodec.format.chunks import Header, Tile
from aecodec.format.constants import GROUP, MEAN_FRACTION
from aecodec.format.container import parse, serialize
from aecodec.format.quality_map import LIMIT, Indices, Offsets, cell_qualities, spread
from aecodec.format.tiling import Box, latent_grid, tile_box


def with_map(codec: Codec, data: bytes, offsets: Offsets) -> bytes:
    """The same picture with a quality map.

    Args:
        codec: of the model of the file.
        data: a file without a map.
        offsets: of the cells of the picture, `(rows, columns)`.
    """
    stream = parse(data)
    header = replace(stream.header, has_quality_map=True)
    tiles = list(stream.tiles)
    for number, tile in enumerate(tiles):
        if isinstance(tile, Tile):
            box = tile_box(header, number)
            own = offsets[cells_of(box).slices()]
            tiles[number] = mapped_tile(codec.encoder_of(header.model_id), tile, header, box, own)
    return serialize(replace(stream, header=header, tiles=tuple(tiles)))


def mapped_tile(
    model: EncoderModel, tile: Tile, header: Header, box: Box, offsets: Offsets
) -> Tile:
    """A tile without a map with these offsets of its cells."""
    index, grid = header.quality_index, Grid(box.height, box.width)
    quality = spread(cell_qualities(index, offsets), *grid.size)
    gains = Gains(model.weights.tensors["synthesis"].array("outer_gain"))
    steps = gains.at(index) / gains.of_rows(quality)((0, box.height))
    y_hat = decode_latents(model.decoder.prior, tile, grid, index)
    y = (y_hat * steps / MEAN_FRACTION).astype(np.float32)
    z = model.analysis.hyper(y, index)
    coded, _ = encode_latents(model.decoder.prior, y, z, quality)
    return replace(coded, words=join_map(offsets, coded.words))


def cells_of(box: Box) -> Box:
    """The cells of a tile."""
    return Box(
        box.top // GROUP, box.left // GROUP, -(-box.bottom // GROUP), -(-box.right // GROUP)
    )  # fmt: skip


def any_offsets(data: bytes, limit: int = LIMIT, seed: int = 0) -> Offsets:
    """Offsets of any size for the cells of a file's picture."""
    header = parse(data).header
    cells = cells_of(latent_grid(header.height, header.width))
    rng = np.random.default_rng(seed)
    return rng.integers(-limit, limit + 1, (cells.height, cells.width)).astype(np.int32)


def any_qualities(size: tuple[int, int], seed: int = 0) -> Indices:
    """Any quality indices for the positions of a tile, one in each cell."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 401, tuple(-(-side // GROUP) for side in size), np.int16)
    return spread(cells, *size)
