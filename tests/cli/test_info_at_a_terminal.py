"""`aecodec info` at a terminal: colours, and a picture where it can be shown."""

import os
import re
import subprocess
import sys
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture
from PIL import Image
from shell import ENVIRONMENT, Shell, assert_one_line

from aecodec import Codec
from aecodec.cli import inspect, terminal, thumbnail
from aecodec.cli.thumbnail import SIDE, drawn
from aecodec.info import read_file_info
from aecodec.jobs.preview import preview

VARIABLES = ("TERM", "TERM_PROGRAM", "LC_TERMINAL", "TMUX", "STY", "NO_COLOR")
pytestmark = pytest.mark.usefixtures("plain")


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of which nothing is known."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for module in (terminal, inspect):
        monkeypatch.setattr(module, "is_terminal", lambda: True)


@pytest.fixture
def released(shell: Shell) -> Path:
    """A file of the released model, 451 by 300 pixels."""
    sample = Path(__file__).resolve().parents[2] / "samples" / "aec-1" / "chelsea.aec"
    return shell.file("cat.aec", sample.read_bytes())


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({}, None),
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"LC_TERMINAL": "iTerm2"}, "iterm"),
        ({"TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "foot-extra"}, "sixel"),
        ({"TERM": "footless"}, None),
        ({"TERM": "xterm-kitty", "TMUX": "1"}, None),
        ({"TERM": "screen-256color", "TERM_PROGRAM": "iTerm.app"}, None),
        ({"TERM_PROGRAM": "Apple_Terminal"}, None),
        ({"TERM_PROGRAM": "vscode"}, None),
    ],
)
def test_terminals_are_known_by_what_they_say(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], kind: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert terminal.graphics() == kind


@pytest.mark.parametrize(
    ("variables", "shown"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_can_be_forbidden(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], shown: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert terminal.has_colours() is shown
    assert terminal.styled("a", bold=True) == ("\x1b[1ma\x1b[0m" if shown else "a")


def test_info_is_for_people_there(shell: Shell, tiny_codec: Codec) -> None:
    pixels = np.dstack((make_picture(70, 90), np.arange(90, dtype=np.uint8) + np.zeros((70, 1))))
    image = Image.fromarray(pixels.astype(np.uint8))
    image.info["xmp"] = b"<x/>"
    data = tiny_codec.compress(image, 60, tile_exponent=6, lossless_tiles=False)
    shell.file("img.aec", data)
    lines = shell.run("info", "img.aec").out.splitlines()
    assert lines[0] == "img.aec"
    assert "  picture   90 x 70, RGBA8" in lines
    assert "  quality   60" in lines
    assert "  tiles     4 tiles of 64 pixels a side" in lines
    assert "  holds     XMP 4 bytes" in lines
    assert f"  size      {len(data):,} bytes, {8 * len(data) / 6300:.3f} bits a pixel" in lines
    assert any(line.startswith("  model     unknown to this version (") for line in lines)
    exact = shell.file("b.aec", tiny_codec.compress(make_picture(20, 30), 25, max_error=2))
    out = shell.run("info", "--no-thumbnail", str(exact)).out
    assert "every sample within 2, over a lossy part of quality 25" in out


def test_other_programs_get_what_they_know(
    shell: Shell, compressed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.file("img.aec", compressed)
    for module in (terminal, inspect):
        monkeypatch.setattr(module, "is_terminal", lambda: False)
    assert shell.run("info", "img.aec").out == read_file_info("img.aec").text() + "\n"
    assert_one_line(shell.run("info", "--thumbnail", "img.aec"), 2, "needs a terminal")


def png_of_kitty(text: str) -> bytes:
    pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    assert pieces[0][0].startswith("a=T,f=100,q=2,m=")
    assert [each[0][-1] for each in pieces] == ["1"] * (len(pieces) - 1) + ["0"]
    assert all(len(each[1]) <= 4096 for each in pieces)
    return b64decode("".join(each[1] for each in pieces))


def png_of_iterm(text: str) -> bytes:
    found = re.search(r"\x1b\]1337;File=inline=1;size=(\d+):([^\x07]*)\x07", text)
    assert found
    png = b64decode(found[2])
    assert len(png) == int(found[1])
    return png


def pixels_of_sixel(text: str) -> npt.NDArray[np.float64]:
    """A small decoder."""
    body = re.search(r'\x1bP0;1q"1;1;(\d+);(\d+)(.*)\x1b\\', text, re.DOTALL)
    assert body
    width, height = int(body[1]), int(body[2])
    canvas = np.full((height + 6, width, 3), np.nan)
    palette: dict[str, list[float]] = {}
    colour, x, top = "", 0, 0
    for token in re.finditer(r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)(.)|([$-])|(.)", body[3]):
        if token[1]:
            palette[token[1]] = [int(token[n]) * 2.55 for n in (2, 3, 4)]
        elif token[5]:
            colour = token[5]
        elif token[8]:
            x, top = 0, top + (6 if token[8] == "-" else 0)
        else:
            count, letter = int(token[6] or 1), token[7] or token[9]
            for row in range(6):
                if ord(letter) - 63 >> row & 1:
                    canvas[top + row, x : x + count] = palette[colour]
            x += count
    return canvas[:height]


def test_pictures_by_each_protocol() -> None:
    image = Image.fromarray(make_picture(45, 70))
    for found in (png_of_kitty(drawn(image, "kitty")), png_of_iterm(drawn(image, "iterm"))):
        with Image.open(BytesIO(found)) as shown:
            np.testing.assert_array_equal(np.asarray(shown), np.asarray(image))
    sixels = pixels_of_sixel(drawn(image, "sixel"))
    few = np.asarray(image.quantize(255).convert("RGB"))
    assert np.abs(sixels - few).max() < 2
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8))
    assert len(png_of_kitty(drawn(noise, "kitty"))) > 4096


def test_half_blocks() -> None:
    image = Image.new("RGB", (2, 3), "red")
    image.putpixel((1, 1), (0, 0, 255))
    assert drawn(image, None).split("\n") == [
        "\x1b[38;2;255;0;0;48;2;255;0;0m▀\x1b[38;2;255;0;0;48;2;0;0;255m▀\x1b[0m",
        "\x1b[49;38;2;255;0;0m▀" * 2 + "\x1b[0m",
    ]


def test_previews_are_small_and_turned(shell: Shell, tiny_codec: Codec) -> None:
    image = Image.fromarray(make_picture(60, 100))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.info["exif"] = exif.tobytes()
    path = str(shell.file("a.aec", tiny_codec.compress(image)))
    found = preview(tiny_codec, path, (24, 24))
    assert found.size == (14, 24)
    upright = image.rotate(-90, expand=True)
    upright.thumbnail((24, 24))
    assert np.abs(np.asarray(found, int) - np.asarray(upright, int)).mean() < 20
    assert preview(tiny_codec, path, (1000, 1000)).size == (60, 100)


def test_a_picture_is_shown_where_it_can_be(
    shell: Shell, released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`capfd` is no terminal, so that click leaves escape sequences out there."""
    said: list[str] = []
    monkeypatch.setattr(inspect, "say_or_end", lambda text, err: said.append(text))
    assert shell.run("info", released.name).code == 0
    assert len(said) == 1
    monkeypatch.setenv("TERM", "xterm-kitty")
    assert shell.run("info", released.name).code == 0
    with Image.open(BytesIO(png_of_kitty(said[1]))) as shown:
        assert shown.size == (SIDE, round(SIDE * 300 / 451))
    said.clear()
    assert shell.run("info", "--no-thumbnail", released.name).code == 0
    assert shell.run("info", released.name, released.name).code == 0
    assert not any("\x1b_G" in text for text in said)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert shell.run("info", "--thumbnail", released.name).code == 0
    assert said[-2].count("▀") % 48 == 0


def test_what_cannot_be_shown_is_told_if_it_was_asked_for(
    shell: Shell, compressed: bytes, released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.file("own.aec", compressed)
    result = shell.run("info", "--thumbnail", "own.aec")
    assert result.code == 0
    assert result.err.startswith("aecodec: own.aec: warning: no thumbnail: ")
    monkeypatch.setenv("TERM", "foot")
    assert shell.run("info", "own.aec").err == ""
    monkeypatch.setattr(thumbnail, "AT_ONCE", 100)
    assert "\x1bP" not in shell.run("info", released.name).out
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert "no colours" in shell.run("info", "--thumbnail", "own.aec").err


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("forbidden", [False, True], ids=["colours", "NO_COLOR"])
def test_at_a_real_terminal(shell: Shell, compressed: bytes, forbidden: bool) -> None:
    import pty

    shell.file("img.aec", compressed)
    reader, writer = pty.openpty()
    environment = {k: v for k, v in ENVIRONMENT.items() if k not in VARIABLES}
    environment |= {"TERM": "xterm", **({"NO_COLOR": "1"} if forbidden else {})}
    done = subprocess.run(
        [sys.executable, "-m", "aecodec", "info", "img.aec"], env=environment, stdout=writer,
        check=False,
    )  # fmt: skip
    os.close(writer)
    out = os.read(reader, 65536).decode()
    os.close(reader)
    assert done.returncode == 0
    assert ("\x1b[" in out) is not forbidden
    assert "30 x 20, RGB8" in out
