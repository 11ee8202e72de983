"""Pictures in every form that callers have, taken as arrays of 8-bit or 16-bit samples."""

import os
import sys
import warnings
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import numpy as np
import numpy.typing as npt

from aecodec.errors import InputError, LimitError, LossWarning
from aecodec.format.chunks import DEFAULT_LIMITS, METADATA_KINDS, Limits
from aecodec.picture.alpha import (
    EXACT_ALPHA,
    check_alpha_quality,
    with_fewer_levels,
    without_hidden,
)
from aecodec.picture.metadata import Metadata, metadata_of
from aecodec.picture.orientation import upright
from aecodec.picture.pixels import DAMAGE, Pixels, damaged, from_floats, join, split
from aecodec.picture.reading import Reading, Wishes, more_frames

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

__all__ = ["DAMAGE", "LossWarning", "Picture", "Pixels", "decode_picture", "to_picture", "to_pil"]


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels and what belongs to them.

    Attributes:
        pixels: the colours, `(H, W, 3)` or `(H, W)`, uint8 or uint16, contiguous. Where alpha is 0
            they mean nothing; `to_picture` puts there what costs little.
        metadata: what is to be kept of what the source said about itself.
        frames: the number of frames in the source, of which `pixels` are the first.
        alpha: `(H, W)` of the same type, 0 for transparent; None if all is opaque.
        losses: a line for each thing that the source holds and this does not.
    """

    pixels: Pixels
    metadata: Metadata = field(default_factory=Metadata)
    frames: int = 1
    alpha: Pixels | None = None
    losses: tuple[str, ...] = ()

    @property
    def whole(self) -> Pixels:
        """Colours and alpha in one array: `(H, W)`, `(H, W, 2)`, `(H, W, 3)` or `(H, W, 4)`."""
        return join(self.pixels, self.alpha)


def to_picture(
    picture: "str | os.PathLike[str] | Image.Image | npt.NDArray[Any] | Tensor | Picture",
    keep: Collection[str] = METADATA_KINDS,
    alpha_quality: float = EXACT_ALPHA,
    limits: Limits = DEFAULT_LIMITS,
) -> Picture:
    """Any accepted picture as arrays and metadata.

    Args:
        picture: a path, a PIL image (see `pillow_modes`), a NumPy array `(H, W)`, `(H, W, 3)` or
            with alpha `(H, W, 2)` or `(H, W, 4)`, or a torch tensor `(c, H, W)` of 1 to 4 channels.
            Arrays and tensors are uint8, uint16, or floating in [0, 1], which becomes uint16.
        keep: which metadata to keep, out of `METADATA_KINDS`. Without
            "exif" the orientation is applied to the pixels.
        alpha_quality: 0 to 100, see `alpha.with_fewer_levels`.
        limits: of the pixels in a file, and of the bytes of its metadata.

    Warns:
        LossWarning: once for each line of `Picture.losses` of a file or a PIL image.

    Raises:
        InputError: not a picture, a damaged one, or one that must be converted first; the message
            says how.
        LimitError: a file has more pixels than `limits` allow.
        OSError: the file cannot be read.
    """
    check_alpha_quality(alpha_quality)
    unknown = sorted(set(keep) - set(METADATA_KINDS))
    if unknown:
        raise InputError(f"cannot keep {', '.join(unknown)}; known are {', '.join(METADATA_KINDS)}")
    if isinstance(picture, Picture):
        kept = replace(picture, metadata=picture.metadata.select(keep))
        return _economized(_checked_picture(kept), alpha_quality)
    if isinstance(picture, (str, os.PathLike)):
        return _economized(_warned(_from_path(picture, keep, limits)), alpha_quality)
    if _is_image(picture):
        return _economized(_warned(_from_pil(picture, keep)), alpha_quality)
    if isinstance(picture, np.ndarray):
        return _economized(_picture(_checked(picture)), alpha_quality)
    if hasattr(picture, "detach") and hasattr(picture, "permute"):
        return _economized(_picture(_from_tensor(cast("Tensor", picture))), alpha_quality)
    raise InputError(f"cannot take a picture from {type(picture).__name__}")


def to_pil(pixels: Pixels) -> "Image.Image":
    """Pixels as a PIL image of mode L, LA, RGB or RGBA, or I;16 for 16-bit gray.

    Raises:
        InputError: Pillow has no mode for 16-bit pixels in colour or with alpha.
    """
    if pixels.dtype == np.uint16 and pixels.ndim == 3:
        raise InputError(
            "Pillow has no mode for 16-bit pixels in colour or with alpha: "
            "ask for depth 8, or for an array"
        )
    from PIL import Image

    return Image.fromarray(pixels)


def decode_picture(
    data: bytes,
    keep: Collection[str] = METADATA_KINDS,
    alpha_quality: float = EXACT_ALPHA,
    limits: Limits = DEFAULT_LIMITS,
) -> Picture:
    """A picture file's bytes as arrays and metadata; see `to_picture`.

    Whoever calls this says what `Picture.losses` names; it gives no warnings.
    """
    from aecodec.picture.decoding import read_picture

    return _economized(_from_reading(read_picture(data, Wishes(keep, limits))), alpha_quality)


def _from_path(path: "str | os.PathLike[str]", keep: Collection[str], limits: Limits) -> Picture:
    from aecodec.picture.decoding import read_picture

    data = Path(path).read_bytes()
    try:
        return _from_reading(read_picture(data, Wishes(keep, limits)))
    except (InputError, LimitError) as exc:
        raise type(exc)(f"{os.fspath(path)}: {exc}") from exc


def _is_image(picture: object) -> "TypeGuard[Image.Image]":
    """Whether it is a PIL image, which there is only where Pillow has been imported."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(picture, module.Image)


def _from_pil(image: "Image.Image", keep: Collection[str]) -> Picture:
    from aecodec.picture.decoding import fitted
    from aecodec.picture.pillow_modes import CONVERTED, conversions, to_array

    try:
        image.load()  # some formats have their metadata behind the pixels
    except (*DAMAGE, OSError) as exc:
        raise damaged(exc) from exc
    losses = conversions(image)
    frames = getattr(image, "n_frames", 1)  # formats that hold one frame do not count
    losses += more_frames(frames)
    metadata = metadata_of(image)
    if image.mode in CONVERTED:
        metadata = replace(metadata, icc=None)
    if image.format == "TIFF":  # Pillow has turned its pixels
        metadata = upright(metadata)
    pixels = _checked(to_array(image))
    reading = Reading(pixels, metadata, tuple(losses), frames)
    return _from_reading(fitted(reading, Wishes(keep)))


def _from_reading(reading: Reading) -> Picture:
    picture = _picture(_checked(reading.pixels))
    return replace(picture, metadata=reading.metadata, frames=reading.frames, losses=reading.losses)


def _warned(picture: Picture) -> Picture:
    """The picture, after a warning for each of its losses, at the line that called the library."""
    for line in picture.losses:
        warnings.warn(line, LossWarning, stacklevel=4)
    return picture


def _picture(whole: Pixels) -> Picture:
    colour, alpha = split(whole)
    return Picture(colour, alpha=alpha)


def _economized(picture: Picture, alpha_quality: float) -> Picture:
    """The picture with the alpha of that quality, and cheap colours where nothing is visible."""
    if picture.alpha is None:
        return picture
    alpha = with_fewer_levels(picture.alpha, alpha_quality)
    return replace(picture, pixels=without_hidden(picture.pixels, alpha), alpha=alpha)


def _checked_picture(picture: Picture) -> Picture:
    """A picture that a caller has made, with its arrays checked."""
    whole = _checked(picture.pixels)
    if whole.ndim == 3 and whole.shape[2] != 3:
        raise InputError("a Picture holds its alpha beside its pixels")
    if picture.alpha is None:
        return replace(picture, pixels=whole)
    alpha = _checked(picture.alpha)
    if alpha.shape != whole.shape[:2] or alpha.dtype != whole.dtype:
        raise InputError(
            f"alpha {alpha.shape} {alpha.dtype} does not fit pixels {whole.shape} {whole.dtype}"
        )
    return replace(picture, pixels=whole, alpha=alpha)


def _checked(array: npt.NDArray[Any]) -> Pixels:
    """An array in any accepted shape, type and byte order as contiguous pixels."""
    if np.issubdtype(array.dtype, np.floating):
        array = from_floats(array, "floating arrays")
    if array.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise InputError(f"arrays must be uint8, uint16, or floating in [0, 1], not {array.dtype}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (2, 3, 4)):
        raise InputError(
            "arrays must be (H, W), (H, W, 3), or with alpha (H, W, 2) or (H, W, 4), "
            f"not {array.shape}"
        )
    if 0 in array.shape:
        raise InputError(f"an array of shape {array.shape} has no pixels")
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def _from_tensor(tensor: "Tensor") -> Pixels:
    real = tensor.detach().cpu()
    array = (real.double() if real.is_floating_point() else real).numpy()
    if array.ndim != 3 or array.shape[0] not in (1, 2, 3, 4):
        raise InputError(f"tensors must be (c, H, W) with c of 1 to 4, not {tuple(array.shape)}")
    if np.issubdtype(array.dtype, np.floating):
        array = from_floats(array, "floating tensors")
    return _checked(array[0] if array.shape[0] == 1 else array.transpose(1, 2, 0))
