"""Regions of interest, masks and the variance boost on the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture
from exif_bytes import make_exif, short
from PIL import Image
from shell import Shell, assert_one_line

from aecodec.codec import Codec
from aecodec.format.container import parse, parse_header
from aecodec.format.interest import Roi, RoiMask
from aecodec.format.tiling import Region
from aecodec.picture import pixels

ROI = ("--roi", "70,0,20,20:+20", "--roi", "0,0,9,9:-7.5")


@pytest.fixture
def mask(shell: Shell) -> Path:
    """White at the top left, black elsewhere, for a picture of 130x100 pixels."""
    levels = np.zeros((100, 130), np.uint8)
    levels[:10, :10] = 255
    Image.fromarray(levels).save(shell.folder / "mask.png")
    return shell.folder / "mask.png"


def written(shell: Shell, name: str = "a.aec") -> bytes:
    return (shell.folder / name).read_bytes()


@pytest.mark.parametrize("streamed", [False, True])
def test_the_options_are_those_of_the_library(
    shell: Shell, mask: Path, tiny_codec: Codec, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    if streamed:
        monkeypatch.setattr(pixels, "STREAM_PIXELS", 1)
    picture = shell.folder / "a.ppm"
    Image.fromarray(make_picture(100, 130)).save(picture)
    result = shell.model(
        "compress", "a.ppm", "-q", "50", *ROI, "--roi-mask", f"{mask.name}:30",
        "--variance-boost", "3",
    )  # fmt: skip
    assert (result.code, result.err) == (0, "")
    roi = (
        Roi(Region(70, 0, 20, 20), 20), Roi(Region(0, 0, 9, 9), -7.5),
        RoiMask(mask.read_bytes(), 30),
    )  # fmt: skip
    data = written(shell)
    assert data == tiny_codec.compress(picture, 50, roi=roi, variance_boost=3)
    assert parse_header(data).has_quality_map
    assert shell.model("verify", "a.aec").code == 0


def test_a_region_with_more_quality_costs_bytes(shell: Shell) -> None:
    shell.picture("a.png", 100, 130)
    sizes = []
    for offset in ("-30", "0", "+30"):
        done = shell.model("compress", "a.png", "-f", "-q", "50", "--roi", f"0,0,64,64:{offset}")
        assert done.code == 0
        sizes.append(len(written(shell)))
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[1] < sizes[2]


def test_a_region_counts_in_the_picture_as_it_is_shown(shell: Shell, tiny_codec: Codec) -> None:
    image = Image.fromarray(make_picture(100, 200))
    image.save(shell.folder / "a.jpg", exif=b"Exif\0\0" + make_exif({274: short(6)}))
    assert shell.model("compress", "a.jpg", "-q", "50", "--roi", "80,0,20,20:20").code == 0
    stored = tiny_codec.compress(shell.folder / "a.jpg", 50, roi=[Roi(Region(80, 0, 20, 20), 20)])
    assert written(shell) == stored
    kept, upright = (
        shell.model("compress", "a.jpg", "-q", "50", "--roi", "80,180,20,20:20", "-f", *more)
        for more in ((), ("--strip",))
    )
    assert kept.code == upright.code == 0
    outside = shell.model("compress", "a.jpg", "-f", "--roi", "180,80,20,20:20")
    assert_one_line(outside, 1, "a.jpg", "exceeds the picture of 100x200 pixels")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--roi", "1,2,3:+5"), "'1,2,3:+5' is no region; write X,Y,W,H:OFFSET"),
        (("--roi", "1,2,3,4"), "is no region; write X,Y,W,H:OFFSET"),
        (("--roi", "1,2,3,4:"), "is no region; write X,Y,W,H:OFFSET"),
        (("--roi", "1,2,3,x:5"), "is no region; write X,Y,W,H:OFFSET"),
        (("--roi", "-1,2,3,4:5"), "-1,2,3,4 is no region: X, Y at least 0"),
        (("--roi", "1,2,0,4:5"), "1,2,0,4 is no region: X, Y at least 0"),
        (("--roi", "1,2,3,4:101"), "must lie in [-100, 100], not 101"),
        (("--roi", "1,2,3,4:nan"), "must lie in [-100, 100], not nan"),
        (("--roi-mask", "a.png"), "'a.png' is no mask; write FILE:OFFSET"),
        (("--roi-mask", "a.png:x"), "'a.png:x' is no mask; write FILE:OFFSET"),
        (("--roi-mask", ":5"), "':5' is no mask; write FILE:OFFSET"),
        (("--roi-mask", "a.png:-101"), "must lie in [-100, 100], not -101"),
        (("--variance-boost", "11"), "--variance-boost"),
        (("--variance-boost", "nan"), "variance boost must lie in [0, 10], not nan"),
    ],
)
def test_wrong_usage(shell: Shell, arguments: tuple[str, ...], reason: str) -> None:
    shell.picture("a.png")
    assert_one_line(shell.model("compress", "a.png", *arguments), 2, reason)
    assert sorted(shell.listing()) == ["a.png"]


def test_what_does_not_fit_the_picture(shell: Shell, mask: Path) -> None:
    shell.picture("a.png", 64, 64)
    before = shell.listing()
    for arguments, reasons in (
        (("--roi", "60,0,9,9:5"), ("a.png", "region 60,0,9,9 exceeds the picture of 64x64")),
        (
            ("--roi-mask", "mask.png:5"),
            ("a.png", "mask.png has 130x100 pixels, the picture is shown with 64x64"),
        ),
        (("--roi-mask", "none.png:5"), ("none.png", "No such file")),
    ):
        assert_one_line(shell.model("compress", "a.png", *arguments), 1, *reasons)
    mask.write_bytes(b"no picture")
    assert_one_line(
        shell.model("compress", "a.png", "--roi-mask", "mask.png:5"), 1, "a.png", "mask.png: "
    )
    assert shell.listing() == {**before, "mask.png": b"no picture"}


def test_folders_jobs_and_objects(shell: Shell) -> None:
    (shell.folder / "in").mkdir()
    for name, side in (("a", 130), ("b", 130), ("small", 40)):
        shell.picture(f"in/{name}.png", side, side)
    made = {}
    for jobs in ("1", "2"):
        out = f"out{jobs}"
        done = shell.model("compress", "-r", "in", "-o", out, "-j", jobs, "--json", *ROI)
        assert done.code == 1  # of the one that is too small
        found = [json.loads(line) for line in done.out.splitlines()]
        failed = [each for each in found if each.get("error")]
        assert len(failed) == 1
        assert "region 70,0,20,20 exceeds the picture of 40x40" in failed[0]["error"]
        made[jobs] = {name: written(shell, f"{out}/{name}.aec") for name in "ab"}
    assert made["1"] == made["2"]
    assert all(parse(data).header.has_quality_map for data in made["1"].values())


def test_other_regions_and_masks_are_other_options_to_resume(shell: Shell, mask: Path) -> None:
    (shell.folder / "in").mkdir()
    shell.picture("in/a.png", 100, 130)

    def run(*arguments: str) -> str:
        command = ("compress", "-r", "in", "-o", "out", "--resume", "-f", *arguments)
        done = shell.model(*command)
        assert done.code == 0, done.err
        return done.out

    assert "skipped" not in run()
    assert "skipped" not in run(*ROI)
    assert "skipped" in run(*ROI)
    assert "skipped" not in run("--roi", "70,0,20,20:+21")
    assert "skipped" not in run("--roi-mask", "mask.png:10")
    assert "skipped" in run("--roi-mask", "mask.png:10")
    Image.fromarray(np.full((100, 130), 255, np.uint8)).save(mask)
    assert "skipped" not in run("--roi-mask", "mask.png:10")
    assert "skipped" not in run("--variance-boost", "2")
    assert "skipped" in run("--variance-boost", "2")
