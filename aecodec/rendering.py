"""Pixels to tiles: analysis and coding, window by window; see `bands.py` for the way back."""

from typing import TYPE_CHECKING

from aecodec.bands import Bands, StreamTiles, view_of
from aecodec.color import to_model_space
from aecodec.container import Header, LosslessTile, Stream, Tile
from aecodec.images import Pixels
from aecodec.lossless import encode_pixels
from aecodec.model import lmbda
from aecodec.search import Effort, TileView, encode_tile, relative_quality
from aecodec.selection import store_unusual
from aecodec.weights import CodecModel
from aecodec.windows import STRIDE, Box, Mask, cut_pixels, latent_grid, tile_boxes, with_halo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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


def encode_alpha(header: Header, alpha: Pixels | None) -> tuple[LosslessTile, ...]:
    """Each tile's part of alpha, `(H, W)`; nothing where there is none."""
    if alpha is None:
        return ()
    return tuple(encode_pixels(alpha[box.slices(STRIDE)]) for box in boxes_of(header))


def store_unusual_tiles(
    model: CodecModel, pixels: Pixels, stream: Stream, effort: Effort, alpha: Pixels | None = None
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
        alpha=alpha,
    )


def render(model: CodecModel, stream: Stream) -> Pixels:
    """Pixels of a whole picture."""
    return Bands(lambda: model, StreamTiles(stream), view_of(stream.header)).whole()


def boxes_of(header: Header) -> "Iterator[Box]":
    """The tiles of a picture, in their order."""
    return tile_boxes(header.height, header.width, header.tile_side)
