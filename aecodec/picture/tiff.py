"""TIFF and BigTIFF, read as their tags say, whatever Pillow or libvips make of them.

The samples come from `tiff_segments`; JPEG, CCITT and other compressions that know what a sample is
are undone by libvips or, without it, by Pillow. What the tags describe and no reader here knows is
refused in one line: raw photos, integers of 32 bits, negative numbers, CMYK and L*a*b* of 16 bits.

Source: TIFF 6.0, https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf; DNG 1.7, chapter 3.
"""

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from aecodec.errors import InputError
from aecodec.picture.color_description import profile_of_tiff
from aecodec.picture.metadata import Metadata, turned
from aecodec.picture.orientation import upright, xmp_orientation
from aecodec.picture.photoshop import clipping_paths, iptc_in
from aecodec.picture.pillow_modes import conversions, to_array
from aecodec.picture.pixels import DAMAGE, SIXTEEN_BIT_PEAK, Pixels, damaged, from_floats, rescaled
from aecodec.picture.reading import Reading, Wishes, more_frames
from aecodec.picture.tiff_segments import BYTE_COMPRESSIONS, Layout, layout_of, read_samples
from aecodec.picture.tiff_tags import (
    ORIENTATION,
    PHOTOMETRIC,
    SUB_DIRECTORIES,
    SUBFILE_TYPE,
    Directories,
    Directory,
    exif_of,
)
from aecodec.picture.tiff_ycbcr import read_ycbcr
from aecodec.picture.vips import NotBuiltError, load_vips, read_by_vips

if TYPE_CHECKING:
    from mmap import mmap

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, _PALETTE = 0, 1, 2, 3
_CMYK, _YCBCR, _LAB, _ICC_LAB = 5, 6, 8, 9
_COLOURS = {
    WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3, _LAB: 3,
    _ICC_LAB: 3,
}  # fmt: skip
"""The samples that each photometric interpretation needs."""
_CONVERTED = {_CMYK: "CMYK", _LAB: "L*a*b*", _ICC_LAB: "L*a*b*"}
_SENSOR = {32803, 34892}
"""Photometric interpretations of raw photos: a mosaic, and linear raw."""
_KNOWN_LATER = {
    4: "a mask", 32844: "LogL", 32845: "LogLuv", 10: "ITU L*a*b*", 51177: "depth",
}  # fmt: skip
_DNG_VERSION = 50706
_ASSOCIATED, _UNASSOCIATED = 1, 2
_LEFT_OUT = {
    37724: "the layers of Photoshop",
    34735: "the coordinates of GeoTIFF",
    33550: "the coordinates of GeoTIFF",
    34264: "the coordinates of GeoTIFF",
    42112: "the metadata of GDAL",
    50838: "the metadata of ImageJ",
    52545: "content credentials (C2PA)",
}
_RESOLUTION_UNITS = {2: 1.0, 3: 2.54}
"""What makes dots per inch of a resolution, by its unit."""


def read_tiff(data: bytes, wishes: Wishes) -> Reading:
    """The first picture of a TIFF, turned upright as its orientation says.

    Raises:
        InputError: it is damaged, or of a kind that is not supported; the message says which.
        LimitError: it has too many pixels.
    """
    directories = Directories(data)
    pages = list(directories.chain())
    if not pages:
        raise InputError("damaged picture: a TIFF without a directory")
    first = pages[0]
    refuse_raw(data, directories, pages)
    metadata, losses = tiff_metadata(directories, first)
    layout = layout_of(first)
    wishes.limits.check_pixels(layout.width, layout.height)
    wishes.limits.check_pixels(*layout.part)
    frames = sum(not page.integer(SUBFILE_TYPE, 0) & 1 for page in pages[1:]) + 1
    pixels, lines = _pixels(data, first, layout, metadata.icc)
    if first.integer(PHOTOMETRIC, -1) in _CONVERTED:
        metadata = replace(metadata, icc=None)
    stated = first.integer(ORIENTATION, 0)
    if stated not in range(1, 9):
        stated = xmp_orientation(metadata.xmp) or 1
    lines += more_frames(frames)
    return Reading(
        turned(pixels, stated), metadata, (*lines, *(losses if wishes.keep else ())), frames
    )


def tiff_metadata(directories: Directories, first: Directory) -> tuple[Metadata, list[str]]:
    """What a TIFF says of its picture, without the orientation, and what is not kept of it."""
    losses = list(dict.fromkeys(text for tag, text in _LEFT_OUT.items() if tag in first.entries))
    resources = first.data(34377)
    if clipping_paths(resources):
        losses.append("clipping paths")
    iptc = first.data(33723).rstrip(b"\0") or iptc_in(resources)
    entry = first.entries.get(33723)
    if entry and entry.kind == 4 and first.order == ">" and not iptc.startswith(b"\x1c"):
        iptc = b"".join(iptc[at : at + 4][::-1] for at in range(0, len(iptc), 4))
    icc, line = first.data(34675) or None, None
    if icc is None and first.integer(PHOTOMETRIC, -1) in (0, 1, 2):
        icc, line = profile_of_tiff(first, gray=first.integer(PHOTOMETRIC, 0) != RGB)
    metadata = Metadata(
        icc=icc,
        exif=exif_of(directories, first),
        xmp=first.data(700).rstrip(b"\0") or None,
        resolution=_resolution(first),
        iptc=iptc or None,
    )
    return metadata, [f"{each} are left out" for each in losses] + ([line] if line else [])


def _resolution(first: Directory) -> tuple[float, float] | None:
    factor = _RESOLUTION_UNITS.get(first.integer(296, 2))
    numbers = [first.numbers(tag)[:1] for tag in (282, 283)]
    if factor is None or not all(numbers):
        return None
    across, down = (each[0] * factor for each in numbers)
    return (across, down) if all(0.01 <= each <= 65535 for each in (across, down)) else None


def refuse_raw(data: "bytes | mmap", directories: Directories, pages: list[Directory]) -> None:
    """Checks that the first picture is none of a raw photo, and no preview of another.

    Raises:
        InputError: it is.
    """
    first = pages[0]
    below = [each for page in pages for each in directories.below(page, SUB_DIRECTORIES)]
    everywhere = [*pages, *below]
    sensor = any(each.integer(PHOTOMETRIC, -1) in _SENSOR for each in everywhere)
    if sensor or any(_DNG_VERSION in each.entries for each in pages) or data[8:10] == b"CR":
        kind = "DNG" if _DNG_VERSION in first.entries else "raw photo"
        raise InputError(f"a raw photo ({kind}): develop it into a TIFF or PNG first")
    if first.integer(SUBFILE_TYPE, 0) & 1:
        area = first.integer(256, 0) * first.integer(257, 0)
        if any(each.integer(256, 0) * each.integer(257, 0) > area for each in everywhere[1:]):
            raise InputError(
                "the first picture of this TIFF is only a preview of a larger one behind it: "
                "extract that one first"
            )


def _pixels(
    data: bytes, tags: Directory, layout: Layout, icc: bytes | None
) -> tuple[Pixels, list[str]]:
    """The pixels as they lie in the file, and a line for what is not kept of them."""
    meaning = tags.integer(PHOTOMETRIC, -1)
    if meaning not in _COLOURS:
        name = _KNOWN_LATER.get(meaning, f"photometric interpretation {meaning}")
        raise InputError(f"TIFF of {name} is not supported: convert it to gray or RGB")
    if layout.form == 3 and meaning == WHITE_IS_ZERO:
        raise InputError("TIFF of floating numbers with WhiteIsZero has no defined white")
    if layout.samples < _COLOURS[meaning]:
        raise InputError(f"damaged picture: a TIFF of {layout.samples} samples that needs more")
    if layout.compression not in BYTE_COMPRESSIONS:
        return _by_library(data, tags, layout, meaning, icc)
    if meaning == _YCBCR:
        return read_ycbcr(data, tags, layout), []
    samples = read_samples(data, layout)
    return _shown(samples, tags, layout, meaning, icc)


def _shown(
    samples: npt.NDArray[Any], tags: Directory, layout: Layout, meaning: int,
    icc: bytes | None,
) -> tuple[Pixels, list[str]]:  # fmt: skip
    """Samples `(H, W, c)` as the colours and the alpha that they mean."""
    count = _COLOURS[meaning]
    colours, extra = samples[:, :, :count], samples[:, :, count:]
    kinds = tags.integers(338)
    alpha_kind = kinds[0] if kinds and extra.shape[2] else 0
    has_alpha = alpha_kind in (_ASSOCIATED, _UNASSOCIATED)
    lines = list(_left_samples(extra.shape[2] - has_alpha, has_alpha=has_alpha))
    alpha = None
    if has_alpha:
        alpha, _ = _in_range(extra[:, :, :1], layout.bits)
    if meaning in _CONVERTED:
        if colours.dtype != np.uint8 or layout.bits != 8:
            raise InputError(
                f"TIFF of {_CONVERTED[meaning]} with {layout.bits} bits a sample is not "
                "supported: convert it to RGB, or to 8 bits"
            )
        image = _as_image(np.ascontiguousarray(colours), meaning, icc)
        found = to_array(image)
        lines += conversions(image)
    elif meaning == _PALETTE:
        found, rounded = _looked_up(colours[:, :, 0], tags, layout)
        lines += ["colours of its palette have 16 bits, of which 8 are kept"] if rounded else []
        alpha = None if alpha is None else rescaled(extra[:, :, :1], 2**layout.bits - 1)
    else:
        found, line = _in_range(colours, layout.bits)
        lines += line
    if meaning == WHITE_IS_ZERO:
        found = np.iinfo(found.dtype).max - found
    if alpha is not None:
        if alpha_kind == _ASSOCIATED:
            found = _divided(found, alpha)
        found = np.dstack((found, alpha))
    return (found[:, :, 0] if found.shape[2] == 1 else found), lines


def _left_samples(count: int, *, has_alpha: bool) -> Iterator[str]:
    if count > 0:
        more = " further" * has_alpha + " sample" + "s" * (count > 1)
        yield f"left out: {count}{more} a pixel that mean neither colour nor alpha"


def _in_range(samples: npt.NDArray[Any], bits: int) -> tuple[Pixels, list[str]]:
    """Numbers of any type as 8-bit or 16-bit samples over their full range, and what is rounded."""
    if np.issubdtype(samples.dtype, np.floating):
        found = from_floats(samples, "TIFF samples of floating numbers")
        exact = (found / np.float64(SIXTEEN_BIT_PEAK)).astype(samples.dtype) == samples
        return found, [] if exact.all() else ["floating numbers are rounded to 16 bits"]
    if samples.dtype.itemsize > 2:
        raise InputError("TIFF of 32-bit integers is not supported: convert it to 16 bits")
    if np.issubdtype(samples.dtype, np.signedinteger):
        if samples.min(initial=0) < 0:
            raise InputError("TIFF samples are negative: convert them to unsigned integers")
        return samples.astype(f"u{samples.dtype.itemsize}"), []
    return (samples if bits in (8, 16) else rescaled(samples, 2**bits - 1)), []


def _divided(colours: Pixels, alpha: Pixels) -> Pixels:
    """Colours that were multiplied by alpha, divided by it.

    As by libvips this is done in binary32 and rounded down. Where alpha is 0 they are 0.
    """
    peak = np.iinfo(colours.dtype).max
    factors = np.float32(peak) / np.maximum(alpha, 1).astype(np.float32)
    divided = np.minimum(np.floor(colours.astype(np.float32) * factors), peak)
    return np.where(alpha > 0, divided, 0).astype(colours.dtype)


def _looked_up(indices: npt.NDArray[Any], tags: Directory, layout: Layout) -> tuple[Pixels, bool]:
    """The 8-bit colours of a palette, and whether they had more bits."""
    table = np.array(tags.integers(320), np.uint32)
    if layout.bits > 8 or layout.form not in (1, 4):
        raise InputError(f"TIFF with a palette of {layout.bits} bits is not supported")
    if table.size != 3 * 2**layout.bits:
        raise InputError("damaged picture: the palette of a TIFF has another size")
    if table.max(initial=0) > 255:  # old writers stored 8 bits
        rounded = bool((table % 257).any() and (table % 256).any())
        table >>= 8
    else:
        rounded = False
    return table.reshape(3, -1).T.astype(np.uint8)[indices], rounded


def _as_image(colours: npt.NDArray[np.uint8], meaning: int, icc: bytes | None) -> Image.Image:
    """CMYK or L*a*b* as Pillow takes it."""
    size = (colours.shape[1], colours.shape[0])
    if meaning == _ICC_LAB:
        colours = colours ^ np.array([0, 128, 128], np.uint8)
    image = Image.frombytes("CMYK" if meaning == _CMYK else "LAB", size, colours.tobytes())
    if icc and meaning == _CMYK:
        image.info["icc_profile"] = icc
    return image


def _by_library(
    data: bytes, tags: Directory, layout: Layout, meaning: int, icc: bytes | None
) -> tuple[Pixels, list[str]]:
    """Pixels under a compression that knows what a sample is: JPEG, CCITT, WebP and others."""
    bilevel, count = layout.bits == 1, layout.samples
    if layout.form not in (1, 4) or (not bilevel and layout.bits != 8):
        raise InputError(
            f"TIFF of compression {layout.compression} with {layout.bits} bits a sample is not "
            "supported: store it uncompressed first"
        )
    multiplied = count > _COLOURS[meaning] and tags.integers(338)[:1] == (_ASSOCIATED,)
    if meaning == _PALETTE or layout.planes or multiplied:
        raise InputError(
            f"TIFF of compression {layout.compression} with "
            f"{'separate planes' if layout.planes else 'such samples'} is not supported: "
            "store it uncompressed first"
        )
    samples = _undone(data, layout, usual=count == _COLOURS[meaning])
    if samples.ndim == 3 and samples.shape[2] == 4 and count == 3:
        samples = samples[:, :, :3]  # libtiff gives old JPEG with alpha that is opaque
    samples = samples.reshape(*samples.shape[:2], -1)
    if samples.dtype != np.uint8 or samples.shape != (layout.height, layout.width, count):
        raise InputError(f"damaged picture: a TIFF of {count} samples decodes to another shape")
    plain = replace(layout, bits=8)
    meaning = {WHITE_IS_ZERO: BLACK_IS_ZERO, _YCBCR: RGB}.get(meaning, meaning)
    return _shown(samples, tags, plain, meaning, icc)


def _undone(data: bytes, layout: Layout, *, usual: bool) -> Pixels:
    """The samples of a file by libvips, or by Pillow if that is not possible and all is usual."""
    usual = usual and data[2:4] in (b"*\0", b"\0*")
    if usual and load_vips() is None:
        return _by_pillow(data)
    try:
        return read_by_vips(data, f"reading TIFF of compression {layout.compression}")
    except NotBuiltError:
        if not usual:
            raise
        return _by_pillow(data)


class _Unturned(TiffImageFile):
    """A TIFF of which Pillow gives the pixels as they lie in the file."""

    def load_end(self) -> None:
        """Does nothing, where Pillow turns the picture."""


def _by_pillow(data: bytes) -> Pixels:
    """The samples of a TIFF as Pillow reads them, without its turning of the picture."""
    plain = upright(Metadata(exif=data)).exif or data  # the tag lies where it lies in EXIF
    try:
        with _Unturned(BytesIO(plain)) as image:
            image.load()
            return np.asarray(image if image.mode == "CMYK" else to_array(image))
    except (*DAMAGE, OSError) as exc:
        raise damaged(exc) from exc
