"""Small pictures of files, for terminals and file managers."""

from PIL import Image

from aecodec.codec import Codec
from aecodec.errors import LimitError
from aecodec.info import read_info
from aecodec.options import SCALES
from aecodec.picture.alpha import over_background
from aecodec.picture.metadata import turned
from aecodec.picture.orientation import orientation_in
from aecodec.picture.picture import to_pil
from aecodec.storage.arguments import opened_for_parts

Size = tuple[int, int]


def preview(
    codec: Codec, source: str, size: Size, *, background: tuple[int, int, int] | None = None,
    most_pixels: int | None = None,
) -> Image.Image:  # fmt: skip
    """A small picture of an .aec file, of 8 bits, turned as it is shown.

    Args:
        codec: what decodes.
        source: a path, a URL, or `-` for standard input.
        size: the largest width and height; a smaller picture keeps its own.
        background: what shows through alpha, red, green and blue; None keeps alpha.
        most_pixels: refuses larger pictures, which take long to decode.

    Returns:
        An image of mode L, LA, RGB or RGBA, with its colour profile in `info`.

    Raises what `Codec.decompress_array` raises, and LimitError for more than `most_pixels`.
    """
    with opened_for_parts(source) as file:
        header = read_info(file, codec.limits)
        if most_pixels is not None and header.width * header.height > most_pixels:
            raise LimitError(f"the picture has more than {most_pixels} pixels")
        short, long = sorted((header.width, header.height))
        # Turning may exchange the sides.
        fits = [s for s in SCALES if long // s >= max(size) or short // s >= max(size)]
        picture = codec.decompress_picture(file, scale=max(fits, default=1), depth=8)
    whole = turned(picture.whole, orientation_in(picture.metadata))
    if background is not None:
        whole = over_background(whole, background)
    image = to_pil(whole)
    image.thumbnail(size)
    if picture.metadata.icc:
        image.info["icc_profile"] = picture.metadata.icc
    return image
