"""`aecodec anomaly fit` and `score`, and bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture
from PIL import Image
from shell import Shell, assert_one_line


@pytest.fixture
def normal(shell: Shell) -> Path:
    """Six normal pictures, and an odd one beside their folder."""
    folder = shell.folder / "normal"
    folder.mkdir()
    for seed in range(7):
        noise = np.random.default_rng(seed).normal(0, 3, (64, 80, 3))
        pixels = np.clip(make_picture(64, 80) + noise, 0, 255).astype(np.uint8)
        if seed == 6:
            pixels[16:48, 32:64] = (220, 30, 30)
        Image.fromarray(pixels).save(
            shell.folder / "odd.png" if seed == 6 else folder / f"{seed}.png"
        )
    return folder


@pytest.fixture
def profile(shell: Shell, normal: Path) -> Path:
    result = shell.model("anomaly", "fit", normal, "-o", "p.safetensors")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("p.safetensors: 6 normal pictures, layout fixed, threshold ")
    return shell.folder / "p.safetensors"


def test_an_odd_picture_is_told_from_normal_ones(shell: Shell, profile: Path) -> None:
    result = shell.model("anomaly", "score", profile, "odd.png", "normal")
    assert result.code == 0
    first, *others = result.out.splitlines()
    assert first.startswith("odd.png: anomaly, score ")
    assert len(others) == 6
    assert all(": normal, score " in line for line in others)


def test_json_and_files_tell_the_same(shell: Shell, profile: Path) -> None:
    assert shell.model("compress", "odd.png", "-q", "75").code == 0
    result = shell.model("anomaly", "score", "--json", profile, "odd.png", "odd.aec")
    picture, stored = (json.loads(line) for line in result.out.splitlines())
    assert (picture["file"], stored["file"]) == ("odd.png", "odd.aec")
    assert picture["anomaly"] is stored["anomaly"] is True
    assert picture["score"] > picture["threshold"] > 0
    assert stored["score"] == pytest.approx(picture["score"], rel=0.2)
    column, row = picture["farthest"]
    assert 16 <= column < 80
    assert 0 <= row < 64


def test_heat_maps_are_written(shell: Shell, profile: Path) -> None:
    assert shell.model("compress", "odd.png").code == 0
    one = shell.model("anomaly", "score", profile, "odd.aec", "--heat-map", "one.png")
    assert one.code == 0
    with Image.open("one.png") as image:
        assert (image.size, image.mode) == ((80, 64), "RGB")
    (shell.folder / "heat").mkdir()
    many = shell.model("anomaly", "score", profile, "normal", "odd.png", "--heat-map", "heat")
    assert many.code == 0
    names = sorted(path.name for path in (shell.folder / "heat").iterdir())
    assert names == [*(f"{seed}-heat.png" for seed in range(6)), "odd-heat.png"]
    again = shell.model("anomaly", "score", profile, "odd.png", "--heat-map", "one.png")
    assert_one_line(again, 1, "odd.png", "exists")


def test_one_bad_picture_does_not_stop_the_others(shell: Shell, profile: Path) -> None:
    shell.file("bad.png", b"broken")
    shell.picture("small.png")
    result = shell.model("anomaly", "score", profile, "bad.png", "small.png", "odd.png")
    assert result.code == 1
    assert result.out.startswith("odd.png: anomaly")
    bad, small = result.err.splitlines()
    assert bad.startswith("aecodec: bad.png: ")
    assert small == (
        "aecodec: small.png: the normal pictures have 5x4 places of 16x16 pixels, this one has 2x2"
    )


def test_a_profile_of_another_model_is_refused(shell: Shell, profile: Path) -> None:
    result = shell.run("anomaly", "score", profile, "odd.png")
    assert_one_line(result, 1, "odd.png: the profile is of model")


def test_files_of_another_quality_are_refused(shell: Shell, profile: Path) -> None:
    assert shell.model("compress", "odd.png", "-q", "40").code == 0
    result = shell.model("anomaly", "score", profile, "odd.aec")
    assert_one_line(result, 1, "of quality 75, but these latents are of 40")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("fit", "empty", "-o", "n.safetensors"), "folder empty has no pictures"),
        (("fit", "odd.png", "-o", "n.safetensors"), "1 normal pictures are too few: 4 at least"),
        (("fit", "normal", "bad.png", "-o", "n.safetensors"), "bad.png: "),
        (("fit", "normal", "none.png", "-o", "n.safetensors"), "none.png: No such file"),
        (("fit", "normal", "-o", "odd.png"), "exists"),
        (("fit", "normal", "odd.png", "-f", "-o", "odd.png"), "is an input"),
        (("fit", "normal", "wide.png", "--layout", "fixed", "-o", "n.safetensors"), "one size"),
        (("score", "bad.png", "odd.png"), "bad.png: no anomaly profile"),
        (("score", "none.safetensors", "odd.png"), "none.safetensors: No such file"),
        (("score", "cut.safetensors", "odd.png"), "cut.safetensors: damaged anomaly profile"),
        (("score", "p.safetensors", "empty"), "folder empty has no pictures"),
    ],
    ids=lambda value: "-".join(value[:3]) if isinstance(value, tuple) else "",
)
def test_bad_input_is_one_line(
    shell: Shell, profile: Path, arguments: tuple[str, ...], reason: str
) -> None:
    (shell.folder / "empty").mkdir()
    shell.file("bad.png", b"broken, and long enough to be more than a header")
    shell.file("cut.safetensors", profile.read_bytes()[:-8])
    shell.picture("wide.png", 64, 100)
    before = shell.listing()
    assert_one_line(shell.model("anomaly", *arguments), 1, reason)
    assert shell.listing() == before
