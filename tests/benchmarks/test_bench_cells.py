"""Cells: kept, resumed, the same in any order; what fails becomes a line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from aecodec.decoder.threads import usable_cores
from benchmarks import codecs, rd, report
from benchmarks.cells import Plan, measure_cells
from benchmarks.codecs import CodecUnavailableError, ImageCodec, jpeg420, save
from benchmarks.curves import psnr
from benchmarks.pictures import load_picture
from benchmarks.published import is_kodak, published_curves
from benchmarks.results import Cell

QUICK = Plan(metrics=("psnr",))


def write_picture(path: Path, seed: int = 0, mode: str = "RGB") -> Path:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    picture = Image.fromarray(noise).resize((48, 32), Image.Resampling.BICUBIC)
    picture.convert(mode).save(path)
    return path


def counted(calls: list[float], fails_at: float = -1) -> ImageCodec:
    base = jpeg420()

    def encode(image: Image.Image, quality: float) -> bytes:
        calls.append(quality)
        if quality == fails_at:
            raise RuntimeError("interrupted")
        return base.encode(image, quality)

    return replace(base, qualities=(10, 50, 90), encode=encode)


def test_finished_cells_are_resumed(tmp_path: Path) -> None:
    picture, plan = write_picture(tmp_path / "a.png"), replace(QUICK, store=tmp_path / "cells")
    calls: list[float] = []
    first = measure_cells([counted(calls, fails_at=90)], [picture], plan)
    assert first.left_out == [f"jpeg420 on {picture}: RuntimeError: interrupted"]
    second = measure_cells([counted(calls)], [picture], plan)
    assert calls == [10, 50, 90, 90]
    assert second.machine["cells_from_store"] == 2
    third = measure_cells([counted(calls)], [picture], plan)
    assert third.cells == second.cells
    assert len(calls) == 4


@pytest.mark.parametrize("change", ["version", "settings", "picture", "repeats", "damage"])
def test_stored_cells_of_something_else_are_not_used(tmp_path: Path, change: str) -> None:
    picture, plan = write_picture(tmp_path / "a.png"), replace(QUICK, store=tmp_path / "cells")
    calls: list[float] = []
    codec = counted(calls)
    measure_cells([codec], [picture], plan)
    if change == "version":
        codec = replace(codec, version="other")
    elif change == "settings":
        codec = replace(codec, settings="other")
    elif change == "picture":
        write_picture(picture, seed=1)
    elif change == "repeats":
        plan = replace(plan, repeats=2)
    else:
        for path in (tmp_path / "cells").iterdir():
            path.write_text("{")
    calls.clear()
    assert measure_cells([codec], [picture], plan).machine["cells_from_store"] == 0
    assert len(calls) == 3 * plan.repeats


def test_a_codec_without_version_is_not_kept(tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a.png")
    codec = replace(counted([]), version="")
    measure_cells([codec], [picture], replace(QUICK, store=tmp_path / "cells"))
    assert not (tmp_path / "cells").exists()


@pytest.mark.slow
def test_several_processes_give_the_same_cells_in_the_same_order(tmp_path: Path) -> None:
    pictures = [write_picture(tmp_path / f"{seed}.png", seed) for seed in (2, 1)]
    chosen = [codecs.jpeg444(), jpeg420()]
    alone = measure_cells(chosen, pictures, QUICK).cells
    together = measure_cells(chosen, pictures, replace(QUICK, processes=2)).cells

    def timeless(found: list[Cell]) -> list[Cell]:
        return [replace(cell, encode_seconds=0, decode_seconds=0) for cell in found]

    assert timeless(alone) == timeless(together)
    assert [cell.picture for cell in alone] == sorted(
        (cell.picture for cell in alone), key=list(map(str, pictures)).index
    )


def run(*arguments: str | int | Path) -> Result:
    return CliRunner().invoke(rd.main, [*map(str, arguments), "--codecs", "jpeg420,jpeg444"])


def test_more_threads_than_cores_are_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    result = run(tmp_path, "--processes", "2", "--threads", str(usable_cores()))
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: 2 processes of {0} threads are more than the {0} cores here\n".format(
            usable_cores()
        )
    )


def test_odd_pictures_are_lines_or_taken_as_rgb(tmp_path: Path) -> None:
    for mode in ("L", "RGBA", "LA"):
        write_picture(tmp_path / f"{mode}.png", mode=mode)
    Image.fromarray(np.zeros((32, 48), np.uint16)).save(tmp_path / "sixteen_bit.png")
    output = tmp_path / "points.json"
    result = run(tmp_path, "--json", output)
    assert result.exit_code == 0
    assert result.stderr.count("left out") == 1
    assert (
        f"left out: {tmp_path / 'sixteen_bit.png'}: ValueError: mode I;16 is not 8-bit"
        in result.stderr
    )
    assert len(json.loads(output.read_text())["pictures"]) == 3


def test_jpeg2000_codes_colours_together() -> None:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (12, 12), np.uint8))
    gray = np.asarray(small.resize((96, 96), Image.Resampling.BICUBIC), np.int16)
    tint = np.clip(gray[..., None] + [0, 10, 20], 0, 255).astype(np.uint8)
    image = Image.fromarray(tint)
    codec = codecs.jpeg2000()
    apart = save(
        image, "JPEG2000", quality_mode="dB", quality_layers=[38], irreversible=True, mct=0
    )
    data = codec.encode(image, 38)
    assert len(data) < 0.8 * len(apart)
    assert psnr(image, codec.decode(data)) > 36


@pytest.mark.parametrize("name", ["jpeg2000", "jxl", "heic", "webp", "jpegli"])
def test_more_quality_is_more_bytes_and_fewer_errors(tmp_path: Path, name: str) -> None:
    try:
        codec = codecs.FACTORIES[name](None)
    except CodecUnavailableError as exc:
        pytest.skip(str(exc))
    image = load_picture(write_picture(tmp_path / "a.png"))
    files = [codec.encode(image, q) for q in (codec.qualities[0], codec.qualities[-1])]
    assert len(files[0]) < len(files[1])
    assert psnr(image, codec.decode(files[0])) < psnr(image, codec.decode(files[1]))


def test_a_missing_plugin_is_named_with_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(codecs, "import_module", fail)
    plugins = {"jxl": "pillow-jxl-plugin", "heic": "pillow-heif", "jpegli": "pyjpegli"}
    for name, package in plugins.items():
        with pytest.raises(CodecUnavailableError, match=f"pip install {package}"):
            codecs.FACTORIES[name](None)


def test_points_thin_the_ladder_and_other_metrics_are_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "crop_sheet", lambda *_: b"")
    write_picture(tmp_path / "a.png")
    output = tmp_path / "report"
    result = run(tmp_path, "--points", 4, "--metrics", "y_psnr", "-o", output)
    assert result.exit_code == 0, result.output
    found = json.loads((output / "results.json").read_text(encoding="utf-8"))
    assert [cell["quality"] for cell in found["cells"]] == 2 * [5, 40, 75, 95]
    assert {tuple(cell["metrics"]) for cell in found["cells"]} == {("psnr", "y_psnr")}
    assert found["machine"]["codec jpeg420"].startswith("Pillow ")
    assert found["machine"]["processor"]
    assert run(tmp_path, "--metrics", "beauty").exit_code == 2
    absent = run(tmp_path, "--metrics", "butteraugli")
    assert absent.exit_code == 2
    assert "no package was found on PyPI" in absent.output


def test_fewer_points_are_taken_from_the_store(tmp_path: Path) -> None:
    picture, plan = write_picture(tmp_path / "a.png"), replace(QUICK, store=tmp_path / "cells")
    calls: list[float] = []
    codec = counted(calls)
    measure_cells([codec], [picture], plan)
    thinned = replace(codec, qualities=rd.thin(codec.qualities, 2))
    assert measure_cells([thinned], [picture], plan).machine["cells_from_store"] == 2
    assert len(calls) == 3


def test_published_curves_are_for_kodak_alone() -> None:
    kodak = [f"somewhere/kodim{number:02d}.png" for number in range(1, 25)]
    assert is_kodak(kodak)
    assert not is_kodak(kodak[:-1])
    assert not is_kodak([*kodak, "other.png"])
    assert {"VTM", "HM", "EVC-S", "Cool-Chic 5.0"} <= set(published_curves("psnr"))
    assert "PULSE" not in published_curves("psnr")  # a BD-rate alone was published
    assert "EVC-S" not in published_curves("ms_ssim_db")
    assert published_curves("ssimulacra2") == {}
