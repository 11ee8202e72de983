"""The report: files, what stands in the page, and what is said of curves that do not overlap."""

import html
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import cast

import bjontegaard
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks import codecs, rd, report
from benchmarks.codecs import jpeg420
from benchmarks.curves import bd_psnr, bd_rate
from benchmarks.glance import against_avif, bd_rates_csv, format_glance, glance, pairs
from benchmarks.published import published_curves
from benchmarks.results import Cell, Results, load_results

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


def cells(codec: str, picture: str, bpp: float, best: float) -> list[Cell]:
    return [
        Cell(codec, picture, q, round(bpp * q * 1000), 80, 100, {"psnr": best - 20 + q}, 0.1, 0.2)
        for q in (1, 5, 10)
    ]


@pytest.mark.slow
def test_report_command_writes_everything(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    small = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8))
    folder = tmp_path / "pictures"
    folder.mkdir()
    small.resize((260, 256), Image.Resampling.BICUBIC).save(folder / "a.png")
    (folder / "broken<b>.png").write_bytes(b"no picture")
    output = tmp_path / "report"
    arguments = [str(folder), "--codecs", "jpeg420,jpeg444", "--points", "2", "-o", str(output)]
    result = CliRunner().invoke(rd.main, [*arguments, "--full"])
    assert result.exit_code == 0, result.output
    plots = {f"{stem}.{kind}" for kind in ("png", "svg") for stem in (
        "rd_psnr", "rd_y_psnr", "rd_chroma_psnr", "rd_ms_ssim_db", "rd_ssimulacra2", "rd_flip",
        "bd_rate", "speed",
        "bd_rate_decode_time",
    )}  # fmt: skip
    files = {path.name for path in output.iterdir()}
    assert files == plots | {
        "cells",
        "crops.png",
        "results.json",
        "results.csv",
        "bd_rate.csv",
        "report.html",
    }
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "broken&lt;b&gt;.png: UnidentifiedImageError" in page
    assert page.count("data:image/png;base64,") == 10
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "(published)" not in page
    assert "butteraugli: no package was found on PyPI" in page
    assert "4:2:0, optimize=True, quantization tables of the standard</small>" in page
    results = load_results(output / "results.json")
    assert len(results.cells) == 2 * 2


@pytest.mark.slow
def test_each_bad_input_is_a_line_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gray and alpha count as RGB; the rest is named, and every good file is in the results."""
    monkeypatch.setattr(report, "crop_sheet", lambda *_: b"")
    folder = tmp_path / "pictures"
    folder.mkdir()
    base = Image.fromarray(np.random.default_rng(5).integers(0, 256, (12, 12, 3), np.uint8))
    for name, mode, side in (("gray", "L", 170), ("alpha", "RGBA", 171), ("small", "RGB", 7)):
        base.resize((side, side), Image.Resampling.BICUBIC).convert(mode).save(
            folder / f"{name}.png"
        )
    Image.fromarray(np.zeros((32, 48), np.uint16)).save(folder / "sixteen_bit.png")
    (folder / "empty.png").write_bytes(b"")
    good = jpeg420()

    def crashes_on_alpha(image: Image.Image, quality: float) -> bytes:
        if image.width == 171:
            raise MemoryError("out of\nroom")
        return good.encode(image, quality)

    crashing = replace(good, name="crashing", encode=crashes_on_alpha)
    monkeypatch.setitem(cast("dict[str, object]", codecs.FACTORIES), "crashing", lambda _: crashing)
    output = tmp_path / "report"
    arguments = [folder, "--codecs", "jpeg420,crashing", "--points", 2, "-o", output]
    result = CliRunner().invoke(
        rd.main, [*map(str, arguments), "--metrics", "psnr,ms_ssim_db,ssimulacra2"]
    )
    assert result.exit_code == 0, result.output
    page = html.unescape((output / "report.html").read_text(encoding="utf-8"))
    for line in (
        f"crashing on {folder}/alpha.png: MemoryError: out of room",
        f"{folder}/sixteen_bit.png: ValueError: mode I;16 is not 8-bit",
        f"{folder}/empty.png: UnidentifiedImageError: cannot identify image file",
        f"{folder}/small.png: MS-SSIM: needs sides of at least 161 pixels, got 7x7",
        f"{folder}/small.png: SSIMULACRA2: needs sides of at least 256 pixels, got 7x7",
    ):
        assert line in page
    cells_of = Counter(
        (cell.codec, Path(cell.picture).stem)
        for cell in load_results(output / "results.json").cells
    )
    assert cells_of == dict.fromkeys(
        [(name, stem) for name in ("jpeg420", "crashing") for stem in ("gray", "alpha", "small")
         if (name, stem) != ("crashing", "alpha")], 2,
    )  # fmt: skip


def test_ladders_that_do_not_overlap_are_said_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "crop_sheet", lambda *_: (_ for _ in ()).throw(OSError("gone")))
    found = Results(cells("jpeg420", "a", 0.1, 30) + cells("webp", "a", 0.1, 60))
    found.machine = {"repeats": 1, "threads": 1, "processes": 1}
    report.write_report(found, tmp_path, None)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "no overlap, no BD-rate" in page
    assert "crop sheet: OSError: gone" in page
    assert not (tmp_path / "bd_rate.png").exists()


@pytest.mark.slow
def test_published_curves_stand_beside_kodak_pictures_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "crop_sheet", lambda *_: b"")
    machine: dict[str, str | int] = {"repeats": 1, "threads": 1, "processes": 1}
    names = [f"kodim{number:02d}.png" for number in range(1, 25)]
    for count in (24, 23):
        made = [cell for name in names[:count] for cell in cells("jpeg420", name, 0.1, 40)]
        report.write_report(Results(made, [], machine), tmp_path, None)
        drawn = "VTM (published)" in (tmp_path / "rd_psnr.svg").read_text(encoding="utf-8")
        page = html.unescape((tmp_path / "report.html").read_text(encoding="utf-8"))
        said = "<td>PULSE (published)</td>" in page and "arXiv 2609.18602" in page
        assert (drawn, said) == (count == 24, count == 24)
    assert "-7.5 % bits against VTM-11.1, mean of 7 metrics" not in page


def test_table_names_the_worst_picture_and_the_gain() -> None:
    found = Results(cells("jpeg420", "a", 0.2, 40) + cells("jpeg420", "b", 0.2, 40)
                    + cells("webp", "a", 0.1, 40) + cells("webp", "b", 0.3, 40))  # fmt: skip
    compared = pairs(found)
    (row,) = report.table(compared)
    assert (row.test, row.anchor, row.over) == ("webp", "jpeg420", "21.00 to 30.00")
    assert row.worst == "+50.00 % b"
    assert row.mean == "+0.00 % (2/2)"
    assert row.gain == "+0.00"
    assert report.of_pictures(compared) == (["webp"], [["a", "-50.0"], ["b", "+50.0"]])
    lines = bd_rates_csv(compared).splitlines()
    assert lines[0] == "metric,codec,anchor,picture,bd_rate_percent,low,high"
    assert [line.split(",")[3] for line in lines[1:]] == ["(mean curves)", "a", "b"]
    assert float(lines[3].split(",")[4]) == pytest.approx(50)


def test_our_rows_are_compared_with_each_avif_directly() -> None:
    found = Results(
        [cell for name, bpp in (
            ("aecodec-psnr", 0.2), ("aecodec-visual", 0.1), ("jpeg420", 0.8), ("avif-iq", 0.4),
            ("avif-psnr", 0.2), ("webp", 0.4),
        ) for cell in cells(name, "a", bpp, 40)]
    )  # fmt: skip
    compared = pairs(found)
    assert against_avif(found, compared) == [
        ["aecodec-psnr", "avif-psnr", "+0.0 %"],
        ["aecodec-visual", "avif-psnr", "-50.0 %"],
        ["aecodec-psnr", "avif-iq", "-50.0 %"],
        ["aecodec-visual", "avif-iq", "-75.0 %"],
    ]
    rates = {row[0]: row[1] for row in glance(found, compared)}
    assert rates["aecodec-visual"] == "-87.5 %"
    assert rates["webp"] == "-50.0 %"
    text = format_glance(found, compared)
    assert "RGB PSNR" in text
    assert re.search(r"^aecodec-visual  avif-iq +-75.0 %$", text, re.MULTILINE)
    assert re.search(r"^avif-iq         jpeg420 +-50.0 %$", text, re.MULTILINE)


@pytest.mark.parametrize("metric", ["psnr", "ms_ssim_db"])
def test_deltas_of_published_curves_equal_the_packages(metric: str) -> None:
    curves = published_curves(metric)
    anchor, test = curves["BPG 4:4:4"], curves["VTM"]
    axes = [axis for c in (anchor, test) for axis in ([p.bpp for p in c], [p.psnr for p in c])]
    options = {"method": "akima", "require_matching_points": False, "min_overlap": 0}
    rate, gain = bd_rate(anchor, test), bd_psnr(anchor, test)
    assert rate is not None
    assert gain is not None
    assert rate.percent == pytest.approx(bjontegaard.bd_rate(*axes, **options), abs=0.5)
    assert gain == pytest.approx(bjontegaard.bd_psnr(*axes, **options), abs=0.05)


def test_bd_psnr_of_a_known_shift() -> None:
    anchor = published_curves("psnr")["VTM"]
    better = [type(p)(p.quality, p.bpp, p.psnr + 1.5) for p in anchor]
    assert bd_psnr(anchor, better) == pytest.approx(1.5)
    assert bd_psnr(better, anchor) == pytest.approx(-1.5)
    far = [type(p)(p.quality, p.bpp * 1000, p.psnr) for p in anchor]
    assert bd_psnr(anchor, far) is None


def test_published_curves_reproduce_a_published_bd_rate() -> None:
    """-18.0 %: VTM against BPG 4:4:4, as in test_bench_curves.py."""
    curves = published_curves("psnr")
    result = bd_rate(curves["BPG 4:4:4"], curves["VTM"])
    assert result is not None
    assert result.percent == pytest.approx(-18.0, abs=0.3)
