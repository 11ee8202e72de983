"""Commands keep alpha, or ask for a background."""

from pathlib import Path

import numpy as np
import pytest
from alpha_pictures import cut_out, make_alpha
from PIL import Image

import aecodec
from aecodec.cli import main
from aecodec.codec import Codec
from aecodec.format.chunks import PixelFormat
from aecodec.format.container import chunk_table


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, tiny_codec: Codec) -> Path:
    path = tmp_path_factory.mktemp("alpha") / "a.aec"
    path.write_bytes(tiny_codec.compress(cut_out(50, 60), 80))
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        main([str(each) for each in arguments])
    return int(exit_.value.code or 0)


@pytest.mark.parametrize("kind", ["png", "webp", "tiff", "avif"])
def test_formats_with_alpha_get_it(
    packed: Path, tiny_weights: Path, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / f"a.{kind}"
    assert run("decompress", packed, "-o", out, "--model", tiny_weights) == 0
    with Image.open(out) as image:
        assert image.mode == "RGBA"
        found = np.asarray(image)[:, :, 3].astype(int)
    assert np.abs(found - make_alpha(50, 60)).max() <= (0 if kind in ("png", "tiff") else 24)


@pytest.mark.parametrize("kind", ["jpg", "ppm", "bmp"])
def test_formats_without_alpha_need_a_background(
    packed: Path, tiny_weights: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"a.{kind}"
    assert run("decompress", packed, "-o", out, "--model", tiny_weights) == 1
    assert "transparency: give a background (--background COLOR)" in capsys.readouterr().err
    assert not out.exists()
    more = ("--background", "#ff0000", "--model", tiny_weights)
    assert run("decompress", packed, "-o", out, *more) == 0
    with Image.open(out) as image:
        assert image.mode == "RGB"
        assert np.abs(np.asarray(image)[0, 0].astype(int) - (255, 0, 0)).max() < 12


def test_a_background_must_be_a_colour(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("decompress", packed, "--background", "no colour") == 2
    assert "'no colour' is no colour" in capsys.readouterr().err


def test_huge_pictures_keep_alpha(
    packed: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, streamed = tmp_path / "a.png", tmp_path / "b.png"
    assert run("decompress", packed, "-o", out, "--model", tiny_weights) == 0
    monkeypatch.setattr("aecodec.picture.pixels.STREAM_PIXELS", 1)
    assert run("decompress", packed, "-o", streamed, "--model", tiny_weights) == 0
    with Image.open(out) as one, Image.open(streamed) as two:
        assert one.mode == two.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))


def test_info_shows_alpha(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", packed) == 0
    said = capsys.readouterr().out
    (size,) = (size for kind, _, size in chunk_table(packed.read_bytes()) if kind == "ALPH")
    assert "60x50 RGBA8" in said
    assert f"alpha takes {size + 12} bytes" in said
    assert aecodec.read_info(packed).pixel_format is PixelFormat.RGBA8


def test_the_command_line_compresses_alpha(tmp_path: Path, tiny_weights: Path) -> None:
    source, out = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(cut_out(40, 30)).save(source)
    assert run("compress", source, "--alpha-quality", 10, "--model", tiny_weights) == 0
    assert run("decompress", tmp_path / "a.aec", "-o", out, "--model", tiny_weights) == 0
    with Image.open(out) as image:
        assert len(np.unique(np.asarray(image)[:, :, 3])) == 4
    assert run("compress", source, "-f", "--alpha-quality", 101) == 2
