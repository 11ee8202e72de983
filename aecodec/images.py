"""Takes pictures in every form that callers have, as 8-bit arrays."""

import os
import struct
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from aecodec.errors import InputError, LimitError

if TYPE_CHECKING:
    from torch import Tensor

Pixels = npt.NDArray[np.uint8]

DAMAGE = (SyntaxError, ValueError, EOFError, LookupError, RuntimeError, struct.error)
"""What Pillow raises on damaged pictures, besides OSError."""

_ADVICE = {
    "1": "convert it with image.convert('L')",
    "P": "convert it with image.convert('RGB')",
    "LA": "flatten its alpha, e.g. image.convert('L')",
    "PA": "flatten its alpha, e.g. image.convert('RGB')",
    "RGBA": "flatten its alpha, e.g. image.convert('RGB')",
    "RGBa": "flatten its alpha, e.g. image.convert('RGBA').convert('RGB')",
    "CMYK": "convert it with image.convert('RGB')",
}


def to_pixels_array(
    picture: "str | os.PathLike[str] | Image.Image | npt.NDArray[Any] | Tensor",
) -> Pixels:
    """Any accepted picture as an array.

    Args:
        picture: a path, a PIL image (mode L or RGB), a NumPy array `(H, W, 3)` or `(H, W)` of
            uint8, or a torch tensor `(3, H, W)` or `(1, H, W)`, uint8 or floating in [0, 1].

    Returns:
        `(H, W, 3)` or `(H, W)` uint8, contiguous. EXIF orientation of files and PIL images is
        applied, because version 1 of the format does not store it.

    Raises:
        InputError: not a picture, or one that must be converted first; the message says how.
        LimitError: Pillow refuses the size as a decompression bomb.
        OSError: the file cannot be read.
    """
    if isinstance(picture, (str, os.PathLike)):
        return _open(picture)
    if isinstance(picture, Image.Image):
        return _from_pil(picture)
    if isinstance(picture, np.ndarray):
        return _checked(picture)
    if hasattr(picture, "detach") and hasattr(picture, "permute"):
        return _from_tensor(picture)
    raise InputError(f"cannot take a picture from {type(picture).__name__}")


def to_pil(pixels: Pixels) -> Image.Image:
    """`(H, W, 3)` or `(H, W)` uint8 as a PIL image of mode RGB or L."""
    return Image.fromarray(pixels)


def decode_picture(data: bytes) -> Pixels:
    """A picture file's bytes as an array; see `to_pixels_array`."""
    return _open(BytesIO(data))


def _open(source: "str | os.PathLike[str] | BytesIO") -> Pixels:
    try:
        with Image.open(source) as image:
            return _from_pil(image)
    except UnidentifiedImageError as exc:
        raise InputError("not a picture that Pillow can read") from exc
    except Image.DecompressionBombError as exc:
        raise LimitError(str(exc)) from exc
    except InputError:
        raise
    except DAMAGE as exc:
        raise InputError(f"damaged picture: {exc}") from exc


def _from_pil(image: Image.Image) -> Pixels:
    if image.mode not in ("L", "RGB"):
        advice = _ADVICE.get(image.mode, "convert it to 8-bit 'L' or 'RGB'")
        raise InputError(f"mode {image.mode} is not supported yet: {advice}")
    oriented = ImageOps.exif_transpose(image)
    return _checked(np.asarray(oriented))


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
