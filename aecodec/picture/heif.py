"""AVIF and HEIC, of 8 bits a sample and of more.

AVIF of 8 bits is read by Pillow, AVIF of 10 and 12 bits by libvips (extra `vips`), HEIC by
pillow-heif (extra `heif`). Samples of 10 and 12 bits are scaled to the full range of 16 bits and
rounded half up, so that each can be recovered.

Source: ISO/IEC 23008-12; AV1 Image File Format 1.2, https://aomediacodec.github.io/av1-avif/.
"""

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, features
from PIL.AvifImagePlugin import AvifImageFile

from aecodec.errors import InputError
from aecodec.picture.color_description import profile_of_cicp
from aecodec.picture.iso_boxes import HeifFacts, heif_facts
from aecodec.picture.metadata import Metadata, metadata_of
from aecodec.picture.orientation import upright
from aecodec.picture.pillow_modes import to_array
from aecodec.picture.pixels import DAMAGE, Pixels, damaged, rescaled
from aecodec.picture.raw_profiles import EXIF_PREFIX
from aecodec.picture.reading import Reading, Wishes, more_frames
from aecodec.picture.vips import damage, needed_vips

_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
_SEQUENCES = {b"avis", b"hevc", b"hevx", b"hevm", b"hevs", b"msf1"}


def is_heif(data: bytes) -> bool:
    """Whether bytes begin an AVIF or HEIC."""
    return data[4:8] == b"ftyp" and data[8:12] in _AVIF | _HEIC


def read_heif(data: bytes, wishes: Wishes) -> Reading:
    """The main picture of an AVIF or HEIC.

    Raises:
        InputError: it is damaged, or needs a package that is not installed; the message says which.
        LimitError: it has too many pixels.
    """
    facts = heif_facts(data)
    assert facts is not None  # `is_heif` has seen to it
    wishes.limits.check_pixels(*facts.size)
    is_avif = facts.brand in _AVIF or (facts.brand in (b"mif1", b"msf1") and _names_avif(data))
    if not is_avif:
        reading = _read_heic(data)
    elif facts.bits > 8:
        reading = _read_deep_avif(data, facts)
    else:
        reading = _read_avif(data)
    wishes.limits.check_pixels(reading.pixels.shape[1], reading.pixels.shape[0])
    return _described(reading, facts, wishes)


def _names_avif(data: bytes) -> bool:
    size = int.from_bytes(data[:4], "big")
    return b"avif" in data[8 : min(size, 256)]


def _described(reading: Reading, facts: HeifFacts, wishes: Wishes) -> Reading:
    """A reading with the colours that the boxes describe, and a line for what is left out."""
    losses, metadata = list(reading.losses), reading.metadata
    if facts.nclx and not metadata.icc and "icc" in wishes.keep:
        gray = reading.pixels.ndim == 2 or reading.pixels.shape[2] == 2
        icc, line = profile_of_cicp(facts.nclx, gray=gray)
        metadata = replace(metadata, icc=icc)
        losses += [line] if line else []
    names = b" ".join(facts.auxiliary).lower()
    if b"gainmap" in names or b"tmap" in names:
        losses.append("a gain map (HDR) is left out")
    if b"depth" in names or b"auxid:2" in names:
        losses.append("a map of depths is left out")
    frames = max(reading.frames, facts.pictures)
    return replace(
        reading, metadata=metadata, losses=(*losses, *more_frames(frames)), frames=frames
    )


def _read_avif(data: bytes) -> Reading:
    if not features.check("avif"):
        raise InputError("reading AVIF needs a Pillow that was built with libavif")
    try:
        with AvifImageFile(BytesIO(data)) as image:
            image.load()
            return Reading(to_array(image), metadata_of(image), frames=image.n_frames)
    except (*DAMAGE, OSError) as exc:
        raise damaged(exc) from exc


def _read_deep_avif(data: bytes, facts: HeifFacts) -> Reading:
    vips = needed_vips(f"reading AVIF with {facts.bits} bits a sample")
    if facts.brand in _SEQUENCES:
        raise InputError(f"AVIF sequences with {facts.bits} bits a sample are not supported")
    try:
        image = vips.Image.new_from_buffer(data, "", fail_on="error")
        samples = np.ascontiguousarray(image.numpy())
        fields = set(image.get_fields())
        names = ("icc-profile-data", "exif-data", "xmp-data")
        icc, exif, xmp = (bytes(image.get(n)) if n in fields else None for n in names)
    except vips.Error as exc:
        raise damage(exc) from exc
    if exif and b"Exif" not in data[: len(data)]:
        exif = None  # libvips makes some up
    metadata = Metadata(icc=icc, exif=exif and exif.removeprefix(EXIF_PREFIX), xmp=xmp)
    return Reading(_full_range(samples, facts.bits), upright(metadata))


def _read_heic(data: bytes) -> Reading:
    try:
        import pillow_heif
    except (ImportError, OSError) as exc:
        raise InputError("reading HEIC needs pillow-heif: pip install 'aecodec[heif]'") from exc
    try:
        file = pillow_heif.open_heif(BytesIO(data), convert_hdr_to_8bit=False)
        info, mode = file.info, file.mode
        pixels = _heic_pixels(file, mode, int(info.get("bit_depth", 8)))
    except InputError:
        raise
    except (*DAMAGE, OSError) as exc:
        raise damaged(exc) from exc
    exif, xmp = (info.get(name) for name in ("exif", "xmp"))
    metadata = Metadata(
        icc=info.get("icc_profile") or None,
        exif=exif.removeprefix(EXIF_PREFIX) if exif else None,
        xmp=xmp or None,
    )
    return Reading(pixels, upright(metadata))  # libheif has turned the pixels


def _heic_pixels(file: Any, mode: str, bits: int) -> Pixels:  # noqa: ANN401  # no types
    samples = np.asarray(file)
    if samples.dtype == np.uint16:
        return _full_range(samples, bits)
    if mode in ("RGBa", "La"):
        return to_array(Image.fromarray(samples, mode))
    if samples.dtype != np.uint8:
        raise InputError(f"HEIC of {mode} is not supported")
    return samples


def _full_range(samples: Any, bits: int) -> Pixels:  # noqa: ANN401  # an array of any type
    """Samples that fill the upper bits of 16, over the full range."""
    if samples.dtype == np.uint8:
        found: Pixels = samples
        return found
    return rescaled(samples >> (16 - bits), 2**bits - 1)
