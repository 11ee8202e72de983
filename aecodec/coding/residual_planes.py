"""The planes of a residual layer: which samples they hold, and which ones are near these.

SPECIFICATION.md, sections 13.2 and 13.4; 13.5 and 13.6 for the numbers of features and activities.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

PASSES = ((2, 0, 0), (2, 1, 1), (2, 0, 1), (2, 1, 0), (1, 1, 1), (1, 0, 1), (1, 1, 0))
"""Unit u and position a, b of each pass."""
REACH = 4
"""Largest offset, in units."""

NEAR, AROUND, NEAR_OTHER, NEAR_MISS, NEAR_GUESS, NEAR_ACTIVITY = 16, 13, 4, 4, 8, 12
"""How many offsets features, guesses and activities take of `near` and `around`."""
SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))
CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
FAR = ((-3, 0), (3, 0), (0, -3), (0, 3))

Offset = tuple[int, int]


@dataclass(frozen=True)
class PlaneSite:
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
        return _offsets(self.number, own=False)[:count]

    def around(self, count: int) -> tuple[Offset, ...]:
        """The same with samples of this pass, of which the first is this one."""
        return _offsets(self.number, own=True)[:count]

    def rows_and_columns(self, height: int, width: int) -> tuple[int, int]:
        """Size of the plane in a tile of `height` by `width` pixels."""
        unit, row, column = PASSES[self.number]
        rows = -(-(height - unit * row) // (2 * unit))
        return max(rows, 0), max(-(-(width - unit * column) // (2 * unit)), 0)

    @property
    def feature_count(self) -> int:
        """Features of a sample, in the order of SPECIFICATION.md, section 13.5."""
        near = [len(self.near(n)) for n in (NEAR, NEAR_OTHER, NEAR_MISS)]
        known = sum(earlier for _, earlier in self.others)
        others = sum(
            (len(self.around(AROUND)) if earlier else near[1]) + 1 + len(SIDES)
            for _, earlier in self.others
        )
        own = near[0] + len(SIDES) + len(CORNERS)
        return own + others + known + near[2] + self.has_neighbours + 1

    @property
    def activity_count(self) -> int:
        """Activities of a sample, in the order of SPECIFICATION.md, section 13.6."""
        own = len(self.near(NEAR_ACTIVITY)) + self.has_neighbours + 2 * (self.order + 1) + 3
        others = sum(2 if earlier else self.has_neighbours for _, earlier in self.others)
        return own + others + 1

    @property
    def has_neighbours(self) -> bool:
        """Whether samples nearby are known before this plane, as in all passes but the first."""
        return bool(self.near(1))


def plane_sites(channels: int) -> Iterator[PlaneSite]:
    """All planes of a picture with 1 or 3 channels, in coding order."""
    order = (0,) if channels == 1 else (1, 0, 2)
    for number in range(len(PASSES)):
        for place in range(channels):
            yield PlaneSite(number, order, place)


@cache
def _offsets(number: int, *, own: bool) -> tuple[Offset, ...]:
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
