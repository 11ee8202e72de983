"""Files with quality maps: valid ones, and some that every decoder must refuse."""

from dataclasses import replace

import numpy as np
from faults import Fault, head, join, split
from kit_files import (
    learned,
    mixed,
    sixteen_bit,
    smooth,
    tiled,
    with_alpha,
    with_checksum,
    with_layer,
)
from mapped_files import any_offsets, with_map

from aecodec.codec import Codec
from aecodec.coding.ans import SymbolEncoder, SymbolTable
from aecodec.coding.map_words import RESIDUAL_TABLE, split_map
from aecodec.format.chunks import Tile
from aecodec.format.container import parse, serialize
from aecodec.format.quality_map import LIMIT, residuals
from aecodec.picture.pixels import Pixels

FLAG = 2**15
"""V of HEAD."""
_ALL_ESCAPES = SymbolTable(1000, RESIDUAL_TABLE.counts)
"""The same probabilities; every residual lies below its smallest symbol."""


def valid_maps(codec: Codec) -> dict[str, tuple[str, bytes]]:
    """Name, what it shows, and file."""

    def mapped(flat: bytes, limit: int = 12, seed: int = 0) -> bytes:
        return with_map(codec, flat, any_offsets(flat, limit, seed))

    def ends(quality: float) -> bytes:
        flat = learned(codec, smooth(100, 200, 5), quality)
        return with_map(codec, flat, LIMIT * np.array([[1, -1, 0, 1], [-1, 1, 1, -1]], np.int32))

    return {
        "map-1x1": ("a quality map of one cell", mapped(learned(codec, smooth(1, 1)))),
        "map-zero": ("a map whose offsets are 0", mapped(learned(codec, smooth(70, 90, 1)), 0)),
        "map-209x150": ("sides that are no multiples", mapped(learned(codec, smooth(150, 209, 3)))),
        "map-tiles": ("a cell in each of several tiles", mapped(tiled(codec, smooth(100, 150, 6)))),
        "map-tiles-2x2": (
            "several cells in each of several tiles",
            mapped(_tiles_of_128(codec, smooth(150, 200, 7))),
        ),
        "map-gray": ("gray with a map", mapped(learned(codec, smooth(90, 140, 2)[..., 1], 75))),
        "map-gray16": (
            "gray of 16 bits with a map",
            mapped(learned(codec, sixteen_bit(smooth(70, 80, 9)[..., 0]), 90)),
        ),
        "map-rgba": (
            "alpha beside RGB with a map, and a checksum",
            with_checksum(codec, mapped(tiled(codec, with_alpha(smooth(70, 90, 8))))),
        ),
        "map-mixed": (
            "maps of learned tiles beside lossless ones, which have the quality of the picture",
            mapped(mixed(codec)),
        ),
        "map-layer": ("a residual layer over a map, exact", _layer(codec)),
        "map-ends-0": ("the largest offsets at quality 0", ends(0)),
        "map-ends-50": ("the largest offsets, and residuals that are escapes", ends(50)),
        "map-ends-100": ("the largest offsets at quality 100", ends(100)),
        "map-escapes": ("small residuals that are escapes", _escapes(codec)),
    }


def _tiles_of_128(codec: Codec, pixels: Pixels) -> bytes:
    return codec.compress(pixels, 60, tile_exponent=7, lossless_tiles=False, variance_boost=0)


def _layer(codec: Codec) -> bytes:
    """Residuals of tiles with maps, of which one is lossless."""
    pixels = smooth(150, 200, 3)
    flat = mixed(codec)
    pixels[64:128, 64:128] = codec.decompress_array(flat)[64:128, 64:128]
    return with_layer(codec, pixels, with_map(codec, flat, any_offsets(flat, 6)), 0)


def _escapes(codec: Codec) -> bytes:
    """The words of a tile whose residuals are escapes, though each has a count of its own."""
    flat = learned(codec, smooth(100, 150, 4))
    stream = parse(with_map(codec, flat, any_offsets(flat, 5)))
    (tile,) = stream.tiles
    assert isinstance(tile, Tile)
    offsets, words = split_map(tile.words, (2, 3))
    encoder, found = SymbolEncoder(words), residuals(offsets).reshape(-1)
    encoder.add(found, np.zeros(len(found), np.uint8), [_ALL_ESCAPES])
    return serialize(replace(stream, tiles=(replace(tile, words=encoder.words()),)))


def broken_maps(codec: Codec) -> dict[str, Fault]:
    """Faults of quality maps of a file of one TILE with two cells."""
    flat = learned(codec, smooth(20, 70, 4))
    data = with_map(codec, flat, np.array([[3, -4]], np.int32))
    stream = parse(data)
    (tile,) = stream.tiles
    assert isinstance(tile, Tile)
    (_, top), *others = split(data)
    _, (kind, payload), done = split(flat)
    _, latents = split_map(tile.words, (1, 2))

    def with_residuals(*values: int) -> bytes:
        encoder = SymbolEncoder(latents)
        encoder.add(np.array(values, np.int32), np.zeros(2, np.uint8), [RESIDUAL_TABLE])
        return serialize(replace(stream, tiles=(replace(tile, words=encoder.words()),)))

    def with_head(quality: int) -> bytes:
        return join((b"HEAD", head(top, quality=quality)), *others)

    header, payload_error, checksum = "HeaderError", "PayloadError", "ChecksumError"
    words = tile.words[: len(tile.words) // 8 * 4]
    return {
        "map-offset-51": ("an offset of 51", with_residuals(51, 0), payload_error),
        "map-offset-sum": ("offsets of -50 and -51", with_residuals(-50, -1), payload_error),
        "map-offset-far": ("a residual of 32767", with_residuals(0, 32767), payload_error),
        "map-quality-401": ("quality index 401 with maps", with_head(FLAG + 401), header),
        "quality-bit-14": ("bit 14 of the quality", with_head(200 + 2**14), header),
        "quality-bit-9": ("bit 9 of the quality, with maps", with_head(FLAG + 2**9), header),
        "map-missing": (
            "a TILE without the map that HEAD announces",
            join((b"HEAD", top), (kind, payload), done),
            payload_error,
            checksum,
        ),
        "map-unannounced": (
            "a map that HEAD does not announce",
            with_head(200),
            payload_error,
            checksum,
        ),
        "map-cut": (
            "half of the words of a TILE with a map",
            serialize(replace(stream, tiles=(replace(tile, words=words),))),
            payload_error,
            checksum,
        ),
        "map-no-words": (
            "a TILE of three cells without words",
            _without_words(codec),
            payload_error,
        ),
        "map-checksum": (
            "latents of another map",
            with_residuals(3, 0),
            payload_error,
            checksum,
        ),
    }


def _without_words(codec: Codec) -> bytes:
    """Three residuals of -20, which is what a state of 0 gives."""
    flat = learned(codec, smooth(20, 130, 4))
    stream = parse(with_map(codec, flat, any_offsets(flat)))
    (tile,) = stream.tiles
    assert isinstance(tile, Tile)
    return serialize(replace(stream, tiles=(replace(tile, words=b""),)))
