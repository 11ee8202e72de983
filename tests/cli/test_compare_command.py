"""`aecodec compare`: how far one picture is from another."""

import json
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture, make_sixteen_bit
from PIL import Image
from shell import Shell, assert_one_line, pixels_of

from aecodec import Codec
from aecodec.picture import perceptual
from aecodec.picture.metrics import pixels_psnr

LARGE = make_picture(260, 270)


def png(pixels: npt.NDArray[Any], **options: object) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **options)
    return stream.getvalue()


def compared(shell: Shell, *arguments: str) -> dict[str, object]:
    result = shell.model("compare", "--json", *arguments)
    assert (result.code, result.err) == (0, ""), result
    found: dict[str, object] = json.loads(result.out)
    return found


def test_a_picture_and_its_file(shell: Shell, tiny_codec: Codec) -> None:
    pytest.importorskip("flip_evaluator")
    data = tiny_codec.compress(LARGE, 50)
    shell.file("a.png", png(LARGE))
    shell.file("a.aec", data)
    found = compared(shell, "a.png", "a.aec")
    decoded = tiny_codec.decompress_array(data)
    assert found["psnr"] == pytest.approx(pixels_psnr(LARGE, decoded))
    assert found["max_error"] == np.abs(decoded.astype(int) - LARGE).max()
    assert found["unequal_pixels"] == np.count_nonzero((decoded != LARGE).any(axis=2))
    assert found["second"] == {
        "file": "a.aec", "bytes": len(data), "bpp": 8 * len(data) / (260 * 270),
        "width": 270, "height": 260, "kind": "RGB, 8 bits",
    }  # fmt: skip
    images = [Image.fromarray(each) for each in (LARGE, decoded)]
    assert found["ssimulacra2"] == pytest.approx(perceptual.ssimulacra2(*images))
    assert found["flip"] == pytest.approx(perceptual.flip_error(*images))
    assert 0 < float(str(found["ms_ssim"])) < 1
    assert "visual" not in found
    assert (found["identical"], found["unavailable"], found["metadata"]) == (False, [], [])
    lines = shell.model("compare", "a.png", "a.aec").out.splitlines()
    assert lines[1].startswith("a.aec: 270x260 RGB, 8 bits, ")
    assert f"  PSNR {found['psnr']:.2f} dB" in lines


def test_equal_pictures_are_called_so(shell: Shell, tiny_codec: Codec) -> None:
    pixels = make_picture(20, 30)
    shell.file("a.png", png(pixels))
    shell.file("a.aec", tiny_codec.compress(pixels, lossless=True))
    found = compared(shell, "a.png", "a.aec")
    assert (found["identical"], found["max_error"], found["psnr"]) == (True, 0, 100)
    assert (found["ms_ssim"], found["ssimulacra2"], found["flip"]) == (1, 100, 0)
    assert "every visible pixel is the same" in shell.model("compare", "a.png", "a.aec").out


def test_the_picture_of_differences(shell: Shell) -> None:
    first, second = make_picture(20, 30), make_picture(20, 30)
    second[3, 4] ^= 2
    second[5, 6, 1] ^= 128
    for name, pixels in (("a.png", first), ("b.png", second)):
        shell.file(name, png(pixels))
    assert shell.run("compare", "a.png", "b.png", "-o", "d.png").code == 0
    expected = np.abs(first.astype(int) - second) * 8
    found = pixels_of((shell.folder / "d.png").read_bytes())
    np.testing.assert_array_equal(found, expected.clip(0, 255))
    assert_one_line(shell.run("compare", "a.png", "b.png", "-o", "d.png"), 1, "d.png exists")
    assert shell.run("compare", "a.png", "b.png", "-fo", "d.png", "--amplify", "2").code == 0
    found = pixels_of((shell.folder / "d.png").read_bytes())
    np.testing.assert_array_equal(found, (expected // 4).clip(0, 255))
    assert_one_line(shell.run("compare", "a.png", "b.png", "-fo", "a.png"), 1, "never replaced")
    assert_one_line(shell.run("compare", "a.png", "b.png", "-o", "d.txt"), 1, "unknown picture")


def test_the_picture_may_go_to_standard_output(shell: Shell) -> None:
    shell.picture("a.png")
    result = shell.run("compare", "a.png", "a.png", "-o", "-")
    assert pixels_of(shell.raw).shape == (20, 30, 3)
    assert "the same" in result.err


def test_alpha_hides_and_counts(shell: Shell) -> None:
    first = np.dstack((make_picture(20, 30), np.full((20, 30), 255, np.uint8)))
    first[:5, :, 3] = 0
    second = first.copy()
    second[:5, :, :3] = 7
    shell.file("a.png", png(first))
    shell.file("b.png", png(second))
    assert compared(shell, "a.png", "b.png")["identical"] is True
    second[10, 10, 3] = 155
    second[11, 11, 0] ^= 16
    shell.file("b.png", png(second))
    found = compared(shell, "a.png", "b.png", "-o", "d.png")
    assert (found["alpha_max_error"], found["max_error"]) == (100, 16)
    assert found["unequal_pixels"] == 2
    drawn = pixels_of((shell.folder / "d.png").read_bytes())
    assert drawn[10, 10].tolist() == [255] * 3
    assert drawn[11, 11].tolist() == [128, 0, 0]
    opaque = compared(shell, "a.png", str(shell.picture("c.png")))
    assert opaque["alpha_max_error"] == 255


def test_kinds_that_differ_are_brought_together(shell: Shell) -> None:
    gray = make_sixteen_bit(20, 30, 1)
    low = (gray >> 8).astype(np.uint8)
    shell.file("a.png", png(gray))
    shell.file("b.png", png(np.dstack([low] * 3)))
    found = compared(shell, "a.png", "b.png", "-o", "d.png")
    assert found["peak"] == 65535
    assert found["max_error"] == np.abs(low.astype(int) * 257 - gray).max()
    assert pixels_of((shell.folder / "d.png").read_bytes()).max() <= 8


def test_pictures_are_compared_as_they_are_shown(shell: Shell) -> None:
    pixels = make_picture(20, 30)
    exif = Image.Exif()
    exif[0x0112] = 6
    shell.file("a.png", png(np.rot90(pixels).copy(), exif=exif))
    shell.file("b.png", png(pixels, dpi=(300, 300)))
    found = compared(shell, "a.png", "b.png")
    assert found["identical"] is True
    assert found["metadata"] == [
        {"kind": "exif", "first": len(exif.tobytes()) - 6, "second": None},
        {"kind": "resolution", "first": None, "second": 16},
    ]
    out = shell.run("compare", "a.png", "b.png").out
    assert "exif only in a.png, " in out
    assert "resolution only in b.png, 16 bytes" in out


def test_measures_that_cannot_be_computed_are_named(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.picture("a.png")
    shell.file("b.png", png(255 - make_picture(20, 30)))
    monkeypatch.setattr(perceptual, "find_spec", lambda _name: None)
    found = compared(shell, "a.png", "b.png")
    assert (found["ms_ssim"], found["ssimulacra2"], found["flip"]) == (None, None, None)
    lines = "\n".join(str(found["unavailable"]).split("', "))
    assert "MS-SSIM needs 161 pixels a side" in lines
    assert "no ssimulacra2 here; pip install" in lines
    assert "no flip_evaluator here" in lines
    assert "no flip_evaluator here" in shell.run("compare", "a.png", "b.png").out


def test_what_cannot_be_compared(shell: Shell, compressed: bytes) -> None:
    shell.picture("a.png")
    shell.picture("b.png", 20, 31)
    shell.file("text.png", b"Dear reader,\n")
    shell.file("cut.aec", compressed[:-9])
    run = shell.run
    assert_one_line(run("compare", "a.png", "b.png"), 1, "different sizes", "30x20 and 31x20")
    assert_one_line(run("compare", "a.png", "none.png"), 1, "aecodec: none.png: No such file")
    assert_one_line(run("compare", "a.png", "text.png"), 1, "aecodec: text.png: not a picture")
    assert_one_line(run("compare", "cut.aec", "a.png"), 1, "aecodec: cut.aec: truncated")
    assert_one_line(run("compare", "a.png", "a.png", "--max-pixels", "9"), 1, "the limit is 9")
    assert_one_line(run("compare", "-", "-"), 2, "standard input")
    assert_one_line(run("compare", "a.png", "a.png", "--amplify", "nan"), 2, "--amplify")
    assert_one_line(run("compare", "a.png"), 2, "B")
