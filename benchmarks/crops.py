"""A crop sheet: original, JPEG and aecodec at about equal file size.

python -m benchmarks.crops samples/astronaut.png --quality 25 --box 150,30,190,190 -o OUT.png
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from PIL import Image, ImageDraw, ImageFont

from aecodec import AecError, Codec
from aecodec.format.tiling import Region
from benchmarks.codecs import describe, open_rgb, save
from benchmarks.pictures import load_picture

MARGIN = 8
CAPTION = 36


def jpeg_of_size(image: Image.Image, size: int) -> bytes:
    """The best JPEG (4:2:0, optimized) of at most `size` bytes, or the smallest there is."""
    files = [
        save(image, "JPEG", quality=quality, subsampling="4:2:0", optimize=True)
        for quality in range(1, 96)
    ]
    fitting = [data for data in files if len(data) <= size]
    return max(fitting or [min(files, key=len)], key=len)


@dataclass(frozen=True)
class Panel:
    """One picture of a sheet."""

    caption: str
    image: Image.Image


def sheet(panels: Sequence[Panel], region: Region, zoom: int) -> Image.Image:
    """Crops of one region side by side, enlarged, captions below."""
    side = (region.width * zoom, region.height * zoom)
    rows, columns = region.slices()
    box = (columns.start, rows.start, columns.stop, rows.stop)
    context = Image.new(
        "RGB",
        (len(panels) * (side[0] + MARGIN) + MARGIN, side[1] + 2 * MARGIN + CAPTION),
        "white",
    )
    draw = ImageDraw.Draw(context)
    font = ImageFont.load_default(22)
    for number, panel in enumerate(panels):
        x = MARGIN + number * (side[0] + MARGIN)
        crop = panel.image.crop(box)
        context.paste(crop.resize(side, Image.Resampling.NEAREST), (x, MARGIN))
        draw.text((x, MARGIN + side[1] + 6), panel.caption, fill="black", font=font)
    return context


def _parse_box(_context: click.Context, _parameter: click.Parameter, text: str) -> Region:
    try:
        left, top, width, height = (int(part) for part in text.split(","))
    except ValueError as exc:
        raise click.BadParameter(f"{text!r} is not left,top,width,height") from exc
    return Region(left, top, width, height)


@click.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--quality", type=float, default=25.0, show_default=True)
@click.option(
    "--box", default="0,0,200,200", show_default=True, callback=_parse_box,
    help="left,top,width,height",
)  # fmt: skip
@click.option("--zoom", type=int, default=2, show_default=True)
@click.option("--model", help="Name or weights file of a model in place of the default.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
def main(
    picture: Path, quality: float, box: Region, zoom: int, model: str | None, output: Path
) -> None:
    """Write a crop sheet of PICTURE."""
    try:
        image = load_picture(picture)
        box.check(*image.size)
    except (AecError, OSError, ValueError) as exc:
        raise click.ClickException(f"{picture}: {describe(exc)}") from exc
    codec = Codec(model)
    learned = codec.compress(image, quality)
    jpeg = jpeg_of_size(image, len(learned))
    panels = [
        Panel("original", image),
        Panel(f"JPEG, {len(jpeg)} bytes", open_rgb(jpeg)),
        Panel(f"aecodec, {len(learned)} bytes", codec.decompress(learned)),
    ]
    sheet(panels, box, zoom).save(output)


if __name__ == "__main__":
    main()
