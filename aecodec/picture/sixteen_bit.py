"""TIFF of 16 bits a sample in colour or with alpha, which Pillow cannot write.

It is written by pyvips of the extra `vips`. Gray without alpha is left to Pillow, whose mode I;16
holds it.
"""

from typing import Any

import numpy as np

from aecodec.picture.pixels import Pixels
from aecodec.picture.vips import needed_vips

_MILLIMETRES = 25.4
"""Millimetres in an inch; libvips counts pixels per millimetre."""


def write_sixteen_bit_tiff(pixels: Pixels, resolution: tuple[float, float] | None = None) -> bytes:
    """The bytes of a TIFF, compressed by Deflate, without other metadata.

    Args:
        pixels: `(H, W)` to `(H, W, 4)`, uint16; gray with alpha becomes RGB with alpha, since
            Pillow and others cannot read it.
        resolution: dots per inch across and down.

    Raises:
        InputError: pyvips is not installed.
    """
    vips = needed_vips("writing TIFF with 16 bits a sample in colour or with alpha")
    if pixels.ndim == 3 and pixels.shape[2] == 2:
        pixels = pixels[:, :, [0, 0, 0, 1]]
    kind = "grey16" if pixels.ndim == 2 else "rgb16"
    picture = vips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation=kind)
    options: dict[str, Any] = {"compression": "deflate", "predictor": "horizontal"}
    if resolution:
        across, down = resolution
        options |= {"xres": across / _MILLIMETRES, "yres": down / _MILLIMETRES, "resunit": "inch"}
    data: bytes = picture.tiffsave_buffer(**options)
    return data
