"""Arrays of pixels: their type, their depth, their size, colours and alpha apart or together."""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.errors import InputError

Pixels = npt.NDArray[np.uint8 | np.uint16]
"""Samples of a picture, or of some rows of it: `(H, W)` gray or `(H, W, 3)` RGB.

Where alpha is in the same array, it is the last channel: `(H, W, 2)` or `(H, W, 4)`.
"""

STREAM_PIXELS = 2**25
"""Pictures with at least as many pixels are read and written by rows, where they can be."""

DAMAGE = (SyntaxError, ValueError, EOFError, LookupError, RuntimeError, struct.error)
"""What Pillow raises on damaged pictures, besides OSError."""

_REASON_MAX = 200
"""Letters of a library's message that are kept."""

SIXTEEN_BIT_PEAK = 65535
"""The largest 16-bit sample."""
SIXTEEN_BIT_STEP = 257
"""The 16-bit steps in an 8-bit step: 65535 / 255."""


def damaged(exc: Exception) -> InputError:
    """The error that says in one line what a library found wrong with a picture."""
    reason = " ".join(str(exc).split()) or type(exc).__name__
    return InputError(f"damaged picture: {reason[:_REASON_MAX]}")


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


def to_eight_bit(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """The nearest 8-bit pixels; those that have 8 bits stay as they are."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    half = np.uint32(SIXTEEN_BIT_STEP // 2)
    return ((pixels + half) // np.uint32(SIXTEEN_BIT_STEP)).astype(np.uint8)


def exact_eight_bit(pixels: Pixels) -> npt.NDArray[np.uint8] | None:
    """8-bit pixels of exactly the same colours; None if 8 bits cannot hold them."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    eight_bit = (pixels >> 8).astype(np.uint8)
    return eight_bit if np.array_equal(to_sixteen_bit(eight_bit), pixels) else None


def to_sixteen_bit(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    """16-bit pixels of exactly the same colours: 255 becomes 65535."""
    return pixels * np.uint16(SIXTEEN_BIT_STEP)


def little_endian(samples: npt.NDArray[Any] | np.generic) -> npt.NDArray[Any]:
    """The same samples in C order, with the least significant byte first on every machine."""
    return np.ascontiguousarray(samples, samples.dtype.newbyteorder("<"))


def from_floats(values: npt.NDArray[np.floating], what: str) -> Pixels:
    """Values in [0, 1] as 16-bit samples, rounded half up.

    Raises:
        InputError: some are not finite or lie outside; the message calls them `what`.
    """
    real = values.astype(np.float64)
    if not np.isfinite(real).all() or real.min(initial=0) < 0 or real.max(initial=0) > 1:
        raise InputError(f"{what} must be finite and lie in [0, 1]")
    sixteen_bit: Pixels = np.floor(real * SIXTEEN_BIT_PEAK + 0.5).astype(np.uint16)
    return sixteen_bit


def rescaled(samples: npt.NDArray[Any], largest: int) -> Pixels:
    """Samples from 0 to `largest` over the full range of 8 bits or, above 255, of 16 bits.

    Each is multiplied by the peak and divided by `largest`, rounded half up. The step is at least
    one, so that different samples stay different and can be recovered.

    Args:
        samples: integers of any type, none above `largest`.
        largest: 1 to 65535.

    Example:
        >>> rescaled(np.array([0, 7, 15]), 15).tolist()
        [0, 119, 255]
    """
    kind, top = (np.uint8, 255) if largest <= 255 else (np.uint16, SIXTEEN_BIT_PEAK)
    if largest == top:
        return samples.astype(kind)
    wide = samples.astype(np.uint64)
    return ((wide * np.uint64(2 * top) + np.uint64(largest)) // np.uint64(2 * largest)).astype(kind)


def shrink(pixels: Pixels, scale: int) -> Pixels:
    """A smaller picture, each of whose pixels is the mean of a square of `scale` pixels a side.

    Args:
        pixels: `(H, W)` or `(H, W, 3)`.
        scale: pixels along a side that become one; at the right and the bottom there may be fewer.
    """
    if scale == 1:
        return pixels
    if pixels.dtype == np.uint8:
        from PIL import Image

        return np.asarray(Image.fromarray(pixels).reduce(scale))
    planes = pixels[:, :, None] if pixels.ndim == 2 else pixels
    means = [_reduced(planes[:, :, c], scale) for c in range(planes.shape[2])]
    return means[0] if pixels.ndim == 2 else np.stack(means, axis=2)


def _reduced(plane: Pixels, scale: int) -> npt.NDArray[np.uint16]:
    from PIL import Image

    # Pillow reduces pictures of 32 bits, but not of 16.
    return np.asarray(Image.fromarray(plane.astype(np.int32)).reduce(scale)).astype(np.uint16)
