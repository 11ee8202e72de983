"""Between pixels and tiles: analysis and coding, decoding and synthesis, window by window."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from aecodec.color import to_model_space, to_pixels
from aecodec.container import Header, PixelFormat, Stream, Tile
from aecodec.images import Pixels
from aecodec.latents import Grid, YHat, decode_latents, decode_prefix
from aecodec.model import lmbda
from aecodec.priors import MEAN_FRACTION
from aecodec.rescue import TileState
from aecodec.search import Effort, TileView, encode_tile, relative_quality
from aecodec.selection import lossless_mask, store_unusual
from aecodec.weights import CodecModel
from aecodec.windows import STRIDE, Box, Mask, cut_pixels, latent_grid, tile_boxes, with_halo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def encode_picture_tile(
    model: CodecModel,
    pixels: Pixels,
    box: Box,
    index: int,
    effort: Effort,
    step: "Callable[[], None]",
    lossless: Mask | None = None,
) -> Tile:
    """Analyzes and codes one tile of a picture; `step` is called after each round."""
    view = view_tile(model, pixels, box, index, lossless)
    return encode_tile(model, view, index, effort, progress=step)


def view_tile(
    model: CodecModel, pixels: Pixels, box: Box, index: int, lossless: Mask | None = None
) -> TileView:
    """Analyzes one tile with its surroundings, without those that are stored losslessly."""
    window = with_halo(box, latent_grid(*pixels.shape[:2]), lossless)
    part = pixels[window.slices(STRIDE)]
    x = to_model_space(cut_pixels(pixels, window, lossless))
    y = model.analysis(x, relative_quality(index))  # (1, M, h, w)
    return TileView(x, y, *box.relative_to(window).slices(), size=(part.shape[0], part.shape[1]))


def store_unusual_tiles(
    model: CodecModel, pixels: Pixels, stream: Stream, effort: Effort
) -> Stream:
    """Replaces the tiles that lossless coding makes cheaper, see `selection.py`."""
    index = stream.header.quality_index

    def encode(box: Box, lossless: Mask) -> Tile:
        return encode_picture_tile(model, pixels, box, index, effort, lambda: None, lossless)

    return store_unusual(
        stream,
        pixels,
        float(lmbda(relative_quality(index))),
        render=lambda part: render(model, part),
        encode=encode,
    )


def boxes_of(header: Header) -> "Iterator[Box]":
    """The tiles of a picture, in their order."""
    return tile_boxes(header.height, header.width, header.tile_side)


def decode_tiles(
    model: CodecModel,
    stream: Stream,
    within: Box | None = None,
    states: "Sequence[TileState] | None" = None,
) -> YHat:
    """All latents of a picture, `(h, w, M)` int16 in 1/16 step.

    They are 0 in lossless tiles, and in those that no window around `within` reads.
    """
    header = stream.header
    grid = latent_grid(header.height, header.width)
    needed = with_halo(within or grid, grid)
    y_hat = np.zeros((grid.height, grid.width, model.config.latent_channels), np.int16)
    index = header.quality_index
    for number, (box, tile) in enumerate(zip(boxes_of(header), stream.tiles, strict=True)):
        if not isinstance(tile, Tile) or not box.overlap(needed):
            continue
        size = Grid(box.height, box.width)
        if states is None or states[number] is TileState.WHOLE:
            y_hat[box.slices()] = decode_latents(model.prior, tile, size, index)
        else:
            y_hat[box.slices()], _ = decode_prefix(model.prior, tile.words, size, index)
    return y_hat


def render(
    model: CodecModel,
    stream: Stream,
    within: Box | None = None,
    states: "Sequence[TileState] | None" = None,
) -> Pixels:
    """Pixels of a picture's learned tiles, where they touch `within`; others are left unset."""
    y_hat = decode_tiles(model, stream, within, states)
    return synthesize(model, y_hat, stream.header, lossless_mask(stream), within)


def canvas(header: Header) -> Pixels:
    """`(H, W, 3)` or `(H, W)` uint8, not set yet."""
    gray = header.pixel_format == PixelFormat.GRAY8
    shape = (header.height, header.width) if gray else (header.height, header.width, 3)
    return np.empty(shape, np.uint8)


def synthesize(
    model: CodecModel,
    y_hat: YHat,
    header: Header,
    lossless: Mask | None = None,
    within: Box | None = None,
) -> Pixels:
    """Pixels of a picture from its latents, where it is learned and touches `within`."""
    gray = header.pixel_format == PixelFormat.GRAY8
    pixels = canvas(header)
    grid = latent_grid(header.height, header.width)
    q = relative_quality(header.quality_index)
    for tile in boxes_of(header):
        box = tile.overlap(within or grid)
        if box is None or (lossless is not None and lossless[tile.top, tile.left]):
            continue
        # The tile's own window ends at lossless neighbours, which a part of it need not touch.
        window = with_halo(box, grid).overlap(with_halo(tile, grid, lossless)) or box
        y = torch.from_numpy(y_hat[window.slices()]).permute(2, 0, 1)[None]  # (1, M, h, w)
        x_hat = model.synthesis(y.float().mul_(1 / MEAN_FRACTION), q)
        rows, columns = box.relative_to(window).slices(STRIDE)
        target = pixels[box.slices(STRIDE)]
        part = to_pixels(x_hat[:, :, rows, columns], gray=gray)
        target[:] = part[: target.shape[0], : target.shape[1]]
    return pixels
