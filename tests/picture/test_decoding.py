"""Files of every format: orientation, profiles that fit, limits, losses, and errors of one line."""

import struct
import sys
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, ImageOps
from variants import TiffForm, make_samples, write_tiff

from aecodec.errors import AecError, InputError, LimitError
from aecodec.format.chunks import METADATA_KINDS, Limits
from aecodec.picture.color_description import profile_of_gamma, profile_space
from aecodec.picture.decoding import read_picture
from aecodec.picture.metadata import Metadata, turned
from aecodec.picture.orientation import exif_orientation, orientation_in, upright, xmp_orientation
from aecodec.picture.picture import LossWarning, decode_picture, to_picture
from aecodec.picture.reading import Wishes

PIXELS = make_picture(12, 20)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GRAY = profile_of_gamma(1.0, None, gray=True)
FORMATS = [
    "PNG",
    "JPEG",
    "WEBP",
    "TIFF",
    "AVIF",
    "JPEG2000",
    "GIF",
    "BMP",
    "TGA",
    "PPM",
    "PCX",
    "SGI",
]


def encoded(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    file = BytesIO()
    (image or Image.fromarray(PIXELS)).save(file, kind, **options)
    return file.getvalue()


def reason_against(data: bytes) -> str:
    """The message with which a file is refused; empty if it is read."""
    try:
        decode_picture(data)
    except AecError as exc:
        return str(exc)
    return ""


def make_exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    exif[271] = "Maker"
    return exif.tobytes().removeprefix(b"Exif\0\0")


def make_xmp(orientation: int, *, element: bool = False) -> bytes:
    stated = b"tiff:Orientation='%d'" % orientation
    inner = b"<rdf:Description %s/>" % stated
    if element:
        inner = b"<rdf:Description><tiff:Orientation>%d</tiff:Orientation></rdf:Description>"
        inner %= orientation
    return b"<x:xmpmeta><rdf:RDF>" + inner + b"</rdf:RDF></x:xmpmeta>"


def with_metadata(kind: str, exif: int, xmp: int) -> bytes:
    """A file whose EXIF and XMP state orientations; 0 for none."""
    metadata = Metadata(exif=make_exif(exif) if exif else None, xmp=make_xmp(xmp) if xmp else None)
    return encoded(kind, **metadata.save_options(kind))


@pytest.mark.parametrize(("exif", "xmp"), [(6, 0), (0, 6), (6, 6), (3, 8), (1, 5), (0, 0)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("keep", [METADATA_KINDS, (), ("icc", "xmp"), ("exif",)])
def test_a_picture_is_turned_once(kind: str, exif: int, xmp: int, keep: tuple[str, ...]) -> None:
    if kind == "TIFF" and exif == 0:
        exif = 1  # Pillow's writer has no other way to state XMP alone
        xmp, exif = (0, xmp) if xmp else (0, 1)
    picture = decode_picture(with_metadata(kind, exif, xmp), keep)
    shown = turned(picture.pixels, orientation_in(picture.metadata))
    with Image.open(BytesIO(encoded(kind))) as image:
        plain: npt.NDArray[np.uint8] = np.asarray(image.convert("RGB"))
    expected = turned(plain, exif or xmp or 1)
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).max() <= (0 if kind in ("PNG", "TIFF") else 90)
    if "exif" not in keep:
        assert orientation_in(picture.metadata) == 1


def test_orientations_are_read_and_set_in_place() -> None:
    for value, element in product(range(1, 9), (True, False)):
        metadata = Metadata(exif=make_exif(value), xmp=make_xmp(value, element=element))
        assert exif_orientation(metadata.exif) == xmp_orientation(metadata.xmp) == value
        plain = upright(metadata)
        assert exif_orientation(plain.exif) == xmp_orientation(plain.xmp) == 1
        assert plain.exif is not None
        assert len(plain.exif) == len(metadata.exif or b"")


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda data: b"MM\0*\0\0\0\x08" + data))
def test_any_exif_has_some_orientation(data: bytes) -> None:
    metadata = Metadata(exif=data, xmp=data)
    assert orientation_in(metadata) in range(1, 9)
    assert orientation_in(upright(metadata)) == 1


@pytest.mark.parametrize(
    ("mode", "profile", "kept"),
    [("RGB", SRGB, True), ("L", SRGB, False), ("L", GRAY, True), ("RGB", GRAY, False)],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_profiles_that_do_not_fit_are_dropped(
    mode: str, profile: bytes, kept: bool, kind: str
) -> None:
    image = Image.fromarray(PIXELS).convert(mode)
    picture = decode_picture(encoded(kind, image, icc_profile=profile))
    assert (picture.metadata.icc == profile) == kept
    assert bool(picture.losses) == (not kept)
    if not kept:
        assert "colour profile does not fit" in picture.losses[0]


@pytest.mark.parametrize(("space", "index"), [(2, ""), (65535, "R03")])
def test_exif_that_says_adobe_rgb_gives_its_profile(space: int, index: str) -> None:
    exif = Image.Exif()
    directory = exif.get_ifd(ExifTags.IFD.Exif)
    directory[40961] = space
    if index:
        directory[40965] = {1: index}
    picture = decode_picture(encoded("JPEG", exif=exif.tobytes()))
    assert picture.metadata.icc is not None
    assert profile_space(picture.metadata.icc) == "RGB"
    assert (
        decode_picture(encoded("JPEG", exif=exif.tobytes(), icc_profile=SRGB)).metadata.icc == SRGB
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_our_limits_decide_and_not_those_of_pillow(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(kind)
    with pytest.raises(LimitError, match="20 x 12 = 240 pixels, the limit is 239"):
        decode_picture(data, limits=Limits(pixels=239))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert decode_picture(data, limits=Limits(pixels=240)).pixels.shape[:2] == (12, 20)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::RuntimeWarning:PIL")
@pytest.mark.parametrize("kind", FORMATS)
def test_damage_is_our_error_in_one_line(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = encoded(kind)
    rng = np.random.default_rng(3)
    for number in range(40):
        data = bytearray(whole[: len(whole) - number * len(whole) // 60])
        for place in rng.integers(0, len(data), number % 4):
            data[place] = rng.integers(256)
        (tmp_path / "a").write_bytes(data)
        assert "\n" not in reason_against(bytes(data))
    (tmp_path / "a").write_bytes(whole[:20])
    with pytest.raises(InputError, match="a: "):
        to_picture(tmp_path / "a")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg", "group4"])
def test_libraries_keep_quiet(compression: str, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyvips", exc_type=ImportError)
    image = Image.fromarray(make_picture(64, 64)).convert("1" if "group" in compression else "RGB")
    data = bytearray(encoded("TIFF", image, compression=compression))
    for start in range(20, len(data) // 2, 40):
        damaged = data[:start] + bytes(30) + data[start + 30 :]
        assert "\n" not in reason_against(bytes(damaged))
    assert capfd.readouterr().err == ""


def test_losses_are_warnings_of_the_library_and_lines_for_others(tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS)
    data = encoded("GIF", image, save_all=True, append_images=[image.rotate(180)])
    line = "only the first of 2 frames is kept"
    assert decode_picture(data).losses == (line,)
    (tmp_path / "a.gif").write_bytes(data)
    with pytest.warns(LossWarning, match=line) as caught:
        picture = to_picture(tmp_path / "a.gif")
    assert len(caught) == 1
    assert to_picture(picture).losses == (line,)  # and no second warning
    with Image.open(BytesIO(data)) as opened, pytest.warns(LossWarning, match=line):
        to_picture(opened)


def test_more_bits_than_pillow_gives_are_refused_or_kept() -> None:
    deep = make_samples("u2", 3)
    head = struct.pack(">HBBHHHH", 474, 0, 2, 3, deep.shape[1], deep.shape[0], 3)
    planes = b"".join(deep[::-1, :, c].astype(">u2").tobytes() for c in range(3))
    with pytest.raises(InputError, match="SGI with more than 8 bits"):
        decode_picture(head.ljust(512, b"\0") + planes)
    gray = Image.fromarray(deep[:, :, 0])
    np.testing.assert_array_equal(decode_picture(encoded("JPEG2000", gray)).pixels, deep[:, :, 0])
    data = bytearray(encoded("JPEG2000"))
    place = data.index(b"\xff\x4f\xff\x51")
    data[place + 42 : place + 51 : 3] = bytes([11, 11, 11])
    with pytest.raises(InputError, match="JPEG 2000 in colour with 12 bits"):
        decode_picture(bytes(data))


def test_a_profile_in_a_bmp_is_kept() -> None:
    data = encoded("BMP")
    pixels = data[54:]
    head = bytearray(data[:54]) + bytes(124 - 40)
    head[14:18] = struct.pack("<I", 124)
    head[10:14] = struct.pack("<I", 138)
    head[70:74] = b"DEBM"
    head[126:134] = struct.pack("<II", 124 + len(pixels), len(SRGB))
    picture = decode_picture(bytes(head) + pixels + SRGB)
    assert picture.metadata.icc == SRGB
    np.testing.assert_array_equal(picture.pixels, PIXELS)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_pictures_shown_by_pillow_are_those_read(mode: str) -> None:
    """WebP without loss, with EXIF that turns it."""
    image = Image.fromarray(PIXELS).convert(mode)
    data = encoded("WEBP", image, lossless=True, exif=make_exif(8))
    with Image.open(BytesIO(data)) as opened:
        shown = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    np.testing.assert_array_equal(decode_picture(data, keep=()).pixels, shown)


def test_tiff_of_any_storage_is_read_from_a_path(tmp_path: Path) -> None:
    samples = make_samples("u2", 3)
    path = tmp_path / "a.tif"
    path.write_bytes(write_tiff(samples, TiffForm(2, 16, planes=True)))
    np.testing.assert_array_equal(to_picture(path).pixels, samples)
    assert read_picture(path.read_bytes(), Wishes()).losses == ()


def test_layers_of_psd_and_its_deep_pictures() -> None:
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 12, 20, 8, 3)
    resource = b"8BIM" + struct.pack(">HHI", 1028, 0, 8) + b"\x1c\x02\x50\0\x03Ann"
    data = head + bytes(4) + struct.pack(">I", len(resource)) + resource + bytes(4) + bytes(2)
    picture = decode_picture(data + PIXELS.transpose(2, 0, 1).tobytes())
    np.testing.assert_array_equal(picture.pixels, PIXELS)
    assert picture.metadata.iptc == b"\x1c\x02\x50\0\x03Ann"
    deep = bytearray(data)
    deep[22:24] = b"\0\x10"
    with pytest.raises(InputError, match="PSD with 16 bits a sample"):
        decode_picture(bytes(deep))


def test_beyond_the_limit_of_pillow_frames_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyvips", exc_type=ImportError)
    image = Image.fromarray(PIXELS)
    data = encoded("WEBP", image, save_all=True, append_images=[image.rotate(180)], lossless=True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    picture = decode_picture(data)
    np.testing.assert_array_equal(picture.pixels, PIXELS)
    assert picture.losses == ("only the first of 2 frames is kept",)
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with pytest.raises(LimitError, match=r"pip install 'aecodec\[vips\]'"):
        decode_picture(data)
