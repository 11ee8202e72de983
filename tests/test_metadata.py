"""Colour profile, EXIF and XMP: byte for byte through the codec, and turned once at most."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture
from PIL import Image, ImageCms, ImageOps

import aecodec
from aecodec.cli import main
from aecodec.codec import Codec
from aecodec.container import HEADER_BYTES, Chunk, Limits, chunk_table, parse, serialize
from aecodec.errors import InputError, LimitError
from aecodec.images import Picture, to_picture
from aecodec.metadata import Metadata, metadata_in, metadata_of

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


def test_what_to_keep() -> None:
    with Image.open(BytesIO(file_of("PNG"))) as image:
        assert to_picture(image, keep=()).metadata == Metadata()
        assert to_picture(image, keep=("icc",)).metadata == Metadata(icc=ICC)
        with pytest.raises(InputError, match="cannot keep color"):
            to_picture(image, keep=("color",))


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


def test_of_repeated_chunks_the_first_counts(tiny_codec: Codec) -> None:
    stream = parse(tiny_codec.compress(make_picture(20, 20)))
    chunks = (Chunk(b"note", b"x"), Chunk(b"exif", b"first"), Chunk(b"exif", b"second"))
    data = serialize(replace(stream, ancillary=chunks))
    assert metadata_in(parse(data)) == Metadata(exif=b"first")
    assert len(data) > HEADER_BYTES


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    return int(exit_.value.code or 0)


def test_the_command_line_keeps_strips_and_selects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, packed = tmp_path / "a.jpg", str(tmp_path / "a.aec")
    source.write_bytes(file_of("JPEG"))
    expected = {(): FULL, ("--strip",): Metadata(), ("--keep", "exif"): Metadata(exif=FULL.exif)}
    for options, metadata in expected.items():
        assert run("compress", str(source), "-f", "-o", packed, *options) == 0
        assert metadata_in(parse(Path(packed).read_bytes())) == metadata
        for name in ("b.png", "b.jpg", "b.webp"):
            assert run("decompress", packed, "-f", "-o", str(tmp_path / name)) == 0
            with Image.open(tmp_path / name) as image:
                image.load()
                assert metadata_of(image) == metadata
                assert ImageOps.exif_transpose(image).size == (40, 70)
    capsys.readouterr()
    for bad in (("--keep", "gps"), ("--strip", "--keep", "icc")):
        assert run("compress", str(source), "-f", "-o", packed, *bad) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_formats_that_carry_none_get_upright_pixels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, packed, out = (str(tmp_path / name) for name in ("a.png", "a.aec", "b.bmp"))
    Path(source).write_bytes(file_of("PNG"))
    assert run("compress", source) == 0
    assert run("decompress", packed, "-o", out) == 0
    assert "warning: BMP carries no icc, exif, xmp" in capsys.readouterr().err
    with Image.open(out) as image:
        assert image.size == (40, 70)


def test_profiled_colours_look_the_same() -> None:
    """Decoded numbers under the decoded profile are the colours of the source, within the loss."""
    wide = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    chelsea = Path(__file__).resolve().parents[1] / "samples" / "chelsea.png"
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
