"""A crop sheet: original, JPEG and aecodec at about equal file size.

python -m benchmarks.crops samples/astronaut.png --quality 25 --box 150,30,190,190 -o OUT.png
"""

import click
from PIL import Image, ImageDraw, ImageFont

from aecodec import Codec
from benchmarks.codecs import open_rgb, save

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


def sheet(
    panels: list[tuple[str, Image.Image]], box: tuple[int, int, int, int], zoom: int
) -> Image.Image:
    """Crops of `box` (left, top, width, height) side by side, enlarged, captions below."""
    left, top, width, height = box
    side = (width * zoom, height * zoom)
    context = Image.new(
        "RGB",
        (len(panels) * (side[0] + MARGIN) + MARGIN, side[1] + 2 * MARGIN + CAPTION),
        "white",
    )
    draw = ImageDraw.Draw(context)
    font = ImageFont.load_default(22)
    for number, (caption, image) in enumerate(panels):
        x = MARGIN + number * (side[0] + MARGIN)
        crop = image.crop((left, top, left + width, top + height))
        context.paste(crop.resize(side, Image.Resampling.NEAREST), (x, MARGIN))
        draw.text((x, MARGIN + side[1] + 6), caption, fill="black", font=font)
    return context


@click.command()
@click.argument("picture")
@click.option("--quality", type=float, default=25.0, show_default=True)
@click.option("--box", default="0,0,200,200", show_default=True, help="left,top,width,height")
@click.option("--zoom", type=int, default=2, show_default=True)
@click.option("--model", metavar="PATH", help="Weights to use instead of the released ones.")
@click.option("-o", "--output", required=True)
def main(picture: str, quality: float, box: str, zoom: int, model: str | None, output: str) -> None:
    """Write a crop sheet of PICTURE."""
    left, top, width, height = (int(part) for part in box.split(","))
    with Image.open(picture) as opened:
        image = opened.convert("RGB")
    codec = Codec(model)
    learned = codec.compress(image, quality)
    jpeg = jpeg_of_size(image, len(learned))
    panels = [
        ("original", image),
        (f"JPEG, {len(jpeg)} bytes", open_rgb(jpeg)),
        (f"aecodec, {len(learned)} bytes", codec.decompress(learned)),
    ]
    sheet(panels, (left, top, width, height), zoom).save(output)


if __name__ == "__main__":
    main()
