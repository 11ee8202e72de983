"""What encoder and decoder of a residual layer know of a tile, and predict from it.

SPECIFICATION.md, sections 13.3 and 13.5 to 13.7.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aecodec.coding.residual_planes import (
    AROUND,
    CORNERS,
    FAR,
    NEAR,
    NEAR_ACTIVITY,
    NEAR_GUESS,
    NEAR_MISS,
    NEAR_OTHER,
    PASSES,
    REACH,
    SIDES,
    Offset,
    PlaneSite,
)
from aecodec.coding.residual_tables import ResidualTables
from aecodec.picture.pixels import Pixels

PAD = 2 * REACH
"""Pixels around a plane; no offset exceeds it."""
WEIGHT_ONE = 2**12
"""Unit of the feature weights."""
PREDICTION_MAX = 4096
STRIP_SAMPLES = 2**17
"""Samples whose features are held at a time."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Plane = npt.NDArray[np.int32]


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


class ResidualContext:
    """Everything that encoder and decoder know of a tile, with borders of `PAD` pixels.

    Attributes:
        samples: t of each channel, `(H + 2 PAD, W + 2 PAD)`.
        values: z of each channel, likewise.
        misses: m of each channel, likewise.
        errors: e of each channel, likewise, the magnitude of m.
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
        self._guess_errors = [
            [np.zeros_like(self._lossy[0]) for _ in range(3 + 2 * order)]
            for order in range(self.channels)
        ]
        self.misses: list[Plane] = [np.zeros_like(p) for p in self._lossy]
        self.errors: list[Plane] = [np.zeros_like(p) for p in self._lossy]

    def view(
        self, planes: Sequence[Plane], channel: int, site: PlaneSite, rows: slice, at: Offset
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

    def strips(self, site: PlaneSite) -> Iterator[slice]:
        """Rows of a plane, a limited number of samples at a time."""
        height, width = site.rows_and_columns(self.height, self.width)
        step = max(STRIP_SAMPLES // max(width, 1), 1)
        for first in range(0, height if width else 0, step):
            yield slice(first, min(first + step, height))

    def features(self, site: PlaneSite, rows: slice) -> Floats:
        """Features of some rows, `(m, samples)`; integers."""
        c = site.channel
        z, x = self.values, self._lossy
        here = self.view(x, c, site, rows, (0, 0))
        columns = [self.view(z, c, site, rows, d) - here for d in site.near(NEAR)]
        columns += [self.view(x, c, site, rows, d) - here for d in (*SIDES, *CORNERS)]
        for other, known in site.others:
            offsets = site.around(AROUND) if known else site.near(NEAR_OTHER)
            columns += [self.view(z, other, site, rows, d) - here for d in offsets]
            columns += [self.view(x, other, site, rows, d) - here for d in ((0, 0), *SIDES)]
        columns += [
            self.view(self.misses, o, site, rows, (0, 0)) for o, known in site.others if known
        ]
        columns += [self.view(self.misses, c, site, rows, d) for d in site.near(NEAR_MISS)]
        guesses = self.guesses(site, rows)
        if guesses:
            columns.append(self._mean_guess(site, rows, guesses) - 4 * here)
        return _stack([*columns, np.ones_like(here)])

    def guesses(self, site: PlaneSite, rows: slice) -> list[Plane]:
        """Simple predictions of some rows' values, in quarters; none without known neighbours."""
        four = site.near(4)
        if not four:
            return []
        c = site.channel
        north, west, east, south = (self.view(self.values, c, site, rows, d) for d in four)
        mean = _sum([self.view(self.samples, c, site, rows, d) for d in four])
        pairs = north + south, west + east
        found = [4 * self.view(self._lossy, c, site, rows, (0, 0)) + self.step * mean]
        found += [2 * pair for pair in pairs]
        for other in site.channels[: site.order]:
            own = [self.view(self.values, other, site, rows, d) for d in four]
            here = 4 * self.view(self.values, other, site, rows, (0, 0))
            found.append(here + 2 * (pairs[0] - own[0] - own[3]))
            found.append(here + 2 * (pairs[1] - own[1] - own[2]))
        return found

    def _mean_guess(self, site: PlaneSite, rows: slice, guesses: list[Plane]) -> Plane:
        """Mean of guesses, weighted by how near they came to the samples around."""
        dividend = np.zeros(guesses[0].shape, np.int64)
        divisor = np.zeros_like(dividend)
        for number, guess in enumerate(guesses):
            planes = self._guess_errors[site.order]
            near = [self.view(planes, number, site, rows, d) for d in site.near(NEAR_GUESS)]
            weight = 2**32 // (_sum(near).astype(np.int64) + 8) ** 2 + 1
            dividend += weight * guess
            divisor += weight
        return (dividend // divisor).astype(np.int32)

    def activities(self, site: PlaneSite, rows: slice) -> Floats:
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
        columns += [detail(SIDES[2:]), detail(SIDES[:2]), detail(FAR)]
        for other, known in site.others:
            if known:
                columns.append(self.view(e, other, site, rows, (0, 0)))
                columns.append(total(e, other, site.around(5)[1:]))
            elif four:
                columns.append(total(e, other, four))
        return _stack([*columns, np.full_like(here, 4)])

    def levels(self, site: PlaneSite, rows: slice, activity: Ints, tables: ResidualTables) -> Ints:
        """Level of each sample of some rows, `(samples,)`."""
        sums = activity.astype(np.float64) @ self.activities(site, rows)
        return np.searchsorted(tables.thresholds, sums, side="right")

    def predict(
        self, site: PlaneSite, model: PlaneModel, tables: ResidualTables
    ) -> tuple[Ints, Ints]:
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

    def put(self, site: PlaneSite, samples: Ints, predictions: Ints) -> None:
        """Takes note of a plane's samples, `(samples,)`."""
        rows = slice(0, site.rows_and_columns(self.height, self.width)[0])
        misses = (4 * samples - predictions).clip(1 - PREDICTION_MAX, PREDICTION_MAX - 1)
        kept = ((self.samples, samples), (self.misses, misses), (self.errors, np.abs(misses)))
        for planes, values in kept:
            target = self.view(planes, site.channel, site, rows, (0, 0))
            target[...] = values.reshape(target.shape)
        target = self.view(self.values, site.channel, site, rows, (0, 0))
        target += self.step * samples.reshape(target.shape).astype(np.int32)
        for number, guess in enumerate(self.guesses(site, rows)):
            errors = self.view(self._guess_errors[site.order], number, site, rows, (0, 0))
            errors[...] = np.abs(4 * target - guess)

    def pixels(self) -> Pixels:
        """The tile that all samples give, `(H, W, C)` or `(H, W)` uint8."""
        inner = slice(PAD, -PAD)
        planes = [z[inner, inner].clip(0, 255).astype(np.uint8) for z in self.values]
        return planes[0] if self.channels == 1 else np.ascontiguousarray(np.stack(planes, 2))


def _sum(parts: Sequence[Plane]) -> Plane:
    total: Plane = np.sum(parts, 0, dtype=np.int32)
    return total


def _stack(columns: Sequence[Plane]) -> Floats:
    stacked = np.empty((len(columns), columns[0].size))
    for row, column in zip(stacked, columns, strict=True):
        row.reshape(column.shape)[...] = column
    return stacked
