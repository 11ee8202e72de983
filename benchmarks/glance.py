"""BD-rates of a run in all its metrics, at one look: against the reference, and against AVIF."""

import csv
import io
from collections.abc import Sequence
from statistics import median

from benchmarks.codecs import AVIF_TUNES, REFERENCE, is_ours
from benchmarks.comparison import Comparison, compare, measurements
from benchmarks.metrics import METRICS
from benchmarks.results import Results, speeds_of

MEAN_CURVES = "(mean curves)"
AVIF_ROWS = tuple(f"avif-{tune}" for tune in AVIF_TUNES)
Compared = Sequence[tuple[str, Comparison]]
"""Metrics and comparisons in them."""


def pairs(results: Results) -> list[tuple[str, Comparison]]:
    """In each metric each codec against the reference, then our rows against each AVIF."""
    found = []
    for metric in results.metrics:
        measured = measurements(results, metric)
        names = [name for name, curves in measured.curves.items() if curves]
        of_metric = [(name, REFERENCE) for name in names if REFERENCE in names]
        of_metric += [(n, avif) for avif in AVIF_ROWS if avif in names for n in names if is_ours(n)]
        found += [
            (metric, compare(measured, test, anchor))
            for test, anchor in of_metric
            if test != anchor
        ]
    return found


def glance(results: Results, compared: Compared) -> list[list[str]]:
    """Each codec with its BD-rates against the reference in each metric, and its two speeds."""
    names = list(dict.fromkeys(cell.codec for cell in results.cells))
    if REFERENCE not in names:
        return []
    found = _rates(compared)
    rows = []
    for name in names:
        rates = [
            "0 %" if name == REFERENCE else found.get((metric, name, REFERENCE), "-")
            for metric in results.metrics
        ]
        speeds = [f"{median(speeds_of(results, name, what)):.3g}" for what in ("encode", "decode")]
        rows.append([name, *rates, *speeds])
    return rows


def against_avif(results: Results, compared: Compared) -> list[list[str]]:
    """Each of our rows and each AVIF, with the BD-rate of ours against it in each metric."""
    found = _rates(compared)
    couples = dict.fromkeys((c.test, c.anchor) for _, c in compared if c.anchor in AVIF_ROWS)
    return [
        [test, anchor, *(found.get((metric, test, anchor), "-") for metric in results.metrics)]
        for test, anchor in couples
    ]


def format_glance(results: Results, compared: Compared) -> str:
    """Both tables as text."""
    labels = [METRICS[name].label.split(",")[0] for name in results.metrics]
    rows = [[row[0], REFERENCE, *row[1:-2]] for row in glance(results, compared)]
    rows = [row for row in rows if row[0] != REFERENCE] + against_avif(results, compared)
    first = max((len(row[0]) for row in rows), default=0)
    lines = [
        "BD-rates of the mean curves; below 0 %, the first codec needs fewer bits",
        f"{'codec':<{first}}  {'against':<9}" + "".join(f"  {label:>11}" for label in labels),
    ]
    for test, anchor, *rates in rows:
        shown = "".join(
            f"  {rate:>{max(11, len(n))}}" for rate, n in zip(rates, labels, strict=True)
        )
        lines.append(f"{test:<{first}}  {anchor:<9}{shown}")
    return "\n".join(lines)


def bd_rates_csv(compared: Compared) -> str:
    """One line for each metric, pair of codecs and picture, and one for the mean curves."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["metric", "codec", "anchor", "picture", "bd_rate_percent", "low", "high"])
    for metric, c in compared:
        lines = {MEAN_CURVES: c.of_means} | dict(c.of_pictures)
        for picture, rate in lines.items():
            values = (rate.percent, rate.low, rate.high) if rate else ("", "", "")
            writer.writerow([metric, c.test, c.anchor, picture, *values])
    return stream.getvalue()


def _rates(compared: Compared) -> dict[tuple[str, str, str], str]:
    """BD-rates of mean curves as text, by metric, codec and anchor."""
    return {
        (metric, c.test, c.anchor): f"{c.of_means.percent:+.1f} %"
        for metric, c in compared
        if c.of_means
    }
