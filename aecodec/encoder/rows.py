"""Pictures to files, a row of tiles at a time: the one encoder, for whole pictures too.

Memory does not grow with the picture's height, beyond what must be written at the end or known at
the beginning of a file: residuals, and with a checksum all tiles.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from aecodec.decoder.rows import TileRows
from aecodec.encoder.mode_selection import (
    larger_exponents,
    with_larger_tiles,
    without_hidden_colours,
)
from aecodec.encoder.noise import settled
from aecodec.encoder.quality_map import mapped
from aecodec.encoder.row_encoder import RowEncoder
from aecodec.encoder.tile_view import BegunTiles
from aecodec.format.chunks import Chunk, Header, ResidualTile
from aecodec.format.container import Stream, closing, opening, serialize
from aecodec.format.digest import PixelDigest, with_digest
from aecodec.format.reader import StreamTiles
from aecodec.options import DecodeOptions, EncodeOptions
from aecodec.picture.row_readers import RowSource

if TYPE_CHECKING:
    from aecodec.encoder.networks import EncoderModel


def encode_rows(
    model: "EncoderModel",
    source: RowSource,
    header: Header,
    options: EncodeOptions,
    *,
    optional: tuple[Chunk, ...] = (),
    progress: Callable[[float], None] | None = None,
    begun: BegunTiles | None = None,
) -> Iterator[bytes]:
    """Yields a file piece by piece.

    Args:
        model: the encoder.
        source: what to encode.
        header: of the file, which gets a quality map where the options ask for one.
        options: how; their quality stands in the header.
        optional: chunks of metadata.
        progress: called with the part of the work that is done, rising to 1; may raise.
        begun: what was kept of the same picture at other qualities.
    """
    options = settled(options, source)
    quality = mapped(header, source, options)
    header = replace(
        header, quality_index=quality.index, has_quality_map=quality.map_index is not None
    )
    encoder = RowEncoder(model, source, header, options, quality, progress, begun)
    head = encoder.layer_head
    whole = source.picture if larger_exponents(header) and encoder.may_be_larger else None
    if whole is None and not options.checksum:
        yield opening(header, optional, head)
        residuals: list[ResidualTile] = []
        for row in encoder.rows():
            yield b"".join(row.chunks())
            residuals += row.residuals
        yield closing(residuals)
        return
    stream, expected = encoder.collected(optional)
    if whole is not None:
        plain = without_hidden_colours(whole.pixels, whole.alpha)
        stream = with_larger_tiles(stream, plain, whole.alpha, expected) or stream
    if options.checksum:
        stream = with_digest(stream, _digest(model, stream))
    yield serialize(stream)


def _digest(model: "EncoderModel", stream: Stream) -> bytes:
    """The digest of a file's pixels, which are decoded row by row."""
    digest = PixelDigest()
    tiles = StreamTiles(stream)
    for row in TileRows(lambda: model.decoder, tiles, DecodeOptions().view(stream.header)):
        digest.update(row)
    return digest.result()
