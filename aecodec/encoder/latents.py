"""Latents to words; SPECIFICATION.md, section 9."""

from dataclasses import dataclass

import numpy as np

from aecodec.coding.ans import SYMBOL_MAX, SYMBOL_MIN, SymbolEncoder
from aecodec.coding.dead_zone import DeadZone
from aecodec.coding.map_words import join_map
from aecodec.decoder.latents import (
    MEAN_STEP,
    Floats,
    Grid,
    Observer,
    hyper_numbers,
    latents_checksum,
    run_passes,
)
from aecodec.decoder.networks import Levels, Means, Prior, Symbols, YHat
from aecodec.decoder.passes import take_quarter
from aecodec.decoder.prior_tables import Ints
from aecodec.format.chunks import Tile
from aecodec.format.constants import ACTIVATION_MAX, MEAN_FRACTION
from aecodec.format.quality_map import Offsets, Quality, at_cells, cell_offsets


@dataclass(frozen=True, eq=False)
class Proposal:
    """What is to be rounded and coded.

    Attributes:
        target: `(h, w, M)`, real latents.
        z: `(h/4, w/4, Z)`, hyper-latents, real or integers.
        weight: w of the dead zone that rounds `target`; None rounds plainly.
    """

    target: Floats
    z: Floats
    weight: float | None


def encode_latents(
    prior: Prior, y: Floats, z: Floats, quality: Quality,
    *, map_index: int | None = None, dead_zone: DeadZone | None = None,
    observe: Observer | None = None,
) -> tuple[Tile, YHat]:  # fmt: skip
    """Quantizes and codes the latents of one tile.

    Args:
        prior: the exact prior.
        y: `(h, w, M)`, real latents in quantization steps.
        z: `(ceil(h/4), ceil(w/4), Z)`, real hyper-latents.
        quality: row of the quality grid, or `(h, w)` rows, one in each cell.
        map_index: the quality index of HEAD in a file whose tiles hold quality maps; None leaves
            the map out.
        dead_zone: rounds by cost; None rounds to the nearest.
        observe: called with the coded symbols and levels of each pass.

    Returns:
        The coded tile, and `y_hat` `(h, w, M)` int16 in 1/16 step, as a decoder will see it.

    Raises:
        InputError: `quality` is not whole steps of a map away from `map_index`.
    """
    z_hat = np.clip(_round(z), -ACTIVATION_MAX, ACTIVATION_MAX - 1).astype(np.int64)
    found = None
    if observe is None:
        edges = None if dead_zone is None else dead_zone.edges
        found = prior.networks.encode(y, z_hat, quality, edges)
    if found is None:
        found = _encode_by_steps(prior, y, z_hat, quality, dead_zone, observe)
    words, y_hat = found
    if map_index is not None:
        words = join_map(_offsets(quality, map_index, Grid(*y.shape[:2])), words)
    return Tile(latents_checksum(y_hat), words), y_hat


def in_sixteenths(y: Floats) -> YHat:
    """Latents as a decoder takes them, in 1/16 step."""
    limits = np.iinfo(np.int16)
    found = np.rint(y * np.float32(MEAN_FRACTION)).clip(limits.min, limits.max)
    whole: YHat = found.astype(np.int16)
    return whole


def _encode_by_steps(
    prior: Prior, y: Floats, z_hat: Ints, quality: Quality, dead_zone: DeadZone | None,
    observe: Observer | None,
) -> tuple[bytes, YHat]:  # fmt: skip
    grid = Grid(*y.shape[:2])
    height, width = grid.padded
    padded: Floats = np.pad(y, ((0, height - grid.height), (0, width - grid.width), (0, 0)))
    groups: list[tuple[Symbols, Levels]] = []

    def code(number: int, levels: Levels, means: Means) -> Symbols:
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
        groups.append(group)
        if observe is not None:
            observe(*group)
        return symbols

    passes = prior.networks.begin(z_hat, grid.size, quality)
    y_hat = run_passes(passes, code)
    words = passes.words()
    if words is None:
        words = _words_of(prior, z_hat, grid, groups)
    return words, y_hat


def _words_of(prior: Prior, z_hat: Ints, grid: Grid, groups: list[tuple[Symbols, Levels]]) -> bytes:
    encoder, tables = SymbolEncoder(), prior.tables
    numbers = hyper_numbers(len(tables.hyper_tables), grid)
    encoder.add(z_hat.reshape(-1).astype(np.int32), numbers, tables.hyper_tables)
    for group in groups:
        encoder.add(*group, tables.scale_tables)
    return encoder.words()


def _offsets(quality: Quality, index: int, grid: Grid) -> Offsets:
    """Those of a tile's cells from the picture's quality index."""
    if isinstance(quality, int):
        return cell_offsets(index, np.full(grid.hyper, quality, np.int16))
    return cell_offsets(index, at_cells(quality))


def _round(values: Floats) -> Floats:
    rounded: Floats = np.floor(values + np.float32(0.5))
    return rounded
