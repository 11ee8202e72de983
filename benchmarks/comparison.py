"""Codecs compared: Bjontegaard's deltas over pictures, and their tables."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from aecodec.models.registry import tuned_model
from benchmarks.codecs import REFERENCE, is_ours
from benchmarks.curves import BdRate, Curve, Point, bd_psnr, bd_rate, mean_curve
from benchmarks.results import Results


@dataclass
class Measurements:
    """What a run found.

    Attributes:
        sizes: width and height of each picture that could be loaded, by its path.
        curves: for each codec, the curve of each picture that it coded at all qualities.
        left_out: a line for each codec, picture, or pair of both that is missing, with the reason.
    """

    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    curves: dict[str, dict[str, Curve]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Comparison:
    """How a codec fares against another, over the pictures that both coded.

    Attributes:
        test: the codec in question.
        anchor: the codec that stands for 100 % of the bits.
        pictures: how many pictures both coded.
        of_means: BD-rate of the mean curves, None without overlap.
        of_pictures: BD-rate of each picture whose curves overlap, by its path.
        gain: BD-PSNR of the mean curves, in the unit of the metric, None without overlap.
    """

    test: str
    anchor: str
    pictures: int
    of_means: BdRate | None
    of_pictures: dict[str, BdRate]
    gain: float | None = None

    @property
    def mean_percent(self) -> float | None:
        """The mean of the BD-rates of single pictures, None if there are none."""
        percents = [result.percent for result in self.of_pictures.values()]
        return sum(percents) / len(percents) if percents else None

    @property
    def worst(self) -> str | None:
        """The picture with the highest BD-rate."""
        return max(self.of_pictures, key=lambda path: self.of_pictures[path].percent, default=None)


def measurements(results: Results, metric: str = "psnr") -> Measurements:
    """The curves of a run in one metric; those that lack points are left out."""
    found = Measurements(left_out=list(results.left_out))
    found.sizes = {cell.picture: (cell.width, cell.height) for cell in results.cells}
    for name, curves in results.curves(metric).items():
        full = max(map(len, curves.values()))
        found.curves[name] = {path: c for path, c in curves.items() if len(c) == full}
    return found


def compare(found: Measurements, test: str, anchor: str) -> Comparison:
    """BD-rates of `test` against `anchor` over the pictures that both coded."""
    shared = [path for path in found.curves[test] if path in found.curves[anchor]]
    pairs = {path: (found.curves[anchor][path], found.curves[test][path]) for path in shared}
    results = {path: bd_rate(*pair) for path, pair in pairs.items()}
    anchors, tests = zip(*pairs.values(), strict=True) if pairs else ((), ())
    means = (mean_curve(anchors), mean_curve(tests)) if pairs else None
    return Comparison(
        test=test,
        anchor=anchor,
        pictures=len(shared),
        of_means=bd_rate(*means) if means else None,
        of_pictures={path: result for path, result in results.items() if result},
        gain=bd_psnr(*means) if means else None,
    )


def compare_all(found: Measurements) -> list[Comparison]:
    """Each codec of ours against all others, and the others against the reference.

    Of several rows of ours the first is compared with the rest of them, too.
    """
    names = [name for name, curves in found.curves.items() if curves]
    ours, others = [n for n in names if is_ours(n)], [n for n in names if not is_ours(n)]
    pairs = [(test, anchor) for test in ours for anchor in others]
    pairs += [(ours[0], anchor) for anchor in ours[1:]]
    pairs += [(test, REFERENCE) for test in others if REFERENCE in others and test != REFERENCE]
    return [compare(found, *pair) for pair in pairs]


def format_means(name: str, curves: Sequence[Curve]) -> str:
    """The table of a codec's mean curve."""
    rows = [f"{p.quality:7g}  {p.bpp:7.4f}  {p.psnr:8.3f}" for p in mean_curve(curves)]
    title = f"{name}, mean of {len(curves)} pictures"
    return "\n".join([title, "quality      bpp  PSNR, dB", *rows])


def format_comparisons(comparisons: Sequence[Comparison]) -> str:
    """The table of BD-rates."""
    heading = (
        "BD-rate at equal PSNR (PCHIP); below 0 %, the first codec needs fewer bits\n"
        f"{'codecs':<{_NAMES}}  {'mean curves':>11}  {'over, dB':>11}  {'mean of pictures':>20}  "
        "worst picture"
    )
    return "\n".join([heading, *map(_format_comparison, comparisons)])


_NAMES = len("aecodec-visual vs avif-psnr")


def _format_comparison(comparison: Comparison) -> str:
    names = f"{comparison.test} vs {comparison.anchor}"
    means = comparison.of_means
    of_means = f"{means.percent:+9.2f} %" if means else "no overlap"
    span = f"{means.low:.2f}-{means.high:.2f}" if means else "-"
    mean, worst = comparison.mean_percent, comparison.worst
    if mean is None or worst is None:
        of_pictures, of_worst = "no overlap", "-"
    else:
        count = f"{len(comparison.of_pictures)}/{comparison.pictures}"
        of_pictures = f"{mean:+.2f} % ({count})"
        of_worst = f"{comparison.of_pictures[worst].percent:+.2f} % {Path(worst).name}"
    return f"{names:<{_NAMES}}  {of_means:>11}  {span:>11}  {of_pictures:>20}  {of_worst}"


def to_json(
    found: Measurements,
    comparisons: Sequence[Comparison],
    model: str | None,
    machine: Mapping[str, str | int],
) -> str:
    """All points, the comparisons and the facts of the machine; `null` for an infinite PSNR."""
    document = {
        "model": model or tuned_model().name,
        "machine": machine,
        "pictures": found.sizes,
        "points": {
            name: {path: [_plain(point) for point in curve] for path, curve in curves.items()}
            for name, curves in found.curves.items()
        },
        "bd_rate": [
            asdict(c) | {"mean_percent": c.mean_percent, "worst": c.worst} for c in comparisons
        ],
        "left_out": found.left_out,
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _plain(point: Point) -> dict[str, float | None]:
    return {
        "quality": point.quality,
        "bpp": point.bpp,
        "psnr": point.psnr if math.isfinite(point.psnr) else None,
    }
