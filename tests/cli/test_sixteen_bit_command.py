"""Commands keep 16 bits a sample, or ask for a depth of 8."""

from pathlib import Path

import numpy as np
import pytest
from conftest import make_sixteen_bit
from PIL import Image

from aecodec.cli import main
from aecodec.codec import Codec
from aecodec.format.container import parse
from aecodec.picture.metadata import Metadata
from aecodec.picture.picture import to_picture
from aecodec.picture.writers import encode


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        main([str(each) for each in arguments])
    return int(exit_.value.code or 0)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_command_line(
    tmp_path: Path, tiny_weights: Path, channels: int, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = make_sixteen_bit(50, 40, channels)
    source, packed = tmp_path / "a.png", tmp_path / "a.aec"
    source.write_bytes(encode(pixels, "PNG", Metadata()))
    model = ("--model", tiny_weights)
    assert run("compress", source, *model) == 0
    data = packed.read_bytes()
    assert parse(data).header.pixel_format.is_sixteen_bit
    expected = Codec(tiny_weights).decompress_array(data)
    for name in ("out.png", "out.tiff"):
        assert run("decompress", packed, "-o", tmp_path / name, *model) == 0
        found = to_picture(tmp_path / name).whole
        if name == "out.tiff" and channels == 2:
            found = found[:, :, 1:][:, :, [0, 2]]
        shown = expected[:, :, -1] > 0 if channels in (2, 4) else np.ones((50, 40), np.bool_)
        np.testing.assert_array_equal(found[shown], expected[shown])
    capsys.readouterr()
    assert run("decompress", packed, "-o", tmp_path / "a.jpg", *model) == 1
    said = capsys.readouterr().err
    assert ("--background" if channels in (2, 4) else "--depth 8") in said
    more = ("--depth", "8", "--background", "white")
    assert run("decompress", packed, "-o", tmp_path / "a.jpg", *more, *model) == 0
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.mode == ("L" if channels < 3 else "RGB")


def test_huge_16_bit_pictures_go_by_rows(
    tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = make_sixteen_bit(140, 90, 3)
    source, packed, out = (tmp_path / name for name in ("a.ppm", "a.aec", "out.png"))
    source.write_bytes(encode(pixels, "PPM", Metadata()))
    monkeypatch.setattr("aecodec.picture.pixels.STREAM_PIXELS", 1)
    assert run("compress", source, "--model", tiny_weights) == 0
    codec = Codec(tiny_weights)
    assert packed.read_bytes() == codec.compress(pixels)
    assert run("decompress", packed, "-o", out, "--model", tiny_weights) == 0
    np.testing.assert_array_equal(
        to_picture(out).pixels, codec.decompress_array(codec.compress(pixels))
    )
