"""Words of a RESI chunk to the pixels of a learned tile, exact or within a bound of the original.

SPECIFICATION.md, sections 13.1, 13.2 and 13.7 to 13.10. What the prediction of a sample reads is in
`residual_context`, the stored tables are in `residual_tables`.
"""

import zlib

import numpy as np
import numpy.typing as npt

from aecodec.coding.ans import SymbolDecoder, SymbolTable
from aecodec.coding.residual_context import Ints, PlaneModel, ResidualContext
from aecodec.coding.residual_planes import PlaneSite, plane_sites
from aecodec.coding.residual_tables import FRACTIONS, LEVELS, ResidualTables
from aecodec.errors import PayloadError
from aecodec.format.chunks import ResidualTile, check_crc
from aecodec.picture.pixels import Pixels

WEIGHT_LIMIT = 2**17
"""Feature weights stay below this in magnitude, so that sums are exact in float64."""
SHIFT_LEVELS = 5
"""Levels that a weight's table falls by when its steps double."""
SAMPLE_MAX = 1023
CLASSES_MAX = 16
SHIFTS = 16
MAP_LEVEL = 12
"""Level of the table of what the map of levels adds."""

CODES = 64
CODE_TABLE = SymbolTable(0, np.array([2**18] * (CODES - 1) + [2**18 - 1, 1]))
"""Uniform over the codes, but for one count of the escape."""


def decode_residual(
    tile: ResidualTile, x_hat: Pixels, tables: ResidualTables, *, bound: int = 0
) -> Pixels:
    """Applies a residual to a tile.

    Args:
        tile: the chunk.
        x_hat: `(H, W, 3)` or `(H, W)` uint8, the whole lossy tile.
        tables: those that the file names.
        bound: the largest error, as the file says.

    Returns:
        Pixels of the same shape, each within the bound of the original.

    Raises:
        PayloadError: the words break the rules of SPECIFICATION.md, section 13.9.
        ChecksumError: the pixels are not those that were encoded.
    """
    context = ResidualContext(x_hat, bound)
    decoder = SymbolDecoder(tile.words)
    for site in plane_sites(context.channels):
        if 0 in site.rows_and_columns(context.height, context.width):
            continue
        model = _read_model(decoder, site, tables)
        levels, predictions = context.predict(site, model, tables)
        numbers = table_numbers(levels, predictions, model)
        samples = decoder.take(numbers, tables.symbols).astype(np.int64) + (predictions >> 2)
        if np.abs(samples).max() > SAMPLE_MAX:
            raise PayloadError("a residual sample is out of range")
        context.put(site, samples, predictions)
    decoder.finish()
    pixels = context.pixels()
    check_crc("decoded pixels", tile.checksum, zlib.crc32(pixels.tobytes()))
    return pixels


def table_numbers(levels: Ints, predictions: Ints, model: PlaneModel) -> npt.NDArray[np.uint8]:
    """The table of each symbol.

    Raises:
        PayloadError: a level has none.
    """
    scales = model.tables[levels]
    if scales.min() < 0:
        raise PayloadError("a residual sample has a level without a table")
    return (FRACTIONS * scales + (predictions & (FRACTIONS - 1))).astype(np.uint8)


def table_of(levels: Ints) -> npt.NDArray[np.uint8]:
    """Numbers of the tables of weights, whose levels may lie beyond the range."""
    return (FRACTIONS * levels.clip(0, LEVELS - 1)).astype(np.uint8)


def _read_model(decoder: SymbolDecoder, site: PlaneSite, tables: ResidualTables) -> PlaneModel:
    def codes(count: int, limit: int) -> Ints:
        numbers = np.zeros(count, np.uint8)
        values = decoder.take(numbers, [CODE_TABLE]).astype(np.int64)
        if count and not 0 <= values.min() <= values.max() < limit:
            raise PayloadError("a code of a residual layer is out of range")
        return values

    def weights(levels: Ints) -> Ints:
        return decoder.take(table_of(levels), tables.symbols).astype(np.int64)

    prior = tables.priors[site.index]
    more, first, length = codes(3, LEVELS).tolist()
    if more >= CLASSES_MAX or first + length >= LEVELS:
        raise PayloadError("too many classes or levels in a residual layer")
    cuts, shifts = codes(more, LEVELS), codes(more + 1, SHIFTS)
    if (np.diff(cuts) < 0).any():
        raise PayloadError("the cuts of a residual layer are not in rising order")
    activity = prior.activity + weights(prior.activity_levels)
    classes = [prior.features]
    for number, shift in enumerate(shifts.tolist()):
        levels = prior.step_levels if number else prior.feature_levels
        classes.append(classes[-1] + (weights(levels - SHIFT_LEVELS * shift) << shift))
    features = np.stack(classes[1:])
    if np.abs(features).max() >= WEIGHT_LIMIT:
        raise PayloadError("a weight of a residual layer is out of range")
    scales = np.full(LEVELS, -1, np.int64)
    used = np.arange(first, first + length + 1)
    scales[used] = used + weights(np.full(len(used), MAP_LEVEL))
    if not 0 <= scales[used].min() <= scales[used].max() < LEVELS:
        raise PayloadError("a table of a residual layer is out of range")
    return PlaneModel(activity, cuts, features, shifts, scales)
