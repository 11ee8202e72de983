"""The quality map of a picture: what a caller asks for in regions, and the variance boost.

Offsets are told apart in steps of 2 units of quality. A map costs bits, so that a cell keeps the
offset that its neighbours predict where its own boost is near.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aecodec.encoder.picture_quality import PictureQuality
from aecodec.encoder.variance_boost import CELL_SIDE, boosts
from aecodec.errors import AecError, InputError
from aecodec.format.chunks import DEFAULT_LIMITS, Header
from aecodec.format.interest import Interest, Roi, RoiMask
from aecodec.format.quality import QUALITY_STEPS
from aecodec.format.quality_map import LIMIT, STEP, Offsets, cell_qualities, predicted
from aecodec.models.registry import find_model
from aecodec.options import BOOSTS
from aecodec.picture.metadata import turned
from aecodec.picture.orientation import orientation_in
from aecodec.picture.reshaping import stored_region

if TYPE_CHECKING:
    from aecodec.options import EncodeOptions
    from aecodec.picture.row_readers import RowSource

Floats = npt.NDArray[np.float64]

UNIT = STEP / QUALITY_STEPS
"""Units of quality in a step of an offset."""
NEAR = 1.0
"""Steps by which a boost may miss what its neighbours predict."""
WHITE = 255.0
_BACK = {6: 8, 8: 6}
"""Orientations that turn back what others turn."""


def mapped(header: Header, source: "RowSource", options: "EncodeOptions") -> PictureQuality:
    """The qualities of a picture.

    Args:
        header: says the quality that offsets count from.
        source: the picture.
        options: say what is wanted.

    Returns:
        What `quality_of` makes of it.

    Raises:
        InputError: a region exceeds the picture, or a mask is none of this picture.
    """
    offsets = np.rint(interests(source, options.roi) / UNIT).astype(np.int32)
    if options.bound is not None and source.sixteen_bit:  # it has no learned tile
        return PictureQuality(header.quality_index)
    asked = quality_of(header.quality_index, offsets.clip(-LIMIT, LIMIT))
    boost = boost_of(header.model_id, options)
    if not boost:
        return asked
    more = quantized(boosts(source, boost) / UNIT)
    if (more == more[0, 0]).all():  # it tells nothing apart
        return asked
    found = quality_of(header.quality_index, (offsets + more).clip(-LIMIT, LIMIT))
    wishes = cell_qualities(header.quality_index, offsets.clip(-LIMIT, LIMIT))
    return replace(found, asked=wishes)


def boost_of(model_id: bytes, options: "EncodeOptions") -> float:
    """Strength of the variance boost; by default that of a released model's tuning, else 0."""
    if options.variance_boost is not None:
        return options.variance_boost
    model = find_model(model_id)
    return BOOSTS[model.tune] if model and model.tune else 0.0


def quality_of(index: int, offsets: Offsets) -> PictureQuality:
    """The qualities that offsets `(rows, columns)` of cells give; no map where they are equal."""
    cells = cell_qualities(index, offsets)
    first = int(cells[0, 0])
    same = (cells == first).all()
    return PictureQuality(first) if same else PictureQuality(index, cells, cells)


def interests(source: "RowSource", wishes: Iterable[Interest]) -> Floats:
    """Offsets of cells `(rows, columns)` in units of quality.

    A cell has the largest by magnitude that touches it; the positive one of two that are as large.
    """
    rows, columns = (-(-side // CELL_SIDE) for side in (source.height, source.width))
    found: Floats = np.zeros((rows, columns))
    for wish in wishes:
        more = _of_region(source, wish) if isinstance(wish, Roi) else _of_mask(source, wish)
        larger, equal = np.abs(more) > np.abs(found), np.abs(more) == np.abs(found)
        taken = larger | (equal & (more > found))
        found[taken] = more[taken]
    return found


def _of_region(source: "RowSource", roi: Roi) -> Floats:
    region = stored_region(roi.region, orientation_in(source.metadata), source.width, source.height)
    rows, columns = (-(-side // CELL_SIDE) for side in (source.height, source.width))
    found = np.zeros((rows, columns))
    bottom, right = region.top + region.height, region.left + region.width
    found[
        region.top // CELL_SIDE : -(-bottom // CELL_SIDE),
        region.left // CELL_SIDE : -(-right // CELL_SIDE),
    ] = roi.offset
    return found


def _of_mask(source: "RowSource", mask: RoiMask) -> Floats:
    levels = _levels(source, mask)
    for axis in (0, 1):
        levels = np.maximum.reduceat(levels, np.arange(0, levels.shape[axis], CELL_SIDE), axis)
    found: Floats = levels.astype(np.float64) * (float(mask.offset) / WHITE)
    return found


def _levels(source: "RowSource", mask: RoiMask) -> npt.NDArray[np.uint8]:
    """A mask as the picture is stored, `(H, W)`."""
    from aecodec.picture.picture import decode_picture

    limits = replace(
        DEFAULT_LIMITS, pixels=max(DEFAULT_LIMITS.pixels, source.height * source.width)
    )
    try:
        picture = decode_picture(mask.picture, (), limits=limits)
    except AecError as exc:
        raise InputError(f"{mask.name}: {exc}") from exc
    orientation = orientation_in(source.metadata)
    shown = picture.pixels.shape[:2]
    height, width = shown[::-1] if orientation >= 5 else shown
    if picture.alpha is not None:
        raise InputError(f"{mask.name}: a mask has no transparency")
    if (height, width) != (source.height, source.width):
        wide, high = source.width, source.height
        wanted = f"{high}x{wide}" if orientation >= 5 else f"{wide}x{high}"
        raise InputError(
            f"{mask.name} has {shown[1]}x{shown[0]} pixels, the picture is shown with {wanted}"
        )
    levels = picture.pixels if picture.pixels.ndim == 2 else picture.pixels.max(2)
    if levels.dtype == np.uint16:
        levels = (levels >> 8).astype(np.uint8)
    return np.ascontiguousarray(turned(levels, _BACK.get(orientation, orientation)))


def quantized(steps: Floats) -> Offsets:
    """Whole offsets near `(rows, columns)` of real ones, such that a map of them is small."""
    found: list[list[int]] = []
    for wishes in np.rint(steps * 64).astype(int).clip(-64 * LIMIT, 64 * LIMIT).tolist():
        row: list[int] = []
        above = found[-1] if found else None
        for column, wish in enumerate(wishes):
            near = predicted(above, row, column)
            row.append(near if abs(wish - 64 * near) <= 64 * NEAR else (wish + 32) // 64)
        found.append(row)
    return np.array(found, np.int32)
