"""Odd pictures of every kind that is compressed in a way of its own, and runs over them."""

from pathlib import Path

import numpy as np
from conftest import make_picture, make_sixteen_bit
from PIL import Image, PngImagePlugin

GOOD = (
    "alpha.png", "below/deep.png", "below/gray.png", "bilevel.png", "metadata.jpg", "odd.png",
    "palette.png", "photo.jpg", "thin.webp", "turned.jpg",
)  # fmt: skip
"""The pictures of the kit, in the order of a listing that goes into folders last."""


def make_kit(folder: Path) -> Path:
    """Makes ten odd pictures, one that is damaged, and files that are passed over."""
    (folder / "below").mkdir(parents=True)
    rng = np.random.default_rng(5)
    alpha = np.dstack((make_picture(37, 50), rng.integers(0, 256, (37, 50), np.uint8)))
    Image.fromarray(alpha).save(folder / "alpha.png")
    _sixteen_bit(folder / "below/deep.png")
    Image.fromarray(make_picture(40, 31)[:, :, 0]).save(folder / "below/gray.png")
    Image.fromarray(make_picture(30, 41)[:, :, 0] > 128).save(folder / "bilevel.png")
    exif = Image.Exif()
    exif[0x010E] = "a picture"
    picture = Image.fromarray(make_picture(48, 64))
    picture.save(folder / "metadata.jpg", exif=exif, dpi=(300, 300), comment=b"said")
    exif[0x0112] = 6
    picture.save(folder / "turned.jpg", exif=exif)
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "odd")
    Image.fromarray(make_picture(17, 23, seed=1)).save(folder / "odd.png", pnginfo=text)
    picture.quantize(16).save(folder / "palette.png")
    Image.fromarray(make_picture(70, 90, seed=2)).save(folder / "photo.jpg")
    Image.fromarray(make_picture(1, 200, seed=3)).save(folder / "thin.webp", lossless=True)
    (folder / "broken.png").write_bytes((folder / "odd.png").read_bytes()[:90])
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_text("hidden")
    return folder


def _sixteen_bit(path: Path) -> None:
    from aecodec.picture.metadata import Metadata
    from aecodec.picture.writers import written

    pixels = make_sixteen_bit(33, 45, 3)
    path.write_bytes(written(pixels, "PNG", Metadata(), exact=True).data)


def files_below(folder: Path) -> dict[str, bytes]:
    """All files but those of journals and manifests, by their paths."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") and "_manifest" not in path.parts
    }
