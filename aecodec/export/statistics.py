"""What training tiles tell an export: the symbols that are coded, the inputs of the blocks.

Training takes latents for Gaussian and rounds them plainly; the encoder's dead zone leaves more
zeros than that. Tables are stored with the model in any case, so that fitting them is free.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from aecodec.autoencoder.model import HyperpriorModel
from aecodec.coding.dead_zone import DeadZone
from aecodec.decoder.prior_tables import Ints
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.networks import load_encoder
from aecodec.export.input_statistics import InputStatistics, picture_statistics
from aecodec.export.prior import OBSERVED_RADIUS
from aecodec.export.weights import export_in_memory
from aecodec.format.constants import SCALE_LEVELS
from aecodec.format.quality import QUALITY_INDEX_MAX
from aecodec.training.data import Tiles, to_tensor

PATCHES, INPUT_PATCHES = 64, 192
"""Patches whose symbols are counted, and for which the inputs of blocks are measured."""
SIDE = 256
QUALITY_POINTS = 9


def observe_symbols(
    model: HyperpriorModel,
    tiles: Tiles,
    statistics: InputStatistics,
    *,
    patches: int = PATCHES,
) -> Ints:
    """How often each symbol occurs under each scale level, at the encoder's default effort.

    Args:
        model: a trained model.
        tiles: `(n, 512, 512, 3)` uint8, of training.
        statistics: see `observe_inputs`.
        patches: how many of them to look at, evenly spread; the same for the same tiles.

    Returns:
        `(SCALE_LEVELS, 2 * OBSERVED_RADIUS + 1)`, the middle column for symbol 0.
    """
    encoder = load_encoder(export_in_memory(model, statistics))
    zone = DeadZone(encoder.symbol_costs, encoder.search.plain_weight)
    counts = np.zeros((SCALE_LEVELS, 2 * OBSERVED_RADIUS + 1), np.int64)

    def observe(symbols: npt.NDArray[np.int32], levels: npt.NDArray[np.uint8]) -> None:
        columns = symbols.clip(-OBSERVED_RADIUS, OBSERVED_RADIUS) + OBSERVED_RADIUS
        np.add.at(counts, (levels, columns), 1)

    indices = np.linspace(0, QUALITY_INDEX_MAX, QUALITY_POINTS).astype(int).tolist()
    with torch.inference_mode():
        for patch in _spread(tiles, patches):
            for index in indices:
                y = encoder.analyze(patch, index)
                z = encoder.analysis.hyper(y, index)
                prior = encoder.decoder.prior
                encode_latents(prior, y, z, index, dead_zone=zone, observe=observe)
    return counts


def observe_inputs(
    model: HyperpriorModel, tiles: Tiles, *, patches: int = INPUT_PATCHES
) -> InputStatistics:
    """What the blocks of the transforms read of training tiles.

    Args:
        model: a trained model.
        tiles: `(n, 512, 512, 3)` uint8, of training.
        patches: how many of them to look at, evenly spread; the same for the same tiles.
    """
    return picture_statistics(model, to_tensor(_spread(tiles, patches)))


def _spread(tiles: Tiles, patches: int) -> Iterator[Tiles]:
    """Corners of tiles, evenly spread."""
    for number in np.linspace(0, len(tiles) - 1, min(patches, len(tiles))).astype(int):
        yield np.ascontiguousarray(tiles[number, :SIDE, :SIDE])
