"""Pictures of which a few rows can be read: raw PPM and PGM of 8 bits, as netpbm specifies them."""

import re
from typing import BinaryIO

import numpy as np

from aecodec.errors import InputError
from aecodec.images import Pixels

STRIP_PIXELS = 2**25
"""Larger pictures are read so by the command line."""
_HEAD = re.compile(rb"P([56])" + 3 * rb"(?:\s|#[^\n]*\n)+?(\d{1,10})" + rb"\s")
_HEAD_BYTES = 4096


class StripPicture:
    """An open PPM or PGM.

    Attributes:
        height: rows.
        width: columns.
        gray: whether it is a PGM.
    """

    def __init__(self, file: BinaryIO, height: int, width: int, *, gray: bool, start: int) -> None:
        self._file, self._start = file, start
        self.height, self.width, self.gray = height, width, gray

    def rows(self, top: int, bottom: int) -> Pixels:
        """Rows from `top` on, without `bottom`, `(h, w, 3)` or `(h, w)`.

        Raises:
            InputError: the file ends before.
        """
        stride = self.width * (1 if self.gray else 3)
        self._file.seek(self._start + top * stride)
        data = self._file.read((bottom - top) * stride)
        if len(data) != (bottom - top) * stride:
            raise InputError(f"damaged picture: it ends before row {bottom}")
        shape = (bottom - top, self.width)
        return np.frombuffer(data, np.uint8).reshape(shape if self.gray else (*shape, 3))


def open_strips(file: BinaryIO) -> StripPicture | None:
    """The picture in a file that can seek; None if it is no raw PPM or PGM of 8 bits."""
    file.seek(0)
    head = _HEAD.match(file.read(_HEAD_BYTES))
    if head is None:
        return None
    kind, width, height, largest = head.groups()
    if int(largest) != 255 or not int(width) or not int(height):
        return None
    return StripPicture(file, int(height), int(width), gray=kind == b"5", start=head.end())
