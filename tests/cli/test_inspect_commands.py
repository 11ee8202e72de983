"""`aecodec info`, `verify` and `repair`: what they say of whole files."""

import json
from dataclasses import replace

import pytest
from native_kernel import LEVELS
from PIL import Image
from shell import Result, Shell, assert_one_line

import aecodec
from aecodec.codec import Codec
from aecodec.format.chunks import Chunk
from aecodec.format.container import parse, serialize


def test_info_shows_what_is_in_the_file(shell: Shell, compressed: bytes) -> None:
    shell.file("img.aec", compressed)
    result = shell.run("info", "img.aec")
    header = parse(compressed).header
    assert result.code == 0
    first, second, *chunks = result.out.splitlines()
    assert first.startswith(f"img.aec: 30x20 RGB8, {len(compressed)} bytes, ")
    assert "quality 60," in second
    assert header.model_id.hex() in second
    assert [line.split()[1] for line in chunks] == ["HEAD", "TILE", "DONE"]


def test_info_as_json_is_one_object_a_line(shell: Shell, compressed: bytes) -> None:
    shell.file("a.aec", compressed)
    shell.file("b.aec", compressed)
    result = shell.run("info", "--json", "a.aec", "b.aec")
    first, second = (json.loads(line) for line in result.out.splitlines())
    assert (first["file"], second["file"]) == ("a.aec", "b.aec")
    assert (first["width"], first["height"], first["pixel_format"]) == (30, 20, "RGB8")
    assert (first["quality"], first["bytes"], first["tiles"]) == (60, len(compressed), 1)
    assert first["model_id"] == parse(compressed).header.model_id.hex()
    assert first["bpp"] == pytest.approx(8 * len(compressed) / 600)
    ends = [chunk["offset"] + 12 + chunk["length"] for chunk in first["chunks"]]
    assert ends[-1] == len(compressed)


@pytest.mark.parametrize("runtime", ["numpy", "native"])
def test_info_shows_the_runtime(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    monkeypatch.setenv("AECODEC_RUNTIME", runtime)
    result = shell.run("info", "--runtime")
    expected = "native" if runtime == "native" and LEVELS else "numpy"
    assert result.out.splitlines()[0] == f"runtime: {expected}"
    found = json.loads(shell.run("info", "--runtime", "--json").out)
    assert found["runtime"] == expected
    assert found["threads"] >= 1
    assert bool(found["reason"]) == (expected == "numpy")


def test_info_asks_for_files_or_the_runtime(
    shell: Shell, compressed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.file("img.aec", compressed)
    assert shell.run("info").code == 2
    assert shell.run("info", "--runtime", "img.aec").code == 2
    monkeypatch.setenv("AECODEC_RUNTIME", "cuda")
    assert_one_line(shell.run("info", "--runtime"), 1, "AECODEC_RUNTIME is 'cuda'")


def test_verify_decodes(shell: Shell, compressed: bytes) -> None:
    shell.file("a.aec", compressed)
    shell.file("b.aec", compressed)
    result = shell.model("verify", "a.aec", "b.aec")
    lines = [f"{name}.aec: ok, 1 tiles, 0 lossless\n" for name in "ab"]
    assert result == Result(0, "".join(lines), "")


def test_info_and_verify_count_lossless_tiles(shell: Shell) -> None:
    Image.new("RGB", (130, 70), "red").save(shell.folder / "flat.png")
    assert shell.model("compress", "flat.png").code == 0
    assert " 1 tiles of 1024 pixels, 1 lossless\n" in shell.run("info", "flat.aec").out
    assert json.loads(shell.run("info", "--json", "flat.aec").out)["lossless_tiles"] == 1
    assert shell.model("verify", "flat.aec").out == "flat.aec: ok, 1 tiles, 1 lossless\n"


def test_checksums_of_pixels_are_added_and_compared(shell: Shell) -> None:
    Image.new("RGB", (30, 20), "red").save(shell.folder / "a.png")
    assert shell.model("compress", "--checksum", "a.png").code == 0
    assert shell.model("verify", "a.aec").code == 0
    path = shell.folder / "a.aec"
    stream = parse(path.read_bytes())
    (chunk,) = stream.ancillary
    path.write_bytes(serialize(replace(stream, ancillary=(Chunk(chunk.type, bytes(32)),))))
    result = shell.model("verify", "a.aec")
    assert result.code == 1
    assert result.err.startswith("aecodec: a.aec: checksum of the picture is ")


def test_reasons_of_several_lines_become_one(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, compressed: bytes
) -> None:
    def fail(*_: object) -> None:
        raise aecodec.WeightsError("two\n\tlines")

    monkeypatch.setattr(Codec, "verify", fail)
    shell.file("img.aec", compressed)
    assert_one_line(shell.model("verify", "img.aec"), 1, "img.aec: two lines\n")
