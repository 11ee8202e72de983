"""The pictures that the benchmarks compare codecs on: found, loaded, brought to a size."""

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

SUFFIXES = frozenset(
    [".avif", ".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".qoi", ".tif", ".tiff", ".webp"]
)
_EIGHT_BIT_MODES = frozenset(["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"])
SIZES_HELP = "Megapixels or exact sizes, e.g. 0.1,25,768x512."


def collect_pictures(paths: Iterable[Path]) -> list[Path]:
    """The files among `paths` and the pictures right inside the folders among them.

    Each path comes once, folders in the order of their file names.

    Raises:
        FileNotFoundError: a path does not exist, or all of them together hold no picture.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found.update(dict.fromkeys(sorted(p for p in path.iterdir() if _is_picture(p))))
        elif path.exists():
            found[path] = None
        else:
            raise FileNotFoundError(f"no such file or folder: {path}")
    if not found:
        raise FileNotFoundError("no pictures found; name picture files or folders that hold some")
    return list(found)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def load_picture(path: Path, side: int | None = None) -> Image.Image:
    """Loads an 8-bit picture as RGB, without metadata, so that all codecs store the same.

    Gray becomes RGB with equal channels; alpha and colour profiles are dropped. With `side` only so
    many pixels of each side, in the middle, are kept.

    Raises:
        OSError: the file cannot be read.
        ValueError: the picture has more than 8 bits a channel.
    """
    with Image.open(path) as image:
        if image.mode not in _EIGHT_BIT_MODES:
            raise ValueError(f"mode {image.mode} is not 8-bit")
        rgb = Image.fromarray(np.asarray(image.convert("RGB")))
    return rgb if side is None else central_crop(rgb, side)


def central_crop(image: Image.Image, side: int) -> Image.Image:
    """The middle of a picture, at most `side` pixels wide and high."""
    width, height = min(side, image.width), min(side, image.height)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def of_size(image: Image.Image, width: int, height: int) -> Image.Image:
    """The picture cropped and scaled down, or mirrored at its borders to fill a larger size.

    Scaled up it would be smooth, and smooth pictures cost some codecs less time than photographs.
    """
    if width <= image.width and height <= image.height:
        return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    rows, columns = (np.arange(side) for side in (height, width))
    return Image.fromarray(
        pixels[_mirrored(rows, image.height)][:, _mirrored(columns, image.width)]
    )


def _mirrored(numbers: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """0, 1, ... count - 1, count - 1, ... 1, 0, 0, 1, ..."""
    turn = numbers % (2 * count)
    return np.minimum(turn, 2 * count - 1 - turn)


def parse_sizes(text: str, image: Image.Image) -> list[tuple[int, int]]:
    """Sizes of a list such as `0.1,25,768x512`: megapixels in the picture's proportions, or exact.

    Raises:
        ValueError: a part is none of both, or lies beyond 1000 megapixels.
    """
    found: dict[tuple[int, int], None] = {}
    for part in text.lower().split(","):
        try:
            if "x" in part:
                width, height = (int(side) for side in part.split("x"))
            else:
                factor = math.sqrt(float(part) * 1e6 / (image.width * image.height))
                width, height = round(image.width * factor), round(image.height * factor)
        except (ValueError, OverflowError):
            raise ValueError(f"{part!r} is not a size, e.g. 0.4 (megapixels) or 768x512") from None
        if not (width > 0 and height > 0 and width * height < 1e9):
            raise ValueError(f"sizes must lie between a pixel and 1000 megapixels, got {part!r}")
        found[width, height] = None
    return list(found)
