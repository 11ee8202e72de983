"""The residual layer: what a learned tile lacks, so that its pixels become exact or nearly so.

This text is normative for the words of a RESI chunk (`aecodec/container.py`). They turn the pixels
of a learned tile, x_hat, as the lossy picture has them, into pixels within E of the original, E
being the bound of the file's LAYR; E = 0 gives the original. All arithmetic is in integers, and
`>>` and `//` round down. `thresholds`, symbol tables and expected weights are stored, see
`aecodec/residual_tables.py`.

**Samples.** With step S = 2 E + 1, an encoder makes of each sample `t = (x - x_hat + E) // S`
and a decoder gives `clip(x_hat + S t, 0, 255)`. Channels are coded in the order
green, red, blue, in gray pictures the only one. The value z of a sample is x_hat before its plane
(see below) is coded, and x_hat + S t, unclipped, from then on. The checksum is the CRC-32 of the
decoded pixels of the tile in the order row, column, channel.

**Passes.** Seven passes code the samples whose row mod 2u and column mod 2u are u a and u b:

    pass  0       1       2       3       4       5       6
    u     2       2       2       2       1       1       1
    a, b  0, 0    1, 1    0, 1    1, 0    1, 1    0, 1    1, 0

A pass codes its channels one after the other, each a plane with the samples in the order row,
column. A plane without samples is left out.

**Offsets.** Let Q be the pairs (a, b) of passes with the same u before this one, with (0, 0) where
u = 1. `near(n)` are the first n pairs (u i, u j), i and j in [-4, 4], whose ((a + i) mod 2,
(b + j) mod 2) is in Q, sorted by i^2 + j^2, then i, then j. `around(n)` is the same for Q and
(a, b) itself. Before its plane is coded, t, m and e of a sample are 0. Beyond the tile they are 0,
and z and x_hat are x_hat repeated from its border.

**Features** of a sample, in this order, where c is its channel, z_o and x_o the values of channel o
at an offset from the sample, x_hat those without one, and m_o what `m` below was for channel o:

- z_c at near(16), minus x_hat_c;
- x_c at each of (-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1), minus
  x_hat_c;
- for each other channel o in coding order: z_o at around(13) if it comes before c, else at near(4);
  then x_o at each of (0, 0), (-1, 0), (1, 0), (0, -1), (0, 1); all minus x_hat_c;
- for each channel o before c, in coding order: m_o here;
- m_c at near(4);
- if Q is not empty: the mean guess minus 4 x_hat_c;
- 1.

**Guesses** g_i of a sample, where Q is not empty, with d1 to d4 the offsets of near(4):

- 4 x_hat_c + S times the sum of t_c over near(4);
- 2 (z_c(d1) + z_c(d4)), and 2 (z_c(d2) + z_c(d3));
- for each channel o before c, in coding order: 4 z_o + 2 (z_c(d1) + z_c(d4) - z_o(d1) - z_o(d4)),
  and 4 z_o + 2 (z_c(d2) + z_c(d3) - z_o(d2) - z_o(d3)).

The error of a guess is |4 z_c - g_i| once z_c is known, and 0 elsewhere. With r_i the sum of its
errors over near(8) and f_i = 2^32 // (r_i + 8)^2 + 1, the mean guess is (sum of f_i g_i) // (sum of
f_i).

**Activities** of a sample, in this order, where e_o = |m_o|:

- e_c at near(12);
- if Q is not empty: the sum over d in near(4) of |4 t_c(d) - sum of t_c over near(4)|;
- for each channel o in coding order up to c itself, 4 |z_o(0, u) - z_o(0, -u)| and
  4 |z_o(u, 0) - z_o(-u, 0)|;
- 4 (|x_c(0, -1) - x_c| + |x_c(0, 1) - x_c|); the same of (-1, 0) and (1, 0); the same of all of
  (-3, 0), (3, 0), (0, -3), (0, 3);
- for each other channel o in coding order: if it comes before c, e_o here, and the sum of e_o at
  around(5) but for the first of them; else, if Q is not empty, the sum of e_o at near(4);
- 4.

**Prediction.** A plane has activity weights v, K classes with cuts and feature weights w_k, and a
map of levels, all of them sent. For each sample:

- s = sum of v times activities; level = how many of the thresholds are at most s; class k = how
  many of the cuts are at most the level;
- p = clip((sum of w_k times features + 512 S) // (1024 S), -4096, 4095), in quarters;
- the symbol is t - (p >> 2), and its table is number 4 * map[level] + (p & 3);
- m = clip(4 t - p, -4095, 4095).

**Weights** are sent as differences from stored ones. The stored tables have for each of 28 planes
(the 7 of gray pictures, then the 21 of colour pictures, both in coding order) expected activity
weights V with levels A, expected feature weights W with levels F, and levels G of later classes.
With a shift h_k for each class, `v = V + a`, `w_0 = W + (b_0 << h_0)`, `w_k = w_(k-1) + (b_k <<
h_k)`. The number i of a, b_0, b_k is a symbol of table 4 * l, with the level l = A[i],
F[i] - 5 h_0 and G[i] - 5 h_k, but at least 0 and at most 47.

**Words** hold these groups, see `aecodec/entropy.py`, for each plane. Groups 1 to 3 are under a
uniform table of the symbols 0 to 63.

1. K - 1, the first level of the map, its last level minus the first;
2. the K - 1 cuts;
3. the K shifts;
4. a;
5. for each class one group: b_k;
6. map[level] - level for the levels of the map, under table 48; the other levels are not in the
   map;
7. the symbols.

A decoder rejects K > 16, a level, cut or table above 47, a shift above 15, cuts that fall, a sample
whose level is not in the map, |w_k| of 2^17 or more, t beyond [-1023, 1023], words that are left,
and pixels of another checksum.
"""

import zlib

import numpy as np
import numpy.typing as npt

from aecodec.coding.ans import SymbolDecoder, SymbolTable
from aecodec.coding.residual_context import (
    Ints,
    PlaneModel,
    PlaneSite,
    ResidualContext,
    plane_sites,
)
from aecodec.coding.residual_tables import FRACTIONS, LEVELS, ResidualTables
from aecodec.errors import ChecksumError, PayloadError
from aecodec.format.chunks import ResidualTile
from aecodec.picture.pixels import Pixels

WEIGHT_LIMIT = 2**17

SHIFT_LEVELS = 5
"""Levels that a weight's table falls by when its steps double."""

SAMPLE_MAX = 1023

CLASSES_MAX = 16

CODES = 64

SHIFTS = 16

MAP_LEVEL = 12

CODE_TABLE = SymbolTable(0, np.array([2**18] * (CODES - 1) + [2**18 - 1, 1]))
"""Uniform over the codes; the escape's count is 1."""


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
        PayloadError: the words break the rules above.
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
    computed = zlib.crc32(pixels.tobytes())
    if computed != tile.checksum:
        raise ChecksumError("decoded pixels", stored=tile.checksum, computed=computed)
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
        raise PayloadError("the cuts of a residual layer fall")
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
