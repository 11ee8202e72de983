"""Other formats at the size of an .aec file, by Pillow."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image, features

from aecodec.picture.picture import Picture, to_pil


@dataclass(frozen=True)
class Rival:
    """A format to compare with.

    Attributes:
        name: for people.
        kind: what Pillow calls it.
        feature: what Pillow must have been built with.
        media: its media type.
        alpha: whether it keeps transparency.
        options: how it is written, besides its quality.
    """

    name: str
    kind: str
    feature: str
    media: str
    alpha: bool
    options: dict[str, Any]

    def lacking(self, picture: Picture) -> str:
        """Why it cannot be compared with, to follow its name; empty where it can."""
        if not features.check(self.feature):
            return "is not written by this Pillow"
        if picture.alpha is not None and not self.alpha:
            return "has no transparency"
        return ""


RIVALS = {
    "jpeg": Rival(
        "JPEG", "JPEG", "jpg", "image/jpeg", alpha=False,
        options={"optimize": True, "progressive": True},
    ),
    "webp": Rival("WebP", "WEBP", "webp", "image/webp", alpha=True, options={"method": 4}),
    "avif": Rival("AVIF", "AVIF", "avif", "image/avif", alpha=True, options={"speed": 6}),
}  # fmt: skip
"""By the names in addresses, which are the extensions of the files, too."""
RIVAL_NAMES = {name: each.name for name, each in RIVALS.items()}
_LOWEST, _HIGHEST = 1, 100


@dataclass(frozen=True)
class Match:
    """A file whose size is nearest to a wish.

    Attributes:
        data: the file.
        quality: Pillow's, 1 to 100.
    """

    data: bytes
    quality: int


def nearest(
    rival: Rival, picture: Picture, size: int, *, check: Callable[[], None] = lambda: None
) -> Match:
    """The file of a format whose size is nearest to `size` bytes, by bisection on its quality.

    Args:
        rival: the format.
        picture: of 8 bits; its colour profile goes into the file.
        size: what is wished for.
        check: called before each try; it may raise to end the search.

    Raises:
        OSError: Pillow cannot write it.
        ValueError: the same.
    """
    image = to_pil(picture.whole)
    tried: dict[int, bytes] = {}

    def made(quality: int) -> bytes:
        if quality not in tried:
            check()
            tried[quality] = _written(rival, image, picture.metadata.icc, quality)
        return tried[quality]

    low, high = _LOWEST, _HIGHEST
    while low < high:
        middle = (low + high) // 2
        if len(made(middle)) < size:
            low = middle + 1
        else:
            high = middle
    found = min((max(low - 1, _LOWEST), low), key=lambda each: abs(len(made(each)) - size))
    return Match(made(found), found)


def _written(rival: Rival, image: Image.Image, icc: bytes | None, quality: int) -> bytes:
    file = BytesIO()
    image.save(file, rival.kind, quality=quality, icc_profile=icc, **rival.options)
    return file.getvalue()
