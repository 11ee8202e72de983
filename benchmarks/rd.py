"""Rate-distortion of aecodec and other codecs: `python -m benchmarks.rd PICTURES_OR_FOLDERS`.

Rates are those of whole files, `8 * bytes / pixels` of the unpadded picture. Distortion is the
PSNR over all RGB channels of the decoded 8-bit picture; a report adds other metrics.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack

import click

from aecodec.cli.options import check_one_model
from aecodec.decoder.threads import usable_cores
from aecodec.errors import WeightsError
from aecodec.models.registry import TUNES, Tune, tuned_model
from aecodec.picture.perceptual import INSTALL
from benchmarks.cells import Plan, measure_cells
from benchmarks.codecs import (
    FACTORIES,
    OURS,
    REFERENCE,
    CodecUnavailableError,
    ImageCodec,
    is_ours,
)
from benchmarks.comparison import (
    Comparison,
    Measurements,
    compare_all,
    format_comparisons,
    format_means,
    measurements,
    to_json,
)
from benchmarks.glance import format_glance, pairs
from benchmarks.metrics import ABSENT, METRICS
from benchmarks.pictures import collect_pictures
from benchmarks.results import CODEC_FACT, Results

FULL_CODECS = tuple(name for name in FACTORIES if "-e" not in name and name != OURS)
QUICK_CODECS = (OURS, REFERENCE, "webp", "avif-psnr", "avif-iq")
QUICK_METRICS = ("psnr", "ms_ssim_db")
QUICK_POINTS = 5
"""What is measured unless more is asked for: two pictures of Kodak's size take about a minute."""
QUICK_SIDE = 1024
"""Of larger pictures the middle is measured."""
REPORT_SECONDS = 12.0
"""What plots, crops and the page take, about."""

_DETAILS = {"codec", "metric"}
"""Facts that only stand in the files."""


class _How(TypedDict):
    """What says how to measure, as click parses it; see `Plan`."""

    repeats: int
    processes: int
    threads: int | None
    model: str | None
    tune: Tune | None
    metrics: tuple[str, ...] | None
    full: bool


def _parse_qualities(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(sorted({float(part) for part in text.split(",")}))
    except ValueError as exc:
        raise click.BadParameter(f"{text!r} is not a list of numbers, e.g. 10,50,90") from exc


def _parse_codecs(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> list[str] | None:
    if text is None:
        return None
    names = list(dict.fromkeys(part.strip() for part in text.split(",")))
    unknown = [name for name in names if name not in FACTORIES]
    if unknown:
        raise click.BadParameter(f"unknown {', '.join(unknown)}; known: {', '.join(FACTORIES)}")
    return names


def _parse_metrics(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(dict.fromkeys(["psnr", *(part.strip() for part in text.split(","))]))
    for name in ABSENT.keys() & set(names):
        raise click.BadParameter(f"{name}: {ABSENT[name]}")
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise click.BadParameter(f"unknown {', '.join(unknown)}; known: {', '.join(METRICS)}")
    return names


def thin(ladder: tuple[float, ...], points: int) -> tuple[float, ...]:
    """At most `points` of a ladder's steps, 2 or more: its first, its last, and even ones between.

    Example:
        >>> thin((10, 20, 30, 40, 50, 60), 3)
        (10, 30, 60)
    """
    last = len(ladder) - 1
    if last < points:
        return ladder
    return tuple(ladder[round(number * last / (points - 1))] for number in range(points))


def _make_codecs(
    names: Sequence[str],
    qualities: tuple[float, ...] | None,
    points: int | None,
    model: str | None,
) -> tuple[list[ImageCodec], list[str]]:
    codecs, left_out = [], []
    for name in names:
        try:
            codec = FACTORIES[name](model)
        except CodecUnavailableError as exc:
            left_out.append(f"{name}: {exc}")
            continue
        ladder = qualities if qualities and is_ours(name) else codec.qualities
        codecs.append(replace(codec, qualities=thin(ladder, points) if points else ladder))
    return codecs, left_out


@click.command()
@click.argument("pictures", nargs=-1, type=click.Path(path_type=Path))
@click.option("--qualities", callback=_parse_qualities, help="Qualities of aecodec, e.g. 10,50,90.")
@click.option(
    "--full",
    is_flag=True,
    help="Whole pictures, and by default all codecs, all metrics and all qualities: many times as "
    f"long. Without it, of pictures above {QUICK_SIDE} pixels a side the middle is measured.",
)
@click.option(
    "--codecs",
    callback=_parse_codecs,
    help=f"Codecs to measure, by default {','.join(QUICK_CODECS)}; with --full "
    f"{','.join(FULL_CODECS)}.",
)
@click.option(
    "--points",
    type=click.IntRange(2),
    help="At most so many qualities of each codec, spread evenly; by default "
    f"{QUICK_POINTS}, with --full its whole ladder.",
)
@click.option(
    "--metrics",
    callback=_parse_metrics,
    help=f"Some of {','.join(METRICS)}; psnr always. With a report by default "
    f"{','.join(QUICK_METRICS)}, and with --full all. A Kodak picture takes SSIMULACRA2 and FLIP "
    "about a second each, the others a tenth.",
)
@click.option("--json", "output", type=click.Path(path_type=Path), help="Also write all points.")
@click.option(
    "-o",
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write results, plots and report.html into this folder; a run that was interrupted "
    "goes on where it was.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Make and read each file so often; the median of the seconds counts.",
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many measure at a time; times are only fair with 1.",
)
@click.option("--threads", type=click.IntRange(1), help="Of each process; default: its share.")
@click.option("--model", help="Name or weights file of a model in place of the default.")
@click.option("--tune", type=click.Choice(TUNES), help="The released model, as of compress.")
def main(
    pictures: tuple[Path, ...],
    qualities: tuple[float, ...] | None,
    points: int | None,
    codecs: list[str] | None,
    output: Path | None,
    report: Path | None,
    **how: Unpack[_How],
) -> None:
    """Measures rate and distortion over PICTURES, which are files or folders of files.

    Codecs that cannot run here, and pictures that fail, are named at the end and left out.
    """
    plan = _plan(how, report)
    try:
        paths = collect_pictures(pictures)
    except OSError as exc:
        raise click.ClickException(str(exc)) from exc
    names = codecs or _codecs(how)
    if points is None and qualities is None and not how["full"]:
        points = QUICK_POINTS
    usable, unusable = _make_codecs(names, qualities, points, plan.model)
    results = measure_cells(usable, paths, plan, after=REPORT_SECONDS if report else 0.0)
    absent = [f"{name}: {why}" for name, why in ABSENT.items()] if _all_metrics(plan) else []
    results.left_out[:0] = [*unusable, *absent]
    found = measurements(results)
    comparisons = compare_all(found)
    _print_report(found, comparisons, results)
    if output:
        _write(output, to_json(found, comparisons, plan.model, results.machine))
    if not results.cells:
        raise click.ClickException("nothing could be measured")
    if report:
        _report(results, report, plan)


def _codecs(how: _How) -> Sequence[str]:
    """What is measured by default: with `--full` both tunings, unless one model is chosen."""
    if not how["full"]:
        return QUICK_CODECS
    if how["model"] is None and how["tune"] is None:
        return FULL_CODECS
    return (OURS, *(name for name in FULL_CODECS if not is_ours(name)))


def _model(how: _How) -> str | None:
    """The model of the row aecodec; None for the default one."""
    model, tune = how["model"], how["tune"]
    try:
        check_one_model(model, tune)
        return tuned_model(tune).name if tune else model
    except WeightsError as exc:
        raise click.UsageError(f"--tune: {exc}") from exc


def _plan(how: _How, report: Path | None) -> Plan:
    available, processes = usable_cores(), how["processes"]
    share = how["threads"] or max(1, available // processes)
    if processes * share > available and processes > 1:
        raise click.ClickException(
            f"{processes} processes of {share} threads are more than the {available} cores here"
        )
    by_default = tuple(METRICS) if how["full"] else QUICK_METRICS
    by_default = by_default if report else ("psnr",)
    return Plan(
        repeats=how["repeats"],
        threads=share,
        processes=processes,
        model=_model(how),
        store=None if report is None else report / "cells",
        metrics=how["metrics"] or by_default,
        side=None if how["full"] else QUICK_SIDE,
    )


def _all_metrics(plan: Plan) -> bool:
    return set(plan.metrics) == set(METRICS)


def _report(results: Results, folder: Path, plan: Plan) -> None:
    try:
        results.save(folder)
        from benchmarks.report import write_report

        write_report(results, folder, plan.model, plan.side)
    except ImportError as exc:
        raise click.ClickException(
            f"{exc}: results are in {folder}, plots and report.html need {INSTALL}"
        ) from exc
    except OSError as exc:
        raise click.ClickException(str(exc)) from exc
    click.echo(f"\nreport: {folder / 'report.html'}")


def _print_report(found: Measurements, comparisons: Sequence[Comparison], results: Results) -> None:
    of_machine = {n: v for n, v in results.machine.items() if n.split()[0] not in _DETAILS}
    facts = ", ".join(f"{name} {value}" for name, value in of_machine.items())
    click.echo(f"{len(found.sizes)} pictures; {facts}\n")
    for name in filter(is_ours, found.curves):
        click.echo(format_means(name, list(found.curves[name].values())) + "\n")
    if comparisons:
        click.echo(format_comparisons(comparisons) + "\n")
    if len(results.metrics) > 1:
        click.echo(format_glance(results, pairs(results)) + "\n")
    for name in found.curves:
        click.echo(f"{name}: {results.machine[CODEC_FACT + name]}")
    for line in found.left_out:
        click.echo(f"left out: {line}", err=True)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise click.ClickException(str(exc)) from exc


if __name__ == "__main__":
    main()
