"""Crops, smaller and turned pictures: no preview of the whole, no stale size."""

import base64
import struct
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from conftest import make_picture
from exif_bytes import long, make_exif, short, text
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from aecodec.codec import Codec
from aecodec.errors import InputError
from aecodec.format.tiling import Region
from aecodec.picture.metadata import Metadata, turned
from aecodec.picture.picture import Picture
from aecodec.picture.reshaping import reshaped, stored_region
from aecodec.picture.tiff_tags import Directories


def thumbnail() -> bytes:
    stream = BytesIO()
    Image.fromarray(make_picture(12, 16)).save(stream, "JPEG")
    return stream.getvalue()


THUMBNAIL = thumbnail()


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_loses_previews_and_gets_the_new_sizes(order: str) -> None:
    first = {271: text(b"Maker"), 274: short(6, order)}
    first |= {256: short(40, order), 257: short(30, order)}
    inner = {40962: long(40, order), 40963: short(30, order), 37510: text(b"a comment"),
             37396: (3, 2, struct.pack(order + "2H", 20, 15))}  # fmt: skip
    exif = make_exif(first, inner, order=order, thumbnail=THUMBNAIL)
    done, lines = reshaped(Metadata(exif=exif), 9, 7)
    assert lines == ()
    assert done.exif is not None
    assert THUMBNAIL[:3] not in done.exif
    assert THUMBNAIL[40:80] not in done.exif
    directories = Directories(done.exif)
    (top,) = directories.chain()
    assert sorted(top.entries) == [271, 274, 34665]
    (below,) = directories.below(top, 34665)
    assert sorted(below.entries) == [37510, 40962, 40963]
    assert (below.integer(40962, 0), below.integer(40963, 0)) == (9, 7)
    assert below.data(37510) == b"a comment\0"
    assert done.exif.find(b"a comment") == exif.find(b"a comment")  # it lies where it lay


@pytest.mark.parametrize("tag", [37500, 37510, 330, 513, 700, 34377, 20507])
def test_no_tag_may_hold_a_preview(tag: int) -> None:
    value = (7, len(THUMBNAIL) + 4, b"note" + THUMBNAIL)
    maker = {271: text(b"x")}
    for exif in (make_exif({tag: value, **maker}), make_exif(maker, {tag: value})):
        done, lines = reshaped(Metadata(exif=exif), 9, 7)
        assert done.exif is not None
        assert THUMBNAIL[40:80] not in done.exif
        assert len(lines) == (tag == 37500)


def test_bytes_to_which_nothing_refers_do_not_stay() -> None:
    exif = make_exif({271: text(b"Maker")}) + b"secret" + b"\0" * 10
    done, _ = reshaped(Metadata(exif=exif), 9, 7)
    assert done.exif == exif[:-16]


def test_exif_that_cannot_be_read_is_left_out_and_named() -> None:
    for exif in (b"nonsense", b"II*\0", b"II*\0\xff\xff\0\0", b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0"):
        done, lines = reshaped(Metadata(exif=exif), 9, 7)
        assert done.exif is None
        assert len(lines) == 1


def test_other_packets_lose_previews() -> None:
    image = base64.b64encode(THUMBNAIL)
    thumbs = b"<xmp:Thumbnails><rdf:li><xmpGImg:image>%s</xmpGImg:image></rdf:li></xmp:Thumbnails>"
    sizes = b'<r exif:PixelXDimension="40"><tiff:ImageLength>30</tiff:ImageLength><x>a</x></r>'
    done, lines = reshaped(Metadata(xmp=thumbs % image + sizes), 9, 7)
    expected = b'<r exif:PixelXDimension="9"><tiff:ImageLength>7</tiff:ImageLength><x>a</x></r>'
    assert (done.xmp, lines) == (expected, ())
    odd = Metadata(xmp=b"<own:preview>%s" % image, iptc=b"\x1c\2\xca" + THUMBNAIL,
                   text=(("Title", b"x"), ("thumb", image)))  # fmt: skip
    done, lines = reshaped(odd, 9, 7)
    assert done == Metadata(text=(("Title", b"x"),))
    assert [line.split()[0] for line in lines] == ["xmp", "iptc", "text"]


@given(st.binary(max_size=80), st.integers(1, 300))
def test_any_exif_can_be_reshaped(tail: bytes, side: int) -> None:
    reshaped(Metadata(exif=b"MM\0*\0\0\0\x08" + tail, xmp=tail), side, side)


@pytest.mark.parametrize("kind", ["region", "scale"])
def test_the_library_gives_no_preview_either(tiny_codec: Codec, kind: str) -> None:
    exif = make_exif({271: text(b"x")}, thumbnail=THUMBNAIL)
    data = tiny_codec.compress(Picture(make_picture(20, 30), Metadata(exif=exif)))
    assert tiny_codec.decompress(data).info["exif"] == exif
    region = Region(0, 0, 8, 8) if kind == "region" else None
    image = tiny_codec.decompress(data, region=region, scale=1 if region else 2)
    assert THUMBNAIL[:3] not in image.info["exif"]


def test_a_picture_that_is_turned_when_it_is_read_has_no_preview(tiny_codec: Codec) -> None:
    stream = BytesIO()
    exif = make_exif({271: text(b"x")}, thumbnail=THUMBNAIL)
    xmp = b'<x xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    Image.fromarray(make_picture(20, 30)).save(stream, "WEBP", exif=exif, xmp=xmp)
    with Image.open(stream) as source:
        image = tiny_codec.decompress(tiny_codec.compress(source))
    assert image.size == (20, 30)
    assert THUMBNAIL[:3] not in image.info["exif"]


@given(st.integers(1, 8), st.data())
def test_a_region_counts_in_the_picture_as_it_is_shown(
    orientation: int, data: st.DataObject
) -> None:
    stored = np.arange(5 * 9).reshape(5, 9)
    shown = turned(stored, orientation)
    height, width = shown.shape
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    across, down = data.draw(st.integers(1, width - left)), data.draw(st.integers(1, height - top))
    region = Region(left, top, across, down)
    place = stored_region(region, orientation, 9, 5)
    np.testing.assert_array_equal(
        turned(stored[place.slices()], orientation), shown[region.slices()]
    )


def test_a_region_outside_of_the_shown_picture_is_refused() -> None:
    with pytest.raises(InputError, match="5x9"):
        stored_region(Region(0, 0, 9, 5), 6, 9, 5)


def test_a_picture_without_stale_metadata_stays_as_it_is() -> None:
    metadata = replace(Metadata(), icc=b"profile", resolution=(72.0, 72.0), text=(("a", b"b"),))
    assert reshaped(metadata, 3, 4) == (metadata, ())
