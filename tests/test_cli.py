"""The command line is a contract: names, files, messages, exit codes."""

import errno
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture
from PIL import Image

from aecodec.cli import main
from aecodec.codec import Codec
from aecodec.container import parse

PNG = "picture.png"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with one picture in it."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(make_picture(40, 50)).save(PNG)
    return tmp_path


@pytest.fixture
def weights(tiny_weights: Path) -> tuple[str, str]:
    return "--model", str(tiny_weights)


def run(*arguments: str) -> int:
    """Exit code of the command line, in this process."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def one_line(capfd: pytest.CaptureFixture[str]) -> str:
    """The only line on standard error; nothing may stand on standard output."""
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    return err


def test_round_trip_beside_the_input(
    folder: Path, weights: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("compress", PNG, *weights) == 0
    data = Path("picture.aec").read_bytes()
    line = capfd.readouterr().out
    assert parse(data).header.quality == 75
    assert f"-> {len(data)} bytes" in line
    assert all(word in line for word in (PNG, "bpp", "ratio", " s"))
    assert run("decompress", "picture.aec", "-o", "back.bmp") == 1
    assert "model" in one_line(capfd)
    assert run("decompress", "picture.aec", "-o", "back.bmp", *weights) == 0
    with Image.open("back.bmp") as image:
        assert (image.format, image.size) == ("BMP", (50, 40))
    assert run("decompress", "picture.aec", "-f", *weights) == 0
    with Image.open(PNG) as image:
        assert image.format == "PNG"


def test_quality_is_passed_on(folder: Path, weights: tuple[str, str]) -> None:
    assert run("compress", PNG, "-q", "12.5", "-o", "x.aec", *weights) == 0
    assert parse(Path("x.aec").read_bytes()).header.quality == 12.5


def test_existing_output_needs_force(
    folder: Path, weights: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    Path("picture.aec").write_bytes(b"mine")
    assert run("compress", PNG, *weights) == 1
    assert "picture.aec exists" in one_line(capfd)
    assert Path("picture.aec").read_bytes() == b"mine"
    assert run("compress", PNG, "-f", *weights) == 0
    assert Path("picture.aec").read_bytes() != b"mine"


def test_several_inputs_go_into_a_folder_and_a_bad_one_stops_nothing(
    folder: Path, weights: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    Path("bad.png").write_text("no picture")
    Image.fromarray(make_picture(20, 20)).save("other.png")
    Path("out").mkdir()
    assert run("compress", PNG, "bad.png", "other.png", "-o", "out", *weights) == 1
    assert names(folder / "out") == {"picture.aec", "other.aec"}
    out, err = capfd.readouterr()
    assert out.count("\n") == 2
    assert err.startswith("aecodec: bad.png: ")
    assert err.count("\n") == 1


def test_standard_streams(folder: Path, tiny_weights: Path) -> None:
    command = [sys.executable, "-m", "aecodec"]
    options = ["--model", str(tiny_weights)]
    picture = Path(PNG).read_bytes()
    packed = subprocess.run(
        [*command, "compress", "-", *options], input=picture, capture_output=True, check=True
    )
    assert packed.stdout == Codec(tiny_weights).compress(PNG)
    assert b"bpp" in packed.stderr
    unpacked = subprocess.run(
        [*command, "decompress", "-", *options],
        input=packed.stdout, capture_output=True, check=True,
    )  # fmt: skip
    assert unpacked.stdout.startswith(b"\x89PNG")


def test_info_and_verify(
    folder: Path, weights: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    run("compress", PNG, *weights)
    capfd.readouterr()
    assert run("info", "picture.aec", "--json") == 0
    facts = json.loads(capfd.readouterr().out)
    assert (facts["width"], facts["height"], facts["quality"]) == (50, 40, 75)
    assert [chunk["type"] for chunk in facts["chunks"]] == ["HEAD", "TILE", "DONE"]
    assert run("info", "picture.aec") == 0
    assert "50x40 RGB8" in capfd.readouterr().out
    assert run("verify", "picture.aec", *weights) == 0
    assert capfd.readouterr().out == "picture.aec: ok\n"
    data = bytearray(Path("picture.aec").read_bytes())
    data[60] ^= 4
    Path("picture.aec").write_bytes(data)
    for command in (("info",), ("verify", *weights)):
        assert run(*command, "picture.aec") == 1
        assert "checksum of TILE" in one_line(capfd)


def head(width: int, height: int) -> bytes:
    """A file that ends after a HEAD chunk with a valid CRC-32."""
    body = b"HEAD" + struct.pack("<IIBBH4s", width, height, 1, 10, 300, b"none")
    return (
        b"\x89AEC\x01\r\n\x1a" + struct.pack("<I", 16) + body + struct.pack("<I", zlib.crc32(body))
    )


BAD_FILES = {
    "empty": (b"", "truncated"),
    "text": (b"This is a text file named .aec\n", "not an .aec file"),
    "zero": (head(0, 10), "width"),
    "huge": (head(2**32 - 1, 2**32 - 1), "width"),
    "large": (head(2**20, 2**20), "limit"),
    "newer": (b"\x89AEC\x02\r\n\x1a" + bytes(50), "version 2"),
}


@pytest.mark.parametrize("case", BAD_FILES)
@pytest.mark.parametrize("command", ["decompress", "info", "verify"])
def test_bad_files_give_one_line(
    folder: Path, capfd: pytest.CaptureFixture[str], command: str, case: str
) -> None:
    data, message = BAD_FILES[case]
    Path("bad.aec").write_bytes(data)
    before = names(folder)
    assert run(command, "bad.aec") == 1
    line = one_line(capfd)
    assert line.startswith("aecodec: bad.aec: ")
    assert message in line
    assert names(folder) == before


def test_damage_anywhere_gives_one_line(
    folder: Path, weights: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    data = Codec(weights[1]).compress(PNG)
    damaged = {"cut": data[:-5], "trailing": data + b"x", "flipped": data[:70] + b"~" + data[71:]}
    for case, content in damaged.items():
        Path(f"{case}.aec").write_bytes(content)
        assert run("decompress", f"{case}.aec", *weights) == 1
        assert one_line(capfd).startswith(f"aecodec: {case}.aec: ")
        assert not Path(f"{case}.png").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.png", "No such file"),
        (".", "directory"),
        ("text.png", "not a picture"),
        ("cut.png", "truncated"),
        ("alpha.png", "convert('RGB')"),
    ],
)
def test_bad_pictures_give_one_line(
    folder: Path, capfd: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    Path("text.png").write_text("no picture")
    Path("cut.png").write_bytes(Path(PNG).read_bytes()[:900])
    Image.new("RGBA", (4, 4)).save("alpha.png")
    before = names(folder)
    assert run("compress", name, "-o", "out.aec") == 1
    line = one_line(capfd)
    assert line.startswith(f"aecodec: {name}: ")
    assert message in line
    assert names(folder) == before


@pytest.mark.parametrize(
    ("output", "message"),
    [("none/x.aec", "does not exist"), ("x.nothing", "unknown picture format")],
)
def test_impossible_outputs_are_refused_before_any_work(
    folder: Path, capfd: pytest.CaptureFixture[str], output: str, message: str
) -> None:
    Path("a.aec").write_bytes(head(8, 8))
    assert run("decompress", "a.aec", "-o", output) == 1
    assert message in one_line(capfd)


def test_unreadable_file(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert run("compress", PNG) == 1
    assert one_line(capfd) == f"aecodec: {PNG}: Permission denied\n"


@pytest.mark.parametrize("force", [False, True])
def test_full_disk_leaves_nothing_new(
    folder: Path, weights: tuple[str, str], capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, force: bool,
) -> None:  # fmt: skip
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if force:
        Path("picture.aec").write_bytes(b"mine")
    before = names(folder)
    monkeypatch.setattr(os, "fsync", full)
    assert run("compress", PNG, *(["-f"] if force else []), *weights) == 1
    assert "No space left" in one_line(capfd)
    assert names(folder) == before
    assert not force or Path("picture.aec").read_bytes() == b"mine"


def test_interrupt_leaves_nothing(
    folder: Path, weights: tuple[str, str], capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def interrupt(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    assert run("compress", PNG, *weights) == 130
    assert capfd.readouterr().err.strip() == "aecodec: interrupted"
    assert names(folder) == {PNG}


def test_wrong_usage_exits_with_2(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(make_picture(20, 20)).save("picture.jpg")
    assert run("compress", PNG, "-q", "101") == 2
    assert run("compress") == 2
    assert run("bogus") == 2
    assert run("compress", PNG, "picture.jpg") == 2
    assert "several inputs would become picture.aec" in capfd.readouterr().err
    assert run("compress", PNG, PNG, "-o", "none") == 2


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["info", "a.aec"], ["compress", "-q", "300", PNG], ["train", "none", "-o", "r"]],
)
def test_torch_is_not_imported_without_need(folder: Path, arguments: list[str]) -> None:
    Path("a.aec").write_bytes(head(8, 8))
    code = (
        "import sys, aecodec.cli\n"
        "try: aecodec.cli.main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, *arguments], check=False).returncode == 0


def test_gray_pictures_come_back_gray(folder: Path, weights: tuple[str, str]) -> None:
    Image.fromarray(np.full((9, 9), 77, np.uint8)).save("gray.png")
    assert run("compress", "gray.png", *weights) == 0
    assert run("decompress", "gray.aec", "-o", "back.png", *weights) == 0
    with Image.open("back.png") as image:
        assert image.mode == "L"
