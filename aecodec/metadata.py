"""Colour profile, EXIF and XMP of a picture, carried byte for byte.

Pixels are stored as they lie in the source, with the EXIF orientation beside them, so that whoever
shows the picture turns it once. Where EXIF is not kept, the pixels are turned instead.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

from PIL import Image, ImageOps, PngImagePlugin

from aecodec.container import Chunk, Stream

KINDS = ("icc", "exif", "xmp")
_CHUNKS = {"icc": b"iccp", "exif": b"exif", "xmp": b"xmpd"}
_EXIF_PREFIX = b"Exif\x00\x00"
_CARRIERS = {
    "icc": {"PNG", "JPEG", "WEBP", "TIFF", "AVIF"},
    "exif": {"PNG", "JPEG", "WEBP", "TIFF", "AVIF"},
    "xmp": {"PNG", "JPEG", "WEBP", "AVIF"},
}
_PNG_XMP = "XML:com.adobe.xmp"


@dataclass(frozen=True)
class Metadata:
    """What a picture says about itself; None for what it does not say.

    Attributes:
        icc: an ICC profile.
        exif: the TIFF structure of EXIF, from its byte order mark on.
        xmp: a packet of XMP, UTF-8.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None

    def chunks(self) -> tuple[Chunk, ...]:
        """The optional chunks that hold it."""
        values = ((name, getattr(self, name)) for name in KINDS)
        return tuple(Chunk(_CHUNKS[name], value) for name, value in values if value)

    def select(self, keep: Collection[str]) -> "Metadata":
        """The part whose names are in `keep`."""
        return Metadata(**{name: getattr(self, name) for name in KINDS if name in keep})

    def attach(self, image: Image.Image) -> None:
        """Writes it into `image.info`, where Pillow and its users look for it."""
        names = {"icc": "icc_profile", "exif": "exif", "xmp": "xmp"}
        for name, key in names.items():
            if getattr(self, name):
                image.info[key] = getattr(self, name)

    def save_options(self, kind: str) -> dict[str, Any]:
        """Arguments for Pillow's `save` in a format, as far as it can carry the metadata."""
        options: dict[str, Any] = {}
        if self.icc and kind in _CARRIERS["icc"]:
            options["icc_profile"] = self.icc
        if self.exif and kind in _CARRIERS["exif"]:
            options["exif"] = _EXIF_PREFIX + self.exif if kind == "JPEG" else self.exif
        if self.xmp and kind in _CARRIERS["xmp"]:
            if kind == "PNG":
                options["pnginfo"] = text = PngImagePlugin.PngInfo()
                text.add_itxt(_PNG_XMP, self.xmp.decode("utf-8", "replace"))
            else:
                options["xmp"] = self.xmp
        return options

    def lost_in(self, kind: str) -> list[str]:
        """Names of what a format cannot carry."""
        return [name for name in KINDS if getattr(self, name) and kind not in _CARRIERS[name]]


def metadata_of(image: Image.Image) -> Metadata:
    """The metadata of an opened picture."""
    exif = image.info.get("exif")
    xmp = image.info.get("xmp") or image.info.get(_PNG_XMP)
    if isinstance(xmp, str):
        xmp = xmp.encode()
    if isinstance(exif, bytes):
        exif = exif.removeprefix(_EXIF_PREFIX)
    values = {"icc": image.info.get("icc_profile"), "exif": exif, "xmp": xmp}
    return Metadata(**{name: value for name, value in values.items() if _is_bytes(value)})


def metadata_in(stream: Stream) -> Metadata:
    """The metadata in a file; of repeated chunks the first counts."""
    found: dict[str, bytes] = {}
    for field in fields(Metadata):
        for chunk in stream.ancillary:
            if chunk.type == _CHUNKS[field.name] and chunk.payload:
                found.setdefault(field.name, chunk.payload)
    return Metadata(**found)


def turned(image: Image.Image) -> Image.Image:
    """The picture as its EXIF orientation says, for where EXIF does not go along."""
    return ImageOps.exif_transpose(image)


def _is_bytes(value: object) -> bool:
    return isinstance(value, bytes) and bool(value)
