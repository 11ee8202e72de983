"""Colour profile, EXIF, XMP, resolution and text comments of a picture, carried byte for byte.

Pixels are stored as they lie in the source, with the EXIF orientation beside them, so that whoever
shows the picture turns it once. Where EXIF is not kept, the pixels are turned instead.
"""

import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from aecodec.format.chunks import METADATA_KINDS, Chunk
from aecodec.picture.exif import (
    EXIF_SIGNATURES,
    TIFF_IPTC,
    TIFF_RESOLUTION,
    TIFF_XMP,
    packed,
    tags_of,
)
from aecodec.picture.photoshop import iptc_resource
from aecodec.picture.tiff_tags import (
    ARTIST,
    COPYRIGHT,
    DATE,
    DESCRIPTION,
    EXIF,
    GPS,
    MAKE,
    MODEL,
    ORIENTATION,
    SOFTWARE,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image, PngImagePlugin

UPRIGHT = 1
"""The EXIF orientation of pixels that need not be turned."""

_PACKETS = {"icc": b"iccp", "exif": b"exif", "xmp": b"xmpd", "iptc": b"iptc"}
_RESOLUTION, _TEXT = b"phys", b"text"
"""Types of the optional chunks in an .aec file."""

_DPI = struct.Struct("<2d")
_DPI_RANGE = (0.01, 65535.0)
_EXIF_PREFIX = b"Exif\x00\x00"
_INFO_KEYS = {
    "icc": "icc_profile", "exif": "exif", "xmp": "xmp", "resolution": "dpi", "iptc": "iptc",
}  # fmt: skip
"""Where Pillow keeps metadata in `image.info`."""
_INFO_TEXTS = "text"
"""Where `Metadata.attach` puts comments in `image.info`, as one dictionary."""

_CARRIERS = {
    "icc": {"PNG", "JPEG", "WEBP", "TIFF", "AVIF"},
    "exif": {"PNG", "JPEG", "WEBP", "TIFF", "AVIF"},
    "xmp": {"PNG", "JPEG", "WEBP", "TIFF", "AVIF"},
    "resolution": {"PNG", "JPEG", "TIFF", "BMP"},
    "iptc": {"PNG", "JPEG", "TIFF"},
}
"""The formats that carry each kind, as Pillow calls and writes them."""
_JPEG_MAX = {
    "icc": 255 * (65533 - 14), "exif": 65533 - 6, "xmp": 65533 - 29, "iptc": 65533 - 14 - 12,
    "text": 65533,
}  # fmt: skip
"""Bytes of each kind that fit between a JPEG's markers, beside what announces them there."""
_JPEG_IPTC, _PHOTOSHOP = b"\xff\xed", b"Photoshop 3.0\0"

PNG_XMP = "XML:com.adobe.xmp"
PNG_RAW_PROFILE = "Raw profile type "
_COMMENT = "Comment"
_ASCII = 2
_TIFF_TAGS = (DESCRIPTION, MAKE, MODEL, SOFTWARE, DATE, ARTIST, COPYRIGHT, EXIF, GPS)
"""What a TIFF says of the picture; its other tags say how the file stores the pixels."""
_PHOTOSHOP_IPTC = 1028
_TIFF_DIRECTORIES = (EXIF, GPS)

Texts = tuple[tuple[str, bytes], ...]
"""Comments: the keyword and the text of each."""


@dataclass(frozen=True)
class Metadata:
    """What a picture says about itself; None for what it does not say.

    Attributes:
        icc: an ICC profile.
        exif: the TIFF structure of EXIF, from its byte order mark on.
        xmp: a packet of XMP, UTF-8.
        resolution: dots per inch across and down, in [0.01, 65535].
        text: comments, each a keyword without NUL and its text, UTF-8 or, in old JPEG, anything.
        iptc: records of IPTC (IIM), from the first marker 1C on.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    resolution: tuple[float, float] | None = None
    text: Texts = ()
    iptc: bytes | None = None

    def chunks(self) -> tuple[Chunk, ...]:
        """The optional chunks of an .aec file that hold it."""
        packets = ((kind, getattr(self, name)) for name, kind in _PACKETS.items())
        chunks = [Chunk(kind, packet) for kind, packet in packets if packet]
        if self.resolution:
            chunks.append(Chunk(_RESOLUTION, _DPI.pack(*self.resolution)))
        chunks += [Chunk(_TEXT, key.encode() + b"\0" + text) for key, text in self.text]
        return tuple(chunks)

    def select(self, keep: Collection[str]) -> "Metadata":
        """The part whose names are in `keep`."""
        return Metadata(**{name: getattr(self, name) for name in METADATA_KINDS if name in keep})

    def with_packet(self, name: str, packet: bytes | None) -> "Metadata":
        """The same with another profile, EXIF, XMP or IPTC."""
        packets: dict[str, Any] = {name: packet}
        return replace(self, **packets)

    def attach(self, image: "Image.Image") -> None:
        """Puts it into `image.info`, where Pillow and its users look for it.

        Comments are there under their keywords, as far as these are free, and all together under
        "text", where `metadata_of` finds them.
        """
        for name, key in _INFO_KEYS.items():
            if getattr(self, name):
                image.info[key] = getattr(self, name)
        if self.text:
            texts = {key: decoded(value) for key, value in self.text}
            image.info[_INFO_TEXTS] = texts
            for key, text in texts.items():
                image.info.setdefault(key, text)

    def save_options(self, kind: str) -> dict[str, Any]:
        """The arguments with which Pillow's `save` writes what a format can carry of it."""
        kept = self.carried(kind)
        options: dict[str, Any] = {}
        if kept.icc:
            options["icc_profile"] = kept.icc
        if kept.resolution:
            options["dpi"] = kept.resolution
        if kind == "TIFF":
            tags = _pillow_tags(kept)
            return options | ({"exif": tags} if tags else {})
        if kept.exif:
            options["exif"] = kept.exif
            if _family(kind) == "JPEG":
                options["exif"] = _EXIF_PREFIX + kept.exif
        if kind == "PNG":
            return options | ({"pnginfo": kept._png_texts()} if kept._has_texts else {})
        if kept.xmp:
            options["xmp"] = kept.xmp
        if kept.iptc:
            segment = _PHOTOSHOP + iptc_resource(kept.iptc)
            options["extra"] = _JPEG_IPTC + struct.pack(">H", len(segment) + 2) + segment
        if kept.text:
            options["comment"] = kept.text[0][1]
        return options

    def carried(self, kind: str) -> "Metadata":
        """The part that a format can carry."""
        kind = _family(kind)
        names = [name for name, kinds in _CARRIERS.items() if kind in kinds]
        kept = self.select([name for name in names if self._fits(name, kind)])
        if kind == "PNG":
            from aecodec.picture.png_metadata import is_keyword

            return replace(kept, text=tuple(t for t in self.text if is_keyword(t[0])))
        if kind == "JPEG":
            most = _JPEG_MAX["text"]
            fit = tuple(t for t in self.text if t[0] == _COMMENT and len(t[1]) <= most)
            return replace(kept, text=fit[:1])
        return kept

    def _fits(self, name: str, kind: str) -> bool:
        """Whether a format that carries this kind can carry these bytes."""
        value = getattr(self, name)
        if name == "resolution" or not value:
            return True
        if name == "exif" and kind == "AVIF":
            return bool(value.startswith(EXIF_SIGNATURES))
        if name == "exif" and kind == "TIFF":
            return tags_of(value) is not None
        return kind != "JPEG" or len(value) <= _JPEG_MAX[name]

    @property
    def orientation(self) -> int:
        """How the pixels are to be turned for display, 1 to 8, see `turned`."""
        if not (self.exif or self.xmp or self.text):
            return UPRIGHT
        from PIL import Image

        image = Image.new("1", (1, 1))
        self.attach(image)
        return orientation_of(image)

    @property
    def _has_texts(self) -> bool:
        """Whether something goes into text chunks of a PNG."""
        return bool(self.xmp or self.text or self.iptc)

    def _png_texts(self) -> "PngImagePlugin.PngInfo":
        from PIL import PngImagePlugin

        from aecodec.picture.png_metadata import text_chunks

        texts = PngImagePlugin.PngInfo()
        for kind, payload in text_chunks(self):
            texts.add(kind, payload)
        return texts

    def lost_in(self, kind: str) -> list[str]:
        """The names of what a format cannot carry, or can carry only in part."""
        kept = self.carried(kind)
        lost = [name for name in _CARRIERS if getattr(self, name) and not getattr(kept, name)]
        return lost + ["text"] * (len(kept.text) < len(self.text))


def metadata_of(image: "Image.Image") -> Metadata:
    """The metadata of a picture that Pillow has opened, or that `Metadata.attach` has filled."""
    exif = image.info.get("exif") or _exif_of_tiff(image)
    xmp = image.info.get("xmp") or image.info.get(PNG_XMP)
    if isinstance(xmp, str):
        xmp = xmp.encode()
    if isinstance(exif, bytes):
        exif = exif.removeprefix(_EXIF_PREFIX)
    values = {
        "icc": image.info.get("icc_profile"), "exif": exif, "xmp": xmp,
        "iptc": image.info.get("iptc") or _iptc_of(image),
    }  # fmt: skip
    return Metadata(
        **{name: value for name, value in values.items() if isinstance(value, bytes) and value},
        resolution=_resolution_of(image),
        text=_texts_of(image),
    )


class Ancillary(Protocol):
    """Whatever has optional chunks, such as a `container.Stream`."""

    @property
    def ancillary(self) -> tuple[Chunk, ...]:
        """The optional chunks in the order of the file."""


def metadata_in(stream: Ancillary) -> Metadata:
    """The metadata in an .aec file; where a chunk other than text repeats, the first counts."""
    first: dict[bytes, bytes] = {}
    for chunk in stream.ancillary:
        if chunk.payload:
            first.setdefault(chunk.type, chunk.payload)
    resolution = first.get(_RESOLUTION, b"")
    return Metadata(
        **{name: first.get(kind) for name, kind in _PACKETS.items()},
        resolution=_valid_resolution(
            _DPI.unpack(resolution) if len(resolution) == _DPI.size else None
        ),
        text=tuple(_texts_in(c.payload for c in stream.ancillary if c.type == _TEXT)),
    )


def orientation_of(image: "Image.Image") -> int:
    """The EXIF orientation, 1 to 8; 1 where EXIF cannot be read or says nothing."""
    try:
        found = image.getexif().get(ORIENTATION, UPRIGHT)
    except (SyntaxError, ValueError, LookupError, struct.error):
        return UPRIGHT
    return found if isinstance(found, int) and found in range(1, 9) else UPRIGHT


def turned(pixels: "npt.NDArray[Any]", orientation: int) -> "npt.NDArray[Any]":
    """Pixels `(H, W)` or `(H, W, c)` turned as an EXIF orientation says, if EXIF is not kept.

    Source: EXIF 2.32, tag 274.
    """
    if orientation >= 5:  # the first row of these is the picture's left or right side
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _resolution_of(image: "Image.Image") -> tuple[float, float] | None:
    """Dots per inch, unless Pillow made them up for a JPEG or took them from its EXIF."""
    if image.format in {"JPEG", "MPO"} and not image.info.get("jfif_unit"):
        return None
    return _valid_resolution(image.info.get("dpi"))


def _valid_resolution(dpi: object) -> tuple[float, float] | None:
    """Dots per inch; None for anything that is not two numbers in range."""
    try:
        across, down = map(float, dpi)  # type: ignore[call-overload]  # what Pillow or a file says
    except (TypeError, ValueError, ArithmeticError):
        return None
    lowest, highest = _DPI_RANGE
    valid = all(lowest <= each <= highest for each in (across, down))
    return (across, down) if valid else None


def _texts_of(image: "Image.Image") -> Texts:
    """Comments of a PNG, JPEG or GIF, without those that hold other metadata."""
    found = getattr(image, "text", image.info.get(_INFO_TEXTS))
    if isinstance(found, Mapping):
        texts = {str(key): str(value) for key, value in found.items()}
        return tuple(
            (key, value.encode("utf-8", "replace"))
            for key, value in texts.items()
            if key != PNG_XMP and not key.startswith(PNG_RAW_PROFILE) and "\0" not in key
        )
    comment = image.info.get("comment")
    return ((_COMMENT, comment),) if isinstance(comment, bytes) and comment else ()


def _texts_in(payloads: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yields keyword and text of each payload that has both parts."""
    for payload in payloads:
        key, separator, text = payload.partition(b"\0")
        if separator and key:
            yield key.decode("utf-8", "replace"), text


def _iptc_of(image: "Image.Image") -> object:
    """The records of IPTC that Pillow has found in a JPEG or PSD."""
    resources = image.info.get("photoshop")
    if isinstance(resources, Mapping):
        return resources.get(_PHOTOSHOP_IPTC)
    of_psd = getattr(image, "resources", None) or ()
    return next((each[-1] for each in of_psd if _PHOTOSHOP_IPTC in each), None)


def _exif_of_tiff(image: "Image.Image") -> bytes | None:
    """EXIF made of what a TIFF says of the picture, without how Pillow has turned its pixels."""
    if image.format != "TIFF":
        return None
    from PIL import Image

    source, exif = image.getexif(), Image.Exif()
    for tag in _TIFF_TAGS:
        if tag in source:
            exif[tag] = source.get_ifd(tag) if tag in _TIFF_DIRECTORIES else source[tag]
    return exif.tobytes() if len(exif) else None


def _pillow_tags(metadata: Metadata) -> "Image.Exif | None":
    """Tags for a TIFF, which holds EXIF, XMP and IPTC in one directory; None for nothing."""
    from PIL import Image

    found = Image.Exif()
    tags = tags_of(metadata.exif)
    if metadata.exif and tags:
        found.load(packed(tags))
        for tag, entry in tags.plain.items():
            if entry.kind == _ASCII:
                found[tag] = entry.data.rstrip(b"\0")  # in whatever encoding it is
        for tag in TIFF_RESOLUTION if metadata.resolution else ():
            found.pop(tag, None)
    for tag, packet in ((TIFF_XMP, metadata.xmp), (TIFF_IPTC, metadata.iptc)):
        if packet:
            found[tag] = packet
    return found if len(found) else None


def _family(kind: str) -> str:
    """The format whose rules hold: an MPO of one picture is a JPEG."""
    return "JPEG" if kind == "MPO" else kind


def decoded(text: bytes) -> str:
    """A text in UTF-8, or else in Latin-1, which old files use."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")
