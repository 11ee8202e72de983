"""Which files a command works on: those that are named, and the pictures in folders."""

import os
from collections.abc import Iterable
from pathlib import Path

from aecodec.errors import InputError
from aecodec.storage.sources import is_url

_MORE = {".aec", ".heic", ".heif", ".jxl"}
"""Suffixes beside those that Pillow knows."""


def named_pictures(names: Iterable[str]) -> list[str]:
    """The names, with each folder replaced by the pictures right inside it, in their order.

    Raises:
        InputError: a folder has no pictures, or there are no names.
        OSError: a folder cannot be read.
    """
    found: list[str] = []
    for name in names:
        if is_url(name) or not Path(name).is_dir():
            found.append(name)
            continue
        inside = _pictures_in(name)
        if not inside:
            raise InputError(f"folder {name} has no pictures")
        found += inside
    if not found:
        raise InputError("no pictures are named")
    return found


def _pictures_in(folder: str) -> list[str]:
    from PIL import Image

    known = _MORE | set(Image.registered_extensions())
    return [
        os.path.join(folder, name)
        for name in sorted(os.listdir(folder))
        if Path(name).suffix.lower() in known and not name.startswith(".")
    ]
