"""Decodes huge pictures straight into files, in memory that does not grow with their height."""

from collections.abc import Callable, Iterator

from aecodec.codec import Codec
from aecodec.decoder.rows import TileRows
from aecodec.options import Wish
from aecodec.picture.alpha import over_background
from aecodec.picture.pixels import Pixels
from aecodec.picture.writers import write_rows
from aecodec.storage.files import replacing
from aecodec.storage.sources import Source


def unpack(
    codec: Codec,
    source: Source,
    target: str,
    kind: str,
    *,
    wish: Wish | None = None,
    check: Callable[[], None] = lambda: None,
) -> tuple[tuple[int, int], list[str]] | None:
    """Decodes into a file of one of the formats `writers.STREAMED`.

    Args:
        codec: the decoder.
        source: see `Codec.decompress_array`.
        target: the file to write; it appears when it is complete.
        kind: its format.
        wish: what to write; by default the whole picture as it is.
        check: called before each row of tiles; may raise.

    Returns:
        Height and width, and the names of metadata that the format cannot carry; None, and no
        file, if its EXIF, which may say that the picture is turned, were among them.

    Raises what `Codec.decompress_array` raises.
    """
    wish = wish or Wish()
    opened = codec.open_rows(
        source, region=wish.region, scale=wish.scale, depth=wish.depth, lossy=wish.lossy
    )
    with opened as (bands, metadata):
        lost = metadata.lost_in(kind)
        if "exif" in lost:
            return None
        with replacing(target) as file:
            rows = _checked(bands, check, wish.background)
            write_rows(file, kind, bands.size, rows, metadata)
        return bands.size, lost


def _checked(
    bands: TileRows, check: Callable[[], None], background: tuple[int, int, int] | None
) -> Iterator[Pixels]:
    for band in bands:
        check()
        yield band if background is None else over_background(band, background)
