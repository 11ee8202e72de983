"""What a caller may ask of the encoder and the decoder, checked."""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from aecodec.errors import InputError
from aecodec.format.chunks import BOUND_MAX, Header
from aecodec.format.tiling import Region

if TYPE_CHECKING:
    from numbers import Rational

DEFAULT_QUALITY = 75.0

DEFAULT_EFFORT = 1

LAYER_QUALITY = 25.0
"""Of the lossy part beside a residual layer; 10 to 40 give the same total within 0.4 %."""

TILE_EXPONENT = 10
"""Entropy tiles are 1024x1024 pixels."""

SCALES = (1, 2, 4, 8)
"""Pixels along a side that become one."""

EFFORT_MAX = 9

SIZE_TOLERANCE = 0.01
"""Relative difference at which a size counts as met; files that are not larger are preferred."""

DECIBEL_TOLERANCE = 0.05
"""Of PSNR, and of MS-SSIM as -10 log10(1 - MS-SSIM)."""

KINDS = ("size", "psnr", "ssim", "max_error")

_SSIM_DECIBELS_MAX = 100.0

_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "kib": 1024, "mib": 1024**2}


@dataclass(frozen=True)
class View:
    """What of a picture is wanted: a region, grown to whole squares of `scale` pixels a side.

    With `shallow` samples have 8 bits, even in a 16-bit picture.
    """

    region: Region
    scale: int = 1
    shallow: bool = False

    @property
    def corner(self) -> tuple[int, int]:
        """First row and column in the whole smaller picture."""
        return self.region.top // self.scale, self.region.left // self.scale

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the result."""
        top, left = self.corner
        bottom, right = self.region.top + self.region.height, self.region.left + self.region.width
        return -(-bottom // self.scale) - top, -(-right // self.scale) - left


def view_of(
    header: Header, region: Region | None = None, scale: int = 1, *, shallow: bool = False
) -> View:
    """A view of a part or, by default, of the whole picture.

    Raises:
        InputError: the region does not lie within the picture.
    """
    if region is None:
        return View(Region(0, 0, header.width, header.height), scale, shallow)
    region.check(header.width, header.height)
    return View(region, scale, shallow)


def _largest_error(lossless: bool, max_error: int | None) -> int | None:
    if max_error is None:
        return 0 if lossless else None
    if isinstance(max_error, bool) or not isinstance(max_error, (int, np.integer)):
        raise InputError(f"max_error must be a whole number, not {type(max_error).__name__}")
    if not 0 <= max_error <= BOUND_MAX:
        raise InputError(f"max_error must lie in 0 to {BOUND_MAX}, not {max_error}")
    if lossless and max_error:
        raise InputError("lossless and a max_error above 0 exclude each other")
    return int(max_error)


def _check_effort(effort: int) -> None:
    if isinstance(effort, bool) or not isinstance(effort, (int, np.integer)):
        raise InputError(f"effort must be a whole number, not {type(effort).__name__}")
    if not 0 <= effort <= EFFORT_MAX:
        raise InputError(f"effort must lie in 0 to {EFFORT_MAX}, not {effort}")


def scale_of(value: "int | float | Rational") -> int:
    """A scale that a caller gives, as a number out of `SCALES`.

    Args:
        value: 1, 2, 4 or 8, or one over it.

    Raises:
        InputError: any other.
    """
    for scale in SCALES:
        if not isinstance(value, (bool, str)) and value in (scale, Fraction(1, scale)):
            return scale
    raise InputError(f"scale must be 1, 1/2, 1/4 or 1/8 (or 2, 4, 8), not {value}")


def parse_size(text: str) -> float:
    """Bytes of a size such as `120KB`, `1.5 MiB` or `90000`.

    Raises:
        InputError: it is no size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if match is None or match[2] not in _UNITS:
        raise InputError(f"{text!r} is no size; write bytes, KB, MB, KiB or MiB, as in 120KB")
    return float(match[1]) * _UNITS[match[2]]


@dataclass(frozen=True)
class Target:
    """What a file should reach.

    Attributes:
        kind: "size" in bytes, "psnr" in dB, "ssim" for an MS-SSIM below 1, or "max_error" for the
            largest difference of any sample, which a file may also stay below.
        value: the wish.
    """

    kind: str
    value: float

    def __post_init__(self) -> None:
        """Checks the wish.

        Raises:
            InputError: no such kind, or a value that no file can have.
        """
        if self.kind not in KINDS:
            raise InputError(f"a target is one of {', '.join(KINDS)}, not {self.kind!r}")
        limit = 1.0 if self.kind == "ssim" else math.inf
        if not 0 < self.value < limit:  # nor is a NaN
            raise InputError(f"a target of {self.value:g} cannot be met")

    @property
    def is_bound(self) -> bool:
        """Whether better than the wish is as good, so that the lowest quality wins."""
        return self.kind == "max_error"

    def coordinate(self, measured: float) -> float:
        """An axis that rises with quality and on which the relation to it is nearly straight."""
        if self.kind == "size":
            return math.log(measured)
        if self.kind == "ssim":
            return min(_SSIM_DECIBELS_MAX, -10.0 * math.log10(max(1.0 - measured, 1e-10)))
        return -math.log(measured + 0.5) if self.kind == "max_error" else measured

    def is_met(self, measured: float) -> bool:
        """Whether `measured` is as good as the wish."""
        if self.kind == "size":
            return abs(measured / self.value - 1.0) <= SIZE_TOLERANCE
        if self.kind == "max_error":
            return measured <= self.value
        return self.distance(measured) <= DECIBEL_TOLERANCE

    def distance(self, measured: float) -> float:
        """How far `measured` is from the wish, on the axis of `coordinate`."""
        return abs(self.coordinate(measured) - self.coordinate(self.value))


@dataclass(frozen=True)
class Found:
    """Where a search ended.

    Attributes:
        quality: on the grid of quarters.
        measured: what the target speaks of, at that quality.
        met: whether that is the target, within tolerance.
        evaluations: how many compressions it took.
    """

    quality: float
    measured: float
    met: bool
    evaluations: int


@dataclass(frozen=True)
class Wish:
    """What of a picture is to be written, and how.

    Attributes:
        region: see `Codec.decompress_array`.
        scale: see `Codec.decompress_array`.
        depth: see `Codec.decompress_array`.
        background: red, green and blue that show through alpha; None keeps alpha.
        lossy: see `Codec.decompress_array`.
    """

    region: Region | None = None
    scale: "int | float | Rational" = 1
    depth: int | None = None
    background: tuple[int, int, int] | None = None
    lossy: bool = False
