"""The residual layer: what a learned tile lacks, so that its pixels become exact or nearly so.

This text is normative for the words of a RESI chunk (`aecodec/container.py`). They turn the pixels
of a learned tile, x_hat, as the lossy picture has them, into pixels within E of the original, E
being the bound of the file's LAYR; E = 0 gives the original. All arithmetic is in integers, and
`>>` rounds down. `thresholds` and the symbol tables are stored, see `aecodec/residual_tables.py`.

**Samples.** With step S = 2 E + 1, an encoder makes of each sample `t = (x - x_hat + E) // S`
(rounded down), and a decoder gives `clip(x_hat + S t, 0, 255)`. Channels are coded in the order
green, red, blue, in gray pictures the only one. The value z of a sample is x_hat before its t is
coded, and x_hat + S t, unclipped, from then on. The checksum is the CRC-32 of the decoded pixels of
the tile in the order row, column, channel.

**Passes.** Seven passes code the samples whose row mod 2u and column mod 2u are u a and u b:

    pass  0       1       2       3       4       5       6
    u     2       2       2       2       1       1       1
    a, b  0, 0    1, 1    0, 1    1, 0    1, 1    0, 1    1, 0

A pass codes its channels one after the other, each a plane with the samples in the order row,
column. A plane without samples is left out.

**Offsets.** Let K be the pairs (a, b) of passes with the same u before this one, with (0, 0) where
u = 1. `near(n)` are the first n pairs (u i, u j), i and j in [-4, 4], whose ((a + i) mod 2,
(b + j) mod 2) is in K, sorted by i^2 + j^2, then i, then j. `around(n)` is the same for K and
(a, b) itself. Beyond the tile t, e and m are 0, and z and x_hat are x_hat repeated from its border.

**Features** of a sample, in this order, where c is its channel, z_o and x_o the values of channel o
at an offset from the sample, x_hat those without one, and m_o what `m` below was for channel o:

- z_c at near(16), minus x_hat_c;
- x_c at each of (-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1), minus
  x_hat_c;
- for each other channel o in coding order: z_o at around(13) if it comes before c, else at near(4);
  then x_o at each of (0, 0), (-1, 0), (1, 0), (0, -1), (0, 1); all minus x_hat_c;
- for each channel o before c: m_o here;
- m_c at near(4);
- 1.

**Activities** of a sample, in this order, where e_o = |m_o|:

- e_c at near(12);
- if K is not empty: the sum over d in near(4) of |4 t_c(d) - sum of t_c over near(4)|;
- for each channel o in coding order up to c itself, 4 |z_o(0, u) - z_o(0, -u)| and
  4 |z_o(u, 0) - z_o(-u, 0)|;
- 4 (|x_c(0, -1) - x_c| + |x_c(0, 1) - x_c|); the same of (-1, 0) and (1, 0); the same of all of
  (-3, 0), (3, 0), (0, -3), (0, 3);
- for each other channel o in coding order: if it comes before c, e_o here, and the sum of e_o at
  around(5) but for the first of them; else, if K is not empty, the sum of e_o at near(4);
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
6. map[level] - level for the levels of the map, under table 4 * MAP_LEVEL; the other levels are
   not in the map;
7. the symbols.

A decoder rejects K > 16, a level, cut or table above 47, a shift above 15, cuts that fall, a sample
whose level is not in the map, |w_k| of 2^17 or more, t beyond [-1023, 1023], words that are left,
and pixels of another checksum.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from aecodec.container import ResidualTile
from aecodec.entropy import SymbolDecoder, SymbolTable
from aecodec.errors import ChecksumError, PayloadError
from aecodec.images import Pixels
from aecodec.residual_tables import FRACTIONS, LEVELS, ResidualTables

PASSES = ((2, 0, 0), (2, 1, 1), (2, 0, 1), (2, 1, 0), (1, 1, 1), (1, 0, 1), (1, 1, 0))
"""Unit u and position a, b of each pass."""
REACH = 4
"""Largest offset, in units."""
PAD = 2 * REACH
"""Pixels around a plane; no offset exceeds it."""
NEAR, AROUND, NEAR_OTHER, NEAR_MISS, NEAR_ACTIVITY = 16, 13, 4, 4, 12
WEIGHT_ONE = 2**12
"""Unit of the feature weights."""
WEIGHT_LIMIT = 2**17
SHIFT_LEVELS = 5
"""Levels that a weight's table falls by when its steps double."""
PREDICTION_MAX = 4096
SAMPLE_MAX = 1023
CLASSES_MAX = 16
CODES = 64
SHIFTS = 16
MAP_LEVEL = 12
STRIP_SAMPLES = 2**17
"""Samples whose features are held at a time."""

_SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))
_CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_FAR = ((-3, 0), (3, 0), (0, -3), (0, 3))

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Plane = npt.NDArray[np.int32]
Offset = tuple[int, int]

CODE_TABLE = SymbolTable(0, np.array([2**18] * (CODES - 1) + [2**18 - 1, 1]))
"""Uniform over the codes; the escape's count is 1."""


@dataclass(frozen=True, eq=False)
class PlaneModel:
    """What is sent about one plane.

    Attributes:
        activity: `(n,)` weights of the activities, in 1/512.
        cuts: `(K - 1,)` levels at which classes begin, rising.
        features: `(K, m)` weights of the features, in 1/4096.
        shifts: `(K,)` binary logarithms of the steps of each class's weights.
        tables: `(LEVELS,)` the scale of each level, -1 where it has none.
    """

    activity: Ints
    cuts: Ints
    features: Ints
    shifts: Ints
    tables: Ints


@dataclass(frozen=True)
class Site:
    """One plane: a channel of a pass.

    Attributes:
        number: of the pass.
        channels: of the picture, in coding order.
        order: place of this channel in that order.
    """

    number: int
    channels: tuple[int, ...]
    order: int

    @property
    def channel(self) -> int:
        """Index of the channel in the picture."""
        return self.channels[self.order]

    @property
    def others(self) -> tuple[tuple[int, bool], ...]:
        """The other channels, and whether they come before this one."""
        return tuple((o, i < self.order) for i, o in enumerate(self.channels) if i != self.order)

    @property
    def index(self) -> int:
        """Place among all planes, those of gray pictures first."""
        gray = len(self.channels) == 1
        return self.number if gray else len(PASSES) + 3 * self.number + self.order

    def near(self, count: int) -> tuple[Offset, ...]:
        """Offsets of the nearest samples of earlier passes."""
        return _offsets(self.number, False)[:count]

    def around(self, count: int) -> tuple[Offset, ...]:
        """The same with samples of this pass, of which the first is this one."""
        return _offsets(self.number, True)[:count]

    def rows_and_columns(self, height: int, width: int) -> tuple[int, int]:
        """Size of the plane in a tile of `height` by `width` pixels."""
        unit, row, column = PASSES[self.number]
        rows = -(-(height - unit * row) // (2 * unit))
        return max(rows, 0), max(-(-(width - unit * column) // (2 * unit)), 0)


def sites(channels: int) -> Iterator[Site]:
    """All planes of a picture with 1 or 3 channels, in coding order."""
    order = (0,) if channels == 1 else (1, 0, 2)
    for number in range(len(PASSES)):
        for place in range(channels):
            yield Site(number, order, place)


class Canvas:
    """Everything that encoder and decoder know of a tile, with borders of `PAD` pixels.

    Attributes:
        samples: t of each channel, `(H + 2 PAD, W + 2 PAD)`.
        values: z of each channel.
        misses: m of each channel.
        errors: e of each channel, their magnitude.
    """

    def __init__(self, x_hat: Pixels, bound: int) -> None:
        """Begins with no sample known.

        Args:
            x_hat: `(H, W, 3)` or `(H, W)`, the lossy tile.
            bound: the largest error.
        """
        self.step = 2 * bound + 1
        planes = x_hat[None] if x_hat.ndim == 2 else x_hat.transpose(2, 0, 1)
        self.channels, self.height, self.width = planes.shape
        self._lossy: list[Plane] = [np.pad(p.astype(np.int32), PAD, mode="edge") for p in planes]
        self.samples: list[Plane] = [np.zeros_like(p) for p in self._lossy]
        self.values: list[Plane] = [p.copy() for p in self._lossy]
        self.misses: list[Plane] = [np.zeros_like(p) for p in self._lossy]
        self.errors: list[Plane] = [np.zeros_like(p) for p in self._lossy]

    def view(
        self, planes: Sequence[Plane], channel: int, site: Site, rows: slice, at: Offset
    ) -> Plane:
        """Values of some rows of a plane, at an offset from its samples."""
        unit, row, column = PASSES[site.number]
        step = 2 * unit
        height, width = site.rows_and_columns(self.height, self.width)
        first, last = rows.start, min(rows.stop, height) - 1
        top = PAD + unit * row + at[0]
        left = PAD + unit * column + at[1]
        return planes[channel][
            top + first * step : top + last * step + 1 : step,
            left : left + (width - 1) * step + 1 : step,
        ]

    def strips(self, site: Site) -> Iterator[slice]:
        """Rows of a plane, a limited number of samples at a time."""
        height, width = site.rows_and_columns(self.height, self.width)
        step = max(STRIP_SAMPLES // max(width, 1), 1)
        for first in range(0, height if width else 0, step):
            yield slice(first, min(first + step, height))

    def features(self, site: Site, rows: slice) -> Floats:
        """Features of some rows, `(m, samples)`; integers."""
        c = site.channel
        z, x = self.values, self._lossy
        here = self.view(x, c, site, rows, (0, 0))
        columns = [self.view(z, c, site, rows, d) - here for d in site.near(NEAR)]
        columns += [self.view(x, c, site, rows, d) - here for d in (*_SIDES, *_CORNERS)]
        for other, known in site.others:
            offsets = site.around(AROUND) if known else site.near(NEAR_OTHER)
            columns += [self.view(z, other, site, rows, d) - here for d in offsets]
            columns += [self.view(x, other, site, rows, d) - here for d in ((0, 0), *_SIDES)]
        columns += [
            self.view(self.misses, o, site, rows, (0, 0)) for o, known in site.others if known
        ]
        columns += [self.view(self.misses, c, site, rows, d) for d in site.near(NEAR_MISS)]
        return _stack([*columns, np.ones_like(here)])

    def activities(self, site: Site, rows: slice) -> Floats:
        """Activities of some rows, `(n, samples)`; integers."""
        c = site.channel
        e, x = self.errors, self._lossy
        unit = PASSES[site.number][0]
        here = self.view(x, c, site, rows, (0, 0))

        def total(planes: Sequence[Plane], channel: int, offsets: Sequence[Offset]) -> Plane:
            return _sum([self.view(planes, channel, site, rows, d) for d in offsets])

        def detail(offsets: Sequence[Offset]) -> Plane:
            parts = [4 * np.abs(self.view(x, c, site, rows, d) - here) for d in offsets]
            return _sum(parts)

        def change(channel: int, d: Offset) -> Plane:
            before = self.view(self.values, channel, site, rows, (-d[0], -d[1]))
            found: Plane = 4 * np.abs(self.view(self.values, channel, site, rows, d) - before)
            return found

        columns = [self.view(e, c, site, rows, d) for d in site.near(NEAR_ACTIVITY)]
        four = site.near(4)
        if four:
            mean = total(self.samples, c, four)
            parts = [np.abs(4 * self.view(self.samples, c, site, rows, d) - mean) for d in four]
            columns.append(_sum(parts))
        for other in site.channels[: site.order + 1]:
            columns += [change(other, (0, unit)), change(other, (unit, 0))]
        columns += [detail(_SIDES[2:]), detail(_SIDES[:2]), detail(_FAR)]
        for other, known in site.others:
            if known:
                columns.append(self.view(e, other, site, rows, (0, 0)))
                columns.append(total(e, other, site.around(5)[1:]))
            elif four:
                columns.append(total(e, other, four))
        return _stack([*columns, np.full_like(here, 4)])

    def levels(self, site: Site, rows: slice, activity: Ints, tables: ResidualTables) -> Ints:
        """Level of each sample of some rows, `(samples,)`."""
        sums = activity.astype(np.float64) @ self.activities(site, rows)
        return np.searchsorted(tables.thresholds, sums, side="right")

    def predict(self, site: Site, model: PlaneModel, tables: ResidualTables) -> tuple[Ints, Ints]:
        """Levels and predictions in quarters of a plane, both `(samples,)`."""
        parts = []
        for rows in self.strips(site):
            levels = self.levels(site, rows, model.activity, tables)
            classes = np.searchsorted(model.cuts, levels, side="right")
            features = self.features(site, rows)
            # Sums stay below 2^53, so that float64 holds them exactly in any order.
            sums = model.features.astype(np.float64) @ features
            own = sums[classes, np.arange(len(classes))].astype(np.int64)
            unit = self.step * WEIGHT_ONE // 4
            quarters = (own + unit // 2) // unit
            parts.append((levels, quarters.clip(-PREDICTION_MAX, PREDICTION_MAX - 1)))
        levels, predictions = (np.concatenate(part) for part in zip(*parts, strict=True))
        return levels, predictions

    def put(self, site: Site, samples: Ints, predictions: Ints) -> None:
        """Takes note of a plane's samples, `(samples,)`."""
        rows = slice(0, site.rows_and_columns(self.height, self.width)[0])
        misses = (4 * samples - predictions).clip(1 - PREDICTION_MAX, PREDICTION_MAX - 1)
        kept = ((self.samples, samples), (self.misses, misses), (self.errors, np.abs(misses)))
        for planes, values in kept:
            target = self.view(planes, site.channel, site, rows, (0, 0))
            target[...] = values.reshape(target.shape)
        target = self.view(self.values, site.channel, site, rows, (0, 0))
        target += self.step * samples.reshape(target.shape).astype(np.int32)

    def pixels(self) -> Pixels:
        """The tile that all samples give, `(H, W, C)` or `(H, W)` uint8."""
        inner = slice(PAD, -PAD)
        planes = [z[inner, inner].clip(0, 255).astype(np.uint8) for z in self.values]
        return planes[0] if self.channels == 1 else np.ascontiguousarray(np.stack(planes, 2))


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
    canvas = Canvas(x_hat, bound)
    decoder = SymbolDecoder(tile.words)
    for site in sites(canvas.channels):
        if 0 in site.rows_and_columns(canvas.height, canvas.width):
            continue
        model = _read_model(decoder, canvas, site, tables)
        levels, predictions = canvas.predict(site, model, tables)
        numbers = table_numbers(levels, predictions, model)
        samples = decoder.take(numbers, tables.symbols).astype(np.int64) + (predictions >> 2)
        if np.abs(samples).max() > SAMPLE_MAX:
            raise PayloadError("a residual sample is out of range")
        canvas.put(site, samples, predictions)
    decoder.finish()
    pixels = canvas.pixels()
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


def _read_model(
    decoder: SymbolDecoder, canvas: Canvas, site: Site, tables: ResidualTables
) -> PlaneModel:
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


@cache
def _offsets(number: int, own: bool) -> tuple[Offset, ...]:
    unit, row, column = PASSES[number]
    known = {(a, b) for u, a, b in PASSES[:number] if u == unit} | (
        {(0, 0)} if unit == 1 else set()
    )
    if own:
        known.add((row, column))
    span = range(-REACH, REACH + 1)
    found = [(i, j) for i in span for j in span if ((row + i) % 2, (column + j) % 2) in known]
    found.sort(key=lambda d: (d[0] ** 2 + d[1] ** 2, *d))
    return tuple((unit * i, unit * j) for i, j in found)


def _sum(parts: Sequence[Plane]) -> Plane:
    total: Plane = np.sum(parts, 0, dtype=np.int32)
    return total


def _stack(columns: Sequence[Plane]) -> Floats:
    stacked = np.empty((len(columns), columns[0].size))
    for row, column in zip(stacked, columns, strict=True):
        row.reshape(column.shape)[...] = column
    return stacked
