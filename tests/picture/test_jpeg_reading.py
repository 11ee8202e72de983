"""JPEG: what its segments hold, and what lies behind it."""

import hashlib
import struct
from io import BytesIO

import numpy as np
import pytest
from conftest import make_picture
from PIL import Image, ImageCms

from aecodec.errors import InputError
from aecodec.picture.decoding import read_picture
from aecodec.picture.reading import Reading, Wishes

PIXELS = make_picture(24, 32)
IPTC = b"\x1c\x02\x50\0\x09Ann Photo"
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
RDF = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="r">%s</rdf:RDF></x:xmpmeta>'


def read(data: bytes, *keep: str) -> Reading:
    return read_picture(data, Wishes(keep) if keep else Wishes())


def make_jpeg(image: Image.Image | None = None, **options: object) -> bytes:
    file = BytesIO()
    (image or Image.fromarray(PIXELS)).save(file, "JPEG", quality=95, **options)
    return file.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def with_segments(*segments: bytes, behind: bytes = b"") -> bytes:
    data = make_jpeg()
    return data[:2] + b"".join(segments) + data[2:] + behind


def resource(number: int, content: bytes) -> bytes:
    start = b"8BIM" + struct.pack(">HHI", number, 0, len(content))
    return start + content + bytes(len(content) % 2)


def test_iptc_is_kept_and_paths_are_named() -> None:
    resources = resource(1005, bytes(16)) + resource(1028, IPTC) + resource(2000, bytes(26))
    halves = resources[:40], resources[40:]
    reading = read(with_segments(*(segment(0xED, b"Photoshop 3.0\0" + each) for each in halves)))
    assert reading.metadata.iptc == IPTC
    assert reading.losses == ("clipping paths are left out",)
    assert (
        read(with_segments(segment(0xED, b"Photoshop 3.0\0" + resources)), "icc").metadata.iptc
        is None
    )


def extended(guid: bytes, content: bytes, parts: int) -> list[bytes]:
    size = -(-len(content) // parts)
    head = b"http://ns.adobe.com/xmp/extension/\0" + guid
    return [
        segment(0xE1, head + struct.pack(">II", len(content), at) + content[at : at + size])
        for at in range(0, len(content), size)
    ]


def test_extended_xmp_is_joined() -> None:
    inner = b'<rdf:Description xmlns:e="e" e:Long="' + b"x" * 70000 + b'"/>'
    more = RDF % inner
    guid = hashlib.md5(more, usedforsecurity=False).hexdigest().upper().encode()
    note = b'<rdf:Description xmlns:xmpNote="n" xmpNote:HasExtendedXMP="' + guid + b'"/>'
    main = segment(0xE1, XMP_HEAD + RDF % note)
    parts = extended(guid, more, 3)
    reading = read(with_segments(main, *reversed(parts)))
    expected = RDF % (b'<rdf:Description xmlns:xmpNote="n"/>' + inner)
    assert reading.metadata.xmp == expected
    assert reading.losses == ()
    missing = read(with_segments(main, *parts[1:]))
    assert missing.metadata.xmp == RDF % note
    assert missing.losses == ("extended XMP cannot be read and is left out",)


@pytest.mark.parametrize(
    ("behind", "line"),
    [
        (b"\0\0\0\x18ftypmp42" + bytes(20), "a video behind the JPEG (motion photo) is left out"),
        (b"something", "9 bytes behind the JPEG are left out"),
        (bytes(500), None),
    ],
)
def test_what_lies_behind_is_named(behind: bytes, line: str | None) -> None:
    assert read(with_segments(behind=behind)).losses == ((line,) if line else ())


def test_gain_maps_are_named() -> None:
    xmp = segment(0xE1, XMP_HEAD + RDF % b'<rdf:Description hdrgm:Version="1.0"/>')
    reading = read(with_segments(xmp, behind=make_jpeg()))
    assert reading.losses == ("a gain map (Ultra HDR) is left out",)


def test_further_pictures_are_counted() -> None:
    file = BytesIO()
    image = Image.fromarray(PIXELS)
    image.save(file, "MPO", save_all=True, append_images=[image.rotate(180)])
    reading = read(file.getvalue())
    assert reading.frames == 2
    assert reading.losses == ("only the first of 2 frames is kept",)


def test_metadata_are_those_of_pillow() -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(70000)
    exif = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"
    data = make_jpeg(icc_profile=icc, exif=exif, comment=b"M\xf6we", dpi=(300, 150))
    found = read(data).metadata
    assert (found.icc, found.exif, found.text) == (icc, exif[6:], (("Comment", b"M\xf6we"),))
    assert found.resolution == (300, 150)


def test_damaged_metadata_do_not_keep_the_pixels_from_being_read() -> None:
    exif = segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")
    reading = read(
        with_segments(exif, segment(0xE2, b"ICC_PROFILE\0\2\3half"), segment(0xE2, b"MPF\0x"))
    )
    assert reading.metadata.exif == b"II*\0\xff\xff\xff\xff"
    assert reading.losses == ("the colour profile cannot be read and is left out",)
    with Image.open(BytesIO(make_jpeg())) as image:
        np.testing.assert_array_equal(reading.pixels, np.asarray(image))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_pixels_are_those_of_pillow(mode: str) -> None:
    data = make_jpeg(Image.fromarray(PIXELS).convert(mode))
    with Image.open(BytesIO(data)) as image:
        np.testing.assert_array_equal(
            read(data).pixels, np.asarray(image if mode == "L" else image.convert("RGB"))
        )
    assert read(data).losses == (("CMYK is converted to RGB",) if mode == "CMYK" else ())


def test_what_pillow_cannot_decode_is_named() -> None:
    data = bytearray(make_jpeg())
    place = data.index(b"\xff\xc0")
    data[place + 4] = 12
    with pytest.raises(InputError, match="JPEG with 12 bits is not supported"):
        read(bytes(data))
    data[place + 1] = 0xC3
    with pytest.raises(InputError, match="lossless coding is not supported"):
        read(bytes(data))
    with pytest.raises(InputError, match="ends before its pixels"):
        read(bytes(data[:place]))
