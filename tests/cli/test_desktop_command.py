"""`aecodec desktop`: what it tells `file`, `xdg-mime`, GLib and file managers."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from shell import ENVIRONMENT, Shell

from aecodec import InputError
from aecodec.plugins import desktop

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "aec-1" / "chelsea.aec"


@pytest.fixture
def home(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a new user, who has a file without a suffix."""
    home = shell.folder / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    shutil.copy(SAMPLE, home / "cat")
    shutil.copy(SAMPLE, home / "cat.aec")
    return home


def listing(home: Path) -> set[str]:
    return {
        str(path.relative_to(home))
        for path in home.rglob("*")
        if path.is_file() and not path.name.startswith("cat")
    }


def asked(*command: str | Path) -> str:
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"no {command[0]} here")
    words = [str(word) for word in command]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def test_files_are_written_and_taken_away(shell: Shell, home: Path) -> None:
    result = shell.run("desktop", "install")
    assert (result.code, result.err) == (0, "")
    written = {str(Path(line).relative_to(home)) for line in result.out.splitlines()}
    assert written == {
        ".local/share/mime/packages/aecodec.xml",
        ".local/share/thumbnailers/aecodec.thumbnailer",
        ".local/share/man/man1/aecodec.1",
        ".magic",
    }
    assert written <= listing(home)
    before = {name: (home / name).read_bytes() for name in written}
    assert shell.run("desktop", "install").code == 0
    assert {name: (home / name).read_bytes() for name in written} == before
    assert len(shell.run("desktop", "uninstall").out.splitlines()) == 4
    assert not written & listing(home)
    assert shell.run("desktop", "uninstall").out == ""


def test_another_folder_of_data(shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    assert shell.run("desktop", "install").code == 0
    assert (home / "data" / "mime" / "packages" / "aecodec.xml").is_file()
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert desktop.data_home() == home / ".local" / "share"


@pytest.mark.parametrize("others", ["0 string ZZZ some thing\n", "0 string ZZZ no end"])
def test_magic_of_others_stays(shell: Shell, home: Path, others: str) -> None:
    (home / ".magic").write_text(others)
    shell.run("desktop", "install")
    shell.run("desktop", "install")
    assert (home / ".magic").read_text().startswith(others)
    assert "aecodec image" in asked("file", home / "cat")
    (home / "z").write_bytes(b"ZZZ")
    assert others.split(maxsplit=3)[3].strip() in asked("file", home / "z")
    shell.run("desktop", "uninstall")
    assert (home / ".magic").read_text() == others.rstrip("\n") + "\n"


def test_magic_may_be_a_folder(shell: Shell, home: Path) -> None:
    (home / ".magic").mkdir()
    shell.run("desktop", "install")
    assert (home / ".magic" / "aecodec").is_file()
    shell.run("desktop", "uninstall")
    assert list((home / ".magic").iterdir()) == []


def test_file_knows_the_type(shell: Shell, home: Path) -> None:
    shell.run("desktop", "install")
    assert asked("file", "--brief", home / "cat").strip() == ("aecodec image (version 1), 451x300")
    assert asked("file", "--brief", "--mime-type", home / "cat").strip() == "image/x-aec"


def test_xdg_mime_knows_the_type(shell: Shell, home: Path) -> None:
    shell.run("desktop", "install")
    assert asked("xdg-mime", "query", "filetype", home / "cat.aec").strip() == "image/x-aec"


def test_glib_knows_the_type_by_name_and_by_content(shell: Shell, home: Path) -> None:
    if shutil.which("update-mime-database") is None:
        pytest.skip("no update-mime-database here")
    shell.run("desktop", "install")
    for name in ("cat", "cat.aec"):
        told = asked("gio", "info", "-a", "standard::content-type", home / name)
        assert "standard::content-type: image/x-aec" in told
    shell.run("desktop", "uninstall")
    told = asked("gio", "info", "-a", "standard::content-type", home / "cat.aec")
    assert "image/x-aec" not in told


def test_man_finds_the_page(shell: Shell, home: Path) -> None:
    shell.run("desktop", "install")
    page = asked("man", "-M", home / ".local" / "share" / "man", "-w", "aecodec")
    assert page.strip().endswith("man1/aecodec.1")


def test_the_thumbnailer_makes_thumbnails(shell: Shell, home: Path) -> None:
    desktop.install([sys.executable, "-m", "aecodec"], "")
    text = (home / ".local/share/thumbnailers/aecodec.thumbnailer").read_text()
    entry = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    assert text.startswith("[Thumbnailer Entry]\n")
    assert entry["MimeType"] == "image/x-aec;"
    assert os.access(entry["TryExec"], os.X_OK)
    values = {"%s": "64", "%i": str(home / "cat.aec"), "%o": str(home / "small.png")}
    words = [values.get(word, word) for word in shlex.split(entry["Exec"])]
    subprocess.run(words, check=True, env=ENVIRONMENT)
    with Image.open(home / "small.png") as image:
        assert (image.format, image.size) == ("PNG", (64, 42))


def test_thumbnails_of_what_is_none(shell: Shell, home: Path) -> None:
    (home / "cat.aec").write_bytes(b"Dear reader")
    result = shell.run("desktop", "thumbnail", home / "cat.aec", home / "small.png")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert not (home / "small.png").exists()


def test_odd_paths_are_quoted(home: Path) -> None:
    desktop.install(['/opt/my "own" $tools/50%/aecodec'], "")
    text = (home / ".local/share/thumbnailers/aecodec.thumbnailer").read_text()
    # Backslashes of the quoting are escaped once more, as in all values.
    assert r'Exec="/opt/my \\"own\\" \\$tools/50%%/aecodec" desktop thumbnail' in text
    assert 'TryExec=/opt/my "own" $tools/50%/aecodec\n' in text
    with pytest.raises(InputError, match="cannot stand"):
        desktop.install(["/opt/a\nb"], "")
