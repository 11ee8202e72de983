"""Arrays of pixels: types, depths, sizes, colour and alpha apart and together."""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from aecodec.errors import InputError

Pixels = npt.NDArray[np.uint8 | np.uint16]

DAMAGE = (SyntaxError, ValueError, EOFError, LookupError, RuntimeError, struct.error)
"""What Pillow raises on damaged pictures, besides OSError."""

SIXTEEN_BIT_STEP = 257
"""Steps of 16 bits in one of 8: 65535 / 255."""

_MAXIMUM = 65535


def peak(pixels: Pixels) -> int:
    """The largest sample that pixels of this kind can have: 255 or 65535."""
    return int(np.iinfo(pixels.dtype).max)


def split(pixels: Pixels) -> tuple[Pixels, Pixels | None]:
    """Colours and alpha.

    Args:
        pixels: `(H, W)`, `(H, W, 2)`, `(H, W, 3)` or `(H, W, 4)`.

    Returns:
        `(H, W)` or `(H, W, 3)`, contiguous, and `(H, W)`, or None where there is no alpha or all
        of it is opaque.
    """
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return np.ascontiguousarray(pixels), None
    colour = np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 2 else pixels[:, :, :3])
    alpha = np.ascontiguousarray(pixels[:, :, -1])
    return colour, None if (alpha == peak(alpha)).all() else alpha


def join(colour: Pixels, alpha: Pixels | None) -> Pixels:
    """Colours `(H, W)` or `(H, W, 3)` with alpha `(H, W)`, or without: the inverse of `split`."""
    return colour if alpha is None else np.dstack((colour, alpha))


def rounded_to_bytes(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """16-bit pixels as the nearest 8-bit ones; 8-bit ones as they are."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    half = np.uint32(SIXTEEN_BIT_STEP // 2)
    return ((pixels + half) // np.uint32(SIXTEEN_BIT_STEP)).astype(np.uint8)


def little_endian(samples: npt.NDArray[Any] | np.generic) -> npt.NDArray[Any]:
    """Samples, of whatever machine, as little-endian ones in C order."""
    return np.ascontiguousarray(samples, samples.dtype.newbyteorder("<"))


def as_bytes(pixels: Pixels) -> npt.NDArray[np.uint8] | None:
    """8-bit pixels of the same colours; None if there are none."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    eight_bit = (pixels >> 8).astype(np.uint8)
    return eight_bit if np.array_equal(widened(eight_bit), pixels) else None


def widened(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    return pixels * np.uint16(SIXTEEN_BIT_STEP)


def from_floats(values: npt.NDArray[np.floating], what: str) -> Pixels:
    """Values in [0, 1] as 16-bit samples, rounded half up.

    Raises:
        InputError: some are not finite or lie outside, which is said of `what`.
    """
    real = values.astype(np.float64)
    if not np.isfinite(real).all() or real.min(initial=0) < 0 or real.max(initial=0) > 1:
        raise InputError(f"{what} must be finite and lie in [0, 1]")
    sixteen_bit: Pixels = np.floor(real * _MAXIMUM + 0.5).astype(np.uint16)
    return sixteen_bit


def shrink(pixels: Pixels, scale: int) -> Pixels:
    """Means of squares of `scale` pixels a side, `(H, W)` or `(H, W, 3)`; sides are rounded up."""
    if scale == 1:
        return pixels
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(pixels).reduce(scale))
    planes = pixels[:, :, None] if pixels.ndim == 2 else pixels
    means = [_reduced(planes[:, :, c], scale) for c in range(planes.shape[2])]
    return means[0] if pixels.ndim == 2 else np.stack(means, axis=2)


def _reduced(plane: Pixels, scale: int) -> npt.NDArray[np.uint16]:
    """Pillow reduces no 16-bit pictures, but those of 32 bits."""
    return np.asarray(Image.fromarray(plane.astype(np.int32)).reduce(scale)).astype(np.uint16)
