"""Pictures of 16 bits a sample that Pillow would round to 8: those in colour or with alpha.

PNG and TIFF are read, and TIFF is written, by pyvips of the extra `vips`: of the libraries that can
do all of it, it is the smallest, and it carries profiles. Raw PPM needs no library. Gray without
alpha is left to Pillow, whose mode I;16 holds it.
"""

import math
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from aecodec.errors import InputError
from aecodec.picture.pixels import SIXTEEN_BIT_PEAK, Pixels

if TYPE_CHECKING:
    import os

    from aecodec.picture.metadata import Metadata

_ROUNDED_MODES = {"LA", "RGB", "RGBA", "RGBX"}
_MILLIMETRES = 25.4
"""Millimetres in an inch; libvips counts pixels per millimetre."""


def is_rounded(image: Image.Image) -> bool:
    """Whether Pillow would give 8 of the 16 bits that samples have in an opened file.

    This can be told only before `image.load`.
    """
    if image.mode not in _ROUNDED_MODES:
        return False
    for codec, _extents, _offset, arguments in getattr(image, "tile", []):
        raw = arguments if isinstance(arguments, tuple) else (arguments,)
        if image.format in ("PNG", "TIFF") and any(";16" in str(each) for each in raw):
            return True
        if codec == "ppm" and SIXTEEN_BIT_PEAK in raw:
            return True
    return False


def read_sixteen_bit(source: "str | os.PathLike[str] | BytesIO", image: Image.Image) -> Pixels:
    """The pixels of a file for which `is_rounded` holds.

    Args:
        source: the file.
        image: the same file as Pillow opened it, not loaded.

    Returns:
        `(H, W, 2)` to `(H, W, 4)` uint16; a TIFF is turned upright, as Pillow does too.

    Raises:
        InputError: pyvips is not installed, or cannot read it.
        OSError: the file cannot be read.
    """
    data = source.getvalue() if isinstance(source, BytesIO) else Path(source).read_bytes()
    if image.format == "PPM":
        return _read_ppm(data, image)
    vips = _vips("reading pictures with 16 bits a sample")
    try:
        picture = vips.Image.new_from_buffer(data, "")
        if image.format == "TIFF":
            picture = picture.autorot()
        pixels = picture.numpy()
    except vips.Error as exc:
        raise InputError(f"damaged picture: {exc}") from exc
    if pixels.dtype != np.uint16:
        raise InputError(f"cannot read samples of {pixels.dtype} from a 16-bit {image.format}")
    key = image.info.get("transparency")
    if pixels.ndim == 3 and pixels.shape[2] == 3 and isinstance(key, tuple):
        opaque = (pixels != np.array(key, np.uint16)).any(axis=2)
        pixels = np.dstack((pixels, np.where(opaque, SIXTEEN_BIT_PEAK, 0).astype(np.uint16)))
    result: Pixels = pixels
    return result


def _read_ppm(data: bytes, image: Image.Image) -> Pixels:
    """The samples of a raw PPM, which follow a header that Pillow has read."""
    shape = (image.height, image.width, len(image.getbands()))
    start, count = getattr(image, "tile", [])[0][2], math.prod(shape)
    if len(data) - start < 2 * count:
        raise InputError(f"damaged picture: it ends before row {image.height}")
    return np.frombuffer(data, ">u2", count, start).reshape(shape).astype(np.uint16)


def write_sixteen_bit_tiff(pixels: Pixels, metadata: "Metadata") -> bytes:
    """The bytes of a TIFF, compressed by Deflate.

    Args:
        pixels: `(H, W)` to `(H, W, 4)`, uint16; gray with alpha becomes RGB with alpha, since
            Pillow and others cannot read it.
        metadata: profile, XMP and resolution are written, EXIF is not.

    Raises:
        InputError: pyvips is not installed.
    """
    vips = _vips("writing TIFF with 16 bits a sample in colour or with alpha")
    if pixels.ndim == 3 and pixels.shape[2] == 2:
        pixels = pixels[:, :, [0, 0, 0, 1]]
    kind = "grey16" if pixels.ndim == 2 else "rgb16"
    picture = vips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation=kind)
    options: dict[str, Any] = {"compression": "deflate", "predictor": "horizontal"}
    if metadata.resolution:
        across, down = metadata.resolution
        options |= {"xres": across / _MILLIMETRES, "yres": down / _MILLIMETRES, "resunit": "inch"}
    picture = picture.copy()
    packets = {"icc-profile-data": metadata.icc, "xmp-data": metadata.xmp}
    for name, packet in packets.items():
        if packet:
            picture.set_type(vips.GValue.blob_type, name, packet)
    data: bytes = picture.tiffsave_buffer(**options)
    return data


def _vips(purpose: str) -> Any:  # noqa: ANN401  # a module without types
    try:
        import pyvips
    except (ImportError, OSError) as exc:  # OSError: libvips itself is missing
        raise InputError(f"{purpose} needs pyvips: pip install 'aecodec[vips]'") from exc
    return pyvips
