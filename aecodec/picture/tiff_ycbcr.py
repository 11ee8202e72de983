"""TIFF of YCbCr that is not compressed by JPEG, with colours at full or lower resolution.

Source: TIFF 6.0, section 21.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from aecodec.errors import InputError
from aecodec.picture.tiff_segments import Layout, read_samples
from aecodec.picture.tiff_tags import Directory

_COEFFICIENTS = (0.299, 0.587, 0.114)
_REFERENCE = (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)
"""What TIFF assumes: the weights of luma, and black and white of each sample."""


def read_ycbcr(data: bytes, tags: Directory, layout: Layout) -> npt.NDArray[np.uint8]:
    """The pixels, RGB, rounded half up.

    Raises:
        InputError: damaged, or samples are not 3 of 8 bits in interleaved order.
    """
    if layout.bits != 8 or layout.samples != 3 or layout.planes or layout.form not in (1, 4):
        raise InputError("TIFF of YCbCr with other than 3 interleaved 8-bit samples is unsupported")
    across, down = (*tags.integers(530), 2, 2)[:2]
    if across not in (1, 2, 4) or down not in (1, 2, 4):
        raise InputError(f"damaged picture: colours of a TIFF are {across} x {down} pixels large")
    high, wide = layout.part
    units = -(-wide // across)
    rows = -(-high // down)
    tall = -(-layout.height // down)
    unit = across * down + 2
    stored = replace(
        layout, width=-(-layout.width // across), height=tall, samples=unit, part=(rows, units)
    )
    blocks = read_samples(data, stored)
    luma = blocks[:, :, : across * down].reshape(*blocks.shape[:2], down, across)
    luma = luma.swapaxes(1, 2).reshape(blocks.shape[0] * down, blocks.shape[1] * across)
    blue, red = (
        blocks[:, :, place].repeat(down, axis=0).repeat(across, axis=1)
        for place in (across * down, across * down + 1)
    )
    planes = [each[: layout.height, : layout.width] for each in (luma, blue, red)]
    return _to_rgb(planes, tags)


def _to_rgb(planes: list[npt.NDArray[np.uint8]], tags: Directory) -> npt.NDArray[np.uint8]:
    weights = tags.numbers(529)
    reference = tags.numbers(532)
    of_red, of_green, of_blue = weights if len(weights) == 3 else _COEFFICIENTS
    black_white = reference if len(reference) == 6 else _REFERENCE
    spans = [high - low for low, high in zip(black_white[::2], black_white[1::2], strict=True)]
    if not all(spans) or not of_green:
        raise InputError("damaged picture: the colours of a TIFF of YCbCr are not defined")
    luma, blue, red = (
        (plane.astype(np.float64) - low) * (scale / span)
        for plane, low, span, scale in zip(
            planes, black_white[::2], spans, (255, 127, 127), strict=True
        )
    )
    r = red * (2 - 2 * of_red) + luma
    b = blue * (2 - 2 * of_blue) + luma
    g = (luma - of_blue * b - of_red * r) / of_green
    return np.clip(np.floor(np.stack((r, g, b), 2) + 0.5), 0, 255).astype(np.uint8)
