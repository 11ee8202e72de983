"""Takes pictures in every form that callers have, as 8-bit arrays."""

import os
import struct
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from aecodec.errors import InputError, LimitError
from aecodec.metadata import KINDS, Metadata, metadata_of, turned
from aecodec.modes import to_gray_or_rgb

if TYPE_CHECKING:
    from torch import Tensor

Pixels = npt.NDArray[np.uint8]

DAMAGE = (SyntaxError, ValueError, EOFError, LookupError, RuntimeError, struct.error)
"""What Pillow raises on damaged pictures, besides OSError."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels and what belongs to them.

    Attributes:
        pixels: `(H, W, 3)` or `(H, W)` uint8, contiguous.
        metadata: what the source said about itself, and what is to be kept.
        frames: of the source; `pixels` are the first one.
    """

    pixels: Pixels
    metadata: Metadata = field(default_factory=Metadata)
    frames: int = 1


def to_picture(
    picture: "str | os.PathLike[str] | Image.Image | npt.NDArray[Any] | Tensor | Picture",
    keep: Collection[str] = KINDS,
) -> Picture:
    """Any accepted picture as arrays and metadata.

    Args:
        picture: a path, a PIL image (see `modes.py`), a NumPy array `(H, W, 3)` or `(H, W)` of
            uint8, or a torch tensor `(3, H, W)` or `(1, H, W)`, uint8 or floating in [0, 1].
        keep: which metadata of files and PIL images to keep, out of `metadata.KINDS`. Without
            "exif" the EXIF orientation is applied to the pixels.

    Raises:
        InputError: not a picture, or one that must be converted first; the message says how.
        LimitError: Pillow refuses the size as a decompression bomb.
        OSError: the file cannot be read.
    """
    unknown = sorted(set(keep) - set(KINDS))
    if unknown:
        raise InputError(f"cannot keep {', '.join(unknown)}; known are {', '.join(KINDS)}")
    if isinstance(picture, Picture):
        return replace(
            picture, pixels=_checked(picture.pixels), metadata=picture.metadata.select(keep)
        )
    if isinstance(picture, (str, os.PathLike)):
        return _open(picture, keep)
    if isinstance(picture, Image.Image):
        return _from_pil(picture, keep)
    if isinstance(picture, np.ndarray):
        return Picture(_checked(picture))
    if hasattr(picture, "detach") and hasattr(picture, "permute"):
        return Picture(_from_tensor(picture))
    raise InputError(f"cannot take a picture from {type(picture).__name__}")


def to_pil(pixels: Pixels) -> Image.Image:
    """`(H, W, 3)` or `(H, W)` uint8 as a PIL image of mode RGB or L."""
    return Image.fromarray(pixels)


def decode_picture(data: bytes, keep: Collection[str] = KINDS) -> Picture:
    """A picture file's bytes as arrays and metadata; see `to_picture`."""
    return _open(BytesIO(data), keep)


def _open(source: "str | os.PathLike[str] | BytesIO", keep: Collection[str]) -> Picture:
    try:
        with Image.open(source) as image:
            return _from_pil(image, keep)
    except UnidentifiedImageError as exc:
        raise InputError("not a picture that Pillow can read") from exc
    except Image.DecompressionBombError as exc:
        raise LimitError(str(exc)) from exc
    except InputError:
        raise
    except DAMAGE as exc:
        raise InputError(f"damaged picture: {exc}") from exc


def _from_pil(image: Image.Image, keep: Collection[str]) -> Picture:
    image.load()  # some formats have their metadata behind the pixels
    plain = to_gray_or_rgb(image)
    # Conversion loses texts and TIFF tags, and changes the profile where it changes the colours.
    colour = metadata_of(plain).icc
    metadata = replace(metadata_of(image), icc=colour).select(keep)
    upright = plain if metadata.exif else turned(plain)
    frames = getattr(image, "n_frames", 1)  # only formats that can have several have it
    return Picture(_checked(np.asarray(upright)), metadata, frames)


def _checked(array: npt.NDArray[Any]) -> Pixels:
    if array.dtype != np.uint8:
        raise InputError(f"arrays must be uint8 in [0, 255], not {array.dtype}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise InputError(f"arrays must be (H, W, 3) or (H, W), not {array.shape}")
    if 0 in array.shape:
        raise InputError(f"an array of shape {array.shape} has no pixels")
    return np.ascontiguousarray(array)


def _from_tensor(tensor: "Tensor") -> Pixels:
    real = tensor.detach().cpu()
    array = (real.double() if real.is_floating_point() else real).numpy()
    if array.ndim != 3 or array.shape[0] not in (1, 3):
        raise InputError(f"tensors must be (3, H, W) or (1, H, W), not {tuple(array.shape)}")
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min(initial=0) < 0 or array.max(initial=0) > 1:
            raise InputError("floating tensors must be finite and lie in [0, 1]")
        array = np.floor(array * 255 + 0.5).astype(np.uint8)
    return _checked(array[0] if array.shape[0] == 1 else array.transpose(1, 2, 0))
