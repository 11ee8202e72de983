"""Plots of a run, drawn without a display."""

import io
import math
from collections.abc import Mapping, Sequence
from itertools import product
from statistics import median
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.codecs import is_ours
from benchmarks.comparison import Comparison
from benchmarks.curves import Curve, mean_curve
from benchmarks.metrics import METRICS
from benchmarks.results import Results, speeds_of
from benchmarks.rounds import Sweep

# Okabe and Ito's colours, which people with any colour vision tell apart, and five more.
_COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F3C8D", "#8C6D31", "#555",
    "#A50026", "#999933",
)  # fmt: skip
_MARKERS = "svD^p<>PX*"
_OUR_MARKERS, _OUR_LINES = "o*dh", ("-", "--", "-.", ":")
# Published curves are gray, so that no colour is taken for a measured codec's; dashes tell them.
_PUBLISHED_DASHES = (
    (6, 2), (2, 2), (8, 2, 2, 2), (1, 1.2), (4, 1, 1, 1, 1, 1), (12, 2), (5, 5),
)  # fmt: skip
_LINES = ("-", ":", "--", "-.")
_MOST_BPP = 3.0
FORMATS = ("png", "svg")


def draw(figure: Figure, file_format: str) -> bytes:
    """The figure as a file."""
    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "aecodec"}):  # the same file each time
        dated = {"Date": None} if file_format == "svg" else None
        figure.savefig(stream, format=file_format, dpi=130, metadata=dated)
    return _with_palette(stream) if file_format == "png" else stream.getvalue()


def _with_palette(stream: io.BytesIO) -> bytes:
    """The PNG with 128 colours: a third of the bytes, and a plot looks the same."""
    with Image.open(stream) as image:
        small = image.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    small.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def style(name: str, names: Sequence[str]) -> dict[str, str]:
    """Colour and marker of a codec, the same in all plots; ours is black."""
    if is_ours(name):
        ours = [other for other in names if is_ours(other)]
        return {"color": "black", "marker": _OUR_MARKERS[ours.index(name) % len(_OUR_MARKERS)]}
    number = [other for other in names if not is_ours(other)].index(name)
    return {
        "color": _COLOURS[number % len(_COLOURS)],
        "marker": _MARKERS[number % len(_MARKERS)],
    }


def plot_curves(
    metric: str,
    curves: Mapping[str, Sequence[Curve]],
    published: Mapping[str, Curve],
    names: Sequence[str],
) -> Figure:
    """Mean curves of all codecs in one metric; published ones dashed."""
    figure, axes = _figure("bits per pixel (whole files)", METRICS[metric].label, 6.2)
    for name, of_pictures in curves.items():
        points = [p for p in mean_curve(of_pictures) if math.isfinite(p.psnr)]
        look = style(name, names)
        width, line = 1.3, "-"
        if is_ours(name):
            width, line = 2.2, _OUR_LINES[_OUR_MARKERS.index(look["marker"])]
        _line(axes, points, label=name, markersize=5, linewidth=width, linestyle=line, **look)
    for number, (name, curve) in enumerate(published.items()):
        dashes = (0, _PUBLISHED_DASHES[number % len(_PUBLISHED_DASHES)])
        _line(axes, curve, label=f"{name} (published)", linestyle=dashes, linewidth=1.3,
              color="#666666", zorder=1)  # fmt: skip
    count = max(map(len, curves.values()), default=0)
    axes.set_title(f"{METRICS[metric].label}: mean of {count} picture{'s' * (count != 1)}")
    ours = [p.bpp for name in curves if is_ours(name) for p in mean_curve(curves[name])]
    _zoom(axes, 1.15 * max(ours, default=_MOST_BPP))
    axes.legend(fontsize=8, loc="lower right", ncols=2 if published else 1)
    return figure


def _zoom(axes: Axes, most: float) -> None:
    """Leaves out the rates above `most` and `_MOST_BPP`, and the heights that only they reach."""
    right = min(most, _MOST_BPP, axes.get_xlim()[1])
    points = [np.asarray(line.get_xydata(), np.float64) for line in axes.lines]
    heights = [float(y) for line in points for x, y in line if x <= right]
    if heights:
        margin = 0.04 * (max(heights) - min(heights)) or 1.0
        axes.set_xlim(0, right)
        axes.set_ylim(min(heights) - margin, max(heights) + margin)


def _line(axes: Axes, points: Curve, **options: Any) -> None:  # noqa: ANN401  # matplotlib's
    axes.plot([p.bpp for p in points], [p.psnr for p in points], **options)


def plot_bars(rates: Mapping[str, Sequence[Comparison]], anchor: str) -> Figure:
    """BD-rate of each codec against `anchor`, a group of bars for each codec."""
    names = list(dict.fromkeys(c.test for group in rates.values() for c in group if c.of_means))
    figure, axes = _figure(f"BD-rate against {anchor}, % (below 0: fewer bits)", "", 1.5)
    figure.set_figheight(1.6 + 0.28 * len(names) * max(1, len(rates)))
    height = 0.8 / max(1, len(rates))
    for number, (metric, group) in enumerate(rates.items()):
        found = {c.test: c.of_means.percent for c in group if c.of_means}
        places = [names.index(name) + number * height for name in found]
        label = METRICS[metric].label.split(",")[0]
        values = list(found.values())
        bars = axes.barh(places, values, height * 0.92, label=label, color=_COLOURS[number])
        axes.bar_label(bars, fmt="%+.1f", fontsize=7, padding=2)
    axes.set_yticks([n + 0.4 - height / 2 for n in range(len(names))], names)
    axes.invert_yaxis()
    axes.set_axisbelow(True)
    axes.grid(axis="y", visible=False)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.margins(x=0.14, y=0.02)
    if axes.dataLim.x1 <= 0:
        axes.set_xlim(right=0)
    figure.legend(fontsize=8, loc="outside upper center", ncols=len(rates) or 1)
    return figure


def plot_speed(results: Results, group: Sequence[Comparison], anchor: str) -> Figure:
    """Encode and decode speed in megapixels a second against the BD-rate."""
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    rates = {c.test: c.of_means.percent for c in group if c.of_means} | {anchor: 0.0}
    names = list(dict.fromkeys(cell.codec for cell in results.cells))
    panels = zip(figure.subplots(1, 2, sharey=True), ("encode", "decode"), strict=True)
    for axes, what in panels:
        for name in (name for name in names if name in rates):
            speed = median(speeds_of(results, name, what))
            axes.plot(speed, rates[name], linestyle="none", label=name, markersize=8,
                      **style(name, names))  # fmt: skip
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(f"{what} speed, megapixels a second (median)")
        axes.grid(alpha=0.3, which="both")
        axes.margins(0.15)
    figure.axes[0].set_ylabel(f"BD-rate against {anchor} (RGB PSNR), %")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, loc="outside right center")
    return figure


def plot_sweep(times: Sweep) -> Figure:
    """Seconds to encode and decode over the size of the picture, a line style for each threads."""
    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    names = list(dict.fromkeys(setting.codec for setting in times))
    threads = sorted({setting.threads for setting in times}, reverse=True)
    for number, (axes, what) in enumerate(
        zip(figure.subplots(1, 2, sharey=True), ("encode", "decode"), strict=True)
    ):
        for name, count in product(names, threads):
            points = sorted(
                (s.megapixels, t.medians[number])
                for s, t in times.items()
                if (s.codec, s.threads) == (name, count)
            )
            xs, ys = [x for x, _ in points], [y for _, y in points]
            axes.plot(xs, ys, markersize=4, linewidth=1.3,
                      linestyle=_LINES[threads.index(count) % len(_LINES)],
                      label=f"{name}, {count} thread{'s' * (count != 1)}",
                      **style(name, names))  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        sizes = sorted({setting.megapixels for setting in times})
        axes.set_xticks(sizes, [f"{size:.2g}" for size in sizes])
        axes.set_xticks([], minor=True)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("size, megapixels")
        axes.set_title(what)
        axes.grid(alpha=0.3, which="both")
    figure.axes[0].set_ylabel("time, seconds (median)")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, loc="outside right center")
    return figure


def _figure(x: str, y: str, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8.5, height), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    return figure, axes
