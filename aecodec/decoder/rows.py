"""Tiles to pixels, a row of tiles at a time: memory does not grow with the picture's height.

Each tile is decoded once. The latents of a few rows of tiles are kept, since the synthesis of one
row looks into the next ones.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np

from aecodec.decoder.latents import Grid, decode_latents, decode_prefix, without_map
from aecodec.decoder.networks import DecoderModel, YHat
from aecodec.decoder.tile_synthesis import Mask, TileSynthesis
from aecodec.errors import HeaderError
from aecodec.format.chunks import LayerHead, LosslessTile, Tile
from aecodec.format.constants import STRIDE
from aecodec.format.container import Stream
from aecodec.format.quality_map import Quality
from aecodec.format.reader import StreamTiles, Tiles, TileState
from aecodec.format.tiling import (
    Box,
    View,
    latent_grid,
    tile_box,
    tile_sides,
    tiles_around,
    whole_tiles,
)
from aecodec.options import DecodeOptions
from aecodec.picture.alpha import without_hidden
from aecodec.picture.pixels import Pixels, join, shrink, to_eight_bit


class TileRows:
    """A view, decoded from top to bottom: iterate once.

    Each item is one row of tiles, `(h, w, c)`, or `(h, w)` for gray without alpha, uint8 or uint16;
    together they are the view.
    """

    def __init__(
        self,
        model: Callable[[], DecoderModel],
        tiles: Tiles,
        view: View,
        states: Sequence[TileState] | None = None,
        *,
        lossy: bool = False,
    ) -> None:
        """Finds out which tiles around the view are lossless.

        Args:
            model: gives the file's model; called only if the view touches a learned tile.
            tiles: the file.
            view: what of it to decode.
            states: what is left of each tile; None where all are whole.
            lossy: leaves the residual layer out.
        """
        self._layer = None if lossy else tiles.layer
        self._model, self._tiles, self._view = model, tiles, view
        self._header = header = tiles.header
        self._step = header.tile_side // STRIDE
        self._format = header.pixel_format
        self._sixteen_bit = self._format.is_sixteen_bit and not view.eight_bit
        self._latents = TileLatents(model, tiles, states)
        self.size = view.size
        """Rows and columns of the view."""
        within = view.region.latents
        # A residual is that of a whole tile, whose pixels depend on all of its neighbours.
        self._lossless = self._lossless_around(
            within if self._layer is None else whole_tiles(header, within)
        )

    def __iter__(self) -> Iterator[Pixels]:
        """Decodes; raises what `Codec.decompress_array` raises."""
        within, scale, step = self._view.region.latents, self._view.scale, self._step
        (top, left), (height, width) = self._view.corner, self._view.size
        left -= within.left * STRIDE // scale
        for row in range(within.top // step, -(-within.bottom // step)):
            start, end = max(row * step, within.top), min((row + 1) * step, within.bottom)
            pixels = self._row(Box(start, within.left, end, within.right))
            self._latents.forget(row)
            first = top - start * STRIDE // scale
            yield pixels[max(first, 0) : first + height, left : left + width]

    def whole(self, progress: Callable[[float], None] | None = None) -> Pixels:
        """The view as one array; `progress` is called with the part of it that is done."""
        pixels = self._empty(*self._view.size)
        first = 0
        for row in self:
            pixels[first : first + len(row)] = row
            first += len(row)
            if progress is not None:
                progress(first / len(pixels))
        return pixels

    def _lossless_around(self, box: Box) -> Mask:
        """Which latents of the tiles around a box are lossless; the model is not needed if all."""
        header, tiles = self._header, self._tiles
        grid = latent_grid(header.height, header.width)
        mask: Mask = np.zeros((grid.height, grid.width), np.bool_)
        learned = any(not tiles.is_lossless(n) for n in tiles_around(header, box, 0))
        halo = self._model().config.synthesis_halo if learned else 0
        for number in tiles_around(header, box, halo):
            mask[tile_box(header, number).slices()] = tiles.is_lossless(number)
        return mask

    def _empty(self, height: int, width: int) -> Pixels:
        channels = self._format.channels
        shape = (height, width) if channels == 1 else (height, width, channels)
        return np.empty(shape, np.uint16 if self._sixteen_bit else np.uint8)

    def _row(self, row: Box) -> Pixels:
        """Pixels of a box within one row of tiles, and beyond the border up to whole latents."""
        side = STRIDE // self._view.scale
        pixels = self._empty(row.height * side, row.width * side)
        for number in tiles_around(self._header, row, 0):
            tile = tile_box(self._header, number)
            box = tile.overlap(row) or tile
            target = pixels[box.relative_to(row).slices(side)]
            inner = box.relative_to(tile).slices(side)
            if self._lossless[tile.top, tile.left]:
                part = self._stored(number)[inner]
            elif self._layer is not None:
                part = self._refined(number, tile, self._layer)[inner]
            else:
                part = self._synthesis.pixels(tile, box, self._view.scale)
            if self._format.has_alpha:
                alpha = self._wanted(self._alpha(number))[inner]
                part = join(part[: alpha.shape[0], : alpha.shape[1]], alpha)
            target[: part.shape[0], : part.shape[1]] = part
        return pixels

    @cached_property
    def _synthesis(self) -> TileSynthesis:
        return TileSynthesis(
            self._model(), self._header, self._lossless, self._latents.tile,
            sixteen_bit=self._sixteen_bit,
            qualities=self._latents.quality if self._header.has_quality_map else None,
        )  # fmt: skip

    def _refined(self, number: int, box: Box, layer: LayerHead) -> Pixels:
        """Pixels of a learned tile with its residual."""
        from aecodec.coding.residual import decode_residual
        from aecodec.coding.residual_tables import released_tables

        height, width = tile_sides(self._header, number)
        x_hat = np.ascontiguousarray(self._synthesis.pixels(box, box)[:height, :width])
        tables = released_tables(layer.tables_id)
        pixels = decode_residual(self._tiles.residual(number), x_hat, tables, bound=layer.bound)
        return self._wanted(self._without_hidden(number, pixels))

    def _stored(self, number: int) -> Pixels:
        """Pixels of a lossless tile."""
        tile = self._tiles.tile(number)
        if not isinstance(tile, LosslessTile):
            raise HeaderError(f"tile {number} changed while it was read")
        pixels = self._pixels(tile, number, gray=self._format.is_gray)
        return self._wanted(self._without_hidden(number, pixels))

    def _without_hidden(self, number: int, pixels: Pixels) -> Pixels:
        """Means shall not mix the colours of hidden pixels into those of visible ones."""
        if not self._format.has_alpha or self._view.scale == 1:
            return pixels
        return without_hidden(pixels, self._alpha(number))

    def _alpha(self, number: int) -> Pixels:
        return self._pixels(self._tiles.alpha(number), number, gray=True)

    def _pixels(self, tile: LosslessTile, number: int, *, gray: bool) -> Pixels:
        from aecodec.coding.lossless import decode_pixels  # late, as few files need Pillow

        height, width = tile_sides(self._header, number)
        return decode_pixels(
            tile, height, width, gray=gray, sixteen_bit=self._format.is_sixteen_bit
        )

    def _wanted(self, pixels: Pixels) -> Pixels:
        """Pixels in the size and depth of the view."""
        small = shrink(pixels, self._view.scale)
        return small if self._sixteen_bit else to_eight_bit(small)


class TileLatents:
    """Latents of the tiles near the row that is being made; each tile is decoded once."""

    def __init__(
        self,
        model: Callable[[], DecoderModel],
        tiles: Tiles,
        states: Sequence[TileState] | None = None,
    ) -> None:
        """Takes what `TileRows` takes."""
        self._model, self._tiles, self._states = model, tiles, states
        self._decoded: dict[int, tuple[YHat, Quality] | None] = {}

    def tile(self, number: int) -> YHat | None:
        """`(h, w, M)` latents of a tile in 1/16 step; None for a lossless one."""
        found = self._found(number)
        return None if found is None else found[0]

    def quality(self, number: int) -> Quality:
        """That of a tile's latents, `(h, w)` or one for all; of a lossless one the picture's."""
        found = self._found(number)
        return self._tiles.header.quality_index if found is None else found[1]

    def forget(self, row: int) -> None:
        """Drops what no row of tiles after this one looks into."""
        for number in [n for n in self._decoded if n // self._tiles.header.tile_columns < row]:
            del self._decoded[number]

    def _found(self, number: int) -> tuple[YHat, Quality] | None:
        if number not in self._decoded:
            self._decoded[number] = self._decode(number)
        return self._decoded[number]

    def _decode(self, number: int) -> tuple[YHat, Quality] | None:
        tile, header = self._tiles.tile(number), self._tiles.header
        if not isinstance(tile, Tile):
            return None
        box = tile_box(header, number)
        prior, size = self._model().prior, Grid(box.height, box.width)
        is_cut = self._states is not None and self._states[number] is not TileState.WHOLE
        tile, quality = without_map(tile, size, header, is_cut=is_cut)
        if is_cut:
            return decode_prefix(prior, tile.words, size, quality)[0], quality
        return decode_latents(prior, tile, size, quality), quality


def render(model: DecoderModel, stream: Stream) -> Pixels:
    """Pixels of a whole picture."""
    return TileRows(lambda: model, StreamTiles(stream), DecodeOptions().view(stream.header)).whole()
