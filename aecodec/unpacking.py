"""Decodes huge pictures straight into files, in memory that does not grow with their height."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch

from aecodec.bands import Bands
from aecodec.codec import Codec
from aecodec.files import replacing
from aecodec.images import Pixels
from aecodec.sources import Source
from aecodec.windows import Region
from aecodec.writers import write_rows

if TYPE_CHECKING:
    from numbers import Rational


def unpack(  # noqa: PLR0913  # the options of decoding
    codec: Codec,
    source: Source,
    target: str,
    kind: str,
    *,
    region: Region | None = None,
    scale: "int | float | Rational" = 1,
    lossy: bool = False,
    check: Callable[[], None] = lambda: None,
) -> tuple[tuple[int, int], list[str]] | None:
    """Decodes into a file of one of the formats `writers.STREAMED`.

    Args:
        codec: the decoder.
        source: see `Codec.decompress_array`.
        target: the file to write; it appears when it is complete.
        kind: its format.
        region: see `Codec.decompress_array`.
        scale: see `Codec.decompress_array`.
        lossy: see `Codec.decompress_array`.
        check: called before each row of tiles; may raise.

    Returns:
        Height and width, and the names of metadata that the format cannot carry; None, and no
        file, if its EXIF, which may say that the picture is turned, were among them.

    Raises what `Codec.decompress_array` raises.
    """
    with codec.open_bands(source, region=region, scale=scale, lossy=lossy) as (bands, metadata):
        lost = metadata.lost_in(kind)
        if "exif" in lost:
            return None
        with replacing(target) as file:
            write_rows(file, kind, bands.size, _checked(bands, check), metadata)
        return bands.size, lost


def _checked(bands: Bands, check: Callable[[], None]) -> Iterator[Pixels]:
    with torch.inference_mode():
        for band in bands:
            check()
            yield band
