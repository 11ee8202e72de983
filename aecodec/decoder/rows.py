"""Tiles to pixels, a row of tiles at a time: memory does not grow with the picture's height.

Each tile is decoded once. The latents of three rows of tiles are kept, since the synthesis of one
row looks into the next ones.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch

from aecodec.coding.lossless import decode_pixels
from aecodec.coding.residual import decode_residual
from aecodec.coding.residual_tables import released_tables
from aecodec.decoder.integer_synthesis import synthesize_scaled
from aecodec.decoder.latents import Grid, YHat, decode_latents, decode_prefix
from aecodec.encoder.networks import CodecModel
from aecodec.errors import HeaderError
from aecodec.format.chunks import Header, LayerHead, LosslessTile, Tile
from aecodec.format.constants import STRIDE
from aecodec.format.container import Stream
from aecodec.format.reader import StreamTiles, Tiles, TileState
from aecodec.format.tiling import Box, Mask, latent_grid, tiles_around, with_halo
from aecodec.options import View, view_of
from aecodec.picture.alpha import without_hidden
from aecodec.picture.pixels import Pixels, join, rounded_to_bytes, shrink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Bands:
    """A view, decoded from top to bottom: iterate once.

    Each item is one row of tiles, `(h, w, c)`, or `(h, w)` for gray without alpha, uint8 or uint16;
    together they are the view.
    """

    def __init__(
        self,
        model: "Callable[[], CodecModel]",
        tiles: Tiles,
        view: View,
        states: "Sequence[TileState] | None" = None,
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
        self._shallow = view.shallow or not self._format.is_deep
        self._grid = latent_grid(header.height, header.width)
        self._latents = Latents(model, tiles, states)
        self.size = view.size
        """Rows and columns of the view."""
        self._lossless: Mask = np.zeros((self._grid.height, self._grid.width), np.bool_)
        sides = header.height, header.width, header.tile_side
        for number in tiles_around(view.region.latents, *sides):
            self._lossless[_tile_box(header, number).slices()] = tiles.is_lossless(number)

    def __iter__(self) -> "Iterator[Pixels]":
        """Decodes; raises what `Codec.decompress_array` raises."""
        within, scale, step = self._view.region.latents, self._view.scale, self._step
        (top, left), (height, width) = self._view.corner, self._view.size
        left -= within.left * STRIDE // scale
        for row in range(within.top // step, -(-within.bottom // step)):
            start, end = max(row * step, within.top), min((row + 1) * step, within.bottom)
            pixels = self._band(Box(start, within.left, end, within.right))
            self._latents.forget(row)
            first = top - start * STRIDE // scale
            yield pixels[max(first, 0) : first + height, left : left + width]

    def whole(self) -> Pixels:
        """The view as one array."""
        pixels = self._empty(*self._view.size)
        first = 0
        for band in self:
            pixels[first : first + len(band)] = band
            first += len(band)
        return pixels

    def _empty(self, height: int, width: int) -> Pixels:
        channels = self._format.channels
        shape = (height, width) if channels == 1 else (height, width, channels)
        return np.empty(shape, np.uint8 if self._shallow else np.uint16)

    @torch.inference_mode()  # here, so that it ends before the consumer has the band
    def _band(self, band: Box) -> Pixels:
        """Pixels of a box within one row of tiles, and beyond the border up to whole latents."""
        side = STRIDE // self._view.scale
        pixels = self._empty(band.height * side, band.width * side)
        for column in range(band.left // self._step, -(-band.right // self._step)):
            number = band.top // self._step * self._header.tile_columns + column
            tile = _tile_box(self._header, number)
            box = tile.overlap(band) or tile
            target = pixels[box.relative_to(band).slices(side)]
            inner = box.relative_to(tile).slices(side)
            if self._lossless[tile.top, tile.left]:
                part = self._stored(number, tile)[inner]
            elif self._layer is not None:
                part = self._refined(number, tile, self._layer)[inner]
            else:
                part = self._synthesize(tile, box, self._view.scale)
            if self._format.has_alpha:
                alpha = self._alpha(number, tile)[inner]
                part = join(part[: alpha.shape[0], : alpha.shape[1]], alpha)
            target[: part.shape[0], : part.shape[1]] = part
        return pixels

    def _synthesize(self, tile: Box, box: Box, scale: int) -> Pixels:
        """Pixels of a box in a learned tile, and beyond the border up to whole latents."""
        header, grid = self._header, self._grid
        # The tile's own window ends at lossless neighbours, which a part of it need not touch.
        window = with_halo(box, grid).overlap(with_halo(tile, grid, self._lossless)) or box
        y = torch.from_numpy(self._latents.window(window)).permute(2, 0, 1)[None]  # (1, M, h, w)
        inside = header.height - window.top * STRIDE, header.width - window.left * STRIDE
        samples = synthesize_scaled(
            self._model().synthesis, y, header.quality_index, scale, inside,
            maximum=255 if self._shallow else 65535, gray=self._format.is_gray,
        )  # fmt: skip
        part = samples[box.relative_to(window).slices(STRIDE // scale)]
        return to_pixels(part, deep=not self._shallow)

    def _refined(self, number: int, box: Box, layer: LayerHead) -> Pixels:
        """Pixels of a learned tile with its residual."""
        height, width = self._sides(box)
        x_hat = np.ascontiguousarray(self._synthesize(box, box, 1)[:height, :width])
        tables = released_tables(layer.tables_id)
        pixels = decode_residual(self._tiles.residual(number), x_hat, tables, bound=layer.bound)
        if self._format.has_alpha and self._view.scale > 1:
            alpha = self._pixels(self._tiles.alpha(number), box, gray=True)
            pixels = without_hidden(pixels, alpha)
        return self._wanted(pixels)

    def _sides(self, box: Box) -> tuple[int, int]:
        """Height and width of a tile in pixels."""
        height = min(box.bottom * STRIDE, self._header.height) - box.top * STRIDE
        return height, min(box.right * STRIDE, self._header.width) - box.left * STRIDE

    def _stored(self, number: int, box: Box) -> Pixels:
        """Pixels of a lossless tile."""
        tile = self._tiles.tile(number)
        if not isinstance(tile, LosslessTile):
            raise HeaderError(f"tile {number} changed while it was read")
        pixels = self._pixels(tile, box, gray=self._format.is_gray)
        if self._format.has_alpha and self._view.scale > 1:
            # The means shall not mix the colours of hidden pixels into those of visible ones.
            alpha = self._pixels(self._tiles.alpha(number), box, gray=True)
            pixels = without_hidden(pixels, alpha)
        return self._wanted(pixels)

    def _alpha(self, number: int, box: Box) -> Pixels:
        """Alpha of a tile."""
        return self._wanted(self._pixels(self._tiles.alpha(number), box, gray=True))

    def _pixels(self, tile: LosslessTile, box: Box, *, gray: bool) -> Pixels:
        height, width = self._sides(box)
        return decode_pixels(tile, height, width, gray=gray, deep=self._format.is_deep)

    def _wanted(self, pixels: Pixels) -> Pixels:
        """Pixels in the size and depth of the view."""
        small = shrink(pixels, self._view.scale)
        return rounded_to_bytes(small) if self._shallow else small


class Latents:
    """Latents of the tiles near the row that is being made; each tile is decoded once."""

    def __init__(
        self,
        model: "Callable[[], CodecModel]",
        tiles: Tiles,
        states: "Sequence[TileState] | None" = None,
    ) -> None:
        self._model, self._tiles, self._states = model, tiles, states
        self._decoded: dict[int, YHat | None] = {}

    def window(self, window: Box) -> YHat:
        """`(h, w, M)` int16 in 1/16 step, 0 in lossless tiles."""
        header = self._tiles.header
        step = header.tile_side // STRIDE
        channels = self._model().config.latent_channels
        y_hat = np.zeros((window.height, window.width, channels), np.int16)
        for row in range(window.top // step, -(-window.bottom // step)):
            for column in range(window.left // step, -(-window.right // step)):
                number = row * header.tile_columns + column
                box = _tile_box(header, number)
                shared, part = box.overlap(window), self._tile(number, box)
                if shared is not None and part is not None:
                    inner = part[shared.relative_to(box).slices()]
                    y_hat[shared.relative_to(window).slices()] = inner
        return y_hat

    def forget(self, row: int) -> None:
        """Drops what no row of tiles after this one looks into."""
        for number in [n for n in self._decoded if n // self._tiles.header.tile_columns < row]:
            del self._decoded[number]

    def _tile(self, number: int, box: Box) -> YHat | None:
        if number not in self._decoded:
            self._decoded[number] = self._decode(number, Grid(box.height, box.width))
        return self._decoded[number]

    def _decode(self, number: int, size: Grid) -> YHat | None:
        tile = self._tiles.tile(number)
        if not isinstance(tile, Tile):
            return None
        prior, index = self._model().prior, self._tiles.header.quality_index
        if self._states is None or self._states[number] is TileState.WHOLE:
            return decode_latents(prior, tile, size, index)
        y_hat, _ = decode_prefix(prior, tile.words, size, index)
        return y_hat


def to_pixels(samples: torch.Tensor, *, deep: bool) -> Pixels:
    """`(H, W, C)` integers to `(H, W, C)`, or `(H, W)` if C is 1, uint8 or uint16."""
    array: Pixels = samples.to(torch.uint16 if deep else torch.uint8).contiguous().numpy()
    return array[:, :, 0] if array.shape[2] == 1 else array


def _tile_box(header: Header, number: int) -> Box:
    row, column = divmod(number, header.tile_columns)
    grid = latent_grid(header.height, header.width)
    step = header.tile_side // STRIDE
    return Box(
        row * step, column * step,
        min((row + 1) * step, grid.bottom), min((column + 1) * step, grid.right),
    )  # fmt: skip


def render(model: CodecModel, stream: Stream) -> Pixels:
    """Pixels of a whole picture."""
    return Bands(lambda: model, StreamTiles(stream), view_of(stream.header)).whole()
