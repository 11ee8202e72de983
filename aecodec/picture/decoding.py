"""Picture files of every format, by the reader that suits each, with metadata that fit the pixels.

Whatever is wrong with a file is an InputError; OSError is the file system's alone.
"""

from dataclasses import replace

from PIL import Image

from aecodec.errors import AecError, LimitError
from aecodec.picture import png_chunks
from aecodec.picture.metadata import UPRIGHT, turned
from aecodec.picture.orientation import exif_orientation, orientation_in, upright
from aecodec.picture.pixels import DAMAGE, damaged
from aecodec.picture.reading import Reading, Wishes
from aecodec.picture.reshaping import reshaped
from aecodec.picture.tiff_tags import EXIF, INTEROPERABILITY, SIGNATURES, Directories

_JPEG = b"\xff\xd8\xff"
_COLOR_SPACE, _ADOBE_RGB, _UNCALIBRATED = 40961, 2, 65535
_INTEROPERABILITY_INDEX, _ADOBE_INDEX = 1, b"R03"


def read_picture(data: bytes, wishes: Wishes) -> Reading:
    """The first picture of a file, with what is to be kept of its metadata.

    Where EXIF that is kept says how to turn the pixels, they stay as they lie in the file; else
    they are turned, and the metadata say that they are upright.

    Raises:
        InputError: it is no picture, damaged, of a kind that is not supported, or needs a package
            that is not installed; the message says which.
        LimitError: it has more pixels than `Wishes.limits` allow.
    """
    try:
        return fitted(_read(data, wishes), wishes)
    except AecError:
        raise
    except Image.DecompressionBombError as exc:
        raise LimitError(str(exc)) from exc
    except (*DAMAGE, OSError, TypeError, OverflowError, MemoryError) as exc:
        raise damaged(exc) from exc


def _read(data: bytes, wishes: Wishes) -> Reading:
    """Reads a file with the reader that its first bytes ask for; only that one is imported."""
    if data.startswith(png_chunks.SIGNATURE):
        from aecodec.picture.png import read_png

        return read_png(data, wishes)
    if data.startswith(_JPEG):
        from aecodec.picture.jpeg import read_jpeg

        return read_jpeg(data, wishes)
    if data.startswith(SIGNATURES):
        from aecodec.picture.tiff import read_tiff

        reading = read_tiff(data, wishes)
        return replace(reading, metadata=upright(reading.metadata))
    return _read_other(data, wishes)


def _read_other(data: bytes, wishes: Wishes) -> Reading:
    from aecodec.picture import netpbm
    from aecodec.picture.heif import is_heif, read_heif
    from aecodec.picture.pillow_reading import read_other

    if netpbm.SIGNATURE.match(data):
        return netpbm.read_netpbm(data, wishes)
    return read_heif(data, wishes) if is_heif(data) else read_other(data, wishes)


def fitted(reading: Reading, wishes: Wishes) -> Reading:
    """A reading with the metadata that are kept and fit its pixels, turned if need be."""
    metadata, losses = reading.metadata, list(reading.losses)
    stated = orientation_in(metadata)
    in_exif = exif_orientation(metadata.exif) is not None and "exif" in wishes.keep
    if not metadata.icc and "icc" in wishes.keep and _says_adobe_rgb(metadata.exif):
        from aecodec.picture.color_description import adobe_rgb

        metadata = replace(metadata, icc=adobe_rgb())
    metadata = metadata.select(wishes.keep)
    pixels = reading.pixels
    if stated != UPRIGHT and not in_exif:
        pixels = turned(pixels, stated)
        metadata, stale = reshaped(upright(metadata), pixels.shape[1], pixels.shape[0])
        losses += stale
    elif orientation_in(metadata) != stated:  # XMP that EXIF contradicts, without the EXIF
        metadata = upright(metadata)
    if metadata.icc:
        from aecodec.picture.color_description import profile_space

        gray = pixels.ndim == 2 or pixels.shape[2] == 2
        space, wanted = profile_space(metadata.icc), "GRAY" if gray else "RGB"
        if space not in (wanted, None):
            metadata = replace(metadata, icc=None)
            reason = f"the {space} colour profile does not fit {wanted} pixels and is left out"
            losses.append(reason)
    return replace(reading, pixels=pixels, metadata=metadata, losses=tuple(losses))


def _says_adobe_rgb(exif: bytes | None) -> bool:
    """Whether EXIF says that colours are Adobe RGB, as cameras do."""
    if not exif or not exif.startswith(SIGNATURES):
        return False
    directories = Directories(exif)
    for first in directories.chain():
        for below in directories.below(first, EXIF):
            space = below.integer(_COLOR_SPACE, 0)
            if space == _ADOBE_RGB:
                return True
            inner = directories.below(below, INTEROPERABILITY)
            if space == _UNCALIBRATED and any(
                each.data(_INTEROPERABILITY_INDEX).startswith(_ADOBE_INDEX) for each in inner
            ):
                return True
        break
    return False
