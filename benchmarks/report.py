"""The report of a run: plots, a crop sheet and one page that needs no other file."""

from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment

from aecodec.storage.files import write_bytes
from benchmarks.codecs import (
    FACTORIES,
    OURS,
    REFERENCE,
    CodecUnavailableError,
    describe,
    is_ours,
)
from benchmarks.comparison import Comparison, compare, measurements
from benchmarks.cost_plots import plot_decode_time, plot_multiplications
from benchmarks.crops import RATES, as_png, crop_rows, middle, sheet
from benchmarks.curves import BdRate
from benchmarks.decode_cost import Standing, decoding_kmac, standings
from benchmarks.glance import against_avif, bd_rates_csv, glance, pairs
from benchmarks.metrics import METRICS
from benchmarks.pictures import load_picture
from benchmarks.plots import FORMATS, draw, plot_bars, plot_curves, plot_speed
from benchmarks.published import is_kodak, published_curves
from benchmarks.report_template import PAGE
from benchmarks.results import CODEC_FACT, Results

CROP_CODECS = ("avif-iq", REFERENCE)


@dataclass(frozen=True)
class Row:
    """A line of the table of BD-rates."""

    metric: str
    test: str
    anchor: str
    rate: str
    over: str
    gain: str
    mean: str
    worst: str


def write_report(
    results: Results, folder: Path, model: str | None, side: int | None = None
) -> None:
    """Writes plots (PNG and SVG), `crops.png`, `bd_rate.csv` and `report.html` into `folder`.

    Raises:
        OSError: a file cannot be written.
    """
    lines = list(results.left_out)
    costs = standings(results, _ours_kmac(results, model, lines))
    images = _plots(results, costs, folder)
    try:
        pictures = list(dict.fromkeys(cell.picture for cell in results.cells))
        names = [cell.codec for cell in results.cells]
        crops = crop_sheet(Path(pictures[len(pictures) // 2]), names, model, side)
        _write(folder / "crops.png", crops)
        images["Crops at equal file size"] = crops
    except Exception as exc:  # a codec may fail in any way, and the rest of the page still counts
        lines.append(f"crop sheet: {describe(exc)}")
    compared = pairs(results)
    _write(folder / "bd_rate.csv", bd_rates_csv(compared).encode())
    page = (
        Environment(autoescape=True)
        .from_string(PAGE)
        .render(
            machine=results.machine,
            pictures=len({cell.picture for cell in results.cells}),
            images={title: b64encode(data).decode() for title, data in images.items()},
            rows=table(compared),
            of_pictures=of_pictures(compared),
            reference=REFERENCE,
            ours=[cell.codec for cell in results.cells if is_ours(cell.codec)],
            glance=glance(results, compared),
            against_avif=against_avif(results, compared),
            means=_means(results),
            labels={name: METRICS[name].label for name in results.metrics},
            left_out=lines,
            published=published_rows(costs),
            details=_details(results),
        )
    )
    _write(folder / "report.html", page.encode())


def _ours_kmac(results: Results, model: str | None, lines: list[str]) -> float | None:
    """What our decoding multiplies, if we took part; a line more if it cannot be counted."""
    if not any(is_ours(cell.codec) for cell in results.cells):
        return None
    try:
        return decoding_kmac(model)
    except Exception as exc:  # a model may fail in any way, and the rest of the page still counts
        lines.append(f"multiplications of {OURS}: {describe(exc)}")
        return None


def _plots(results: Results, costs: Sequence[Standing], folder: Path) -> dict[str, bytes]:
    names = list(dict.fromkeys(cell.codec for cell in results.cells))
    anchor = REFERENCE if REFERENCE in names else names[0]
    kodak = is_kodak({cell.picture for cell in results.cells})
    figures, rates = {}, {}
    for metric in results.metrics:
        found = measurements(results, metric)
        curves = {name: list(c.values()) for name, c in found.curves.items() if c}
        published = published_curves(metric) if kodak else {}
        title = f"Rate and distortion: {METRICS[metric].label}"
        figures[title, f"rd_{metric}"] = plot_curves(metric, curves, published, names)
        if anchor in found.curves:
            others = [name for name in found.curves if name != anchor]
            rates[metric] = [compare(found, name, anchor) for name in others]
    if any(c.of_means for group in rates.values() for c in group):
        figures["BD-rate", "bd_rate"] = plot_bars(rates, anchor)
        figures["Speed", "speed"] = plot_speed(results, rates.get("psnr", []), anchor)
    if sum(s.percent is not None for s in costs) > 1:
        figures["Bits and time of decoding", "bd_rate_decode_time"] = plot_decode_time(
            costs, names, anchor
        )
        if any(s.kmac_per_pixel is not None and s.percent is not None for s in costs):
            figures["Bits and multiplications of decoding", "bd_rate_decode_kmac"] = (
                plot_multiplications(costs, names, anchor)
            )
    images = {}
    for (title, stem), figure in figures.items():
        for file_format in FORMATS:
            data = draw(figure, file_format)
            _write(folder / f"{stem}.{file_format}", data)
            if file_format == "png":
                images[title] = data
    return images


def table(compared: Sequence[tuple[str, Comparison]]) -> list[Row]:
    """BD-rate and its range, BD-PSNR, mean and worst picture, for each metric and pair."""
    return [_row(metric, comparison) for metric, comparison in compared]


def published_rows(costs: Sequence[Standing]) -> list[list[str]]:
    """For each published codec: what was published, what decoding takes, and the sources."""
    return [
        [
            f"{s.name} (published)",
            s.entry.measure,
            "-"
            if s.percent is None
            else f"{'about ' * (s.entry.bd_rate is not None)}{s.percent:+.1f} %",
            "-" if s.kmac_per_pixel is None else f"{s.kmac_per_pixel:g}",
            "-" if s.ms_per_megapixel is None else f"{s.ms_per_megapixel:g}",
            s.entry.source + (f"; decoding: {s.entry.decode_source}" * bool(s.entry.decode_source)),
        ]
        for s in costs
        if s.entry is not None
    ]


def _details(results: Results) -> dict[str, str]:
    """Version and settings of each codec, by its name."""
    return {
        name.removeprefix(CODEC_FACT): str(value)
        for name, value in results.machine.items()
        if name.startswith(CODEC_FACT)
    }


def of_pictures(compared: Sequence[tuple[str, Comparison]]) -> tuple[list[str], list[list[str]]]:
    """Codecs, and for each picture its name and the BD-rates in RGB PSNR against the reference."""
    group = [c for metric, c in compared if (metric, c.anchor) == ("psnr", REFERENCE)]
    pictures = dict.fromkeys(path for c in group for path in c.of_pictures)
    rows = [
        [Path(path).name, *(_percent(c.of_pictures.get(path)) for c in group)] for path in pictures
    ]
    return [c.test for c in group], rows


def _percent(rate: BdRate | None) -> str:
    return f"{rate.percent:+.1f}" if rate else "-"


def _row(metric: str, c: Comparison) -> Row:
    means, mean, worst = c.of_means, c.mean_percent, c.worst
    return Row(
        metric=METRICS[metric].label,
        test=c.test,
        anchor=c.anchor,
        rate=f"{means.percent:+.2f} %" if means else "no overlap, no BD-rate",
        over=f"{means.low:.2f} to {means.high:.2f}" if means else "-",
        gain="-" if c.gain is None else f"{c.gain:+.2f}",
        mean="-" if mean is None else f"{mean:+.2f} % ({len(c.of_pictures)}/{c.pictures})",
        worst=f"{c.of_pictures[worst].percent:+.2f} % {Path(worst).name}" if worst else "-",
    )


def _means(results: Results) -> list[dict[str, str | float]]:
    """For each codec and quality the means over its pictures, as text of the page's table."""
    rows = []
    for codec, quality in dict.fromkeys((cell.codec, cell.quality) for cell in results.cells):
        cells = [c for c in results.cells if (c.codec, c.quality) == (codec, quality)]
        row: dict[str, str | float] = {"codec": codec, "quality": f"{quality:g}"}
        row["bpp"] = f"{sum(c.bpp for c in cells) / len(cells):.4f}"
        for name in results.metrics:
            values = [c.metrics[name] for c in cells if name in c.metrics]
            row[name] = f"{sum(values) / len(values):.3f}" if values else "-"
        for what in ("encode_seconds", "decode_seconds"):
            row[what] = f"{1000 * sum(getattr(c, what) for c in cells) / len(cells):.1f}"
        rows.append(row)
    return rows


def crop_sheet(
    path: Path, names: Sequence[str], model: str | None, side: int | None = None
) -> bytes:
    """The middle of a picture: original, our rows and some others at equal sizes, as PNG.

    Args:
        path: of the picture.
        names: of the codecs of the run.
        model: of the row aecodec.
        side: of a larger picture only so many pixels a side, in its middle.

    Raises:
        Exception: the picture cannot be read, or a codec fails.
    """
    image = load_picture(path, side)
    codecs = []
    for name in (*dict.fromkeys(n for n in names if is_ours(n)), *CROP_CODECS):
        with suppress(CodecUnavailableError):
            codecs.append(FACTORIES[name](model))
    rows = crop_rows(path.name, image, middle(image), codecs, RATES)
    return as_png(sheet(rows, 2))


def _write(path: Path, data: bytes) -> None:
    write_bytes(str(path), data)
