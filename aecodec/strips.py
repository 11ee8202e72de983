"""Pictures of which a few rows can be read: raw PPM and PGM of 8 or 16 bits.

Source: netpbm, https://netpbm.sourceforge.net/doc/ppm.html.
"""

import re
from typing import BinaryIO

import numpy as np

from aecodec.alpha import Pixels
from aecodec.errors import InputError

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
        deep: whether its samples have 16 bits.
    """

    def __init__(
        self, file: BinaryIO, size: tuple[int, int], *, gray: bool, deep: bool, start: int
    ) -> None:
        self._file, self._start = file, start
        self.height, self.width = size
        self.gray, self.deep = gray, deep

    def rows(self, top: int, bottom: int) -> Pixels:
        """Rows from `top` on, without `bottom`, `(h, w, 3)` or `(h, w)`, uint8 or uint16.

        Raises:
            InputError: the file ends before.
        """
        stride = self.width * (1 if self.gray else 3) * (2 if self.deep else 1)
        self._file.seek(self._start + top * stride)
        data = self._file.read((bottom - top) * stride)
        if len(data) != (bottom - top) * stride:
            raise InputError(f"damaged picture: it ends before row {bottom}")
        shape = (bottom - top, self.width)
        samples = np.frombuffer(data, ">u2" if self.deep else np.uint8)
        pixels = samples.reshape(shape if self.gray else (*shape, 3))
        return pixels.astype(np.uint16) if self.deep else pixels


def open_strips(file: BinaryIO) -> StripPicture | None:
    """The picture in a file that can seek; None if it is no raw PPM or PGM of 8 or 16 bits."""
    file.seek(0)
    head = _HEAD.match(file.read(_HEAD_BYTES))
    if head is None:
        return None
    kind, width, height, largest = head.groups()
    if int(largest) not in (255, 65535) or not int(width) or not int(height):
        return None
    size, deep = (int(height), int(width)), int(largest) == 65535
    return StripPicture(file, size, gray=kind == b"5", deep=deep, start=head.end())
