"""Guards the compression that was reached: `python -m benchmarks regress BASELINE.json`.

A baseline holds the points that a model had on some pictures. They are measured again, and the
check fails if the same PSNR costs noticeably more bits than then.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from aecodec.models.registry import tuned_model
from benchmarks.cells import measure_curve
from benchmarks.codecs import aecodec
from benchmarks.curves import Curve, Point, bd_rate, mean_curve
from benchmarks.machine import machine_facts
from benchmarks.pictures import load_picture

QUALITIES = (10.0, 30.0, 50.0, 70.0, 90.0)
TOLERANCE = 0.5
"""Points of BD-rate."""
SAMPLES = Path(__file__).resolve().parents[1] / "samples"
NO_SAMPLES = {"comparison.png"}

Curves = Mapping[str, Curve]


def measure_pictures(paths: Sequence[Path], model: str | None = None) -> dict[str, list[Point]]:
    """The curve of each picture, by its file name."""
    codec = aecodec(model)
    codec = type(codec)(codec.name, QUALITIES, codec.encode, codec.decode)
    return {path.name: measure_curve(codec, load_picture(path)) for path in paths}


def changes(before: Curves, now: Curves) -> dict[str, float]:
    """BD-rate of each picture against the baseline, in per cent, and of the mean curves as "mean".

    Raises:
        ValueError: pictures are missing, or curves do not overlap.
    """
    missing = sorted(before.keys() ^ now.keys())
    if missing:
        raise ValueError(f"baseline and pictures differ: {', '.join(missing)}")
    pairs = {name: (before[name], now[name]) for name in sorted(before)}
    pairs["mean"] = (mean_curve(list(before.values())), mean_curve(list(now.values())))
    found = {}
    for name, pair in pairs.items():
        result = bd_rate(*pair)
        if result is None:
            raise ValueError(f"{name}: the curves do not overlap")
        found[name] = result.percent
    return found


def read_baseline(path: Path) -> tuple[str, dict[str, list[Point]]]:
    """Name of the model, and the points, of a baseline.

    Raises:
        ValueError: the file holds something else.
        OSError: it cannot be read.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        points = {
            name: [Point(*point) for point in curve] for name, curve in stored["points"].items()
        }
        return str(stored["model"]), points
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        raise ValueError(f"{path}: not a baseline: {exc}") from exc


def write_baseline(path: Path, model: str, curves: Mapping[str, Sequence[Point]]) -> None:
    """Stores the points of a model, with the facts of the machine that made them."""
    points = {
        name: [(p.quality, round(p.bpp, 6), round(p.psnr, 4)) for p in curve]
        for name, curve in curves.items()
    }
    document = {"model": model, "machine": machine_facts(), "points": points}
    text = json.dumps(document, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


@click.command()
@click.argument("baseline", type=click.Path(path_type=Path))
@click.option("--write", is_flag=True, help="Store today's points instead of comparing.")
@click.option(
    "--model", help="Name or weights file of a model, in place of the baseline's or the default."
)
def main(baseline: Path, write: bool, model: str | None) -> None:
    """Compares aecodec on samples/ with BASELINE; fails if it costs 0.5 points of BD-rate more."""
    paths = sorted(path for path in SAMPLES.glob("*.png") if path.name not in NO_SAMPLES)
    try:
        if write:
            name = model or tuned_model().name
            write_baseline(baseline, name, measure_pictures(paths, name))
            return
        name, before = read_baseline(baseline)
        found = changes(before, measure_pictures(paths, model or name))
    except (OSError, ValueError) as exc:
        raise click.ClickException(str(exc)) from exc
    for name, percent in found.items():
        click.echo(f"{name:<16} {percent:+6.2f} %")
    if found["mean"] > TOLERANCE:
        raise click.ClickException(
            f"{found['mean']:+.2f} % bits at equal PSNR, more than {TOLERANCE} % are a regression"
        )


if __name__ == "__main__":
    main()
