"""Plots of BD-rate against what decoding costs; published figures have hollow symbols."""

from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.ticker import LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from benchmarks.decode_cost import Standing
from benchmarks.plots import style

_GRAY = "#555555"
_HOLLOW: dict[str, Any] = {"marker": "o", "markerfacecolor": "white", "markeredgecolor": _GRAY}
_OFFSETS: tuple[tuple[int, int, Literal["left", "center", "right"]], ...] = (
    (8, -3, "left"), (-8, -3, "right"), (0, 8, "center"), (0, -14, "center"), (7, 6, "left"),
    (-7, 6, "right"), (7, -12, "left"), (-7, -12, "right"), (0, 20, "center"), (0, -26, "center"),
    (16, 14, "left"), (-16, 14, "right"), (16, -20, "left"), (-16, -20, "right"),
)  # fmt: skip
"""Where a label may stand, in points from its symbol; the first free place is taken."""
_SYMBOL = 5.0
"""Half the side of the square that a symbol takes, pixels."""
_LINE_STEP = 0.042
"""Between names at the right edge, as a share of the height."""


def plot_multiplications(found: Sequence[Standing], names: Sequence[str], anchor: str) -> Figure:
    """BD-rate against multiplications a pixel; codecs without networks are level lines."""
    figure, axes = _figure("decoding, thousands of multiplications a pixel", anchor)
    points = [
        (s, s.kmac_per_pixel, s.percent)
        for s in found
        if s.kmac_per_pixel is not None and s.percent is not None
    ]
    _symbols(axes, points, names, "published, not measured here")
    lines = [s for s in found if s.entry is None and s.kmac_per_pixel is None]
    _level_lines(axes, lines, names)
    _finish(figure, axes, points)
    return figure


def plot_decode_time(found: Sequence[Standing], names: Sequence[str], anchor: str) -> Figure:
    """BD-rate against the time of decoding: measured here, or published of another machine."""
    figure, axes = _figure("decoding, milliseconds a megapixel (median)", anchor)
    points = [
        (s, s.ms_per_megapixel, s.percent)
        for s in found
        if s.ms_per_megapixel is not None and s.percent is not None
    ]
    _symbols(axes, points, names, "published, on other machines")
    _finish(figure, axes, points)
    return figure


_Points = Sequence[tuple[Standing, float, float]]


def _figure(x: str, anchor: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8.5, 5.4), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(x)
    axes.set_ylabel(f"BD-rate against {anchor} (RGB PSNR), %")
    axes.grid(alpha=0.3)
    return figure, axes


def _symbols(axes: Axes, points: _Points, names: Sequence[str], published: str) -> None:
    for standing, x, y in points:
        look: dict[str, Any] = _HOLLOW if standing.entry else dict(style(standing.name, names))
        axes.plot(x, y, linestyle="none", markersize=8, zorder=3, **look)
    axes.plot([], [], linestyle="none", marker="o", color="black", label="measured in this run")
    if any(standing.entry for standing, _, _ in points):
        axes.plot([], [], linestyle="none", **_HOLLOW, label=published)
    axes.margins(x=0.12, y=0.12)


def _level_lines(axes: Axes, lines: Sequence[Standing], names: Sequence[str]) -> None:
    """A line for each codec, with its name at the right edge, names apart from each other."""
    heights = {s.name: s.percent for s in lines if s.percent is not None}
    for name, height in heights.items():
        axes.axhline(
            height, color=style(name, names)["color"], linewidth=1.1, linestyle=":", zorder=1
        )
    low, high = axes.get_ylim()
    places = spread(list(heights.values()), _LINE_STEP * (high - low))
    for (name, height), place in zip(heights.items(), places, strict=True):
        colour = style(name, names)["color"]
        axes.annotate(
            name, (1, height), xycoords=("axes fraction", "data"), xytext=(1.035, place),
            textcoords=("axes fraction", "data"), va="center", fontsize=8, color=colour,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkB": 0},
        )  # fmt: skip


def spread(heights: Sequence[float], step: float) -> list[float]:
    """The heights, in their order, moved as a whole where they are crowded to be `step` apart."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    groups: list[list[float]] = []
    for number in order:
        groups.append([heights[number]])
        while len(groups) > 1 and _top(groups[-2], step) + step > _top(groups[-1], -step):
            groups[-2:] = [groups[-2] + groups[-1]]
    places = [
        sum(group) / len(group) + (number - (len(group) - 1) / 2) * step
        for group in groups
        for number in range(len(group))
    ]
    return [place for _, place in sorted(zip(order, places, strict=True))]


def _top(group: Sequence[float], step: float) -> float:
    """Where the last of a group will stand around its mean; with a negative step, the first."""
    return sum(group) / len(group) + (len(group) - 1) / 2 * step


def _finish(figure: Figure, axes: Axes, points: _Points) -> None:
    """The legend above the axes, and the name of each symbol beside it where there is room."""
    figure.legend(loc="outside upper center", ncols=2, fontsize=8)
    figure.draw_without_rendering()  # only then the places of all things are known
    taken = [_square(axes, x, y) for _, x, y in points]
    for standing, x, y in points:
        label = axes.annotate(
            standing.name, (x, y), (0, 0), textcoords="offset points", fontsize=8,
            color=_GRAY if standing.entry else "black",
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip
        label.set_in_layout(False)
        taken.append(_find_place(label, axes.get_window_extent(), taken))


def _find_place(label: Annotation, inside: Bbox, taken: Sequence[Bbox]) -> Bbox:
    """Moves a label to the first place inside where it covers the least of what is there."""

    def move(number: int) -> Bbox:
        across, up, side = _OFFSETS[number]
        label.xyann = (across, up)
        label.set_horizontalalignment(side)
        return label.get_window_extent()

    def covered(number: int) -> float:
        box = move(number)
        beyond = box.width * box.height - _shared(box, inside)
        return sum(_shared(box, other) for other in taken) + 2 * beyond

    return move(min(range(len(_OFFSETS)), key=covered))


def _square(axes: Axes, x: float, y: float) -> Bbox:
    across, down = axes.transData.transform((x, y))
    return Bbox.from_bounds(across - _SYMBOL, down - _SYMBOL, 2 * _SYMBOL, 2 * _SYMBOL)


def _shared(first: Bbox, second: Bbox) -> float:
    """The area that two boxes share."""
    common = Bbox.intersection(first, second)
    return 0.0 if common is None else common.width * common.height
