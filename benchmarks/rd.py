"""Rate-distortion of aecodec and other codecs: `python -m benchmarks.rd PICTURES_OR_FOLDERS`.

Rates are those of whole files, `8 * bytes / pixels` of the unpadded picture. Distortion is the
PSNR over all RGB channels of the decoded 8-bit picture. Nothing is kept from one run to the next.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import click
from PIL import Image

from benchmarks.codecs import (
    FACTORIES,
    REFERENCE,
    CodecUnavailableError,
    ImageCodec,
    collect_pictures,
    describe,
    load_picture,
    machine_facts,
)
from benchmarks.curves import BdRate, Curve, Point, bd_rate, mean_curve, psnr

_OURS = "aecodec"


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
    """

    test: str
    anchor: str
    pictures: int
    of_means: BdRate | None
    of_pictures: dict[str, BdRate]

    @property
    def mean_percent(self) -> float | None:
        """The mean of the BD-rates of single pictures, None if there are none."""
        percents = [result.percent for result in self.of_pictures.values()]
        return sum(percents) / len(percents) if percents else None

    @property
    def worst(self) -> str | None:
        """The picture with the highest BD-rate."""
        return max(self.of_pictures, key=lambda path: self.of_pictures[path].percent, default=None)


def measure_curve(codec: ImageCodec, image: Image.Image) -> list[Point]:
    """Codes one picture at each quality of the codec's ladder."""
    pixels = image.width * image.height
    curve = []
    for quality in codec.qualities:
        data = codec.encode(image, quality)
        curve.append(Point(quality, 8 * len(data) / pixels, psnr(image, codec.decode(data))))
    return curve


def measure(codecs: Sequence[ImageCodec], paths: Sequence[Path]) -> Measurements:
    """Codes every picture with every codec; what fails is noted and left out."""
    found = Measurements(curves={codec.name: {} for codec in codecs})
    with click.progressbar(
        length=len(paths) * len(codecs), label="measuring", file=sys.stderr
    ) as progress:
        for path in paths:
            _measure_picture(codecs, path, found)
            progress.update(len(codecs))
    return found


def _measure_picture(codecs: Sequence[ImageCodec], path: Path, found: Measurements) -> None:
    try:
        image = load_picture(path)
    except Exception as exc:  # Pillow raises many kinds, and the other pictures still count
        found.left_out.append(f"{path}: {describe(exc)}")
        return
    found.sizes[str(path)] = image.size
    for codec in codecs:
        try:
            found.curves[codec.name][str(path)] = measure_curve(codec, image)
        except Exception as exc:  # a codec may fail in any way, and the others still count
            found.left_out.append(f"{codec.name} on {path}: {describe(exc)}")


def compare(found: Measurements, test: str, anchor: str) -> Comparison:
    """BD-rates of `test` against `anchor` over the pictures that both coded."""
    shared = [path for path in found.curves[test] if path in found.curves[anchor]]
    pairs = {path: (found.curves[anchor][path], found.curves[test][path]) for path in shared}
    results = {path: bd_rate(*pair) for path, pair in pairs.items()}
    anchors, tests = zip(*pairs.values(), strict=True) if pairs else ((), ())
    return Comparison(
        test=test,
        anchor=anchor,
        pictures=len(shared),
        of_means=bd_rate(mean_curve(anchors), mean_curve(tests)) if pairs else None,
        of_pictures={path: result for path, result in results.items() if result},
    )


def compare_all(found: Measurements) -> list[Comparison]:
    """Our codec against each other one, then the other ones against the reference."""
    others = [name for name, curves in found.curves.items() if curves and name != _OURS]
    ours = [compare(found, _OURS, name) for name in others if found.curves.get(_OURS)]
    rest = [compare(found, name, REFERENCE) for name in others if REFERENCE in others]
    return ours + [comparison for comparison in rest if comparison.test != REFERENCE]


def format_means(name: str, curves: Sequence[Curve]) -> str:
    """The table of a codec's mean curve."""
    rows = [f"{p.quality:7g}  {p.bpp:7.4f}  {p.psnr:8.3f}" for p in mean_curve(curves)]
    title = f"{name}, mean of {len(curves)} pictures"
    return "\n".join([title, "quality      bpp  PSNR, dB", *rows])


def format_comparisons(comparisons: Sequence[Comparison]) -> str:
    """The table of BD-rates."""
    heading = (
        "BD-rate at equal PSNR (PCHIP); below 0 %, the first codec needs fewer bits\n"
        f"{'codecs':<20}  {'mean curves':>11}  {'over, dB':>11}  {'mean of pictures':>20}  "
        "worst picture"
    )
    return "\n".join([heading, *map(_format_comparison, comparisons)])


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
    return f"{names:<20}  {of_means:>11}  {span:>11}  {of_pictures:>20}  {of_worst}"


def to_json(found: Measurements, comparisons: Sequence[Comparison], model: str | None) -> str:
    """All points, the comparisons and the facts of the machine; `null` for an infinite PSNR."""
    document = {
        "model": model or "released",
        "machine": machine_facts(),
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


def _parse_qualities(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(sorted({float(part) for part in text.split(",")}))
    except ValueError as exc:
        raise click.BadParameter(f"{text!r} is not a list of numbers, e.g. 10,50,90") from exc


def _parse_codecs(_context: click.Context, _parameter: click.Parameter, text: str) -> list[str]:
    names = list(dict.fromkeys(part.strip() for part in text.split(",")))
    unknown = [name for name in names if name not in FACTORIES]
    if unknown:
        raise click.BadParameter(f"unknown {', '.join(unknown)}; known: {', '.join(FACTORIES)}")
    return names


def _make_codecs(
    names: Sequence[str], qualities: tuple[float, ...] | None, model: str | None
) -> tuple[list[ImageCodec], list[str]]:
    codecs, left_out = [], []
    for name in names:
        try:
            codec = FACTORIES[name](model)
        except CodecUnavailableError as exc:
            left_out.append(f"{name}: {exc}")
            continue
        codecs.append(replace(codec, qualities=qualities) if qualities and name == _OURS else codec)
    return codecs, left_out


@click.command()
@click.argument("pictures", nargs=-1, type=click.Path(path_type=Path))
@click.option("--qualities", callback=_parse_qualities, help="Qualities of aecodec, e.g. 10,50,90.")
@click.option(
    "--codecs",
    default=",".join(name for name in FACTORIES if "-e" not in name),
    show_default=True,
    callback=_parse_codecs,
    help="Codecs to measure.",
)
@click.option("--json", "output", type=click.Path(path_type=Path), help="Also write all points.")
@click.option("--model", help="Weights file for aecodec in place of the released model.")
def main(
    pictures: tuple[Path, ...],
    qualities: tuple[float, ...] | None,
    codecs: list[str],
    output: Path | None,
    model: str | None,
) -> None:
    """Measures rate and distortion over PICTURES, which are files or folders of files.

    Codecs that cannot run here, and pictures that fail, are named at the end and left out.
    """
    try:
        paths = collect_pictures(pictures)
    except OSError as exc:
        raise click.ClickException(str(exc)) from exc
    usable, unusable = _make_codecs(codecs, qualities, model)
    found = measure(usable, paths)
    found.left_out[:0] = unusable
    comparisons = compare_all(found)
    _print_report(found, comparisons)
    if output:
        _write(output, to_json(found, comparisons, model))
    if not any(found.curves.values()):
        raise click.ClickException("nothing could be measured")


def _print_report(found: Measurements, comparisons: Sequence[Comparison]) -> None:
    facts = ", ".join(f"{name} {value}" for name, value in machine_facts().items())
    click.echo(f"{len(found.sizes)} pictures; {facts}\n")
    if found.curves.get(_OURS):
        click.echo(format_means(_OURS, list(found.curves[_OURS].values())) + "\n")
    if comparisons:
        click.echo(format_comparisons(comparisons))
    for line in found.left_out:
        click.echo(f"left out: {line}", err=True)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise click.ClickException(str(exc)) from exc


if __name__ == "__main__":
    main()
