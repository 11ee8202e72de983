"""`aecodec denoise` and `aecodec compress --denoise`."""

import numpy as np
import pytest
from conftest import make_picture
from PIL import Image
from shell import Shell, assert_one_line


def save_noisy(shell: Shell, name: str = "a.png", level: float = 20) -> None:
    noise = np.random.default_rng(0).normal(0, level, (120, 140, 3))
    pixels = np.rint(make_picture(120, 140) + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(shell.folder / name)


def test_a_file_is_what_compress_makes(shell: Shell) -> None:
    save_noisy(shell)
    result = shell.model("denoise", "a.png", "-o", "b.aec", "-q", "60")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("a.png -> b.aec: ")
    assert shell.model("compress", "a.png", "-q", "60", "-o", "c.aec", "--denoise").code == 0
    assert shell.model("compress", "--denoise=auto", "a.png", "-q60", "-o", "d.aec").code == 0
    found = (shell.folder / "b.aec").read_bytes()
    assert found == (shell.folder / "c.aec").read_bytes() == (shell.folder / "d.aec").read_bytes()
    assert shell.model("compress", "a.png", "-q", "60").code == 0
    assert len(found) < (shell.folder / "a.aec").stat().st_size


def test_a_picture_keeps_its_kind(shell: Shell) -> None:
    save_noisy(shell)
    result = shell.model("denoise", "a.png", "-o", "b.png", "-s", "20")
    assert (result.code, result.err) == (0, "")
    assert result.out == "a.png -> b.png: noise of 20.0 taken out\n"
    with Image.open("b.png") as image:
        assert (image.size, image.mode) == ((140, 120), "RGB")


def test_a_clean_picture_is_said_to_be_so(shell: Shell) -> None:
    Image.new("RGB", (40, 50), (9, 8, 7)).save(shell.folder / "a.png")
    result = shell.model("denoise", "a.png", "-o", "b.ppm")
    assert result.out == "a.png -> b.ppm: no noise found\n"
    with Image.open("b.ppm") as image:
        assert image.getcolors() == [(2000, (9, 8, 7))]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["denoise", "a.png", "-o", "b.png", "-s", ""], "'' is neither auto nor a number"),
        (["denoise", "a.png", "-o", "b.png", "-s", "-3"], "'-3' is neither auto nor a number"),
        (["denoise", "a.png", "-o", "b.png", "-s", "nan"], "'nan' is neither auto nor a number"),
        (["denoise", "a.png", "-o", "b.png", "-s", "101"], "'101' is neither auto nor a number"),
        (["denoise", "a.png", "-o", "b.png", "-q", "5"], "--quality is for .aec files"),
        (["denoise", "a.png", "-o", ""], "the name of the output is empty"),
        (["denoise", "a.png", "-o", "b.aec", "-q", "nan"], "quality must lie in 0 to 100"),
        (["compress", "a.png", "--denoise", "--lossless"], "denoise and lossless or max_error"),
        (["compress", "a.png", "--denoise=3", "--psnr", "30"], "denoise and a target of fidelity"),
        (["compress", "--denoise", "a.png"], "'a.png' is neither auto nor a number"),
    ],
)
def test_wrong_usage(shell: Shell, arguments: list[str], reason: str) -> None:
    save_noisy(shell)
    result = shell.model(*arguments)
    assert result.code == 2
    assert reason in result.err
    assert list(shell.listing()) == ["a.png"]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("none.png", "b.png"), ("text.png", "b.png"), ("text.png", "b.aec"), ("a.png", "b.xyz"),
        ("a.png", "a.png"), ("a.png", "none/b.png"),
    ],
)  # fmt: skip
def test_what_fails_is_named_and_leaves_nothing(shell: Shell, source: str, target: str) -> None:
    save_noisy(shell)
    shell.file("text.png", b"Dear reader,\n")
    before = (shell.folder / "a.png").read_bytes()
    forced = ["-f"] if source == target else []  # an input is never replaced
    result = shell.model("denoise", source, "-o", target, *forced)
    assert_one_line(result, 1)
    assert sorted(shell.listing()) == ["a.png", "text.png"]
    assert (shell.folder / "a.png").read_bytes() == before
