"""ICC profiles made from what else describes colours: code points, gamma, primaries.

A description that means sRGB needs no profile, since pixels without one are sRGB. PQ and HLG, whose
range no matrix profile can hold, are kept by the tag `cicp` of ICC 4.4, which modern viewers obey;
for others the profile shows what is as bright as white on paper, 203 cd/m2, or darker.

Source: ICC.1:2022, sections 7 to 10; ITU-T H.273 (07/2024), tables 2 and 3; ITU-R BT.2408, table 1;
PNG specification, third edition, section 11.3.2.
"""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aecodec.picture.tiff_tags import Directory

if TYPE_CHECKING:
    from collections.abc import Callable

Point = tuple[float, float]
"""Chromaticity, x and y."""

_D65: Point = (0.3127, 0.3290)
_C: Point = (0.310, 0.316)
_DCI: Point = (0.314, 0.351)
_E: Point = (1 / 3, 1 / 3)


@dataclass(frozen=True)
class Primaries:
    """The chromaticities of a colour space."""

    red: Point
    green: Point
    blue: Point
    white: Point = _D65

    def is_near(self, other: "Primaries") -> bool:
        """Whether all chromaticities agree to 0.003, which rounding in files can move them."""
        pairs = zip(self._numbers(), other._numbers(), strict=True)
        return all(abs(one - two) <= _TOLERANCE for one, two in pairs)

    def _numbers(self) -> tuple[float, ...]:
        return (*self.red, *self.green, *self.blue, *self.white)


_TOLERANCE = 0.003
SRGB = Primaries((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
ADOBE_RGB = Primaries((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
_PRIMARIES = {
    1: SRGB,
    4: Primaries((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: Primaries((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    8: Primaries((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    10: Primaries((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), _E),
    11: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _DCI),
    12: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    22: Primaries((0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
"""By their numbers in H.273."""
_UNSPECIFIED = 2
_SRGB_TRANSFER, _PQ, _HLG = 13, 16, 18
_HDR = {_PQ: "PQ", _HLG: "HLG"}
ADOBE_GAMMA = 563 / 256
_SRGB_GAMMA, _GAMMA_TOLERANCE = 2.2, 0.02
_PAPER_WHITE, _PQ_PEAK, _HLG_PEAK = 203.0, 10000.0, 1000.0
"""In candela per square metre."""

_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_CURVE_SIZE = 1024


def profile_of_cicp(code: tuple[int, int], *, gray: bool = False) -> tuple[bytes | None, str]:
    """The profile of code points, and a line about what is not kept; both may be empty.

    Args:
        code: the numbers of primaries and of transfer characteristics in H.273.
        gray: whether pixels are gray rather than RGB.
    """
    primaries, transfer = code
    if primaries == _UNSPECIFIED or transfer == _UNSPECIFIED:
        primaries, transfer = (
            1 if primaries == _UNSPECIFIED else primaries,
            _SRGB_TRANSFER if transfer == _UNSPECIFIED else transfer,
        )
    points, curve = _PRIMARIES.get(primaries), _curve_of(transfer)
    if points is None or curve is None:
        return None, f"colours of code points {code[0]}/{code[1]} are unknown: taken for sRGB"
    if transfer == _SRGB_TRANSFER and (gray or points.is_near(SRGB)):
        return None, ""
    cicp = struct.pack(">4s4x4B", b"cicp", primaries, transfer, 0, 1)
    line = ""
    if transfer in _HDR:
        line = f"colours are HDR ({_HDR[transfer]}): only programs that know its profile show them"
    return _profile(points, curve, gray=gray, cicp=cicp), line


def profile_of_gamma(
    gamma: float | None, points: Primaries | None, *, gray: bool = False
) -> bytes | None:
    """The profile of pixels whose light is their value to the power of `gamma`.

    Args:
        gamma: None for that of sRGB.
        points: None for those of sRGB.
        gray: whether pixels are gray rather than RGB.

    Returns:
        None where that is as good as sRGB.
    """
    like_srgb = gamma is None or abs(gamma / _SRGB_GAMMA - 1) < _GAMMA_TOLERANCE
    near = points is None or gray or points.is_near(SRGB)
    if like_srgb and near:
        return None
    curve = _parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    if gamma is not None and not like_srgb:
        curve = _parametric(0, gamma)
    return _profile(points or SRGB, curve, gray=gray)


def profile_of_chromaticities(numbers: tuple[float, ...]) -> Primaries | None:
    """Primaries from x and y of white, red, green and blue; None if they span no colours."""
    white, red, green, blue = zip(numbers[::2], numbers[1::2], strict=True)
    points = Primaries(red, green, blue, white)
    try:
        valid = bool(np.isfinite(_to_xyz(points)).all())
    except (np.linalg.LinAlgError, ZeroDivisionError, FloatingPointError):
        return None
    return points if valid else None


def profile_of_tiff(tags: Directory, *, gray: bool) -> tuple[bytes | None, str | None]:
    """The profile of white point, primaries and transfer function, and a line if one is broken."""
    white, primaries = tags.numbers(318), tags.numbers(319)
    table = tags.integers(301)
    points = SRGB
    if len(white) == 2 and len(primaries) == 6:
        found = profile_of_chromaticities((*white, *primaries))
        if found is None:
            return None, "the primaries that the TIFF states mean nothing: left out"
        points = found
    if not table:
        return profile_of_gamma(None, points, gray=gray), None
    size = 2 ** tags.integer(258, 1)
    if len(table) not in (size, 3 * size) or not max(table[:size]):
        return None, "the transfer function of the TIFF has a wrong size: left out"
    samples = np.array(table[:size], np.float64) / 65535
    x = np.linspace(0, 1, _CURVE_SIZE)
    return _profile(points, _sampled(np.interp(x, np.linspace(0, 1, size), samples)), gray=gray), (
        "of three transfer functions of the TIFF the first is kept"
        if len(table) > size and len({table[at : at + size] for at in (0, size, 2 * size)}) > 1
        else None
    )


def adobe_rgb() -> bytes:
    """A profile of Adobe RGB (1998)."""
    return _profile(ADOBE_RGB, _parametric(0, ADOBE_GAMMA), gray=False)


def profile_space(profile: bytes) -> str | None:
    """The colour space of the pixels that a profile is for, as ICC calls it; None if unknown."""
    if len(profile) < 128 or profile[36:40] != b"acsp":
        return None
    return profile[16:20].decode("latin-1").strip()


def rgb_profile_of(gray: bytes) -> bytes | None:
    """A profile of RGB in which equal samples mean what they mean in a profile of gray.

    Returns:
        None if the profile has no curve, but a table of colours.
    """
    curve = _element(gray, b"kTRC")
    if curve is None or curve[:4] not in (b"curv", b"para"):
        return None
    return _profile(SRGB, curve, gray=False)


def _element(profile: bytes, wanted: bytes) -> bytes | None:
    """The bytes of a tag of a profile; None if it has none of this name."""
    if len(profile) < 132:
        return None
    (count,) = struct.unpack_from(">I", profile, 128)
    for at in range(132, min(132 + 12 * count, len(profile) - 11), 12):
        name, offset, size = struct.unpack_from(">4sII", profile, at)
        if name == wanted and size >= 12 and offset + size <= len(profile):
            return profile[offset : offset + size]
    return None


def cicp_of(profile: bytes) -> tuple[int, int, int, int] | None:
    """The code points that a profile states: primaries, transfer, matrix, full range."""
    if len(profile) < 132:
        return None
    (count,) = struct.unpack_from(">I", profile, 128)
    for at in range(132, min(132 + 12 * count, len(profile) - 11), 12):
        name, offset, size = struct.unpack_from(">4sII", profile, at)
        if name == b"cicp" and size >= 12 and offset + 12 <= len(profile):
            primaries, transfer, matrix, full = profile[offset + 8 : offset + 12]
            return primaries, transfer, matrix, full
    return None


def _curve_of(transfer: int) -> bytes | None:
    """The curve from samples to light of a number in H.273, as an ICC element."""
    if transfer in (1, 6, 14, 15):
        offset = 0.099 if transfer in (1, 6) else 0.09929682680944
        return _parametric(3, 1 / 0.45, 1 / (1 + offset), offset / (1 + offset), 1 / 4.5, 0.081)
    if transfer in (4, 5):
        return _parametric(0, 2.2 if transfer == 4 else 2.8)
    if transfer == 8:
        return _parametric(0, 1.0)
    if transfer == _SRGB_TRANSFER:
        return _parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    light: dict[int, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
        7: _smpte_240, 17: lambda x: x**2.6 * 52.37 / 48, _PQ: _pq, _HLG: _hlg,
    }  # fmt: skip
    if transfer not in light:
        return None
    return _sampled(np.clip(light[transfer](np.linspace(0, 1, _CURVE_SIZE)), 0, 1))


def _smpte_240(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(x < 0.0912, x / 4, ((x + 0.1115) / 1.1115) ** (1 / 0.45))


def _pq(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    power = x ** (1 / 78.84375)
    light = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
    return light ** (1 / 0.1593017578125) * (_PQ_PEAK / _PAPER_WHITE)


def _hlg(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    scene = np.where(x <= 0.5, x**2 / 3, (np.exp((x - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return scene**1.2 * (_HLG_PEAK / _PAPER_WHITE)


def _to_xyz(points: Primaries) -> npt.NDArray[np.float64]:
    """The matrix from linear RGB to XYZ, adapted to D50 by Bradford's cones."""
    columns = [[x / y, 1.0, (1 - x - y) / y] if y else [x, y, 1 - x - y]
               for x, y in (points.red, points.green, points.blue)]  # fmt: skip
    matrix = np.array(columns).T
    x, y = points.white
    white = np.array([x / y, 1.0, (1 - x - y) / y])
    to_white = matrix * np.linalg.solve(matrix, white)
    result: npt.NDArray[np.float64] = _adaptation(white) @ to_white
    return result


def _adaptation(white: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    gains = (_BRADFORD @ np.array(_D50)) / (_BRADFORD @ white)
    result: npt.NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ (gains[:, None] * _BRADFORD)
    return result


def _profile(points: Primaries, curve: bytes, *, gray: bool, cicp: bytes = b"") -> bytes:
    """A display profile of version 4.4 with a matrix and one curve, or for gray with the curve."""
    x, y = points.white
    white = np.array([x / y, 1.0, (1 - x - y) / y])
    name = "Made from the picture's description of its colours"
    tags = [
        (b"desc", _text(name)),
        (b"cprt", _text("No copyright, use freely")),
        (b"wtpt", _xyz(_D50)),
        (b"chad", b"sf32" + bytes(4) + _fixed(_adaptation(white).ravel())),
    ]
    if gray:
        tags.append((b"kTRC", curve))
    else:
        columns = _to_xyz(points).T
        names = (b"rXYZ", b"gXYZ", b"bXYZ")
        tags += [(name, _xyz(column)) for name, column in zip(names, columns, strict=True)]
        tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    if cicp and not gray:
        tags.append((b"cicp", cicp))
    return _assembled(tags, b"GRAY" if gray else b"RGB ")


def _assembled(tags: list[tuple[bytes, bytes]], space: bytes) -> bytes:
    """The bytes of a profile from its tags; equal elements are stored once."""
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    places: dict[bytes, int] = {}
    for name, element in tags:
        if element not in places:
            places[element] = start + len(body)
            body += element + bytes(-len(element) % 4)
        table += struct.pack(">4sII", name, places[element], len(element))
    head = struct.pack(
        ">I4sI4s4s4s6H4s4sI4sI4sQI", start + len(body), bytes(4), 0x04400000, b"mntr", space,
        b"XYZ ", 2024, 1, 1, 0, 0, 0, b"acsp", bytes(4), 0, bytes(4), 0, bytes(4), 0, 0,
    ) + _fixed(_D50)  # fmt: skip
    return head.ljust(128, b"\0") + table + body


def _fixed(numbers: "npt.NDArray[np.float64] | tuple[float, ...]") -> bytes:
    values = [min(max(round(float(each) * 65536), -(2**31)), 2**31 - 1) for each in numbers]
    return struct.pack(f">{len(values)}i", *values)


def _xyz(numbers: "npt.NDArray[np.float64] | tuple[float, ...]") -> bytes:
    return b"XYZ " + bytes(4) + _fixed(numbers)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return struct.pack(">4s4xII4sII", b"mluc", 1, 12, b"enUS", len(encoded), 28) + encoded


def _parametric(kind: int, *numbers: float) -> bytes:
    return struct.pack(">4s4xHxx", b"para", kind) + _fixed(numbers)


def _sampled(light: npt.NDArray[np.float64]) -> bytes:
    values = np.floor(light * 65535 + 0.5).astype(">u2")
    return struct.pack(">4s4xI", b"curv", len(values)) + values.tobytes()
