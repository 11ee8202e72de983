"""A crop sheet: original and codecs side by side, each at no more than a number of bytes.

python -m benchmarks crops samples/astronaut.png@150,20,200,200 -o OUT.png
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import click
from PIL import Image, ImageDraw, ImageFont

from aecodec.errors import AecError
from aecodec.format.quality import QUALITY_STEPS
from aecodec.format.tiling import Region
from aecodec.storage.files import write_bytes
from benchmarks.codecs import FACTORIES, CodecUnavailableError, ImageCodec, describe, is_ours
from benchmarks.pictures import load_picture

CODECS = ("aecodec-psnr", "aecodec-visual", "avif-iq", "jpeg420")
RATES = (0.15, 0.3, 0.6)
SIDE = 200
"""Of the square in the middle that is shown where no box is named, pixels."""
NAMES = {
    "aecodec-psnr": "aecodec, psnr", "aecodec-visual": "aecodec, visual",
    "avif-iq": "AVIF, tune=iq", "jpeg420": "JPEG 4:2:0",
}  # fmt: skip
"""What columns are called, where that is not the name of the codec."""
_GAP, _LABEL, _MARGIN = 6, 30, 12
"""Pixels between panels, of a line of text, and around a sheet."""
_TITLE, _CAPTION = 22, 20
"""Sizes of the letters, pixels; they shrink where there is too little room."""
_BOX = re.compile(r"(.+)@(\d+),(\d+),(\d+),(\d+)")


@dataclass(frozen=True)
class Panel:
    """One crop of a sheet.

    Attributes:
        caption: below it.
        image: of the size of the box.
        red: whether the caption is red: the file is larger than was asked for.
    """

    caption: str
    image: Image.Image
    red: bool = False


@dataclass(frozen=True)
class Row:
    """Panels side by side under a title."""

    title: str
    panels: Sequence[Panel]


def at_size(codec: ImageCodec, image: Image.Image, size: int) -> bytes:
    """The file of at most `size` bytes with the highest quality, else that of the lowest.

    Qualities are whole numbers from 1 to 100, and of our codec quarters from 0 on.
    """
    steps = QUALITY_STEPS if is_ours(codec.name) else 1
    low, high = (0 if steps > 1 else 1), 100 * steps
    best = codec.encode(image, low / steps)
    while low < high:
        middle = (low + high + 1) // 2
        data = codec.encode(image, middle / steps)
        if len(data) <= size:
            low, best = middle, data
        else:
            high = middle - 1
    return best


def crop_rows(
    name: str, image: Image.Image, box: Region, codecs: Sequence[ImageCodec],
    rates: Sequence[float],
) -> list[Row]:  # fmt: skip
    """A row for each rate: the original, then each codec at no more than that.

    Args:
        name: of the picture, for the titles.
        image: the whole picture, which is coded as a whole.
        box: what of it is shown.
        codecs: the columns.
        rates: in bits per pixel.
    """
    rows, columns = box.slices()
    corners = columns.start, rows.start, columns.stop, rows.stop
    pixels, found = image.width * image.height, []
    for rate in rates:
        panels = [Panel("original", image.crop(corners))]
        for codec in codecs:
            data = at_size(codec, image, int(rate * pixels / 8))
            bpp = 8 * len(data) / pixels
            caption = f"{NAMES.get(codec.name, codec.name)}: {bpp:.3f} bpp"
            panels.append(Panel(caption, codec.decode(data).crop(corners), red=bpp > rate))
        title = f"{name}, {image.width}x{image.height}: at most {rate:g} bits per pixel"
        found.append(Row(title, panels))
    return found


def sheet(rows: Sequence[Row], zoom: int) -> Image.Image:
    """All rows below each other: titles above their panels, enlarged, captions below."""
    sizes = [(zoom * row.panels[0].image.width, zoom * row.panels[0].image.height) for row in rows]
    widths = [len(r.panels) * (w + _GAP) - _GAP for r, (w, _) in zip(rows, sizes, strict=True)]
    height = sum(h + 2 * _LABEL + 2 * _GAP for _, h in sizes)
    page = Image.new("RGB", (max(widths) + 2 * _MARGIN, height + 2 * _MARGIN), "white")
    draw, y = ImageDraw.Draw(page), _MARGIN
    for row, size in zip(rows, sizes, strict=True):
        _write(draw, (_MARGIN, y), row.title, _TITLE, widths[0])
        y += _LABEL
        for number, panel in enumerate(row.panels):
            x = _MARGIN + number * (size[0] + _GAP)
            page.paste(panel.image.resize(size, Image.Resampling.NEAREST), (x, y))
            _write(draw, (x, y + size[1] + 3), panel.caption, _CAPTION, size[0], panel.red)
        y += size[1] + _LABEL + 2 * _GAP
    return page


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: float, room: int,
    red: bool = False,
) -> None:  # fmt: skip
    """A line of text, in smaller letters where it would be wider than its room."""
    font = ImageFont.load_default(size)
    width = draw.textlength(text, font=font)
    if width > room:
        font = ImageFont.load_default(size * room / width)
    draw.text(place, text, fill="#b00000" if red else "black", font=font)


def parse_crop(text: str) -> tuple[Path, Region | None]:
    """A picture and a box of it, as `PICTURE@LEFT,TOP,WIDTH,HEIGHT`, or a picture alone."""
    found = _BOX.fullmatch(text)
    if found is None:
        return Path(text), None
    left, top, width, height = map(int, found.groups()[1:])
    return Path(found[1]), Region(left, top, width, height)


def middle(image: Image.Image, side: int = SIDE) -> Region:
    """The square in the middle, or what there is of it."""
    width, height = min(side, image.width), min(side, image.height)
    return Region((image.width - width) // 2, (image.height - height) // 2, width, height)


def _parse_rates(_context: click.Context, _parameter: click.Parameter, text: str) -> list[float]:
    try:
        rates = [float(part) for part in text.split(",")]
    except ValueError:
        rates = [0.0]
    if not all(0 < rate < 100 for rate in rates):
        raise click.BadParameter(f"{text!r} is not a list of bits per pixel, e.g. 0.15,0.3")
    return rates


@click.command()
@click.argument("crops", nargs=-1, required=True, metavar="PICTURE[@X,Y,W,H]...")
@click.option("--rates", default=",".join(map(str, RATES)), show_default=True,
              callback=_parse_rates, help="The most bits per pixel of each row.")  # fmt: skip
@click.option("--codecs", default=",".join(CODECS), show_default=True, help="The columns.")
@click.option("--zoom", type=click.IntRange(1, 8), default=2, show_default=True)
@click.option("--model", help="Name or weights file of the model of the column aecodec.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
def main(
    crops: tuple[str, ...], rates: list[float], codecs: str, zoom: int, model: str | None,
    output: Path,
) -> None:  # fmt: skip
    """Write a sheet of parts of pictures: the original and codecs at equal file sizes.

    Each picture is coded as a whole. Without a box the middle of a picture is shown. A codec that
    cannot run here is left out, and a caption is red where no file of a codec is small enough.
    """
    usable, rows = _usable(codecs, model), []
    for text in crops:
        path, box = parse_crop(text)
        try:
            image = load_picture(path)
            region = box or middle(image)
            region.check(*image.size)
        except (AecError, OSError, ValueError) as exc:
            raise click.ClickException(f"{path}: {describe(exc)}") from exc
        rows += crop_rows(path.name, image, region, usable, rates)
    write_bytes(str(output), as_png(sheet(rows, zoom)))


def as_png(image: Image.Image) -> bytes:
    """The file of a sheet."""
    stream = BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _usable(names: str, model: str | None) -> list[ImageCodec]:
    """The codecs of a list that can run here; a line on standard error for each other."""
    found = []
    for name in names.split(","):
        if name not in FACTORIES:
            raise click.BadParameter(f"unknown {name!r}; known: {', '.join(FACTORIES)}")
        try:
            found.append(FACTORIES[name](model))
        except CodecUnavailableError as exc:
            click.echo(f"left out: {name}: {exc}", err=True)
    return found


if __name__ == "__main__":
    main()
