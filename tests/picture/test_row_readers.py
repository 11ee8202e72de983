"""Pictures by rows: the same pixels and metadata as at once, or not at all."""

import os
import struct
import sys
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture
from PIL import Image, ImageCms, PngImagePlugin

from aecodec.errors import InputError
from aecodec.format.chunks import DEFAULT_LIMITS, METADATA_KINDS
from aecodec.picture.picture import to_picture
from aecodec.picture.row_readers import PictureRows, RowSource, ScanlineSource, open_rows

pytest.importorskip("pyvips", exc_type=ImportError)

HEIGHT, WIDTH = 300, 150
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
Pixels = npt.NDArray[np.uint8]
TIFFS = {
    "raw": {}, "lzw": {"compression": "tiff_lzw"}, "zip": {"compression": "tiff_adobe_deflate"},
    "packbits": {"compression": "packbits"}, "predictor": {"compression": "tiff_lzw"},
}  # fmt: skip


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    return make_picture(HEIGHT, WIDTH)


def check_rows(path: Path, pixels: Pixels) -> None:
    """In the order of an encoder with tiles of 64, and then back to the beginning."""
    with open_rows(path) as source:
        assert source is not None
        assert (source.height, source.width, source.gray) == (*pixels.shape[:2], pixels.ndim == 2)
        assert not source.sixteen_bit
        assert source.picture is None
        for top, bottom in ((0, 128), (0, 192), (0, 128), (64, 256), (0, 192), (128, 300)):
            np.testing.assert_array_equal(source.rows(top, bottom), pixels[top:bottom])
            assert source.alpha(top, bottom) is None
        for top, bottom in ((64, 256), (192, 300), (0, 10), (130, 131)):
            source.forget(top)
            np.testing.assert_array_equal(source.rows(top, bottom), pixels[top:bottom])


def can_be_read_by_rows(path: Path, keep: Collection[str] = METADATA_KINDS) -> bool:
    with open_rows(path, keep) as source:
        return source is not None


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("level", [0, 6])
def test_png(tmp_path: Path, pixels: Pixels, channels: int, level: int) -> None:
    source = pixels if channels == 3 else np.ascontiguousarray(pixels[..., 0])
    Image.fromarray(source).save(tmp_path / "a.png", compress_level=level)
    check_rows(tmp_path / "a.png", source)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", TIFFS)
def test_tiff(tmp_path: Path, pixels: Pixels, channels: int, kind: str) -> None:
    source = pixels if channels == 3 else np.ascontiguousarray(pixels[..., 0])
    tags = {317: 2} if kind == "predictor" else {}
    Image.fromarray(source).save(tmp_path / "a.tif", tiffinfo=tags, **TIFFS[kind])
    check_rows(tmp_path / "a.tif", source)


def test_tiff_in_tiles_and_big_tiff(tmp_path: Path, pixels: Pixels) -> None:
    import pyvips

    image = pyvips.Image.new_from_array(pixels)
    image.tiffsave(str(tmp_path / "a.tif"), tile=True, tile_width=64, tile_height=64, bigtiff=True)
    check_rows(tmp_path / "a.tif", pixels)


class Opens:
    """Counts how often libvips opens a file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        original = ScanlineSource._open

        def counted(source: ScanlineSource) -> None:
            self.count += 1
            original(source)

        monkeypatch.setattr(ScanlineSource, "_open", counted)


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> Opens:
    return Opens(monkeypatch)


def test_what_is_not_forgotten_is_kept_and_the_file_read_once(tmp_path: Path, opens: Opens) -> None:
    pixels = make_picture(1000, 20)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with open_rows(tmp_path / "a.png") as source:
        assert isinstance(source, ScanlineSource)
        for top in range(0, 900, 50):
            bottom = min(top + 128, 1000)
            for first in (top, max(top - 64, 0), top):
                np.testing.assert_array_equal(source.rows(first, bottom), pixels[first:bottom])
            source.forget(max(top - 64, 0))
            assert sum(map(len, source._pieces)) <= 64 * 5
        assert opens.count == 1


def test_nothing_is_lost_before_it_is_forgotten(tmp_path: Path, opens: Opens) -> None:
    pixels = make_picture(1000, 20)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with open_rows(tmp_path / "a.png") as source:
        assert source is not None
        for top, bottom in ((900, 1000), (0, 10), (500, 1000), (0, 1000)):
            np.testing.assert_array_equal(source.rows(top, bottom), pixels[top:bottom])
    assert opens.count == 1


def test_rows_may_be_forgotten_before_they_are_read(tmp_path: Path, opens: Opens) -> None:
    pixels = make_picture(1000, 20)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with open_rows(tmp_path / "a.png") as source:
        assert source is not None
        source.forget(500)
        np.testing.assert_array_equal(source.rows(500, 600), pixels[500:600])
        source.forget(900)
        np.testing.assert_array_equal(source.rows(700, 1000), pixels[700:])
        assert opens.count == 1
        np.testing.assert_array_equal(source.rows(3, 5), pixels[3:5])
        assert opens.count == 2


def refused(tmp_path: Path) -> dict[str, Path]:
    """Files that are read at once."""
    pixels = make_picture(20, 30)
    rgb, gray = Image.fromarray(pixels), Image.fromarray(pixels[..., 0])
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb.save(tmp_path / "photo.jpg")
    rgb.convert("RGBA").save(tmp_path / "alpha.png")
    rgb.convert("P").save(tmp_path / "palette.png")
    rgb.save(tmp_path / "key.png", transparency=(1, 2, 3))
    gray.convert("1").save(tmp_path / "bilevel.png")
    gray.convert("I;16").save(tmp_path / "sixteen_bit.png")
    rgb.save(tmp_path / "animated.png", save_all=True, append_images=[rgb.rotate(180)])
    gray.convert("I;16").save(tmp_path / "sixteen_bit.tif")
    rgb.convert("CMYK").save(tmp_path / "cmyk.tif")
    rgb.save(tmp_path / "pages.tif", save_all=True, append_images=[rgb])
    rgb.save(tmp_path / "turned.tif", exif=exif)
    rgb.save(tmp_path / "late.png")
    data = (tmp_path / "late.png").read_bytes()
    body = b"tEXtComment\0last"
    late = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "late.png").write_bytes(data[:-12] + late + data[-12:])
    note = bytes(4) + b"noTe" + struct.pack(">I", zlib.crc32(b"noTe"))
    start = data.index(b"IDAT") - 4
    many = note * DEFAULT_LIMITS.metadata_chunks
    (tmp_path / "many.png").write_bytes(data[:start] + many + data[start:])
    (tmp_path / "cut.png").write_bytes(data[:20])
    (tmp_path / "text.png").write_text("no picture")
    return {path.name: path for path in tmp_path.iterdir()}


def test_what_cannot_be_read_by_rows_is_left_to_others(tmp_path: Path) -> None:
    files = refused(tmp_path)
    assert len(files) == 15
    assert [name for name, path in files.items() if can_be_read_by_rows(path)] == []


def test_what_must_be_turned_is_left_to_others(tmp_path: Path, pixels: Pixels) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    assert can_be_read_by_rows(tmp_path / "a.png")  # whoever shows it turns it
    assert not can_be_read_by_rows(tmp_path / "a.png", keep=("icc",))


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_metadata_are_those_of_the_whole_picture(tmp_path: Path, pixels: Pixels, kind: str) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "waves")
    options: dict[str, Any] = {"pnginfo": texts} if kind == "png" else {}
    path = tmp_path / f"a.{kind}"
    Image.fromarray(pixels).save(path, icc_profile=ICC, dpi=(300, 300), **options)
    for keep in (METADATA_KINDS, ("icc",), ()):
        with open_rows(path, keep) as source:
            assert source is not None
            assert source.metadata == to_picture(path, keep).metadata
            assert (source.metadata.icc == ICC) == ("icc" in keep)


def test_damage_is_one_clear_error(tmp_path: Path, pixels: Pixels) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with open_rows(tmp_path / "a.png") as source:
        assert source is not None
        with pytest.raises(InputError, match="damaged picture"):
            source.rows(0, HEIGHT)


def test_without_pyvips_png_is_read_at_once(
    tmp_path: Path, pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "a.ppm")
    monkeypatch.setitem(sys.modules, "pyvips", None)
    assert not can_be_read_by_rows(tmp_path / "a.png")
    check_rows(tmp_path / "a.ppm", pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_ppm_is_read_where_it_lies(tmp_path: Path, pixels: Pixels, channels: int) -> None:
    source = pixels if channels == 3 else np.ascontiguousarray(pixels[..., 0])
    Image.fromarray(source).save(tmp_path / "a.ppm")
    check_rows(tmp_path / "a.ppm", source)


def test_comments_in_a_pgm_are_no_pixels(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 # a comment\n# and\n2 1\n255\n\x01\x02")
    with open_rows(tmp_path / "a.pgm") as source:
        assert source is not None
        assert source.rows(0, 1).tolist() == [[1, 2]]


def test_a_ppm_that_ends_too_soon_is_damaged(tmp_path: Path, pixels: Pixels) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.ppm")
    (tmp_path / "a.ppm").write_bytes((tmp_path / "a.ppm").read_bytes()[:-1])
    with open_rows(tmp_path / "a.ppm") as source:
        assert source is not None
        np.testing.assert_array_equal(source.rows(0, 299), pixels[:299])
        with pytest.raises(InputError, match="ends before row 300"):
            source.rows(290, 300)


@pytest.mark.parametrize(
    "data", [b"", b"P6 2", b"P3 1 1 255 1 2 3", b"P5 1 1 1023 ab", b"P6 0 1 255 ", b"\x89PNG"]
)
def test_other_files_have_no_rows(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    assert not can_be_read_by_rows(tmp_path / "a")


def test_the_file_is_closed_at_the_end(tmp_path: Path, pixels: Pixels) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.ppm")
    with open_rows(tmp_path / "a.ppm") as source:
        assert source is not None
    with pytest.raises(ValueError, match="closed file"):
        source.rows(0, 1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_are_left_untouched(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")  # opening it would wait for a writer
    assert not can_be_read_by_rows(tmp_path / "a")


def test_files_that_cannot_be_read_are_os_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        can_be_read_by_rows(tmp_path / "none.png")
    assert not can_be_read_by_rows(tmp_path)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_picture_in_memory_has_rows(channels: int, kind: type) -> None:
    noise = np.random.default_rng(0)
    whole: npt.NDArray[np.uint8 | np.uint16] = np.asarray(
        noise.integers(0, 255, (20, 30, channels)), kind
    )
    picture = to_picture(whole[:, :, 0] if channels == 1 else whole)
    source: RowSource = PictureRows(picture)
    assert (source.height, source.width) == (20, 30)
    assert source.gray == (channels < 3)
    assert source.sixteen_bit == (kind is np.uint16)
    assert source.picture is picture
    assert source.metadata is picture.metadata
    for _ in range(2):
        np.testing.assert_array_equal(source.rows(3, 17), picture.pixels[3:17])
        alpha = source.alpha(3, 17)
        if picture.alpha is None:
            assert alpha is None
        else:
            np.testing.assert_array_equal(alpha, picture.alpha[3:17])
        source.forget(20)
