"""What a caller may ask of the encoder and the decoder, checked when it is asked."""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from numbers import Integral, Rational, Real
from typing import Literal, TypedDict, get_args

from aecodec.errors import InputError
from aecodec.format.chunks import (
    BOUND_MAX,
    METADATA_KINDS,
    TILE_EXPONENT_MAX,
    TILE_EXPONENT_MIN,
    Header,
)
from aecodec.format.interest import Interest, check_interests
from aecodec.format.quality import quality_index
from aecodec.format.tiling import Region, View
from aecodec.models.registry import DEFAULT_TUNE, TUNES, Tune

DEFAULT_QUALITY = 75.0
LAYER_QUALITY = 25.0
"""Of the lossy part beside a residual layer; 10 to 40 give the same total within 0.4 %."""
DEFAULT_EFFORT, EFFORT_MAX = 1, 9
SEARCH_EFFORT = 3
"""From this effort on the encoder searches, for which it needs torch."""
TILE_EXPONENT = 10
"""Entropy tiles are 1024x1024 pixels."""
EXACT_ALPHA = 100.0
"""The alpha quality that changes nothing."""
SCALES = (1, 2, 4, 8)
"""Pixels along a side that become one."""
SIZE_TOLERANCE = 0.01
"""Relative difference at which a size counts as met; files that are not larger are preferred."""
DECIBEL_TOLERANCE = 0.05
"""Of PSNR, and of MS-SSIM as -10 log10(1 - MS-SSIM)."""

BOOST_MAX = 10.0
"""Largest strength of the variance boost."""
BOOSTS: dict[Tune, float] = {"psnr": 0.0, "visual": 3.0}
"""Strength of the variance boost where a caller names none, by the tuning of a released model."""
DENOISE_MAX = 100.0
"""Largest standard deviation of noise in 8-bit steps."""

Scale = int | float | Rational
Denoise = float | Literal["auto"]
"""A standard deviation of noise in 8-bit steps, or "auto" to estimate it."""
TargetKind = Literal["size", "bpp", "psnr", "ssim"]
_TARGET_KINDS: tuple[TargetKind, ...] = get_args(TargetKind)
_SSIM_DECIBELS_MAX = 100.0
_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "kib": 1024, "mib": 1024**2}


@dataclass(frozen=True)
class Target:
    """What a file should reach, in place of a quality.

    Attributes:
        kind: "size" in bytes, "bpp" in bits per pixel, "psnr" in dB, or "ssim" for an MS-SSIM
            below 1.
        value: the wish.

    Example:
        >>> Target("size", 20_000).is_met(19_900)
        True
        >>> Target("ssim", 1.2)
        Traceback (most recent call last):
            ...
        aecodec.errors.InputError: a ssim of 1.2 cannot be met
    """

    kind: TargetKind
    value: float

    def __post_init__(self) -> None:
        """Checks the wish.

        Raises:
            InputError: no such kind, or a value that no file can have.
        """
        if self.kind not in _TARGET_KINDS:
            raise InputError(f"a target is one of {', '.join(_TARGET_KINDS)}, not {self.kind!r}")
        _check_real("a target", self.value)
        limit = 1.0 if self.kind == "ssim" else math.inf
        if not 0 < self.value < limit:  # nor is a NaN
            raise InputError(f"a {self.kind} of {float(self.value):g} cannot be met")

    @property
    def is_rate(self) -> bool:
        """Whether it speaks of bytes rather than of fidelity."""
        return self.kind in ("size", "bpp")

    def coordinate(self, measured: float) -> float:
        """An axis that rises with quality and on which the relation to it is nearly straight."""
        if self.is_rate:
            return math.log(measured)
        if self.kind == "ssim":
            return min(_SSIM_DECIBELS_MAX, -10.0 * math.log10(max(1.0 - measured, 1e-10)))
        return measured

    def is_met(self, measured: float) -> bool:
        """Whether `measured` is as good as the wish."""
        if self.is_rate:
            return abs(measured / self.value - 1.0) <= SIZE_TOLERANCE
        return self.distance(measured) <= DECIBEL_TOLERANCE

    def distance(self, measured: float) -> float:
        """How far `measured` is from the wish, on the axis of `coordinate`."""
        return abs(self.coordinate(measured) - self.coordinate(self.value))


@dataclass(frozen=True)
class Found:
    """Where a search for a target ended.

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


def parse_size(text: str) -> float:
    """Bytes of a size such as `120KB`, `1.5 MiB` or `90000`.

    Raises:
        InputError: it is no size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if match is None or match[2] not in _UNITS:
        raise InputError(f"{text!r} is no size; write bytes, KB, MB, KiB or MiB, as in 120KB")
    return float(match[1]) * _UNITS[match[2]]


class EncodeWishes(TypedDict, total=False):
    """Fields of `EncodeOptions` for functions that take them by name.

    Quality and target are arguments of their own there.
    """

    effort: int
    lossless: bool
    max_error: int | None
    alpha_quality: float
    keep: Collection[str]
    checksum: bool
    tile_exponent: int
    lossless_tiles: bool
    denoise: Denoise | None
    roi: Collection[Interest]
    variance_boost: float | None
    tune: Tune | None


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """How a picture is to be compressed.

    Attributes:
        quality: 0 to 100, rounded to quarters; lambda = 0.001 * 200**(quality / 100). By default
            75; with `lossless` or `max_error`, where it only says how good the lossy part of the
            file is, 25.
        target: what the file should reach, in place of a quality.
        effort: 0 rounds plainly, 1 by rate and distortion, 2 makes up for errors of
            rounding, 3 to 9 search for cheaper latents, each longer. Decoding does not depend on
            it.
        lossless: adds a residual layer that makes visible pixels exact, as a `max_error` of 0.
        max_error: adds a residual layer that brings each sample within so many 8-bit steps of the
            original, 0 to 255. 16-bit pictures are stored losslessly instead.
        alpha_quality: 0 to 100; below 100 alpha has fewer levels, and is exact otherwise. Colours
            where alpha is 0 are replaced by what costs least, and so are lost at any quality.
        keep: metadata to keep, out of "icc", "exif", "xmp", "resolution", "text"; without "exif"
            the EXIF orientation is applied to the pixels, with it they stay as they are.
        checksum: adds a SHA-256 of the decoded pixels, which `verify` compares.
        tile_exponent: side of the entropy tiles, 2**6 to 2**14 pixels; a picture that is smaller
            as a single lossless tile becomes one, and one too long for that few large ones.
        lossless_tiles: whether tiles are stored losslessly where that costs less.
        denoise: standard deviation of white noise in 8-bit steps, 0 to 100, or "auto" to estimate
            it, see `encoder/noise.py`. Latents become those of the picture without that noise,
            and no tile is stored losslessly; at 0 nothing changes. Not with `lossless`,
            `max_error` or a target of fidelity, which would keep the noise.
        roi: regions and masks whose quality differs, `Roi` and `RoiMask`, in cells of 64x64 pixels;
            a cell has the largest offset that touches it. Regions count in the picture as shown.
        variance_boost: 0 to 10, by how many units quality rises where the variance of a cell halves
            and falls where it doubles, see `encoder/variance_boost.py`; by default see `BOOSTS`.
        tune: "psnr" or "visual", which released model compresses, see `model_tune`. Not with a
            codec that was given a model.

    Example:
        >>> EncodeOptions(quality=60.1).quality_index  # quarters
        240
        >>> EncodeOptions(lossless=True).bound
        0
        >>> EncodeOptions(quality=50, target=Target("psnr", 36))
        Traceback (most recent call last):
            ...
        aecodec.errors.InputError: a target and a quality exclude each other
    """

    quality: float | None = None
    target: Target | None = None
    effort: int = DEFAULT_EFFORT
    lossless: bool = False
    max_error: int | None = None
    alpha_quality: float = EXACT_ALPHA
    keep: Collection[str] = METADATA_KINDS
    checksum: bool = False
    tile_exponent: int = TILE_EXPONENT
    lossless_tiles: bool = True
    denoise: Denoise | None = None
    roi: Collection[Interest] = ()
    variance_boost: float | None = None
    tune: Tune | None = None

    def __post_init__(self) -> None:
        """Checks each field, and which exclude each other.

        Raises:
            InputError: an option is not acceptable; the message says why.
        """
        if self.quality is not None:
            quality_index(self.quality)
        _check_number("alpha quality", self.alpha_quality, EXACT_ALPHA)
        _check_whole("effort", self.effort, 0, EFFORT_MAX)
        _check_whole("tile exponent", self.tile_exponent, TILE_EXPONENT_MIN, TILE_EXPONENT_MAX)
        if self.max_error is not None:
            _check_whole("max_error", self.max_error, 0, BOUND_MAX)
        if self.lossless and self.max_error:
            raise InputError("lossless and a max_error above 0 exclude each other")
        if self.target is not None:
            _check_kind("target", self.target, Target)
            if self.quality is not None or self.bound is not None:
                other = "a quality" if self.quality is not None else "lossless or max_error"
                raise InputError(f"a target and {other} exclude each other")
        if self.tune not in (None, *TUNES):
            raise InputError(f"tune must be {' or '.join(TUNES)}, not {self.tune!r}")
        if self.denoise is not None:
            self._check_denoise(self.denoise)
        check_interests(self.roi)
        boost = 0 if self.variance_boost is None else self.variance_boost
        _check_number("variance boost", boost, BOOST_MAX)
        if isinstance(self.keep, str):
            raise InputError(f"keep takes a collection of names such as ({self.keep!r},)")
        unknown = sorted(set(self.keep) - set(METADATA_KINDS))
        if unknown:
            known = ", ".join(METADATA_KINDS)
            raise InputError(f"cannot keep {', '.join(map(repr, unknown))}; known are {known}")

    def _check_denoise(self, wish: Denoise) -> None:
        check_denoise(wish)
        if self.bound is not None:
            raise InputError("denoise and lossless or max_error exclude each other")
        if self.target is not None and not self.target.is_rate:
            raise InputError("denoise and a target of fidelity exclude each other")

    @property
    def bound(self) -> int | None:
        """Largest error of a sample that the residual layer leaves; None without one."""
        return 0 if self.lossless else self.max_error

    @property
    def model_tune(self) -> Tune:
        """Of the model that compresses; that for PSNR where noise, errors or PSNR are spoken of."""
        of_psnr = self.target is not None and self.target.kind == "psnr"
        of_errors = of_psnr or self.denoise is not None or self.bound is not None
        return self.tune or ("psnr" if of_errors else DEFAULT_TUNE)

    @property
    def quality_index(self) -> int:
        """Row of the quality grid."""
        default = DEFAULT_QUALITY if self.bound is None else LAYER_QUALITY
        return quality_index(default if self.quality is None else self.quality)


def check_denoise(wish: Denoise) -> None:
    """Checks a level of noise.

    Raises:
        InputError: it is neither "auto" nor a number from 0 to 100.
    """
    if isinstance(wish, str):
        if wish != "auto":
            raise InputError(f'denoise takes "auto" or a number, not {wish!r}')
    else:
        _check_number("denoise", wish, DENOISE_MAX)


class DecodeWishes(TypedDict, total=False):
    """The fields of `DecodeOptions`, for functions that take them by name."""

    region: Region | None
    scale: Scale
    depth: int | None
    lossy: bool
    allow_truncated: bool


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """What of a file is to be decoded.

    Attributes:
        region: the part of the picture; only the tiles that it needs are decoded, and where the
            source is no bytes but can seek, only they are read and checked.
        scale: 2, 4 or 8, or 1/2, 1/4 or 1/8: each pixel is the mean of a square of so many pixels
            a side; sides are rounded up. A region grows to whole squares.
        depth: 8 rounds 16-bit pictures to 8 bits; by default they stay.
        lossy: leaves a residual layer out.
        allow_truncated: decodes what is left of a file that was cut off or damaged. A tile that
            was cut off is as good as its complete passes, and one that is lost is what the model
            expects of nothing. A residual layer counts only if all of the file is there.

    Example:
        >>> DecodeOptions(region=Region(0, 0, 200, 150), scale=1 / 2).lossy
        False
        >>> DecodeOptions(scale=3)
        Traceback (most recent call last):
            ...
        aecodec.errors.InputError: scale must be 1, 1/2, 1/4 or 1/8 (or 2, 4, 8), not 3
    """

    region: Region | None = None
    scale: Scale = 1
    depth: int | None = None
    lossy: bool = False
    allow_truncated: bool = False

    def __post_init__(self) -> None:
        """Checks what can be checked without a file.

        Raises:
            InputError: an option is none of these.
        """
        if self.region is not None:
            _check_kind("region", self.region, Region)
        scale_of(self.scale)
        if self.depth not in (None, 8):
            raise InputError(f"depth must be 8, or None for the picture's own, not {self.depth}")

    def view(self, header: Header) -> View:
        """What of a file with this header is wanted.

        Raises:
            InputError: the region does not lie within the picture.
        """
        region = self.region or Region(0, 0, header.width, header.height)
        region.check(header.width, header.height)
        return View(region, scale_of(self.scale), eight_bit=self.depth == 8)


def scale_of(value: Scale) -> int:
    """A scale that a caller gives, as a number out of `SCALES`.

    Args:
        value: 1, 2, 4 or 8, or one over it.

    Raises:
        InputError: any other.
    """
    for scale in SCALES:
        if not isinstance(value, (bool, str)) and value in (scale, 1 / scale):
            return scale
    raise InputError(f"scale must be 1, 1/2, 1/4 or 1/8 (or 2, 4, 8), not {value}")


def _check_kind(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise InputError(f"{name} must be a {kind.__name__}, not {type(value).__name__}")


def _check_real(name: str, value: object) -> Real:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{name} must be a number, not {type(value).__name__}")
    return value


def _check_number(name: str, value: object, high: float) -> None:
    number = float(_check_real(name, value))
    if not 0 <= number <= high:
        raise InputError(f"{name} must lie in [0, {high:g}], not {number:g}")


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputError(f"{name} must be a whole number, not {type(value).__name__}")
    if not low <= int(value) <= high:
        raise InputError(f"{name} must lie in {low} to {high}, not {value}")
