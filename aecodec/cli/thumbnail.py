"""Pictures in a terminal: by its own protocol, or by half blocks in colours.

Sources: kitty's "Terminal graphics protocol"; iTerm2's "Inline images protocol"; the sixel manual
of the VT330 (DEC, EK-VT3XX-TP-002, chapter 14).
"""

from base64 import b64encode
from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING

from aecodec.cli.startup import prepare_process
from aecodec.cli.terminal import Graphics, columns, graphics, has_colours
from aecodec.errors import AecError, InputError
from aecodec.jobs.runner import JobLog
from aecodec.storage.names import STANDARD

if TYPE_CHECKING:
    from PIL import Image

AT_ONCE = 2**22
"""Pixels of pictures that are decoded without being asked for."""
SIDE = 320
"""Pixels of a side at most, where the terminal shows pixels."""
_BLOCKS = 48
"""Characters in a line at most, where each shows two pixels."""
_KITTY_PIECE = 4096
"""Letters of a piece of a picture at most."""
_SIXEL_COLOURS, _SIXEL_ROWS = 255, 6
_LONGEST_PLAIN_RUN = 3
"""Sixels that are not shorter with a count before them."""


def show(name: str, log: JobLog, *, asked: bool) -> None:
    """Shows the picture of a file, or says why not, if it was asked for."""
    kind = graphics()
    try:
        if name == STANDARD:
            raise InputError("standard input is read once")
        if kind is None and not has_colours():
            raise InputError("the terminal shows no colours")
        log.say(_picture(name, kind, most_pixels=None if asked else AT_ONCE), err=False)
    except (AecError, OSError) as exc:
        if asked:
            log.warn(f"no thumbnail: {exc}")


def _picture(name: str, kind: Graphics | None, most_pixels: int | None) -> str:
    prepare_process()
    from aecodec.codec import Codec
    from aecodec.jobs.preview import preview

    size = _size_for(kind)
    image = preview(Codec(), name, size, background=(0, 0, 0), most_pixels=most_pixels)
    return drawn(image, kind)


def _size_for(kind: Graphics | None) -> tuple[int, int]:
    """Width and height that a picture may have, in pixels; None is for half blocks."""
    if kind is not None:
        return SIDE, SIDE
    side = max(2, min(_BLOCKS, columns() - 2))
    return side, side


def drawn(image: "Image.Image", kind: Graphics | None) -> str:
    """What shows a picture when it is written to the terminal.

    Args:
        image: of mode L or RGB.
        kind: the protocol; None for half blocks.
    """
    if kind == "kitty":
        return _kitty(_png(image))
    if kind == "iterm":
        png = _png(image)
        return f"\x1b]1337;File=inline=1;size={len(png)}:{b64encode(png).decode()}\x07"
    return _sixel(image) if kind == "sixel" else _blocks(image)


def _png(image: "Image.Image") -> bytes:
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def _kitty(png: bytes) -> str:
    text = b64encode(png).decode()
    pieces = [text[at : at + _KITTY_PIECE] for at in range(0, len(text), _KITTY_PIECE)]
    found = []
    for number, piece in enumerate(pieces):
        start = "a=T,f=100,q=2," if number == 0 else ""
        more = int(number < len(pieces) - 1)
        found.append(f"\x1b_G{start}m={more};{piece}\x1b\\")
    return "".join(found)


def _blocks(image: "Image.Image") -> str:
    """Upper half blocks: the colour of the letter is the upper pixel, that behind it the lower."""
    rgb = image.convert("RGB")
    lines = []
    for top in range(0, rgb.height, 2):
        line = []
        for x in range(rgb.width):
            upper = ";".join(map(str, rgb.getpixel((x, top))))  # type: ignore[arg-type]  # of RGB
            if top + 1 < rgb.height:
                lower = ";".join(map(str, rgb.getpixel((x, top + 1))))  # type: ignore[arg-type]  # the same
                line.append(f"\x1b[38;2;{upper};48;2;{lower}m▀")
            else:
                line.append(f"\x1b[49;38;2;{upper}m▀")
        lines.append("".join(line) + "\x1b[0m")
    return "\n".join(lines)


def _sixel(image: "Image.Image") -> str:
    """A picture of up to 255 colours, in bands of six rows, of which each colour is a line."""
    import numpy as np

    few = image.convert("RGB").quantize(_SIXEL_COLOURS)
    palette = np.array(few.getpalette("RGB"), np.int64).reshape(-1, 3)
    index = np.asarray(few)
    height, width = index.shape
    parts = [f'\x1bP0;1q"1;1;{width};{height}']
    for number in np.unique(index):
        red, green, blue = (palette[number] * 100 + 127) // 255  # in percent
        parts.append(f"#{number};2;{red};{green};{blue}")
    for top in range(0, height, _SIXEL_ROWS):
        band = index[top : top + _SIXEL_ROWS]
        weights = (1 << np.arange(len(band)))[:, None]
        lines = [
            f"#{number}" + _runs(((band == number) * weights).sum(axis=0).tolist())
            for number in np.unique(band)
        ]
        parts.append("$".join(lines) + "-")
    return "".join(parts) + "\x1b\\"


def _runs(bits: list[int]) -> str:
    """Sixels of a line, with counts for what repeats."""
    found = []
    for value, run in groupby(bits):
        count, letter = len(list(run)), chr(value + 63)
        found.append(f"!{count}{letter}" if count > _LONGEST_PLAIN_RUN else letter * count)
    return "".join(found)
