"""What output formats hold: sides, quality, profiles, metadata of any size."""

from io import BytesIO

import numpy as np
import pytest
from conftest import make_picture
from exif_bytes import make_exif, short, text
from PIL import Image, ImageCms

from aecodec.errors import InputError
from aecodec.picture.color_description import profile_of_gamma, profile_space
from aecodec.picture.formats import check_format, check_png_level, check_quality
from aecodec.picture.metadata import Metadata, metadata_of
from aecodec.picture.picture import decode_picture
from aecodec.picture.pixels import Pixels
from aecodec.picture.writers import Written, prepared, written

PIXELS = make_picture(40, 60)
GRAY = PIXELS[..., 0]
SAVED = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "PPM", "TGA", "PCX", "SGI",
         "JPEG2000", "DDS", "QOI")  # fmt: skip


def error_of(done: Written, pixels: Pixels) -> float:
    with Image.open(BytesIO(done.data)) as image:
        shown = np.asarray(image.convert("RGB"), np.float64)
    return float(((shown - pixels) ** 2).mean())


@pytest.mark.parametrize("kind", SAVED)
def test_sides_that_a_format_cannot_have_are_one_line(kind: str) -> None:
    for side in (255, 16384, 40000, 65535, 65536, 70000):
        pixels = np.zeros((1, side, 3), np.uint8)
        limit = longest_side(kind)
        if side > limit:
            with pytest.raises(InputError, match=f"^{kind} carries at most {limit} pixels a side"):
                prepared(pixels, kind, None)
            continue
        done = written(prepared(pixels, kind, None), kind, Metadata())
        with Image.open(BytesIO(done.data)) as image:
            image.load()
            assert image.size == (side, 1)


def longest_side(kind: str) -> int:
    """The longest side that is accepted."""
    low, high = 1, 2**20
    while high - low > 1:
        middle = (low + high) // 2
        try:
            check_format(kind, alpha=False, sixteen_bit=False, size=(1, middle))
        except InputError:
            high = middle
        else:
            low = middle
    return low


def test_icons_keep_their_size_or_are_refused() -> None:
    done = written(prepared(PIXELS, "ICO", None), "ICO", Metadata())
    with Image.open(BytesIO(done.data)) as image:
        assert image.size == (60, 40)
    with pytest.raises(InputError, match="ICO carries at most 256"):
        prepared(make_picture(10, 257), "ICO", None)
    with pytest.raises(InputError, match="ICNS carries squares"):
        prepared(PIXELS, "ICNS", None)


def test_the_quality_of_an_output() -> None:
    exact = {
        kind: error_of(written(PIXELS, kind, Metadata(), exact=True), PIXELS)
        for kind in ("WEBP", "JPEG", "AVIF")
    }
    usual = {kind: error_of(written(PIXELS, kind, Metadata()), PIXELS) for kind in exact}
    poor = {kind: error_of(written(PIXELS, kind, Metadata(), 20), PIXELS) for kind in exact}
    assert exact["WEBP"] == error_of(written(PIXELS, "WEBP", Metadata(), "lossless"), PIXELS) == 0
    for kind in exact:
        assert exact[kind] < usual[kind] < poor[kind]
    with Image.open(BytesIO(written(PIXELS, "JPEG", Metadata()).data)) as image:
        assert image.layer[1][1:3] == (1, 1)  # type: ignore[attr-defined]  # colours as fine as brightness


def test_qualities_that_make_no_sense() -> None:
    for kind in ("JPEG", "AVIF", "GIF"):
        with pytest.raises(InputError, match=f"{kind} is never lossless"):
            check_quality(kind, "lossless")
    for kind in ("PNG", "TIFF", "GIF", "BMP"):
        with pytest.raises(InputError, match=f"{kind} has no quality"):
            check_quality(kind, 80)
    check_quality("PNG", "lossless")


def test_only_png_has_levels() -> None:
    check_png_level("PNG", 9)
    check_png_level("JPEG", None)
    with pytest.raises(InputError, match="JPEG has no level"):
        check_png_level("JPEG", 3)
    for level in (-1, 10):
        with pytest.raises(InputError, match="lies in 0 to 9"):
            check_png_level("PNG", level)


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "TIFF", "PNG", "JPEG"])
@pytest.mark.parametrize("form", ["gray", "alpha", "deep", "background"])
def test_a_profile_is_one_of_the_pixels_in_the_file(kind: str, form: str) -> None:
    profile = profile_of_gamma(1.0, None, gray=True)
    pixels: Pixels = np.dstack([GRAY, GRAY]) if form != "gray" else GRAY
    if form == "deep":
        pytest.importorskip("pyvips")
        pixels = pixels.astype(np.uint16) * 257
    if kind != "TIFF" and form == "deep":
        return  # which Pillow reads as RGB, or the format does not hold
    over = (255, 128, 0) if form == "background" or (kind == "JPEG" and form == "alpha") else None
    done = written(prepared(pixels, kind, over), kind, Metadata(icc=profile))
    assert done.losses == ()
    with Image.open(BytesIO(done.data)) as image:
        image.load()
        icc = image.info["icc_profile"]
        space = profile_space(icc)
        assert space == ("GRAY" if image.mode in ("L", "LA") else "RGB")
    if space == "RGB" and kind == "WEBP" and form == "gray":
        assert light_of(icc, 128) == pytest.approx(light_of(profile, 128), abs=1)


def light_of(profile: bytes | None, level: int) -> float:
    """What a gray level looks like, in sRGB."""
    assert profile is not None
    mode = "L" if profile_space(profile) == "GRAY" else "RGB"
    image = Image.new(mode, (1, 1), level if mode == "L" else (level,) * 3)
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    shown = ImageCms.profileToProfile(
        image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert shown is not None
    return float(np.asarray(shown).mean())


def test_a_profile_that_fits_nothing_is_left_out_and_named() -> None:
    rgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    done = written(GRAY, "PNG", Metadata(icc=rgb))
    assert done.losses == ("PNG carries no icc of another colour space",)


@pytest.mark.parametrize("name", ["icc", "exif", "xmp", "iptc", "text"])
@pytest.mark.parametrize("kind", SAVED)
def test_metadata_of_any_size_are_kept_or_named(kind: str, name: str) -> None:
    for size in (100, 65519, 65535, 70000, 17_000_000):
        if size > 70000 and (name, kind) != ("icc", "JPEG"):
            continue
        metadata = Metadata().with_packet(name, b"x" * size)
        if name == "exif":
            metadata = Metadata(exif=make_exif({271: text(b"A" * size)}))
        elif name == "iptc":
            metadata = Metadata(iptc=b"\x1c\2\x78" + b"B" * size)
        elif name == "text":
            metadata = Metadata(text=(("Comment", b"x" * size),))
        done = written(prepared(PIXELS, kind, None), kind, metadata)
        with Image.open(BytesIO(done.data)) as image:
            image.load()
        kept = decode_picture(done.data).metadata if name != "icc" else metadata_of(image)
        found = getattr(kept, name)
        if (name, kind) == ("text", "JPEG2000"):
            found = None  # it holds a comment about its encoder
        assert (found not in (None, ())) != any(name in line for line in done.losses)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_iptc_comes_back(kind: str) -> None:
    iptc = b"\x1c\x02\x50\0\x09Ann Photo" + b"\x1c\x02\x78\0\x07Caption"
    done = written(PIXELS, kind, Metadata(iptc=iptc, xmp=b"<x/>"))
    assert done.losses == ()
    assert decode_picture(done.data).metadata.iptc == iptc


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"])
def test_exif_that_pillow_rejects_spoils_no_output(kind: str) -> None:
    exif = make_exif({274: short(6), 271: text(b"M\xf6\xff")})
    done = written(PIXELS, kind, Metadata(exif=exif))
    with Image.open(BytesIO(done.data)) as image:
        assert image.getexif().get(274, 1) in (1, 6)
        shown = image.size if kind != "TIFF" else (60, 40)
    assert shown == (60, 40)
    assert done.losses == ()
    assert b"M\xf6\xff" in done.data


def test_colours_that_a_format_cannot_hold_are_named() -> None:
    assert written(PIXELS, "GIF", Metadata()).losses == ("GIF carries no more than 256 colours",)
    assert written(np.zeros((9, 9, 3), np.uint8), "GIF", Metadata()).losses == ()
    assert written(PIXELS, "SPIDER", Metadata()).losses == ("SPIDER carries brightness alone",)
