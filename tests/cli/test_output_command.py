"""Options of decompress that say how the output is written, and warnings of what it lacks."""

import numpy as np
import pytest
from conftest import make_picture
from exif_bytes import make_exif, short, text
from PIL import Image, ImageOps
from shell import Shell, assert_one_line

from aecodec.codec import Codec
from aecodec.picture import pixels
from aecodec.picture.metadata import Metadata
from aecodec.picture.picture import Picture


@pytest.mark.parametrize("suffix", ["webp", "jpg", "avif"])
def test_the_quality_of_the_output(shell: Shell, suffix: str) -> None:
    shell.picture("a.png", 60, 80)
    assert shell.model("compress", "--lossless", "a.png").code == 0
    sizes = {}
    for quality in (None, "30", "100"):
        more = () if quality is None else ("--output-quality", quality)
        assert shell.model("decompress", "-f", "a.aec", "-o", f"a.{suffix}", *more).code == 0
        sizes[quality] = (shell.folder / f"a.{suffix}").stat().st_size
        if quality is None and suffix == "webp":
            folder = shell.folder
            with Image.open(folder / "a.webp") as image, Image.open(folder / "a.png") as source:
                np.testing.assert_array_equal(image, source)
    assert sizes["30"] < sizes["100"]
    assert sizes["30"] < sizes[None]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("b.jpg", "--output-quality", "lossless"), 1, "JPEG is never lossless"),
        (("b.png", "--output-quality", "80"), 1, "PNG has no quality"),
        (("b.jpg", "--output-quality", "101"), 2, "0 to 100 or lossless"),
        (("b.jpg", "--output-quality", "best"), 2, "0 to 100 or lossless"),
    ],
)  # fmt: skip
def test_qualities_that_make_no_sense(
    shell: Shell, compressed: bytes, arguments: tuple[str, ...], code: int, reason: str
) -> None:
    shell.file("a.aec", compressed)
    assert_one_line(shell.model("decompress", "a.aec", "-o", *arguments), code, reason)
    assert sorted(shell.listing()) == ["a.aec"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_region_is_part_of_the_picture_as_it_is_shown(
    shell: Shell,
    tiny_codec: Codec,
    monkeypatch: pytest.MonkeyPatch,
    orientation: int,
    streamed: bool,
) -> None:
    if streamed:
        monkeypatch.setattr(pixels, "STREAM_PIXELS", 1)
    picture = Picture(make_picture(40, 60), Metadata(exif=make_exif({274: short(orientation)})))
    shell.file("a.aec", tiny_codec.compress(picture, lossless=True))
    assert shell.model("decompress", "a.aec", "-o", "whole.png").code == 0
    assert shell.model("decompress", "a.aec", "--region", "3,5,20,11", "-o", "part.png").code == 0
    folder = shell.folder
    with Image.open(folder / "whole.png") as whole, Image.open(folder / "part.png") as part:
        shown = np.asarray(ImageOps.exif_transpose(whole))[5:16, 3:23]
        np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(part)), shown)
    result = shell.model("decompress", "a.aec", "--region", "0,0,60,40", "-o", "x.png")
    assert result.code == (1 if orientation >= 5 else 0)
    assert ("exceeds the picture of 40x60" in result.err) == (orientation >= 5)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "avif", "ppm"])
@pytest.mark.parametrize("streamed", [False, True])
def test_strip_leaves_nothing(
    shell: Shell, tiny_codec: Codec, monkeypatch: pytest.MonkeyPatch, suffix: str, streamed: bool
) -> None:
    if streamed:
        monkeypatch.setattr(pixels, "STREAM_PIXELS", 1)
    exif = make_exif({274: short(6), 271: text(b"SECRET maker")})
    metadata = Metadata(
        b"SECRET" * 30, exif, b"<SECRET/>", (72.0, 72.0), (("Comment", b"SECRET"),),
        b"\x1c\2\5\0\6SECRET",
    )  # fmt: skip
    shell.file("a.aec", tiny_codec.compress(Picture(make_picture(40, 60), metadata), lossless=True))
    result = shell.model("decompress", "--strip", "a.aec", "-o", f"a.{suffix}")
    assert (result.code, result.err) == (0, "")
    data = (shell.folder / f"a.{suffix}").read_bytes()
    assert b"SECRET" not in data
    with Image.open(shell.folder / f"a.{suffix}") as image:
        assert image.size == (40, 60)
        assert not image.getexif().get(271)


def test_losses_of_a_source_are_told_once(shell: Shell) -> None:
    frames = [Image.new("RGB", (20, 10), (level, 40, 40)) for level in (200, 90)]
    frames[0].save(shell.folder / "a.gif", save_all=True, append_images=frames[1:])
    result = shell.model("compress", "a.gif")
    assert result.err == "aecodec: a.gif: warning: only the first of 2 frames is kept\n"


def test_what_an_output_lacks_is_told(shell: Shell, tiny_codec: Codec) -> None:
    metadata = Metadata(exif=make_exif({271: short(3)}), xmp=b"<x>" + b"a" * 70000 + b"</x>")
    shell.file("a.aec", tiny_codec.compress(Picture(make_picture(40, 60), metadata)))
    result = shell.model("decompress", "a.aec", "-o", "a.jpg")
    assert (result.code, result.err) == (0, "aecodec: a.jpg: warning: JPEG carries no xmp\n")
    result = shell.model("decompress", "a.aec", "-o", "a.tif")
    assert result.err == "aecodec: a.tif: warning: TIFF carries no exif tag 271\n"
