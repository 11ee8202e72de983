"""`aecodec decompress` of parts of a picture, and of smaller ones."""

from pathlib import Path

import pytest
from conftest import make_picture
from PIL import Image

from aecodec.cli import main
from aecodec.codec import Codec
from aecodec.picture.metadata import metadata_of


def test_a_region_is_decompressed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, packed, part = (str(tmp_path / name) for name in ("a.png", "a.aec", "part.png"))
    Image.fromarray(make_picture(90, 120)).save(source)

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        return int(exit_.value.code or 0)

    assert run("compress", source) == 0
    assert run("decompress", packed, "-o", part, "--region", "10,20,50,30") == 0
    with Image.open(part) as image:
        assert image.size == (50, 30)
    capsys.readouterr()
    for bad, code in (("10,20,500,30", 1), ("1,2,3", 2), ("a,b,c,d", 2)):
        assert run("decompress", packed, "-o", part, "-f", "--region", bad) == code
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_smaller_pictures_keep_metadata(
    tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = Image.fromarray(make_picture(50, 70))
    exif = image.getexif()
    exif[0x0112] = 6  # turned; its value stays, and so do the pixels
    image.save(tmp_path / "a.png", exif=exif)
    packed, small = tmp_path / "a.aec", tmp_path / "small.png"

    def run(*arguments: str | Path) -> int:
        with pytest.raises(SystemExit) as exit_:
            main([*map(str, arguments), "--model", str(tiny_weights)])
        return int(exit_.value.code or 0)

    assert run("compress", tmp_path / "a.png") == 0
    assert run("decompress", packed, "-o", small, "--scale", "1/4") == 0
    with Image.open(small) as found:
        assert found.size == (18, 13)
        assert found.getexif()[0x0112] == 6
        exif_bytes = metadata_of(found).exif
    whole = Codec(tiny_weights).decompress(packed)
    assert exif_bytes == metadata_of(whole).exif
    assert (
        run("decompress", packed, "-o", small, "-f", "--scale", "1/8", "--region", "8,8,9,8") == 0
    )
    with Image.open(small) as found:
        assert found.size == (1, 2)  # the region counts as shown, turned a quarter
    capsys.readouterr()
    assert run("decompress", packed, "-o", small, "-f", "--scale", "1/3") == 2
    assert capsys.readouterr().err.count("\n") == 1
