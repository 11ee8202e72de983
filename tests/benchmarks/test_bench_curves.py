"""The arithmetic of the benchmarks, and how they treat what fails. Needs no weights of aecodec."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks import comparison, rd
from benchmarks.cells import Plan, measure_cells, measure_curve
from benchmarks.codecs import ImageCodec, jpeg420
from benchmarks.curves import Point, bd_rate, mean_curve, psnr
from benchmarks.pictures import collect_pictures, load_picture

# (bpp, RGB PSNR in dB), means over Kodak, from InterDigitalInc/CompressAI at commit 869a9f5,
# results/image/kodak/{jpeg,webp,vtm,bpg_444_x265_ycbcr}.json.
JPEG = [
    (0.221153, 23.779895), (0.326614, 26.57723), (0.423126, 28.042246), (0.508386, 29.041809),
    (0.587866, 29.78473), (0.660127, 30.378313), (0.728946, 30.903165), (0.786027, 31.307827),
    (0.849719, 31.704845), (0.906001, 32.058653), (0.96438, 32.399296), (1.037212, 32.789916),
    (1.127396, 33.234742), (1.239846, 33.792594), (1.368827, 34.394295), (1.571807, 35.239001),
    (1.858816, 36.328865), (2.350199, 37.912125), (3.40134, 40.556657),
]  # fmt: skip
WEBP = [
    (0.234419, 28.328424), (0.296336, 29.151205), (0.352865, 29.820851), (0.407049, 30.406979),
    (0.460802, 30.939177), (0.512705, 31.442621), (0.567407, 31.935957), (0.620739, 32.424824),
    (0.674676, 32.88346), (0.721817, 33.237553), (0.770877, 33.606664), (0.823675, 33.971663),
    (0.874027, 34.328179), (0.934291, 34.69345), (0.998388, 35.104168), (1.216314, 36.369046),
    (1.520081, 37.778259), (2.010354, 39.556952), (2.928479, 41.759249),
]  # fmt: skip
VTM = [
    (0.048245, 26.144845), (0.112495, 28.493022), (0.245817, 31.199874), (0.490545, 34.261533),
    (0.87481, 37.419793), (1.43085, 40.424444), (2.324607, 43.505767), (3.632609, 46.59176),
]  # fmt: skip
BPG = [
    (0.067768, 26.195128), (0.161023, 28.681549), (0.351554, 31.594657), (0.684697, 34.857474),
    (1.199665, 38.259887), (1.929712, 41.478873), (3.057876, 44.70311), (4.703143, 47.632516),
]  # fmt: skip


def curve(pairs: list[tuple[float, float]]) -> list[Point]:
    return [Point(i, bpp, decibels) for i, (bpp, decibels) in enumerate(pairs)]


@pytest.mark.parametrize(
    ("anchor", "test", "published"),
    [(JPEG, WEBP, -36.2), (JPEG, VTM, -67.6), (BPG, VTM, -18.0), (VTM, WEBP, 78.7)],
    ids=["webp-jpeg", "vtm-jpeg", "vtm-bpg", "webp-vtm"],
)
def test_bd_rate_agrees_with_our_earlier_survey(
    anchor: list[tuple[float, float]], test: list[tuple[float, float]], published: float
) -> None:
    result = bd_rate(curve(anchor), curve(test))
    assert result is not None
    assert result.percent == pytest.approx(published, abs=0.3)


def test_bd_rate_reproduces_what_a_paper_states() -> None:
    """-15.26 % over VTM-9.1 on Kodak: README of LALIC (Feng et al., CVPR 2025), with its curve.

    Curve: sjtu-medialab/RwkvCompress at commit d280846, results/kodak-lalic.json.
    """
    lalic = [
        (0.114841, 29.255744), (0.186171, 30.853991), (0.285692, 32.555155),
        (0.425758, 34.31158), (0.601301, 36.095768), (0.830638, 37.933255),
    ]  # fmt: skip
    result = bd_rate(curve(VTM), curve(lalic))
    assert result is not None
    assert result.percent == pytest.approx(-15.26, abs=0.1)


def test_bd_rate_states_the_common_range() -> None:
    result = bd_rate(curve(JPEG), curve(WEBP))
    assert result is not None
    assert (result.low, result.high) == (WEBP[0][1], JPEG[-1][1])


def test_bd_rate_without_overlap_is_none() -> None:
    low, high = curve([(0.1, 20.0), (0.2, 25.0)]), curve([(0.5, 30.0), (0.9, 35.0)])
    assert bd_rate(low, high) is None
    assert bd_rate(low, high[:1]) is None


def test_bd_rate_ignores_points_that_cost_more_and_are_no_better() -> None:
    points = curve(WEBP)
    worse = Point(99, points[5].bpp * 1.01, points[5].psnr - 0.1)
    lossless = Point(100, 8.0, math.inf)
    assert bd_rate(curve(JPEG), [lossless, worse, *points]) == bd_rate(curve(JPEG), points)


def test_psnr_of_a_known_difference() -> None:
    black = Image.new("RGB", (4, 2))
    other = black.copy()
    other.putpixel((0, 0), (6, 0, 0))  # MSE = 36 / 24 values = 1.5
    assert psnr(black, other) == pytest.approx(10 * math.log10(65025 / 1.5))
    assert psnr(black, other) == pytest.approx(46.3699, abs=1e-4)
    assert psnr(black, black) == math.inf
    assert psnr(black, Image.new("RGB", (4, 2), "white")) == 0


def test_psnr_refuses_another_size() -> None:
    with pytest.raises(ValueError, match=r"\(2, 4\)"):
        psnr(Image.new("RGB", (4, 2)), Image.new("RGB", (2, 4)))


def test_mean_curve_needs_equal_ladders() -> None:
    first, second = [Point(50, 1.0, 30.0)], [Point(50, 2.0, 34.0)]
    assert mean_curve([first, second]) == [Point(50, 1.5, 32.0)]
    with pytest.raises(ValueError, match="same qualities"):
        mean_curve([first, [Point(60, 2.0, 34.0)]])


def write_picture(path: Path, seed: int = 0) -> Path:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    Image.fromarray(noise).resize((48, 32), Image.Resampling.BICUBIC).save(path)
    return path


def test_rate_counts_the_whole_file_and_the_true_pixels(tmp_path: Path) -> None:
    image = load_picture(write_picture(tmp_path / "a.png"))
    assert image.size == (48, 32)
    codec = ImageCodec("fake", (1, 2), lambda _, quality: bytes(int(96 * quality)), lambda _: image)
    assert measure_curve(codec, image) == [Point(1, 0.5, math.inf), Point(2, 1.0, math.inf)]


def test_collects_files_and_folders_once(tmp_path: Path) -> None:
    second, first = write_picture(tmp_path / "b.PNG"), write_picture(tmp_path / "a.webp")
    (tmp_path / "notes.txt").write_text("no picture")
    assert collect_pictures([second, tmp_path]) == [second, first]


def test_loads_gray_without_metadata_and_refuses_16_bits(tmp_path: Path) -> None:
    gray = Image.new("L", (3, 2), 7)
    gray.save(tmp_path / "gray.png", icc_profile=b"profile")
    loaded = load_picture(tmp_path / "gray.png")
    assert (loaded.mode, loaded.info) == ("RGB", {})
    Image.fromarray(np.zeros((2, 3), np.uint16)).save(tmp_path / "sixteen_bit.png")
    with pytest.raises(ValueError, match="not 8-bit"):
        load_picture(tmp_path / "sixteen_bit.png")


def test_failures_become_lines_and_are_left_out(tmp_path: Path) -> None:
    good = write_picture(tmp_path / "good.png")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")

    def fail(_image: Image.Image, _quality: float) -> bytes:
        raise RuntimeError("out of\norder")

    broken = ImageCodec("broken", (50,), fail, lambda _: Image.new("RGB", (1, 1)))
    found = comparison.measurements(
        measure_cells([jpeg420(), broken], [good, bad], Plan(metrics=("psnr",)))
    )
    assert list(found.curves["jpeg420"]) == [str(good)]
    assert "broken" not in found.curves
    assert found.left_out[0] == f"broken on {good}: RuntimeError: out of order"
    assert found.left_out[1].startswith(f"{bad}: UnidentifiedImageError")


def test_comparison_uses_the_pictures_of_both_and_names_the_worst() -> None:
    base = curve(JPEG)
    halved = [Point(p.quality, p.bpp / 2, p.psnr) for p in base]
    found = comparison.Measurements(
        curves={
            "jpeg420": {"a": base, "b": base, "c": base},
            "webp": {"b": base, "c": halved, "d": base},
        }
    )
    (only,) = comparison.compare_all(found)
    assert (only.test, only.anchor, only.pictures) == ("webp", "jpeg420", 2)
    assert only.mean_percent == pytest.approx(-25)
    assert only.worst == "b"
    assert only.of_means is not None
    assert only.of_means.percent == pytest.approx(-25)


def test_no_overlap_is_said_and_no_number_is_made_up() -> None:
    found = comparison.Measurements(
        curves={
            "jpeg420": {"a": curve([(0.1, 20.0), (0.2, 25.0)])},
            "avif": {"a": curve([(0.5, 30.0), (0.9, 35.0)])},
        }
    )
    comparisons = comparison.compare_all(found)
    table = comparison.format_comparisons(comparisons)
    assert table.count("no overlap") == 2
    assert "%" not in table.splitlines()[-1]
    assert comparisons[0].mean_percent is None


def test_rd_command_writes_all_points(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    output = tmp_path / "out.json"
    result = CliRunner().invoke(
        rd.main, [str(tmp_path), "--codecs", "jpeg420,jpeg444", "--full", "--json", str(output)]
    )
    assert result.exit_code == 0, result.output
    assert "jpeg444 vs jpeg420" in result.stdout
    document = json.loads(output.read_text(encoding="utf-8"))
    (points,) = document["points"]["jpeg420"].values()
    assert [point["quality"] for point in points] == list(jpeg420().qualities)
    assert {"python", "torch", "pillow", "cpus", "threads"} <= document["machine"].keys()


@pytest.mark.parametrize("arguments", [["{folder}"], [], ["{folder}/absent.png"]])
def test_rd_command_without_pictures_fails_clearly(tmp_path: Path, arguments: list[str]) -> None:
    result = CliRunner().invoke(rd.main, [text.format(folder=tmp_path) for text in arguments])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: no ")
