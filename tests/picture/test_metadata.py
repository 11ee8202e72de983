"""Metadata of every kind: in and out of pictures, and turned once at most."""

import struct
from dataclasses import dataclass, replace
from io import BytesIO

import pytest
from conftest import make_picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from aecodec.errors import InputError
from aecodec.format.chunks import Chunk
from aecodec.picture.metadata import Metadata, metadata_in, metadata_of
from aecodec.picture.picture import decode_picture, to_picture

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><note>\xc3\xa4</note></x:xmpmeta>'


def make_exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Camera"
    return exif.tobytes().removeprefix(b"Exif\x00\x00")


FULL = Metadata(ICC, make_exif(6), XMP)


def file_of(kind: str, metadata: Metadata = FULL) -> bytes:
    stream = BytesIO()
    image = Image.fromarray(make_picture(40, 70))
    image.save(stream, kind, **metadata.save_options(kind))
    return stream.getvalue()


def test_what_to_keep() -> None:
    with Image.open(BytesIO(file_of("PNG"))) as image:
        assert to_picture(image, keep=()).metadata == Metadata()
        assert to_picture(image, keep=("icc",)).metadata == Metadata(icc=ICC)
        with pytest.raises(InputError, match="cannot keep color"):
            to_picture(image, keep=("color",))


TEXTS = (("Title", b"Harbour"), ("Comment", "Möwe am Kai 鷗".encode()))


def test_formats_name_what_they_cannot_carry() -> None:
    metadata = replace(FULL, resolution=(72.0, 72.0), text=TEXTS)
    assert metadata.lost_in("PNG") == []
    assert metadata.lost_in("JPEG") == ["text"]
    assert metadata.lost_in("WEBP") == ["resolution", "text"]
    assert metadata.lost_in("PPM") == ["icc", "exif", "xmp", "resolution", "text"]
    assert replace(metadata, text=TEXTS[1:]).lost_in("JPEG") == []
    assert replace(metadata, text=(("鷗", b"gull"),)).lost_in("PNG") == ["text"]


@dataclass
class Optional:
    """Optional chunks without a file around them."""

    ancillary: tuple[Chunk, ...]


@given(st.lists(st.tuples(st.binary(max_size=90), st.binary(max_size=20)), max_size=3))
def test_any_stored_text_can_be_written_to_any_format(pairs: list[tuple[bytes, bytes]]) -> None:
    chunks = tuple(Chunk(b"text", key + b"\0" + text) for key, text in pairs)
    image = Image.new("RGB", (1, 1))
    metadata_in(Optional(chunks)).attach(image)
    for kind in ("PNG", "JPEG", "TIFF", "WEBP"):
        image.save(BytesIO(), kind, **metadata_of(image).save_options(kind))


@pytest.mark.parametrize(
    "chunk",
    [
        Chunk(b"phys", b"12"),
        Chunk(b"phys", struct.pack("<2d", float("nan"), 1)),
        Chunk(b"phys", struct.pack("<2d", 72, -1)),
        Chunk(b"phys", struct.pack("<2d", 72, 1e300)),
        Chunk(b"text", b"no separator"),
        Chunk(b"text", b"\0no keyword"),
        Chunk(b"text", b""),
    ],
)
def test_chunks_that_break_their_rules_are_ignored(chunk: Chunk) -> None:
    assert metadata_in(Optional((chunk,))) == Metadata()


def test_of_repeated_chunks_the_first_counts() -> None:
    chunks = (Chunk(b"note", b"x"), Chunk(b"exif", b"first"), Chunk(b"exif", b"second"))
    assert metadata_in(Optional(chunks)) == Metadata(exif=b"first")


def test_chunks_hold_everything() -> None:
    metadata = replace(FULL, resolution=(71.9836, 143.9926), text=TEXTS)
    assert metadata_in(Optional(metadata.chunks())) == metadata


@pytest.mark.parametrize("copy", [False, True])
def test_what_is_attached_to_a_picture_is_found_again(copy: bool) -> None:
    metadata = replace(FULL, resolution=(71.9836, 143.9926), text=TEXTS)
    image = Image.new("RGB", (1, 1))
    metadata.attach(image)
    assert metadata_of(image.convert("L") if copy else image) == metadata
    assert image.info["Title"] == "Harbour"
    odd = Metadata(xmp=XMP, text=(("xmp", b"no packet"), ("text", b"a word")))
    image = Image.new("RGB", (1, 1))
    odd.attach(image)
    assert metadata_of(image) == odd


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_every_byte_comes_back_from_a_file(kind: str) -> None:
    assert decode_picture(file_of(kind)).metadata == FULL


def test_a_jpeg_comment_in_another_encoding_keeps_its_bytes() -> None:
    source = file_of("JPEG", Metadata(text=(("Comment", b"M\xf6we"),)))
    metadata = decode_picture(source).metadata
    assert metadata.text == (("Comment", b"M\xf6we"),)
    image = Image.new("RGB", (1, 1))
    metadata.attach(image)
    assert image.info["Comment"] == "M\xf6we"


def test_what_a_tiff_says_of_the_picture_is_kept_and_its_layout_is_not() -> None:
    picture = decode_picture(file_of("TIFF", Metadata(exif=make_exif(6))))
    assert picture.pixels.shape == (70, 40, 3)
    assert picture.metadata.orientation == 1  # Pillow turned the pixels
    exif = Image.Exif()
    assert picture.metadata.exif is not None
    exif.load(picture.metadata.exif)
    assert dict(exif) == {0x010F: "Camera"}
