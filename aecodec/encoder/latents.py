"""Latents to words."""

import numpy as np
import torch

from aecodec.coding.ans import SYMBOL_MAX, SYMBOL_MIN, SymbolEncoder
from aecodec.decoder.integer_layers import ACTIVATION_MAX
from aecodec.decoder.integer_prior import IntegerPrior
from aecodec.decoder.latents import (
    MEAN_STEP,
    Floats,
    Grid,
    Observer,
    YHat,
    _hyper_numbers,
    _Passes,
    _round,
    latents_checksum,
    take_quarter,
)
from aecodec.encoder.rdoq import DeadZone
from aecodec.format.chunks import Tile
from aecodec.format.constants import PASSES


def encode_latents(
    prior: IntegerPrior, y: Floats, z: Floats, quality_index: int,
    *, dead_zone: DeadZone | None = None, observe: Observer | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tile, YHat]:  # fmt: skip
    """Quantizes and codes the latents of one tile.

    Args:
        prior: the exact prior.
        y: `(h, w, M)`, real latents in quantization steps.
        z: `(ceil(h/4), ceil(w/4), Z)`, real hyper-latents.
        quality_index: row of the quality grid.
        dead_zone: rounds by cost; None rounds to the nearest.
        observe: called with the coded symbols and levels of each pass.
        dtype: carrier, float32 or float64; the result is the same.

    Returns:
        The coded tile, and `y_hat` `(h, w, M)` int16 in 1/16 step, as a decoder will see it.
    """
    grid = Grid(*y.shape[:2])
    height, width = grid.padded
    padded: Floats = np.pad(y, ((0, height - grid.height), (0, width - grid.width), (0, 0)))
    z_hat = np.clip(_round(z), -ACTIVATION_MAX, ACTIVATION_MAX - 1).astype(np.int64)
    encoder = SymbolEncoder()
    encoder.add(z_hat.reshape(-1).astype(np.int32), _hyper_numbers(prior, grid), prior.hyper_tables)
    passes = _Passes(prior, z_hat, grid, quality_index, dtype)
    for number in range(PASSES):
        levels, means = passes.parameters(number)
        residual: Floats = take_quarter(padded, number) - means.astype(np.float32) * MEAN_STEP
        rounded = _round(residual) if dead_zone is None else dead_zone(residual, levels)
        symbols = np.clip(rounded, SYMBOL_MIN, SYMBOL_MAX).astype(np.int32)
        coded = grid.coded(number)
        if coded is None:
            group = symbols.reshape(-1), levels.reshape(-1)
        else:
            inside = np.broadcast_to(coded, symbols.shape)
            symbols *= inside
            group = symbols[inside], levels[inside]
        encoder.add(*group, prior.scale_tables)
        if observe is not None:
            observe(*group)
        passes.update(number, symbols, means)
    y_hat = passes.result()
    return Tile(latents_checksum(y_hat), encoder.words()), y_hat
