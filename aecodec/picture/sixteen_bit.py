"""Pictures of 16 bits a sample that Pillow would round to 8: RGB, and gray with alpha.

PNG and TIFF are read, and TIFF is written, by pyvips of the extra `vips`: of the libraries that do
all of it, it is the smallest (its binary has 8 MB; imagecodecs has 26, OpenCV 61), and it carries
profiles. Raw PPM is simple enough. Gray without alpha is Pillow's mode I;16.
"""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from aecodec.errors import InputError
from aecodec.picture.pixels import Pixels
from aecodec.picture.row_readers import open_netpbm

if TYPE_CHECKING:
    import os

    from aecodec.picture.metadata import Metadata

_ROUNDED = {"LA", "RGB", "RGBA", "RGBX"}

_INCH = 25.4
"""Millimetres; libvips counts pixels a millimetre."""


def is_rounded(image: Image.Image) -> bool:
    """Whether an opened file has 16 bits a sample of which Pillow gives 8; asked before `load`."""
    if image.mode not in _ROUNDED:
        return False
    tiles = getattr(image, "tile", [])
    for codec, _extents, _offset, arguments in tiles:
        raw = arguments if isinstance(arguments, tuple) else (arguments,)
        if image.format in ("PNG", "TIFF") and any(";16" in str(each) for each in raw):
            return True
        if codec == "ppm" and 65535 in raw:
            return True
    return False


def read_sixteen_bit(source: "str | os.PathLike[str] | BytesIO", image: Image.Image) -> Pixels:
    """The pixels of a file for which `is_rounded` holds.

    Args:
        source: the file.
        image: as Pillow opened it.

    Returns:
        `(H, W, c)` or `(H, W)` uint16, turned upright if it is a TIFF, as Pillow does.

    Raises:
        InputError: pyvips is not installed, or cannot read it.
        OSError: the file cannot be read.
    """
    if image.format == "PPM":
        with (
            BytesIO(source.getvalue())
            if isinstance(source, BytesIO)
            else Path(source).open("rb") as file
        ):
            strips = open_netpbm(file)
            if strips is None:
                raise InputError("damaged picture: its header changed")
            return strips.rows(0, strips.height)
    vips = _vips("reading pictures with 16 bits a sample")
    data = source.getvalue() if isinstance(source, BytesIO) else Path(source).read_bytes()
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
        pixels = np.dstack((pixels, np.where(opaque, 65535, 0).astype(np.uint16)))
    result: Pixels = pixels
    return result


def write_sixteen_bit_tiff(pixels: Pixels, metadata: "Metadata") -> bytes:
    """A TIFF of 16-bit pixels `(H, W)` to `(H, W, 4)`, compressed by Deflate, with metadata.

    Gray with alpha becomes RGB with alpha. EXIF is not written.

    Raises:
        InputError: pyvips is not installed.
    """
    vips = _vips("writing TIFF with 16 bits a sample in colour or with alpha")
    if pixels.ndim == 3 and pixels.shape[2] == 2:  # which Pillow and others cannot read
        pixels = pixels[:, :, [0, 0, 0, 1]]
    kind = "grey16" if pixels.ndim == 2 else "rgb16"
    picture = vips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation=kind)
    options: dict[str, Any] = {"compression": "deflate", "predictor": "horizontal"}
    if metadata.resolution:
        across, down = metadata.resolution
        options |= {"xres": across / _INCH, "yres": down / _INCH, "resunit": "inch"}
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
