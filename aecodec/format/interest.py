"""Parts of a picture that are to have another quality than the rest, as callers name them."""

from collections.abc import Collection
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Self

from aecodec.errors import InputError
from aecodec.format.tiling import Region

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

OFFSET_MAX = 100.0
"""Largest offset in units of quality."""


@dataclass(frozen=True)
class Roi:
    """A region of interest.

    Attributes:
        region: counted from the top left of the picture as it is shown.
        offset: -100 to 100, from the picture's quality.

    Example:
        >>> Roi(Region(10, 20, 30, 40), 20).offset
        20
        >>> Roi(Region(10, 20, 30, 40), 101)
        Traceback (most recent call last):
            ...
        aecodec.errors.InputError: the offset of a region must lie in [-100, 100], not 101
    """

    region: Region
    offset: float

    def __post_init__(self) -> None:
        """Checks what can be checked without a picture.

        Raises:
            InputError: a field is not acceptable.
        """
        if not isinstance(self.region, Region):
            raise InputError(f"roi takes a Region, not {type(self.region).__name__}")
        _check_offset("a region", self.offset)


@dataclass(frozen=True)
class RoiMask:
    """A picture that says what part of an offset each pixel has.

    Attributes:
        picture: a file of a gray picture, as large as the one that is compressed is shown: white
            has the whole offset, black none.
        offset: as `Roi.offset`.
        name: of the file, for messages.

    Example:
        >>> import numpy as np
        >>> RoiMask.of(np.array([[0, 255]], np.uint8), -20).offset
        -20
    """

    picture: bytes
    offset: float
    name: str = "the mask"

    def __post_init__(self) -> None:
        """Checks what can be checked without a picture.

        Raises:
            InputError: a field is not acceptable.
        """
        if not isinstance(self.picture, bytes):
            raise InputError(f"a mask takes the bytes of a file, not {type(self.picture).__name__}")
        _check_offset("a mask", self.offset)

    @classmethod
    def of(cls, levels: "npt.NDArray[np.uint8] | npt.NDArray[np.bool_]", offset: float) -> Self:
        """A mask of an array `(H, W)`: 255 or True has the whole offset.

        Raises:
            InputError: it is no such array.
        """
        kind = str(getattr(levels, "dtype", type(levels).__name__))
        if kind not in ("uint8", "bool") or levels.ndim != 2:
            raise InputError(f"a mask is an array (H, W) of uint8 or bool, not of {kind}")
        height, width = levels.shape
        samples = levels if kind == "uint8" else 255 * levels.astype("uint8")
        return cls(b"P5 %d %d 255\n" % (width, height) + samples.tobytes(), offset)


Interest = Roi | RoiMask


def check_interests(wishes: object) -> None:
    """Checks that these are a collection of `Interest`.

    Raises:
        InputError: they are not.
    """
    if not isinstance(wishes, Collection) or isinstance(wishes, (str, bytes)):
        raise InputError(f"roi takes a list of Roi and RoiMask, not {type(wishes).__name__}")
    for wish in wishes:
        if not isinstance(wish, Interest):
            raise InputError(f"roi takes Roi and RoiMask, not {type(wish).__name__}")


def _check_offset(name: str, offset: object) -> None:
    if isinstance(offset, bool) or not isinstance(offset, Real):
        raise InputError(f"the offset of {name} must be a number, not {type(offset).__name__}")
    if not -OFFSET_MAX <= float(offset) <= OFFSET_MAX:  # nor is a NaN
        raise InputError(f"the offset of {name} must lie in [-100, 100], not {float(offset):g}")
