"""Tells a Linux desktop of `.aec` files, for one user: their type, their thumbnails, their manual.

Everything is a file under the user's own folders, which `uninstall` takes away again. `file` reads
`~/.magic`, which may have other entries, so that ours stand between two marks there.

Sources: freedesktop.org's "Shared MIME-info Database" 0.21 and "XDG Base Directory Specification"
0.8; magic(5) of `file`; gnome-desktop's thumbnailer entries, which other file managers read, too.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from aecodec.errors import InputError
from aecodec.plugins.names import MIME_TYPE, SUFFIX
from aecodec.storage.files import write_bytes

_TYPE = f"""<?xml version="1.0" encoding="UTF-8"?>
<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info">
  <mime-type type="{MIME_TYPE}">
    <comment>aecodec image</comment>
    <generic-icon name="image-x-generic"/>
    <magic priority="80">
      <match type="string" offset="0" value="\\x89AEC"/>
    </magic>
    <glob pattern="*{SUFFIX}"/>
  </mime-type>
</mime-info>
"""
_MAGIC = f"""0\tstring\t\\x89AEC\taecodec image
!:mime\t{MIME_TYPE}
!:ext\t{SUFFIX[1:]}
>4\tubyte\tx\t(version %d)
>16\tulelong\tx\t\\b, %d
>20\tulelong\tx\t\\bx%d
"""
_BEGIN, _END = "# aecodec begins\n", "# aecodec ends\n"
_ESCAPE = "\\"
_QUOTED = frozenset(f'"`${_ESCAPE}')
"""Letters of an Exec line that need a backslash within quotes."""


def data_home(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of the user's data: `XDG_DATA_HOME`, or `~/.local/share`."""
    stated = environment.get("XDG_DATA_HOME", "")
    return Path(stated) if os.path.isabs(stated) else Path.home() / ".local" / "share"


def install(command: list[str], manual: str) -> list[Path]:
    """Writes all files, over those of an earlier installation.

    Args:
        command: what runs aecodec, such as its path.
        manual: the page for `man`.

    Returns:
        The files.

    Raises:
        InputError: a part of the command cannot stand in an entry.
        OSError: a file cannot be written.
    """
    contents = {"type": _TYPE, "thumbnailer": _thumbnailer(command), "manual": manual}
    for name, path in _places().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, contents[name].encode())
    magic = _magic_file()
    others = _without_ours(magic)
    write_bytes(magic, (others + _BEGIN + _MAGIC + _END).encode("utf-8", "surrogateescape"))
    _update()
    return [*_places().values(), magic]


def uninstall() -> list[Path]:
    """Takes away what `install` has written.

    Returns:
        The files that are gone, or from which our part is gone.

    Raises:
        OSError: a file cannot be changed.
    """
    gone = []
    for path in _places().values():
        with suppress(FileNotFoundError):
            path.unlink()
            gone.append(path)
    magic = _magic_file()
    others = _without_ours(magic)
    if magic.is_file() and _BEGIN in _text(magic):
        if others:
            write_bytes(magic, others.encode("utf-8", "surrogateescape"))
        else:
            magic.unlink()
        gone.append(magic)
    _update()
    return gone


def _places() -> dict[str, Path]:
    home = data_home()
    return {
        "type": home / "mime" / "packages" / "aecodec.xml",
        "thumbnailer": home / "thumbnailers" / "aecodec.thumbnailer",
        "manual": home / "man" / "man1" / "aecodec.1",
    }


def _thumbnailer(command: list[str]) -> str:
    program = " ".join(map(_quoted, command))
    entries = {
        "TryExec": command[0],
        "Exec": f"{program} desktop thumbnail --side %s %i %o",
        "MimeType": f"{MIME_TYPE};",
    }
    escaped = (f"{name}={value.replace(_ESCAPE, _ESCAPE * 2)}\n" for name, value in entries.items())
    return "[Thumbnailer Entry]\n" + "".join(escaped)


def _quoted(part: str) -> str:
    """A part of an Exec line; Desktop Entry Specification, "The Exec key"."""
    if not part.isprintable():
        raise InputError(f"{part!r} cannot stand in a thumbnailer's entry")
    escaped = "".join(_ESCAPE * (letter in _QUOTED) + letter for letter in part.replace("%", "%%"))
    return escaped if escaped.replace("/", "").isalnum() else f'"{escaped}"'


def _magic_file() -> Path:
    """Where `file` looks for a user's entries: `~/.magic`, which may be a folder of files."""
    path = Path.home() / ".magic"
    return path / "aecodec" if path.is_dir() else path


def _without_ours(path: Path) -> str:
    return "".join(_others(_text(path).splitlines(keepends=True)))


def _others(lines: list[str]) -> Iterator[str]:
    """The lines of others, the last of which ends."""
    ours = False
    for line in lines:
        ours = ours or line == _BEGIN
        if not ours:
            yield line if line.endswith("\n") else f"{line}\n"
        ours = ours and line != _END


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""


def _update() -> None:
    """Has the database of types built anew, where there is a program for it."""
    program, folder = shutil.which("update-mime-database"), data_home() / "mime"
    if program is not None and folder.is_dir():
        subprocess.run([program, str(folder)], check=False, capture_output=True)
