"""Makes a valid file of what is left of one that was cut off or damaged."""

from dataclasses import replace

from aecodec.decoder.latents import MEAN_STEP, Grid, decode_prefix, without_map
from aecodec.decoder.networks import Prior
from aecodec.encoder.latents import encode_latents
from aecodec.format.chunks import Tile
from aecodec.format.container import Stream
from aecodec.format.digest import with_digest
from aecodec.format.reader import TileState
from aecodec.format.recovery import Rescued
from aecodec.format.tiling import tile_box


def repaired(left: Rescued, prior: Prior) -> Stream:
    """The file that decodes to what is left; whole tiles stay as they are.

    Args:
        left: what was found.
        prior: of the file's model.
    """
    header, tiles = left.stream.header, list(left.stream.tiles)
    for number, tile in enumerate(tiles):
        if left.states[number] is TileState.WHOLE or not isinstance(tile, Tile):
            continue
        box = tile_box(header, number)
        grid = Grid(box.height, box.width)
        left_of_it, quality = without_map(tile, grid, header, is_cut=True)
        y_hat, z = decode_prefix(prior, left_of_it.words, grid, quality)
        tiles[number], _ = encode_latents(
            prior, y_hat * MEAN_STEP, z, quality,
            map_index=header.quality_index if header.has_quality_map else None,
        )  # fmt: skip
    stream = replace(left.stream, tiles=tuple(tiles))
    if any(state is not TileState.WHOLE for state in left.states):
        return with_digest(stream, None)  # which was of the undamaged picture
    return stream
