"""The pictures that a viewer shows: originals, .aec files, or both of one picture."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from aecodec.errors import AecError, InputError
from aecodec.format.chunks import Header, Limits
from aecodec.format.container import SIGNATURE, parse
from aecodec.info import quality_range
from aecodec.picture.metadata import metadata_in
from aecodec.picture.orientation import orientation_in
from aecodec.picture.picture import Picture, decode_picture
from aecodec.picture.pixels import to_eight_bit
from aecodec.storage.arguments import load
from aecodec.storage.sources import base_name, is_url

TURNED_ASIDE = range(5, 9)
"""The EXIF orientations that exchange the sides."""
KEPT = ("icc",)
"""Metadata that matter for how a picture looks; its orientation is applied to the pixels."""


@dataclass(frozen=True, eq=False)
class Exhibit:
    """One picture.

    Attributes:
        name: what people call it.
        width: pixels, as it is shown.
        height: pixels, as it is shown.
        original: upright, with its colour profile and nothing else; None for an .aec alone.
        given: an .aec file of it, if there is one.
    """

    name: str
    width: int
    height: int
    original: Picture | None = None
    given: bytes | None = None

    @property
    def eight_bit(self) -> Picture:
        """The original in 8 bits, as browsers show it and other formats keep it."""
        if self.original is None:
            raise InputError(f"{self.name} has no original")
        alpha = self.original.alpha
        return replace(
            self.original, pixels=to_eight_bit(self.original.pixels),
            alpha=None if alpha is None else to_eight_bit(alpha),
        )  # fmt: skip

    @property
    def quality(self) -> float | None:
        """The quality of the given file, 0 to 100."""
        if self.given is None:
            return None
        return parse(self.given).header.quality

    @property
    def quality_range(self) -> tuple[float, float] | None:
        """The lowest and the highest quality of the given file, if it has a quality map."""
        return None if self.given is None else quality_range(parse(self.given))


def exhibit_of(name: str, data: bytes, limits: Limits) -> Exhibit:
    """A picture in its bytes, of any format that can be read, or .aec.

    Raises:
        InputError: it is no picture, or a damaged one.
        FormatError: it is a damaged .aec file.
        UnsupportedError: it is an .aec file of a newer version.
        LimitError: it exceeds the limits.
    """
    if data.startswith(SIGNATURE):
        stream = parse(data, limits)
        quality_range(stream)  # which a damaged tile does not tell
        turn = orientation_in(metadata_in(stream))
        width, height = _upright(stream.header, turn)
        return Exhibit(name, width, height, given=data)
    picture = decode_picture(data, KEPT, limits=limits)
    height, width = picture.pixels.shape[:2]
    return Exhibit(name, width, height, original=picture)


def load_exhibits(names: Sequence[str], limits: Limits) -> list[Exhibit]:
    """The pictures in files or URLs; an .aec and an original of one name stem become one.

    Raises:
        InputError: a file is no picture, or a damaged one, or a pair differs in size.
        OSError: a file cannot be read.
    """
    found: list[tuple[str, Exhibit]] = []
    for name in names:
        path = PurePath(base_name(name) if is_url(name) else name)
        try:
            exhibit = exhibit_of(path.name, load(name), limits)
        except AecError as exc:
            raise InputError(f"{name}: {exc}") from exc
        mates = [n for n, (stem, other) in enumerate(found)
                 if stem == path.stem and _complete(other, exhibit)]  # fmt: skip
        if mates:
            found[mates[0]] = path.stem, _joined(found[mates[0]][1], exhibit)
        else:
            found.append((path.stem, exhibit))
    return [exhibit for _, exhibit in found]


def _complete(one: Exhibit, other: Exhibit) -> bool:
    """Whether each has what the other lacks."""
    return (one.original is None, one.given is None) == (
        other.original is not None, other.given is not None,
    )  # fmt: skip


def _joined(one: Exhibit, other: Exhibit) -> Exhibit:
    original, coded = (one, other) if one.original is not None else (other, one)
    if (original.width, original.height) != (coded.width, coded.height):
        sizes = " and ".join(f"{each.name} {each.width}x{each.height}" for each in (one, other))
        raise InputError(f"an original and its .aec file differ in size: {sizes}")
    return replace(original, given=coded.given)


def _upright(header: Header, turn: int) -> tuple[int, int]:
    """Width and height of a picture as it is shown."""
    sides = header.width, header.height
    return sides[::-1] if turn in TURNED_ASIDE else sides
