"""Crop sheets: sizes that are kept to, and pages whose panels hold what they should."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from aecodec.format.tiling import Region
from aecodec.models.registry import ReleasedModel, Tune
from benchmarks import crops
from benchmarks.__main__ import cli
from benchmarks.codecs import FACTORIES, jpeg420
from benchmarks.crops import Panel, Row, at_size, crop_rows, middle, parse_crop, sheet


def picture(height: int = 64, width: int = 96) -> Image.Image:
    noise = np.random.default_rng(1).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def test_a_file_at_a_size_is_the_best_that_fits() -> None:
    image, codec = picture(), jpeg420()
    data = at_size(codec, image, 1500)
    fitting = [codec.encode(image, q) for q in range(1, 101)]
    assert len(data) == max(len(f) for f in fitting if len(f) <= 1500)
    assert at_size(codec, image, 10) == fitting[0]


def test_our_qualities_are_quarters(tunings: dict[Tune, ReleasedModel]) -> None:
    assert tunings
    image, codec = picture(), FACTORIES["aecodec-visual"](None)
    tried: list[float] = []

    def encode(image: Image.Image, quality: float) -> bytes:
        tried.append(quality)
        return codec.encode(image, quality)

    most = len(codec.encode(image, 50.25))
    data = at_size(type(codec)(codec.name, (), encode, codec.decode), image, most)
    assert len(data) <= most
    assert any(quality % 1 for quality in tried)


def test_rows_hold_the_box_and_say_what_it_costs() -> None:
    image, box = picture(), Region(10, 20, 30, 25)
    low, high = crop_rows("a.png", image, box, [jpeg420()], (0.01, 6.0))
    assert [panel.image.size for panel in (*low.panels, *high.panels)] == [(30, 25)] * 4
    assert low.panels[0].image.tobytes() == image.crop((10, 20, 40, 45)).tobytes()
    assert low.panels[1].red
    assert not high.panels[1].red
    bpp = float(high.panels[1].caption.split()[-2])
    assert 2 < bpp <= 6
    assert "at most 6 bits per pixel" in high.title


def test_panels_stand_side_by_side_and_rows_below_each_other() -> None:
    colours = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 200, 99))
    panels = [Panel("a very long caption " * 3, Image.new("RGB", (40, 20), c)) for c in colours]
    pixels = np.asarray(sheet([Row("one", panels[:2]), Row("two", panels[2:])], 3))
    for colour in colours:
        rows, columns = np.nonzero((pixels == colour).all(-1))
        assert rows.max() - rows.min() == 59
        assert columns.max() - columns.min() == 119
    assert (pixels[[0, -1]] == 255).all()
    assert (pixels[:, [0, -1]] == 255).all()


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("a/b.png", None),
        ("a@b.png@1,2,3,4", Region(1, 2, 3, 4)),
        ("a.png@1,2,3", None),
        ("a.png@", None),
    ],
)
def test_crops_are_named_with_their_pictures(text: str, box: Region | None) -> None:
    path, found = parse_crop(text)
    assert found == box
    assert str(path) == (text if box is None else text.rpartition("@")[0])


def test_the_middle_is_what_there_is_of_it() -> None:
    assert middle(picture(64, 96), 80) == Region(8, 0, 80, 64)


def test_the_command_writes_a_sheet_and_names_what_fails(tmp_path: Path) -> None:
    path, target = tmp_path / "a.png", tmp_path / "sheet.png"
    picture().save(path)

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["crops", *words, "-o", str(target)])
        return done.exit_code, done.output

    words = ("--codecs", "jpeg420", "--rates", "2,4", "--zoom", "1")
    assert run(f"{path}@0,0,40,30", str(path), *words) == (0, "")
    with Image.open(BytesIO(target.read_bytes())) as page:
        assert page.width >= 2 * 96
        assert page.height >= 2 * 30 + 2 * 64
    target.unlink()
    for wrong, reason in (
        ((f"{path}@90,0,40,30",), "a.png: "), (("none.png",), "none.png"),
        ((str(path), "--rates", "x"), "list of bits"), ((str(path), "--codecs", "gif"), "known: "),
    ):  # fmt: skip
        code, output = run(*wrong)
        assert code != 0
        assert reason in output
        assert "Traceback" not in output
        assert not target.exists()


def test_by_default_both_tunings_stand_beside_avif_and_jpeg() -> None:
    assert crops.CODECS == ("aecodec-psnr", "aecodec-visual", "avif-iq", "jpeg420")
    assert set(crops.CODECS) <= FACTORIES.keys()
