"""`.aec` files through Pillow's own functions."""

import copy
import pickle
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_picture, make_sixteen_bit
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from aecodec import Codec, EncodeOptions, InputError, LossWarning, Target, read_info
from aecodec.format.container import parse
from aecodec.jobs.transcode import picture_format
from aecodec.picture.metadata import metadata_in
from aecodec.picture.picture import to_picture
from aecodec.plugins.codecs import use_codec
from aecodec.plugins.pillow import AecImageFile

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta/>"
COLOURS = Image.fromarray(make_picture(40, 50))
WITH_ALPHA = Image.merge("RGBA", (*COLOURS.split(), Image.linear_gradient("L").resize((50, 40))))
UNIT = Image.fromarray(np.linspace(0, 1, 2000, dtype=np.float32).reshape(40, 50))
WIDE = Image.fromarray(np.linspace(0, 65535, 2000).astype(np.int32).reshape(40, 50))
PICTURES = {
    **{mode: COLOURS.convert(mode) for mode in ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr")},
    **{mode: COLOURS.convert(mode) for mode in ("HSV", "LAB", "RGBA")},
    **{mode: WITH_ALPHA.convert(mode) for mode in ("LA", "PA", "RGBa")},
    "La": WITH_ALPHA.convert("LA").convert("La"),
    "I": WIDE,
    "I;16": WIDE.convert("I;16"),
    "I;16B": WIDE.convert("I;16B"),
    "F": UNIT,
}


pytestmark = pytest.mark.usefixtures("plugged")


@pytest.fixture
def path(tmp_path: Path, compressed: bytes) -> Path:
    """A file of 30 by 20 pixels."""
    path = tmp_path / "a.aec"
    path.write_bytes(compressed)
    return path


def saved(image: Image.Image, **arguments: object) -> bytes:
    stream = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LossWarning)
        image.save(stream, "AEC", **arguments)
    return stream.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))


def make_exif(orientation: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_pictures_are_opened_by_their_header(
    path: Path, tiny_codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as blocked:
        blocked.setattr(Codec, "decode", None)
        image = Image.open(path)
        assert (image.format, image.size, image.mode) == ("AEC", (30, 20), "RGB")
        assert image.get_format_mimetype() == "image/x-aec"
        assert (image.tell(), getattr(image, "n_frames", 0)) == (0, 1)
    expected = tiny_codec.decompress_array(path)
    np.testing.assert_array_equal(np.asarray(image), expected)
    image.load()
    assert getattr(image, "fp", 0) is None
    image.seek(0)
    with pytest.raises(EOFError):
        image.seek(1)


def test_the_extension_names_the_format(tmp_path: Path) -> None:
    assert Image.registered_extensions()[".aec"] == "AEC"
    COLOURS.save(tmp_path / "a.AEC", quality=30)
    assert read_info(tmp_path / "a.AEC").quality == 30
    with Image.open(tmp_path / "a.AEC") as image:
        image.save(tmp_path / "a.png")
        image.save(tmp_path / "a.AEC", lossless=True)
    with Image.open(tmp_path / "a.AEC") as image, Image.open(tmp_path / "a.png") as png:
        assert image.tobytes() == png.tobytes()


def test_arguments_are_those_of_the_encoder(tiny_codec: Codec) -> None:
    for options in (
        EncodeOptions(quality=80, effort=0, checksum=True),
        EncodeOptions(lossless=True),
        EncodeOptions(max_error=3, quality=10),
        EncodeOptions(target=Target("size", 900)),
    ):
        names = ("quality", "effort", "checksum", "lossless", "max_error", "target")
        given = {name: getattr(options, name) for name in names}
        picture = np.asarray(COLOURS)
        assert saved(COLOURS, **given) == tiny_codec.compress(picture, options=options)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"quality": 101}, "quality"),
        ({"quality": "web_low"}, "quality"),
        ({"effort": 10}, "effort"),
        ({"lossless": True, "max_error": 3}, "exclude"),
        ({"keep": ["colour"]}, "cannot keep"),
        ({"exif": 7}, "exif must be bytes"),
        ({"dpi": "many"}, "dpi must be"),
    ],
)
def test_arguments_that_are_none(tmp_path: Path, arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        COLOURS.save(tmp_path / "a.aec", **arguments)
    assert not (tmp_path / "a.aec").exists()


@pytest.mark.parametrize("mode", PICTURES)
def test_every_mode_can_be_saved(mode: str) -> None:
    image = PICTURES[mode]
    assert image.mode == mode
    found = opened(saved(image, lossless=True))
    if mode in ("I", "I;16", "I;16B", "F"):
        assert found.mode == "I;16"
        wide = np.asarray(image).astype(np.float64) * (65535 if mode == "F" else 1)
        assert np.abs(np.asarray(found) - wide).max() <= 0.5
        return
    gray, alpha = mode in ("1", "L", "LA", "La"), "A" in mode.upper() and mode not in ("LAB",)
    expected = {(1, 1): "LA", (1, 0): "L", (0, 1): "RGBA", (0, 0): "RGB"}[gray, alpha]
    if mode == "RGBA":  # all of it opaque
        expected = "RGB"
    assert found.mode == expected
    if mode == "LAB":  # Pillow has no conversion of its own
        assert np.abs(np.asarray(found) - np.asarray(COLOURS, np.int16)).mean() < 2
        return
    shown = np.asarray(image.convert(expected))
    visible = np.asarray(found)[..., -1:] > 0 if alpha else True
    np.testing.assert_array_equal(np.asarray(found) * visible, shown * visible)


@pytest.mark.parametrize("image", [Image.new("F", (3, 3), 2.0), Image.new("I", (3, 3), -1)])
def test_values_without_a_meaning_are_refused(image: Image.Image) -> None:
    with pytest.raises(InputError, match="must"):
        saved(image)


@pytest.mark.parametrize(
    ("channels", "mode"), [(1, "I;16"), (3, "RGB"), (4, "RGBA")], ids=["gray", "rgb", "rgba"]
)
def test_sixteen_bits(tiny_codec: Codec, channels: int, mode: str) -> None:
    pixels = make_sixteen_bit(20, 30, channels)
    data = tiny_codec.compress(pixels)
    image = opened(data)
    assert image.mode == mode
    depth = None if channels == 1 else 8
    np.testing.assert_array_equal(np.asarray(image), tiny_codec.decompress_array(data, depth=depth))
    assert image.mode == mode


def test_metadata_are_there_before_the_pixels() -> None:
    exif = make_exif()
    data = saved(COLOURS, icc_profile=SRGB, exif=exif, xmp=XMP, dpi=(300, 200), comment="Möwe")
    image = opened(data)
    assert image.info["icc_profile"] == SRGB
    assert image.getexif()[0x0112] == 6
    assert image.info["xmp"] == XMP
    assert image.info["dpi"] == (300, 200)
    assert image.info["Comment"] == "Möwe"
    assert metadata_in(parse(data)).exif == exif.tobytes().removeprefix(b"Exif\0\0")
    assert image.size == COLOURS.size  # not turned: EXIF says how they are to be


def test_metadata_are_written_as_pillow_writes_them() -> None:
    """Of `info` only the profile, and what is named."""
    image = COLOURS.copy()
    image.info = {"icc_profile": SRGB, "exif": make_exif().tobytes(), "dpi": (72, 72), "xmp": XMP}
    assert opened(saved(image)).info == {"icc_profile": SRGB}
    assert opened(saved(image)).size == image.size
    assert opened(saved(image, icc_profile=None)).info == {}
    assert opened(saved(image, icc_profile=None, xmp=XMP.decode())).info == {"xmp": XMP}
    kept = opened(saved(image, keep=["xmp", "resolution", "exif"], dpi=None))
    assert set(kept.info) == {"exif", "xmp"}
    assert image.info.keys() == {"icc_profile", "exif", "dpi", "xmp"}


def test_a_transparent_colour_is_alpha() -> None:
    image = COLOURS.convert("L")
    image.info["transparency"] = image.getpixel((0, 0))
    found = opened(saved(image, lossless=True))
    assert found.mode == "LA"
    assert found.getpixel((0, 0))[1] == 0  # type: ignore[index]  # of two channels


@pytest.mark.parametrize(
    ("size", "scale"), [((25, 20), 2), ((12, 10), 4), ((3, 2), 8), ((26, 9), 1)]
)
def test_drafts_are_decoded_smaller(tiny_codec: Codec, size: tuple[int, int], scale: int) -> None:
    data = saved(COLOURS, exif=make_exif())
    image = opened(data)
    assert image.draft("L", size) == ("RGB", (0, 0, 50 / scale, 40 / scale))
    assert image.size == (-(-50 // scale), -(-40 // scale))
    np.testing.assert_array_equal(np.asarray(image), tiny_codec.decompress_array(data, scale=scale))
    assert image.draft(None, (1, 1)) is None
    assert opened(data).draft("L", None) is None


def test_thumbnails_use_drafts() -> None:
    image = opened(saved(COLOURS))
    image.thumbnail((5, 5))
    assert image.size == (5, 4)
    whole = COLOURS.copy()
    whole.thumbnail((5, 5))
    assert np.abs(np.asarray(image, np.int16) - np.asarray(whole, np.int16)).mean() < 12
    assert image._scale == 4  # type: ignore[attr-defined]  # of the plugin


def test_pictures_can_be_copied_and_pickled(path: Path) -> None:
    expected = np.asarray(Image.open(path))
    image = Image.open(path)
    for twin in (copy.copy(Image.open(path)), copy.deepcopy(image), pickle.loads(  # noqa: S301
        pickle.dumps(Image.open(path))
    ), Image.open(path).copy()):  # fmt: skip
        np.testing.assert_array_equal(np.asarray(twin), expected)


def test_files_are_closed(path: Path) -> None:
    """A resource warning is an error here."""
    with Image.open(path):
        pass
    image = Image.open(path)
    image.close()
    with path.open("rb") as stream:
        assert Image.open(stream).getpixel((0, 0)) is not None
        assert not stream.closed


def test_whatever_is_no_such_file_is_for_others(compressed: bytes) -> None:
    with pytest.raises(UnidentifiedImageError):
        opened(b"Dear reader")
    with pytest.raises(SyntaxError, match="not an"):
        AecImageFile(BytesIO(b"Dear reader, this is a letter and no picture"))
    png = BytesIO()
    COLOURS.save(png, "PNG")
    assert opened(png.getvalue()).format == "PNG"


def test_a_damaged_header_is_not_identified(path: Path, compressed: bytes) -> None:
    for data, reason in (
        (compressed[:20], "truncated"),
        (compressed[:18] + b"\xff" + compressed[19:], "checksum"),
        (compressed[:4] + b"\x07" + compressed[5:], "version"),
    ):
        with pytest.raises(UnidentifiedImageError, match=reason):
            opened(data)
        path.write_bytes(data)
        with pytest.raises(UnidentifiedImageError, match=reason):
            Image.open(path)


def test_damage_behind_it_is_an_oserror(compressed: bytes) -> None:
    middle = len(compressed) // 2
    flipped = bytes([compressed[middle] ^ 1])
    for data, reason in (
        (compressed[:-20], "truncated"),
        (compressed[:middle] + flipped + compressed[middle + 1 :], "checksum"),
        (compressed + b"\0", "trailing"),
    ):
        image = opened(data)
        assert image.size == (30, 20)
        with pytest.raises(OSError, match=reason):
            image.load()
        with pytest.raises(OSError, match=reason):
            opened(data).verify()


def test_damaged_metadata_do_not_hide_the_picture() -> None:
    data = bytearray(saved(COLOURS, xmp=XMP))
    data[data.index(XMP) + 3] ^= 1
    image = opened(bytes(data))
    assert image.info == {}
    with pytest.raises(OSError, match="checksum"):
        image.load()


def test_an_unknown_model_is_an_oserror(compressed: bytes) -> None:
    use_codec(Codec())
    with pytest.raises(OSError, match="model"):
        opened(compressed).load()


def test_truncated_files_on_request(
    compressed: bytes, tiny_codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    cut = compressed[:-60]
    expected = tiny_codec.decompress_array(cut, allow_truncated=True)
    np.testing.assert_array_equal(np.asarray(opened(cut)), expected)
    np.testing.assert_array_equal(
        np.asarray(opened(compressed)), tiny_codec.decompress_array(compressed)
    )


def test_pictures_can_come_in_pieces(compressed: bytes, tiny_codec: Codec) -> None:
    parser = ImageFile.Parser()
    for at in range(0, len(compressed), 50):
        parser.feed(compressed[at : at + 50])
    np.testing.assert_array_equal(
        np.asarray(parser.close()), tiny_codec.decompress_array(compressed)
    )


def test_bombs_are_refused_as_pillow_refuses_them(
    compressed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 299)
    with pytest.raises(Image.DecompressionBombError):
        opened(compressed)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 599)
    with pytest.warns(Image.DecompressionBombWarning):
        opened(compressed).load()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    opened(compressed).load()


def test_verify_reads_and_does_not_decode(
    path: Path, compressed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Codec, "decode", None)
    opened(compressed).verify()
    Image.open(path).verify()


def test_the_command_line_converts_none_to_itself(path: Path) -> None:
    """Though Pillow knows the format now."""
    with pytest.raises(InputError, match="already"):
        to_picture(path)
    with pytest.raises(InputError, match="unknown picture format"):
        picture_format("b.aec")


KIT = Path(__file__).resolve().parents[1] / "conformance"


def test_every_invalid_file_is_an_oserror() -> None:
    """`UnidentifiedImageError` is one, too."""
    use_codec(None)
    files = sorted((KIT / "invalid").glob("*.aec"))
    assert len(files) > 50
    for path in files:
        with pytest.raises(OSError, match=r"\w"), Image.open(path) as image:  # noqa: PT012
            image.load()
            pytest.fail(path.name)


@pytest.mark.slow
def test_mutated_files_decode_or_are_an_oserror(tiny_codec: Codec) -> None:
    rng = np.random.default_rng(3)
    whole = saved(COLOURS, xmp=XMP, quality=30)
    outcomes = {"decoded": 0, "refused": 0}
    for _ in range(300):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            data[at] = rng.integers(256)
        try:
            opened(bytes(data[: len(data) - int(rng.integers(0, 2) * rng.integers(0, 99))])).load()
            outcomes["decoded"] += 1
        except OSError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 250
