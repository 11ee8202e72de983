"""Bits beside what decoding costs: published figures apart from measured ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from benchmarks.cost_plots import plot_decode_time, plot_multiplications, spread
from benchmarks.curves import Point, bd_rate
from benchmarks.decode_cost import Standing, against_reference, decoding_kmac, standings
from benchmarks.plots import draw
from benchmarks.published import Published, PublishedRate, published
from benchmarks.report import published_rows, write_report
from benchmarks.results import CODEC_FACT, Cell, Results

KODAK = [f"kodim{number:02d}.png" for number in range(1, 25)]
FACTS: dict[str, str | int] = {"repeats": 1, "threads": 1, "processes": 1}


def of_curve(codec: str, share: float, pictures: list[str], seconds: float) -> list[Cell]:
    """Cells that need `share` of the bits of a JPEG-like curve."""
    points = [(0.3, 27.0), (0.6, 30.5), (1.2, 33.7), (2.4, 38.2)]
    return [
        Cell(codec, name, quality, round(49152 * bpp * share), 768, 512, {"psnr": decibels},
             0.1, seconds)
        for name in pictures
        for quality, (bpp, decibels) in enumerate(points)
    ]  # fmt: skip


def run(pictures: list[str]) -> Results:
    return Results(
        of_curve("aecodec", 0.5, pictures, 0.2)
        + of_curve("aecodec-e9", 0.45, pictures, 0.2)
        + of_curve("jpeg420", 1.0, pictures, 0.002)
        + of_curve("avif-psnr", 0.52, pictures, 0.008),
        machine=dict(FACTS),
    )


def test_measured_codecs_have_bits_multiplications_and_times() -> None:
    found = {s.name: s for s in standings(run(["a.png"]), 14.2)}
    assert list(found) == ["aecodec", "aecodec-e9", "jpeg420", "avif-psnr"]
    assert found["aecodec"].percent == pytest.approx(-50, abs=0.1)
    assert found["aecodec-e9"].percent == pytest.approx(-55, abs=0.1)
    assert found["jpeg420"].percent == 0
    assert [s.kmac_per_pixel for s in found.values()] == [14.2, 14.2, None, None]
    assert found["avif-psnr"].ms_per_megapixel == pytest.approx(8 / 0.393216)
    assert not any(s.entry for s in found.values())


def test_published_ones_stand_beside_kodak_only() -> None:
    found = {s.name: s for s in standings(run(KODAK), 14.2) if s.entry}
    assert found.keys() == published().keys()
    assert {"HM", "EVC-S", "Cool-Chic 5.0", "PULSE", "JPEG AI"} <= found.keys()
    assert found["PULSE"].kmac_per_pixel == 5.2
    without = Results([c for c in run(KODAK).cells if c.codec != "jpeg420"])
    assert not any(s.entry or s.percent is not None for s in standings(without, None))


def test_a_published_rate_is_carried_over_by_the_curve_of_its_anchor() -> None:
    """Twice the anchor's bits, which are half of the reference's, are the reference's."""
    reference = [Point(q, 0.4 * q, 28.0 + 2 * q) for q in (1, 2, 3, 4)]
    points = tuple({"bpp": 0.2 * q, "psnr": 28.0 + 2 * q} for q in (1, 2, 3, 4))
    rate = PublishedRate(100.0, "half-1.0", "PSNR", "Kodak")
    others = {"half": Published("paper", points)}
    carried = Published("paper", bd_rate=replace(rate, carried_over_by="half"))
    other_metric = Published("paper", bd_rate=rate)
    assert against_reference(others["half"], reference, others) == pytest.approx(-50)
    assert against_reference(carried, reference, others) == pytest.approx(0)
    assert against_reference(other_metric, reference, others) is None
    nothing_shared = [Point(q, q, 60.0 + q) for q in (1, 2)]
    assert against_reference(carried, nothing_shared, others) is None


def test_every_published_entry_is_complete() -> None:
    for name, entry in published().items():
        assert entry.source, name
        assert bool(entry.points) != (entry.bd_rate is not None), name
        costs = (entry.decode_kmac_per_pixel, entry.decode_ms_per_megapixel)
        assert bool(entry.decode_source) == any(costs), name
        rate = entry.bd_rate
        if rate is not None and rate.carried_over_by is not None:
            assert rate.metric == "PSNR"
            assert published()[rate.carried_over_by].points


def test_the_published_curves_reproduce_known_rates() -> None:
    """HM against BPG +0.8 %, and Cool-Chic 5.0 against VTM -6.6 %, as recomputed elsewhere."""
    for test, anchor, percent in (("HM", "BPG 4:4:4", 0.8), ("Cool-Chic 5.0", "VTM", -6.6)):
        result = bd_rate(published()[anchor].curve("psnr"), published()[test].curve("psnr"))
        assert result is not None
        assert result.percent == pytest.approx(percent, abs=0.4)


def test_the_table_marks_each_row_as_published() -> None:
    rows = {row[0]: row for row in published_rows(standings(run(KODAK), 14.2))}
    assert all(name.endswith("(published)") for name in rows)
    pulse = rows["PULSE (published)"]
    assert pulse[1] == "+1.2 % bits against HM-16.25 4:4:4, PSNR, Kodak pictures"
    assert pulse[2].startswith("about -")
    assert pulse[3:5] == ["5.2", "61"]
    assert not rows["HM (published)"][2].startswith("about")
    sop = rows["JPEG AI SOP (published)"]
    assert (sop[1].split(",")[1], sop[2]) == (" mean of 7 metrics", "-")


def test_plots_have_hollow_symbols_for_published_ones() -> None:
    found = standings(run(KODAK), 14.2)
    names = ["aecodec", "aecodec-e9", "jpeg420", "avif-psnr"]
    for plot, published_names in (
        (plot_multiplications, {"PULSE", "PULSE-S", "EVC-S", "Cool-Chic 5.0", "JPEG AI"}),
        (plot_decode_time, {"PULSE", "HM", "VTM"}),
    ):
        figure = plot(found, names, "jpeg420")
        (axes,) = figure.axes
        hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
        texts = {text.get_text() for text in axes.texts}
        assert published_names | {"aecodec", "aecodec-e9"} <= texts
        assert "JPEG AI SOP" not in texts
        drawn = sum(len(np.asarray(line.get_xdata())) for line in hollow)
        known = [s for s in found if s.entry and s.name in texts]
        assert drawn == len(known)
        assert draw(figure, "svg").startswith(b"<?xml")


def test_labels_do_not_cover_each_other() -> None:
    crowd = [Standing(f"codec {n}", -50.0 - n / 4, 10.0 + n / 4, None) for n in range(6)]
    figure = plot_multiplications(crowd, [s.name for s in crowd], "jpeg420")
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 6
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])


def test_names_at_the_edge_are_spread_as_little_as_needed() -> None:
    assert spread([5.0, 0.0, 10.0], 2) == [5.0, 0.0, 10.0]
    assert spread([1.0, 0.0], 2) == pytest.approx([1.5, -0.5])
    crowded = spread([0.0, 0.1, 0.2, 1.9], 1)
    assert np.all(np.diff(crowded) >= 1 - 1e-9)
    assert np.mean(crowded) == pytest.approx(0.55)
    assert spread([], 1) == []


@pytest.mark.slow
def test_the_report_draws_both_plots_and_survives_a_broken_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import report

    monkeypatch.setattr(report, "crop_sheet", lambda *_: b"")
    monkeypatch.setattr(report, "decoding_kmac", lambda _model: 14.2)
    results = run(KODAK[:2])
    results.machine[CODEC_FACT + "avif-psnr"] = "libavif 1.4.2; tune=psnr"
    write_report(results, tmp_path, None)
    assert (tmp_path / "bd_rate_decode_kmac.svg").exists()
    assert (tmp_path / "bd_rate_decode_time.svg").exists()
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<small>libavif 1.4.2; tune=psnr</small>" in page

    def broken(_model: str | None) -> float:
        raise OSError("gone")

    monkeypatch.setattr(report, "decoding_kmac", broken)
    (tmp_path / "again").mkdir()
    write_report(results, tmp_path / "again", None)
    page = (tmp_path / "again" / "report.html").read_text(encoding="utf-8")
    assert "multiplications of aecodec: OSError: gone" in page
    assert not (tmp_path / "again" / "bd_rate_decode_kmac.png").exists()


def test_multiplications_of_decoding_are_the_priors_and_the_synthesis() -> None:
    from aecodec import Codec
    from aecodec.autoencoder.model import HyperpriorModel
    from benchmarks.parts import kmacs

    counts = kmacs(HyperpriorModel(Codec().encoder.decoder.config))
    assert decoding_kmac(None) == pytest.approx(counts["prior"] + counts["synthesis"])
