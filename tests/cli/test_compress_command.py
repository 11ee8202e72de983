"""`aecodec compress`: names, numbers, bytes; and the way back."""

import re
import subprocess
import sys
from io import BytesIO, TextIOWrapper

import numpy as np
import pytest
from conftest import make_picture
from PIL import Image
from shell import ENVIRONMENT, Shell, assert_one_line, pixels_of

from aecodec.codec import Codec
from aecodec.format.container import parse


def test_compress_and_decompress_write_beside_the_input(shell: Shell) -> None:
    path = shell.picture("img.png")
    result = shell.model("compress", path)
    assert (result.code, result.err) == (0, "")
    target = shell.folder / "img.aec"
    header = parse(target.read_bytes()).header
    assert (header.width, header.height, header.quality) == (30, 20, 75)
    path.unlink()
    result = shell.model("decompress", target)
    assert (result.code, result.err) == (0, "")
    assert pixels_of(path.read_bytes()).shape == (20, 30, 3)
    assert sorted(shell.listing()) == ["img.aec", "img.png"]


def test_compress_prints_one_line_with_the_numbers(shell: Shell) -> None:
    path = shell.picture("img.png")
    result = shell.model("compress", "img.png")
    before, after = path.stat().st_size, (shell.folder / "img.aec").stat().st_size
    pattern = (
        rf"img\.png -> img\.aec: {before} -> {after} bytes, (?P<bpp>[\d.]+) bpp, "
        r"ratio (?P<ratio>[\d.]+), \d+\.\d\d s\n"
    )
    match = re.fullmatch(pattern, result.out)
    assert match, result.out
    assert float(match["bpp"]) == pytest.approx(8 * after / (20 * 30), abs=1e-3)
    assert float(match["ratio"]) == pytest.approx(before / after, abs=0.06)


def test_quality_is_stored_and_costs_bytes(shell: Shell) -> None:
    path, sizes = shell.picture("img.png", 64, 64), []
    for quality in ("10", "50", "95.5"):
        assert shell.model("compress", "-q", quality, path, "-o", "out.aec", "-f").code == 0
        data = (shell.folder / "out.aec").read_bytes()
        assert parse(data).header.quality == float(quality)
        sizes.append(len(data))
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_the_files_are_those_of_the_library(shell: Shell, tiny_codec: Codec) -> None:
    path = shell.picture("img.png")
    shell.model("compress", path, "-q", "60")
    data = (shell.folder / "img.aec").read_bytes()
    assert data == tiny_codec.compress(path, 60)
    shell.model("decompress", "img.aec", "-o", "back.png")
    expected = tiny_codec.decompress_array(data)
    np.testing.assert_array_equal(pixels_of((shell.folder / "back.png").read_bytes()), expected)


def test_several_inputs_go_beside_themselves_or_into_a_folder(shell: Shell) -> None:
    (shell.folder / "in").mkdir()
    (shell.folder / "out").mkdir()
    names = [str(shell.picture(name)) for name in ("in/a.png", "b.bmp", "c.d.png")]
    assert shell.model("compress", *names).out.count("\n") == 4  # and a summary
    assert shell.model("compress", *names, "-o", "out").code == 0
    assert (shell.folder / "in" / "a.aec").exists()
    written = {path.name: path.read_bytes() for path in (shell.folder / "out").iterdir()}
    assert sorted(written) == ["a.aec", "b.aec", "c.d.aec"]
    assert written["b.aec"] == (shell.folder / "b.aec").read_bytes()


def test_one_input_may_go_into_a_folder_too(shell: Shell) -> None:
    (shell.folder / "out").mkdir()
    assert shell.model("compress", shell.picture("img.png"), "-o", "out").code == 0
    assert (shell.folder / "out" / "img.aec").exists()


def test_existing_outputs_need_force(shell: Shell, compressed: bytes) -> None:
    shell.picture("img.png")
    shell.file("img.aec", b"old")
    assert_one_line(shell.model("compress", "img.png"), 1, "img.png", "img.aec exists", "-f")
    assert (shell.folder / "img.aec").read_bytes() == b"old"
    assert shell.model("compress", "img.png", "-f").code == 0
    assert parse((shell.folder / "img.aec").read_bytes()).header.width == 30
    original = (shell.folder / "img.png").read_bytes()
    assert_one_line(shell.model("decompress", "img.aec"), 1, "img.aec", "img.png exists", "-f")
    assert (shell.folder / "img.png").read_bytes() == original
    assert shell.model("decompress", "--force", "img.aec").code == 0
    assert (shell.folder / "img.png").read_bytes() != original


def test_gray_pictures_come_back_gray(shell: Shell) -> None:
    Image.fromarray(make_picture(9, 9)[:, :, 0]).save(shell.folder / "gray.png")
    assert shell.model("compress", "gray.png").code == 0
    assert shell.model("decompress", "gray.aec", "-o", "back.png").code == 0
    assert pixels_of((shell.folder / "back.png").read_bytes()).shape == (9, 9)


def test_real_pipes_carry_pictures(shell: Shell, tiny_codec: Codec) -> None:
    picture = shell.picture("img.png").read_bytes()
    arguments = [sys.executable, "-m", "aecodec", "compress", "-", "--model", str(shell.weights)]
    done = subprocess.run(
        arguments, input=picture, capture_output=True, check=True, env=ENVIRONMENT
    )
    assert done.stdout == tiny_codec.compress(shell.folder / "img.png")
    assert done.stderr.count(b"\n") == 1


def test_dashes_are_standard_streams(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tiny_codec: Codec
) -> None:
    path = shell.picture("img.png")
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(path.read_bytes())))
    result = shell.model("compress", "-")
    assert result.code == 0
    assert result.err.startswith("- -> -: ")
    assert result.err.count("\n") == 1
    data = shell.raw
    assert data == tiny_codec.compress(path)
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(data)))
    assert shell.model("decompress", "-", "-o", "-").code == 0
    expected = tiny_codec.decompress_array(data)
    np.testing.assert_array_equal(pixels_of(shell.raw), expected)
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(data)))
    assert shell.model("decompress", "-", "-o", "out.png").code == 0
    assert sorted(shell.listing()) == ["img.png", "out.png"]


def truncated_png() -> bytes:
    file = BytesIO()
    Image.fromarray(make_picture(50, 60)).save(file, "PNG")
    return file.getvalue()[:-4000]


@pytest.mark.parametrize("data", [b"", b"Dear reader,\n", truncated_png()[:30], truncated_png()])
def test_bad_pictures_are_named(shell: Shell, data: bytes) -> None:
    shell.file("img.png", data)
    assert_one_line(shell.model("compress", "img.png"), 1, "aecodec: img.png: ")
    assert sorted(shell.listing()) == ["img.png"]


def test_values_out_of_range_are_refused(shell: Shell) -> None:
    Image.fromarray(np.full((4, 4), 1.5, np.float32)).save(shell.folder / "img.tiff")
    result = shell.model("compress", "img.tiff")
    assert_one_line(result, 1, "img.tiff", "must be finite and lie in [0, 1]")
    assert sorted(shell.listing()) == ["img.tiff"]
