"""Pixels to tiles: analysis and coding, window by window; see `bands.py` for the way back."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aecodec.autoencoder.transforms import AnalysisTransform, to_model_space
from aecodec.coding.lossless import encode_pixels
from aecodec.decoder.integer_prior import NORM_FRACTION, NORM_OFFSET
from aecodec.encoder.latent_refinement import Effort, _search
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.networks import CodecModel
from aecodec.encoder.rd_objective import TileView
from aecodec.encoder.rdoq import DeadZone, Floats
from aecodec.format.chunks import Header, LosslessTile, Tile
from aecodec.format.constants import GROUP, STRIDE
from aecodec.format.quality import relative_quality
from aecodec.format.tiling import Box, Mask, boxes_of, latent_grid, with_halo
from aecodec.picture.pixels import Pixels

MID_GRAY = 128
"""Of 8 bits; of 16 bits 257 times as much."""


def encode_picture_tile(  # noqa: PLR0913  # what a tile is, and what to do with it
    model: CodecModel,
    pixels: Pixels,
    box: Box,
    index: int,
    effort: Effort,
    step: "Callable[[], None]",
    lossless: Mask | None = None,
    begun: "BegunTiles | None" = None,
) -> Tile:
    """Analyzes and codes one tile of a picture; `step` is called after each round."""
    view = view_tile(model, pixels, box, index, lossless, begun)
    return encode_tile(model, view, index, effort, progress=step)


class BegunTiles:
    """What the analysis begins with, of one picture, kept for a search over qualities."""

    def __init__(self, limit: int) -> None:
        """Takes how many bytes may be kept; windows beyond begin anew each time."""
        self._room = limit
        self._kept: dict[tuple[Box, bytes], Tensor] = {}

    def begin(
        self, analysis: AnalysisTransform, x: Tensor, window: Box, lossless: Mask | None
    ) -> Tensor:
        """`AnalysisTransform.begin` of a window's pixels, which hide lossless tiles."""
        hidden = lossless is not None and lossless[window.slices()]
        key = window, np.packbits(hidden).tobytes() if np.any(hidden) else b""
        if key in self._kept:
            return self._kept[key]
        h = analysis.begin(x)
        if h.nbytes <= self._room:
            self._kept[key] = h
            self._room -= h.nbytes
        return h


def view_tile(
    model: CodecModel, pixels: Pixels, box: Box, index: int, lossless: Mask | None = None,
    begun: BegunTiles | None = None,
) -> TileView:  # fmt: skip
    """Analyzes one tile with its surroundings, without those that are stored losslessly."""
    window = with_halo(box, latent_grid(*pixels.shape[:2]), lossless)
    part = pixels[window.slices(STRIDE)]
    x = to_model_space(cut_pixels(pixels, window, lossless))
    analysis = model.analysis
    h = analysis.begin(x) if begun is None else begun.begin(analysis, x, window, lossless)
    y = analysis.finish(h, relative_quality(index))  # (1, M, h, w)
    return TileView(x, y, *box.relative_to(window).slices(), size=(part.shape[0], part.shape[1]))


def encode_alpha(header: Header, alpha: Pixels | None) -> tuple[LosslessTile, ...]:
    """Each tile's part of alpha, `(H, W)`; nothing where there is none."""
    if alpha is None:
        return ()
    return tuple(encode_pixels(alpha[box.slices(STRIDE)]) for box in boxes_of(header))


def encode_tile(
    model: CodecModel, view: TileView, quality_index: int, effort: Effort,
    *, progress: Callable[[], None] = lambda: None,
) -> Tile:  # fmt: skip
    """Codes one tile.

    Args:
        model: the codec's model.
        view: the tile in its surroundings.
        quality_index: row of the quality grid.
        effort: what to spend.
        progress: called after each round, the first coding included.
    """
    target, weight = view.latents(), effort.weight
    z = hyper_analyze(model, target, quality_index)
    if effort.rounds:
        target, z, weight = _search(model, view, quality_index, (target, z), effort, progress)
    zone = None if weight is None else DeadZone(model.prior.symbol_costs, weight)
    tile, _ = encode_latents(model.prior, target, z, quality_index, dead_zone=zone)
    progress()
    return tile


def hyper_analyze(model: CodecModel, y: Floats, index: int) -> Floats:
    """Hyper-latents of one tile's latents, `(ceil(h/4), ceil(w/4), Z)`."""
    prior = model.prior
    norms = prior.norms[prior.base[index] - NORM_OFFSET].astype(np.float32) / NORM_FRACTION
    height, width = (-(-side // GROUP) * GROUP for side in y.shape[:2])
    padded = np.pad(y / norms, ((0, height - y.shape[0]), (0, width - y.shape[1]), (0, 0)))
    z = model.hyper_analysis(torch.from_numpy(padded).permute(2, 0, 1)[None])
    return np.ascontiguousarray(z[0].permute(1, 2, 0).numpy())


def cut_pixels(
    pixels: npt.NDArray[np.uint8 | np.uint16], box: Box, lossless: Mask | None = None
) -> npt.NDArray[np.uint8 | np.uint16]:
    """Pixels of a box, 128 in lossless tiles.

    Beyond the right and lower border of the picture the last column and row repeat.
    """
    part = pixels[box.slices(STRIDE)]
    if lossless is not None and lossless[box.slices()].any():
        hidden = lossless[box.slices()].repeat(STRIDE, 0).repeat(STRIDE, 1)
        part = part.copy()
        part[hidden[: part.shape[0], : part.shape[1]]] = MID_GRAY * (
            257 if part.dtype == np.uint16 else 1
        )
    missing = (box.height * STRIDE - part.shape[0], box.width * STRIDE - part.shape[1])
    if not any(missing):
        return part
    sides = [(0, missing[0]), (0, missing[1])] + [(0, 0)] * (pixels.ndim - 2)
    return np.pad(part, sides, mode="edge")
