"""`aecodec decompress`: formats by extension, outputs, models."""

import re

import pytest
from PIL import Image
from shell import Shell, assert_one_line

from aecodec.format.container import parse


def test_decompress_prints_one_line(shell: Shell, compressed: bytes) -> None:
    shell.file("img.aec", compressed)
    result = shell.model("decompress", "img.aec", "-o", "out.png")
    assert re.fullmatch(r"img\.aec -> out\.png: 30x20, \d+\.\d\d s\n", result.out)


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG", "bmp", "webp", "tif", "ppm"])
def test_the_extension_gives_the_format(shell: Shell, compressed: bytes, suffix: str) -> None:
    shell.file("img.aec", compressed)
    assert shell.model("decompress", "img.aec", "-o", f"out.{suffix}").code == 0
    expected = {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
    with Image.open(shell.folder / f"out.{suffix}") as image:
        assert (image.format, image.size, image.mode) == (expected, (30, 20), "RGB")


def test_png_levels(shell: Shell, compressed: bytes) -> None:
    shell.file("img.aec", compressed)
    sizes = []
    for level in ([], ["--png-level", "0"], ["--png-level", "9"]):
        assert shell.model("decompress", "img.aec", "-f", *level).code == 0
        sizes.append((shell.folder / "img.png").stat().st_size)
        with Image.open(shell.folder / "img.png") as image:
            shown = image.tobytes()
    assert sizes[1] > 30 * 20 * 3 > sizes[0] >= sizes[2]
    assert len(shown) == 30 * 20 * 3
    result = shell.model("decompress", "img.aec", "--png-level", "3", "-o", "out.tif")
    assert_one_line(result, 1, "img.aec", "TIFF has no level of compression to choose: PNG has one")
    assert_one_line(shell.model("decompress", "img.aec", "--png-level", "10"), 2, "--png-level")
    assert sorted(shell.listing()) == ["img.aec", "img.png"]


def test_files_of_another_model_need_it(shell: Shell, compressed: bytes) -> None:
    shell.file("img.aec", compressed)
    model_id = parse(compressed).header.model_id.hex()
    assert_one_line(shell.run("decompress", "img.aec"), 1, "img.aec", f"model {model_id}")
    assert sorted(shell.listing()) == ["img.aec"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("none/out.png", "output folder none does not exist"),
        ("none/", "output folder none/ does not exist"),
        ("out.xyz", "unknown picture format '.xyz'"),
        ("out", "cannot write out: its name has no extension"),
        ("out.aec", "unknown picture format '.aec'"),
        ("out.xbm", "cannot write out.xbm"),
    ],
)
def test_bad_outputs_are_named(shell: Shell, compressed: bytes, target: str, reason: str) -> None:
    shell.file("img.aec", compressed)
    assert_one_line(shell.model("decompress", "img.aec", "-o", target), 1, "img.aec", reason)
    assert sorted(shell.listing()) == ["img.aec"]


def test_an_output_that_is_a_folder_is_named(shell: Shell, compressed: bytes) -> None:
    shell.file("img.aec", compressed)
    shell.picture("other.png")
    (shell.folder / "img.png").mkdir()
    (shell.folder / "other.aec").mkdir()
    assert_one_line(shell.model("decompress", "img.aec", "-f"), 1, "img.aec", "img.png is a folder")
    assert_one_line(shell.model("compress", "other.png", "-f"), 1, "other.aec is a folder")
    assert_one_line(
        shell.model("compress", "other.png", "-o", "none/x.aec"), 1, "folder none does not exist"
    )


def test_bad_weights_are_named(shell: Shell, compressed: bytes) -> None:
    shell.picture("img.png")
    shell.file("other.aec", compressed)
    shell.file("text.safetensors", b"Dear reader,\n")
    (shell.folder / "folder").mkdir()
    before = shell.listing()
    for command, file in (("compress", "img.png"), ("decompress", "other.aec")):
        result = shell.run(command, file, "--model", "text.safetensors")
        assert_one_line(result, 1, file, "text.safetensors: cannot read weights")
        for name in ("none.safetensors", "aec-99", "folder", ""):
            result = shell.run(command, file, file, "--model", name)  # once, not for each input
            reason = f"--model: {name!r} is neither a released model (aec-1"
            assert_one_line(result, 2, reason)
    assert shell.listing() == before
