"""PNG and TIFF by rows: the same pixels and metadata as at once, or not at all."""

import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture
from PIL import Image, ImageCms, PngImagePlugin

from aecodec.cli import main
from aecodec.codec import Codec
from aecodec.errors import InputError
from aecodec.format.chunks import DEFAULT_LIMITS
from aecodec.format.container import parse
from aecodec.picture import row_readers as strips
from aecodec.picture.metadata import Metadata, metadata_in
from aecodec.picture.picture import to_picture
from aecodec.picture.pixels import Pixels as AnyPixels
from aecodec.picture.row_readers import ScanlineSource, open_scanlines

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


def opened(path: Path) -> ScanlineSource:
    found = open_scanlines(path)
    assert found is not None
    return found


def check_rows(picture: ScanlineSource, pixels: Pixels) -> None:
    """In the order of `packing.pack` with tiles of 64, and then back to the beginning."""
    assert (picture.height, picture.width, picture.gray) == (*pixels.shape[:2], pixels.ndim == 2)
    for top, bottom in ((0, 128), (0, 192), (0, 128), (64, 256), (0, 192), (128, 300), (64, 256),
                        (192, 300), (0, 10)):  # fmt: skip
        np.testing.assert_array_equal(picture.rows(top, bottom), pixels[top:bottom])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("level", [0, 6])
def test_png(tmp_path: Path, pixels: Pixels, channels: int, level: int) -> None:
    source = pixels if channels == 3 else np.ascontiguousarray(pixels[..., 0])
    Image.fromarray(source).save(tmp_path / "a.png", compress_level=level)
    check_rows(opened(tmp_path / "a.png"), source)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", TIFFS)
def test_tiff(tmp_path: Path, pixels: Pixels, channels: int, kind: str) -> None:
    source = pixels if channels == 3 else np.ascontiguousarray(pixels[..., 0])
    tags = {317: 2} if kind == "predictor" else {}
    Image.fromarray(source).save(tmp_path / "a.tif", tiffinfo=tags, **TIFFS[kind])
    check_rows(opened(tmp_path / "a.tif"), source)


def test_tiff_in_tiles_and_big_tiff(tmp_path: Path, pixels: Pixels) -> None:
    import pyvips

    image = pyvips.Image.new_from_array(pixels)
    image.tiffsave(str(tmp_path / "a.tif"), tile=True, tile_width=64, tile_height=64, bigtiff=True)
    check_rows(opened(tmp_path / "a.tif"), pixels)


def test_rows_above_are_forgotten(tmp_path: Path) -> None:
    Image.fromarray(make_picture(1000, 20)).save(tmp_path / "a.png")
    picture = opened(tmp_path / "a.png")
    for top in range(0, 900, 64):
        picture.rows(max(top - 64, 0), min(top + 128, 1000))
        assert sum(map(len, picture._pieces)) <= 64 * 5


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
    assert [name for name, path in files.items() if open_scanlines(path) is not None] == []


def test_what_must_be_turned_is_left_to_others(tmp_path: Path, pixels: Pixels) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    assert open_scanlines(tmp_path / "a.png") is not None  # whoever shows it turns it
    assert open_scanlines(tmp_path / "a.png", keep=("icc",)) is None
    assert open_scanlines(tmp_path / "a.png", least=HEIGHT * WIDTH + 1) is None


def test_damage_is_one_clear_error(tmp_path: Path, pixels: Pixels) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="damaged picture"):
        opened(tmp_path / "a.png").rows(0, HEIGHT)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_the_command_makes_the_file_that_it_makes_at_once(
    tmp_path: Path, tiny_weights: Path, tiny_codec: Codec, monkeypatch: pytest.MonkeyPatch,
    pixels: Pixels, kind: str,
) -> None:  # fmt: skip
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "waves")
    path, output = tmp_path / f"a.{kind}", tmp_path / "a.aec"
    options: dict[str, Any] = {"pnginfo": texts} if kind == "png" else {}
    Image.fromarray(pixels).save(path, icc_profile=ICC, dpi=(300, 300), **options)
    monkeypatch.setattr(strips, "STRIP_PIXELS", 1)
    at_once = tiny_codec.compress(path, 60)
    used: list[int] = []
    original = ScanlineSource.rows

    def rows(self: ScanlineSource, top: int, bottom: int) -> AnyPixels:
        used.append(top)
        return original(self, top, bottom)

    monkeypatch.setattr(ScanlineSource, "rows", rows)
    assert run("compress", str(path), "-q", "60", "--model", str(tiny_weights)) == 0
    assert used
    assert output.read_bytes() == at_once
    assert metadata_in(parse(at_once)) == to_picture(path).metadata
    assert (
        run("compress", str(path), "-q", "60", "--model", str(tiny_weights), "-f", "--strip") == 0
    )
    assert metadata_in(parse(output.read_bytes())) == Metadata()


def test_without_pyvips_all_is_read_at_once(
    tmp_path: Path, pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "pyvips", None)
    assert open_scanlines(tmp_path / "a.png") is None
