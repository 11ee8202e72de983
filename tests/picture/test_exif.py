"""EXIF in a TIFF: what describes the picture arrives, and what describes pixels does not."""

import struct
from io import BytesIO

import numpy as np
import pytest
from conftest import make_picture
from exif_bytes import Value, long, make_exif, short, text
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from aecodec.picture.exif import LAYOUT, tags_of
from aecodec.picture.metadata import Metadata
from aecodec.picture.picture import decode_picture
from aecodec.picture.tiff_tags import Directories
from aecodec.picture.writers import written

PIXELS = make_picture(20, 30)
UTF8 = "Möwe 鷗".encode()


def tiff_with(exif: bytes, metadata: Metadata | None = None) -> tuple[bytes, tuple[str, ...]]:
    """A TIFF that must be readable and hold the pixels, and what it lacks."""
    done = written(PIXELS, "TIFF", Metadata(exif=exif) if metadata is None else metadata)
    with Image.open(BytesIO(done.data)) as image:
        np.testing.assert_array_equal(np.asarray(image), PIXELS)
    np.testing.assert_array_equal(decode_picture(done.data).pixels, PIXELS)
    return done.data, done.losses


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tag", sorted(LAYOUT - {274, 34665, 34853}))
def test_no_tag_of_size_or_layout_reaches_a_tiff(tag: int, order: str) -> None:
    several = (3, 3, struct.pack(order + "3H", 1, 2, 3))
    for value in (short(3, order), long(77, order), several, text(b"x" * 9)):
        _, losses = tiff_with(make_exif({271: text(b"Maker"), tag: value}, order=order))
        assert losses == ()


@pytest.mark.parametrize(
    "value", [text(b"300"), short(300), (5, 2, bytes(range(16))), (7, 9, b"12345678X")]
)
def test_a_tag_of_a_wrong_type_is_left_out_and_named(value: Value) -> None:
    _, losses = tiff_with(make_exif({271: text(b"Maker"), 282: value, 283: value}))
    assert losses == ("TIFF carries no exif tags 282, 283",)
    _, losses = tiff_with(make_exif({271: short(4), 305: text(b"Program")}))
    assert losses == ("TIFF carries no exif tag 271",)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deep", [False, True])
def test_a_tiff_has_every_other_byte(order: str, deep: bool) -> None:
    """Texts in any encoding, numbers in both byte orders, directories below; at 16 bits, too."""
    fraction = struct.pack(order + "2I", 1, 250)
    first = {270: text(UTF8), 315: text(b"M\xf6we"), 18246: short(4, order), 306: text(b"now")}
    exif = make_exif(first, {33434: (5, 1, fraction), 37510: (7, 5, b"\xff\0abc")}, order=order)
    if deep:
        pytest.importorskip("pyvips")
    pixels = PIXELS.astype(np.uint16) * 257 if deep else PIXELS
    done = written(pixels, "TIFF", Metadata(exif=exif, xmp=b"<x/>", iptc=b"\x1c\2\5\0\1a"))
    assert done.losses == ()
    back = decode_picture(done.data).metadata
    assert (back.xmp, back.iptc) == (b"<x/>", b"\x1c\2\5\0\1a")
    assert back.exif is not None
    directories = Directories(back.exif)
    top = next(directories.chain())
    assert (top.data(270), top.data(315)) == (UTF8 + b"\0", b"M\xf6we\0")
    assert top.integer(18246, 0) == 4
    (below,) = directories.below(top, 34665)
    assert below.numbers(33434) == (1 / 250,)
    assert below.data(37510) == b"\xff\0abc"


def test_the_resolution_of_exif_counts_where_the_picture_states_none() -> None:
    fractions = {tag: (5, 1, struct.pack("<2I", 300, 1)) for tag in (282, 283)}
    exif = make_exif({**fractions, 296: short(2)})
    data, _ = tiff_with(exif)
    assert decode_picture(data).metadata.resolution == pytest.approx((300, 300))
    data, _ = tiff_with(exif, Metadata(exif=exif, resolution=(72.0, 72.0)))
    assert decode_picture(data).metadata.resolution == pytest.approx((72, 72))


def test_an_orientation_of_a_wrong_type_still_counts() -> None:
    pixels = PIXELS[:10, :7]
    done = written(pixels, "TIFF", Metadata(exif=make_exif({274: long(6)})))
    with Image.open(BytesIO(done.data)) as image:
        assert np.asarray(image).shape == (7, 10, 3)  # Pillow turns it


@given(st.binary(max_size=120))
def test_any_bytes_are_exif_or_named(tail: bytes) -> None:
    exif = b"II*\0\x08\0\0\0" + tail
    tiff_with(exif)
    _, losses = tiff_with(tail or b"x")
    assert tags_of(tail or b"x") is not None or losses == ("TIFF carries no exif",)
