"""Metadata of all kinds: byte for byte through the codec, and turned once at most."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture
from PIL import Image, ImageCms, ImageOps
from shell import run_main

import aecodec
from aecodec.codec import Codec
from aecodec.errors import LimitError
from aecodec.format.chunks import Chunk, Limits
from aecodec.format.container import chunk_table, parse, serialize
from aecodec.picture.metadata import Metadata, metadata_in, metadata_of
from aecodec.picture.picture import Picture, decode_picture

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


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_every_byte_comes_back(tiny_codec: Codec, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(file_of(kind))
    data = tiny_codec.compress(path)
    assert metadata_in(parse(data)) == FULL
    image = tiny_codec.decompress(data)
    assert metadata_of(image) == FULL
    again = BytesIO()
    image.save(again, kind, **metadata_of(image).save_options(kind))
    with Image.open(again) as saved:
        saved.load()
        assert metadata_of(saved) == FULL


def test_pixels_stay_as_they_lie_and_are_shown_upright_once(tiny_codec: Codec) -> None:
    with Image.open(BytesIO(file_of("PNG"))) as source:
        shown = ImageOps.exif_transpose(source)
        kept = tiny_codec.decompress(tiny_codec.compress(source, 90))
        stripped = tiny_codec.decompress(tiny_codec.compress(source, 90, keep=("icc", "xmp")))
    assert (kept.size, stripped.size) == ((70, 40), (40, 70))
    assert ImageOps.exif_transpose(kept).size == shown.size
    assert metadata_of(stripped) == Metadata(icc=ICC, xmp=XMP)
    difference = np.asarray(ImageOps.exif_transpose(kept), int) - np.asarray(stripped)
    assert np.abs(difference).mean() < 10  # the same way up; coded differently


def test_arrays_have_none_and_cost_nothing(tiny_codec: Codec) -> None:
    data = tiny_codec.compress(make_picture(40, 70))
    assert [kind for kind, _, _ in chunk_table(data)] == ["HEAD", "TILE", "DONE"]


def test_hostile_metadata_are_only_bytes(tiny_codec: Codec) -> None:
    """No profile and no EXIF is interpreted when a file is decoded."""
    junk = bytes(np.random.default_rng(3).integers(0, 256, 5000, np.uint8))
    picture = Picture(make_picture(40, 70), Metadata(junk, junk, junk))
    image = tiny_codec.decompress(tiny_codec.compress(picture))
    assert metadata_of(image) == Metadata(junk, junk, junk)


def test_the_limit_on_metadata(tiny_codec: Codec) -> None:
    picture = Picture(make_picture(20, 20), Metadata(icc=bytes(range(200)) * 10))
    data = tiny_codec.compress(picture)
    assert parse(data, Limits(metadata_bytes=2000)).ancillary
    with pytest.raises(LimitError, match="2000 bytes of metadata, the limit is 1999"):
        parse(data, Limits(metadata_bytes=1999))


def test_nothing_is_written_that_cannot_be_read(tiny_weights: Path) -> None:
    codec = Codec(tiny_weights, limits=Limits(metadata_chunks=2, metadata_bytes=100))
    pixels = make_picture(20, 20)
    text = tuple((key, b"x") for key in "abc")
    data = codec.compress(Picture(pixels, Metadata(text=text[:2])))
    assert metadata_in(parse(data)).text == text[:2]
    with pytest.raises(LimitError, match="3 optional chunks, the limit is 2"):
        codec.compress(Picture(pixels, Metadata(text=text)))
    with pytest.raises(LimitError, match="3 optional chunks, the limit is 2"):
        codec.compress(Picture(pixels, Metadata(text=text[:2])), checksum=True)
    with pytest.raises(LimitError, match="101 bytes of metadata, the limit is 100"):
        codec.compress(Picture(pixels, Metadata(icc=bytes(101))))


def test_the_command_line_keeps_strips_and_selects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, packed = tmp_path / "a.jpg", str(tmp_path / "a.aec")
    source.write_bytes(file_of("JPEG"))
    expected = {(): FULL, ("--strip",): Metadata(), ("--keep", "exif"): Metadata(exif=FULL.exif)}
    for options, metadata in expected.items():
        assert run_main("compress", str(source), "-f", "-o", packed, *options) == 0
        assert metadata_in(parse(Path(packed).read_bytes())) == metadata
        for name in ("b.png", "b.jpg", "b.webp"):
            assert run_main("decompress", packed, "-f", "-o", str(tmp_path / name)) == 0
            with Image.open(tmp_path / name) as image:
                image.load()
                assert metadata_of(image) == metadata
                assert ImageOps.exif_transpose(image).size == (40, 70)
    capsys.readouterr()
    for bad in (("--keep", "gps"), ("--strip", "--keep", "icc")):
        assert run_main("compress", str(source), "-f", "-o", packed, *bad) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_formats_that_carry_none_get_upright_pixels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, packed, out = (str(tmp_path / name) for name in ("a.png", "a.aec", "b.bmp"))
    Path(source).write_bytes(file_of("PNG"))
    assert run_main("compress", source) == 0
    assert run_main("decompress", packed, "-o", out) == 0
    assert "warning: BMP carries no icc, exif, xmp" in capsys.readouterr().err
    with Image.open(out) as image:
        assert image.size == (40, 70)


def test_profiled_colours_look_the_same() -> None:
    """Decoded numbers under the decoded profile are the colours of the source, within the loss."""
    wide = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    chelsea = Path(__file__).resolve().parents[2] / "samples" / "chelsea.png"
    with Image.open(chelsea) as image:
        source = image.crop((100, 50, 260, 180))
    source.info["icc_profile"] = ICC
    result = aecodec.decompress(aecodec.compress(source, 95))
    lab = [
        ImageCms.profileToProfile(
            each, ImageCms.ImageCmsProfile(BytesIO(each.info["icc_profile"])), wide,
            outputMode="LAB",
        )
        for each in (source, result)
    ]  # fmt: skip
    difference = np.asarray(lab[0], np.int16) - np.asarray(lab[1], np.int16)
    assert np.abs(difference[..., 0]).mean() < 3


def test_lossless_tiles_keep_them_too(tiny_codec: Codec) -> None:
    flat = np.full((130, 140, 3), 7, np.uint8)
    for exponent in (6, 10):
        data = tiny_codec.compress(Picture(flat, FULL), tile_exponent=exponent)
        assert parse(data).lossless_count > 0
        assert metadata_in(parse(data)) == FULL


TEXTS = (("Title", b"Harbour"), ("Comment", "Möwe am Kai 鷗".encode()))


@pytest.mark.parametrize(
    ("kind", "metadata"),
    [
        ("PNG", Metadata(resolution=(71.9836, 143.9926), text=TEXTS)),
        ("JPEG", Metadata(resolution=(300.0, 300.0), text=TEXTS[1:])),
        ("TIFF", Metadata(resolution=(300.0, 150.0), xmp=XMP)),
    ],
)
def test_resolution_and_texts_come_back(
    tiny_codec: Codec, tmp_path: Path, kind: str, metadata: Metadata
) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(file_of(kind, metadata))
    image = tiny_codec.decompress(tiny_codec.compress(path))
    stored = metadata_of(image)
    assert stored.resolution == pytest.approx(metadata.resolution, abs=1e-4)
    assert (stored.text, stored.xmp) == (metadata.text, metadata.xmp)
    again = BytesIO()
    image.save(again, kind, **stored.save_options(kind))
    with Image.open(again) as saved:
        saved.load()
        assert metadata_of(saved) == stored


def test_a_jpeg_comment_in_another_encoding_keeps_its_bytes(tiny_codec: Codec) -> None:
    source = file_of("JPEG", Metadata(text=(("Comment", b"M\xf6we"),)))
    image = tiny_codec.decompress(tiny_codec.compress(decode_picture(source)))
    assert image.info["Comment"] == "M\xf6we"
    assert metadata_in(parse(tiny_codec.compress(decode_picture(source)))).text == (
        ("Comment", b"M\xf6we"),
    )


def test_what_a_tiff_says_of_the_picture_is_kept_and_its_layout_is_not(
    tiny_codec: Codec, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(file_of("TIFF", Metadata(exif=make_exif(6))))
    image = tiny_codec.decompress(tiny_codec.compress(path))
    exif = image.getexif()
    assert dict(exif) == {0x010F: "Camera"}  # no orientation: Pillow turned the pixels
    assert image.size == (40, 70)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "ppm"])
def test_exif_that_cannot_be_read_is_kept_or_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    stream = parse(Codec().compress(make_picture(20, 30)))
    packed, target = tmp_path / "a.aec", tmp_path / f"b.{suffix}"
    packed.write_bytes(serialize(replace(stream, ancillary=(Chunk(b"exif", b"no TIFF at all"),))))
    assert run_main("decompress", str(packed), "-o", str(target)) == 0
    assert target.exists()
    assert ("carries no exif" in capsys.readouterr().err) == (suffix in ("tif", "ppm"))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_kept_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    source, packed = tmp_path / f"a.{kind.lower()}", tmp_path / "a.aec"
    frames = [Image.new("RGB", (20, 10), (level, 40, 40)) for level in (200, 90, 10)]
    options = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(source, kind, save_all=True, append_images=frames[1:], **options)
    assert run_main("compress", source, "-o", packed) == 0
    assert f"{source}: warning: only the first of 3 frames is kept" in capsys.readouterr().err
    first = aecodec.decompress_array(packed.read_bytes())
    assert np.abs(first.astype(int) - (200, 40, 40)).max() < 12
