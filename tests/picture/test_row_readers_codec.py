"""Pictures that are read by rows give the files that encoding at once gives."""

from pathlib import Path
from typing import Any

import pytest
from conftest import make_picture
from PIL import Image, ImageCms, PngImagePlugin
from shell import run_main

from aecodec.codec import Codec
from aecodec.format.container import parse
from aecodec.picture.metadata import Metadata, metadata_in
from aecodec.picture.picture import to_picture
from aecodec.picture.pixels import Pixels
from aecodec.picture.row_readers import ScanlineSource

pytest.importorskip("pyvips", exc_type=ImportError)


HEIGHT, WIDTH = 300, 150


ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    return make_picture(HEIGHT, WIDTH)


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
    monkeypatch.setattr("aecodec.picture.pixels.STREAM_PIXELS", 1)
    at_once = tiny_codec.compress(path, 60)
    used: list[int] = []
    original = ScanlineSource.rows

    def rows(self: ScanlineSource, top: int, bottom: int) -> Pixels:
        used.append(top)
        return original(self, top, bottom)

    monkeypatch.setattr(ScanlineSource, "rows", rows)
    assert run_main("compress", str(path), "-q", "60", "--model", str(tiny_weights)) == 0
    assert used
    assert output.read_bytes() == at_once
    assert metadata_in(parse(at_once)) == to_picture(path).metadata
    strip = ("-f", "--strip", "--model", str(tiny_weights))
    assert run_main("compress", str(path), "-q", "60", *strip) == 0
    assert metadata_in(parse(output.read_bytes())) == Metadata()
