"""Minimal ICC profiles of RGB spaces, made of published primaries, since ImageCms cannot make them.

Sources: ICC.1:2001-04 (version 2) and ICC.1:2022 (version 4) for the layout; SMPTE EG 432-1 and
IEC 61966-2-1 for Display P3; Adobe RGB (1998) Color Image Encoding for Adobe RGB.
"""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

D65 = (0.3127, 0.3290)
D50 = (0.9642, 1.0, 0.8249)
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RgbSpace:
    """An RGB space with the white of D65.

    Attributes:
        name: what the profile calls itself.
        primaries: x and y of red, green and blue.
        gamma: exponent of its curve; None for that of sRGB.
    """

    name: str
    primaries: tuple[tuple[float, float], ...]
    gamma: float | None

    def colorants(self) -> Matrix:
        """XYZ of red, green and blue in columns, adapted to D50."""
        corners = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in self.primaries]).T
        x, y = D65
        white = np.array([x / y, 1.0, (1 - x - y) / y])
        whole: Matrix = adaptation() @ (corners * np.linalg.solve(corners, white))
        return whole


DISPLAY_P3 = RgbSpace("Display P3", ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), None)
ADOBE_RGB = RgbSpace("Adobe RGB", ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), 563 / 256)


def adaptation() -> Matrix:
    """The Bradford matrix from D65 to D50."""
    x, y = D65
    scale = (BRADFORD @ np.array(D50)) / (BRADFORD @ np.array([x / y, 1.0, (1 - x - y) / y]))
    matrix: Matrix = np.linalg.solve(BRADFORD, scale[:, None] * BRADFORD)
    return matrix


def make_profile(space: RgbSpace, version: int) -> bytes:
    """A matrix and curve profile of ICC version 2 or 4."""
    red, green, blue = (_xyz(column) for column in space.colorants().T)
    curve = _curve(space, version)
    tags = {
        b"desc": _text(space.name, version, b"desc"),
        b"cprt": _text("No copyright", version, b"text"),
        b"wtpt": _xyz(np.array(D50)),
        b"rXYZ": red, b"gXYZ": green, b"bXYZ": blue,
        b"rTRC": curve, b"gTRC": curve, b"bTRC": curve,
    }  # fmt: skip
    if version == 4:
        tags[b"chad"] = b"sf32\0\0\0\0" + _fixed(adaptation().reshape(-1))
    offset = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        table += struct.pack(">4sII", name, offset + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    size = offset + len(data)
    date = struct.pack(">6H", 2024, 1, 1, 0, 0, 0)
    head = struct.pack(">I4xI", size, version << 24 | 0x400000) + b"mntrRGB XYZ " + date + b"acsp"
    head = head.ljust(68, b"\0") + _fixed(np.array(D50))
    return head.ljust(128, b"\0") + table + data


def _curve(space: RgbSpace, version: int) -> bytes:
    if space.gamma is not None:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(space.gamma * 256))
    if version == 4:
        values = np.array([2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045])
        return b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + _fixed(values)
    x = np.linspace(0, 1, 1024)
    y = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    samples = np.round(y * 65535).astype(">u2").tobytes()
    return b"curv\0\0\0\0" + struct.pack(">I", len(x)) + samples


def _text(text: str, version: int, kind: bytes) -> bytes:
    if version == 4:
        wide = text.encode("utf-16-be")
        return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(wide), 28) + wide
    ascii_ = text.encode("ascii") + b"\0"
    if kind == b"text":
        return b"text\0\0\0\0" + ascii_
    return b"desc\0\0\0\0" + struct.pack(">I", len(ascii_)) + ascii_ + bytes(8 + 3 + 67)


def _xyz(values: Matrix) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _fixed(values: Matrix) -> bytes:
    """Numbers as s15Fixed16."""
    return np.round(values * 65536).astype(">i4").tobytes()
