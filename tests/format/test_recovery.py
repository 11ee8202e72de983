"""What is left of files that were cut off or damaged, and the report of what is lost."""

import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_files import CLEAR as ONE_CLEAR
from raw_files import HEAD, LAYR, NOTE, RESI, SIGN, TILE, chunk

from aecodec.coding.lossless import decode_pixels
from aecodec.errors import AecError, FormatError, LimitError, UnsupportedError
from aecodec.format.chunks import (
    HEADER_BYTES,
    Buffer,
    Chunk,
    Header,
    Limits,
    LosslessTile,
    PixelCoder,
    PixelFormat,
    Tile,
)
from aecodec.format.container import Stream, chunk_table, parse, serialize
from aecodec.format.reader import TileState
from aecodec.format.recovery import encode_flat, rescue

WHOLE, CUT, DAMAGED, MISSING = TileState


def make_stream(pixel_format: PixelFormat = PixelFormat.RGB8) -> Stream:
    """Twelve learned tiles of random words."""
    random = np.random.default_rng(0)
    header = Header(250, 190, pixel_format, 6, 200, b"demo")
    tiles = tuple(Tile(number, random.bytes(4 * 50)) for number in range(12))
    alphas = tuple(LosslessTile(number, PixelCoder.PNG, random.bytes(30)) for number in range(12))
    return Stream(header, tiles, alphas=alphas if pixel_format.has_alpha else ())


STREAM, CLEAR = make_stream(), make_stream(PixelFormat.RGBA8)
TILED, ALPHA = serialize(STREAM), serialize(CLEAR)


def flip(data: bytes, *positions: int) -> bytes:
    changed = bytearray(data)
    for position in positions:
        changed[position] ^= 0x55
    return bytes(changed)


def places(data: bytes, kind: str) -> list[tuple[int, int]]:
    """Offset and size of the payload of each chunk of a type."""
    return [(offset, size) for found, offset, size in chunk_table(data) if found == kind]


def test_a_whole_file_is_the_same() -> None:
    for stream in (STREAM, CLEAR, replace(STREAM, ancillary=(Chunk(b"note", b"kept"),))):
        left = rescue(serialize(stream))
        assert left.stream == stream
        assert set(left.states + left.alphas) == {WHOLE}
        assert left.report() == []


@settings(deadline=None, derandomize=True)
@given(st.integers(HEADER_BYTES, len(TILED) - 1))
def test_tiles_before_the_end_of_a_prefix_are_whole(size: int) -> None:
    left = rescue(TILED[:size])
    count = sum(offset + length + 12 <= size for offset, length in places(TILED, "TILE"))
    assert left.stream.tiles[:count] == STREAM.tiles[:count]
    cut = [CUT] if count < 12 and size > places(TILED, "TILE")[count][0] else []
    expected = [WHOLE] * count + cut
    assert left.states == (*expected, *[MISSING] * (12 - len(expected)))


def test_the_words_before_the_cut_are_kept() -> None:
    offset, _ = places(TILED, "TILE")[4]
    left = rescue(TILED[: offset + 12 + 4 * 7 + 3])
    assert left.states[4] is CUT
    assert left.stream.tiles[4] == Tile(0, parse(TILED).tiles[4].words[: 4 * 7])  # type: ignore[union-attr]  # all are learned
    assert left.report()[0] == "tile 4 (row 1, column 0) is cut off"


@pytest.mark.parametrize("part", ["length", "type", "payload", "crc"])
def test_reading_goes_on_behind_a_damaged_chunk(part: str) -> None:
    offset, size = places(TILED, "TILE")[4]
    position = {"length": 2, "type": 5, "payload": 30, "crc": 8 + size}[part]
    left = rescue(flip(TILED, offset + position))
    assert left.states == tuple(DAMAGED if n == 4 else WHOLE for n in range(12))
    assert left.report() == ["tile 4 (row 1, column 0) is damaged"]
    assert left.stream.tiles[5:] == STREAM.tiles[5:]


def test_lost_alpha_is_opaque() -> None:
    offset, _ = places(ALPHA, "ALPH")[3]
    left = rescue(flip(ALPHA, offset + 20))
    assert left.states == (WHOLE,) * 12
    assert left.alphas == tuple(DAMAGED if n == 3 else WHOLE for n in range(12))
    assert left.report() == ["alpha of tile 3 (row 0, column 3) is damaged"]
    pixels = decode_pixels(left.stream.alphas[3], 64, 250 - 3 * 64, gray=True)
    assert (pixels == 255).all()


def test_a_tile_without_its_colours_keeps_its_alpha() -> None:
    offset, _ = places(ALPHA, "TILE")[3]
    left = rescue(flip(ALPHA, offset + 20))
    assert left.states == tuple(DAMAGED if n == 3 else WHOLE for n in range(12))
    assert left.stream.alphas == CLEAR.alphas
    cut = rescue(ALPHA[: offset + 20])
    assert cut.alphas == (WHOLE,) * 4 + (MISSING,) * 8
    assert cut.states == (WHOLE,) * 3 + (CUT,) + (MISSING,) * 8


def test_chunks_of_another_version_count_as_damaged() -> None:
    later, short = chunk(b"PIXL", b"\1\0\0\0\7data"), chunk(b"TILE", b"abcdef")
    for strange in (later, short):
        assert rescue(SIGN + HEAD + strange + TILE).states == (DAMAGED, WHOLE)
    alpha = chunk(b"ALPH", b"\1\0\0\0\7a")
    left = rescue(SIGN + ONE_CLEAR + alpha + TILE)
    assert (left.states, left.alphas) == ((WHOLE,), (DAMAGED,))


def test_a_layer_is_lost_as_a_whole() -> None:
    left = rescue(SIGN + HEAD + LAYR + TILE * 2 + RESI)
    assert (left.layer_lost, left.stream.layer) == (True, None)
    assert left.report() == ["the residual layer is lost, so the picture is lossy"]


@settings(deadline=None, derandomize=True)
@given(st.data())
def test_no_damage_does_more_than_raise_our_errors(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([TILED, ALPHA]))
    places = data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=6))
    size = data.draw(st.integers(0, len(whole)))
    try:
        left = rescue(flip(whole, *places)[:size])
    except AecError:
        return
    assert rescue(serialize(left.stream)).report() == []


@pytest.mark.parametrize("position", range(HEADER_BYTES))
def test_a_damaged_header_is_an_error(position: int) -> None:
    with pytest.raises((FormatError, UnsupportedError)):
        rescue(flip(TILED, position))


def test_landmarks_without_end_do_not_take_for_ever() -> None:
    """Each landmark claims all that follows: checking every one would take hours."""
    hostile = TILED[:HEADER_BYTES] + b"\x00\x00\x10\x00TILE" * 250_000
    assert set(rescue(hostile).states) <= {DAMAGED, MISSING, CUT}


def test_limits_hold_where_parse_gives_up() -> None:
    """An unknown critical chunk ends `parse`, but not the search behind it."""
    data = SIGN + HEAD + chunk(b"Zzzz") + NOTE * 3 + TILE * 2
    assert len(rescue(data, Limits(metadata_chunks=3)).stream.ancillary) == 3
    with pytest.raises(LimitError, match="3 optional chunks, the limit is 2"):
        rescue(data, Limits(metadata_chunks=2))
    with pytest.raises(LimitError, match="6 bytes of metadata, the limit is 5"):
        rescue(data, Limits(metadata_bytes=5))


@pytest.mark.parametrize("wrap", [bytearray, memoryview, lambda data: memoryview(b"?" + data)[1:]])
def test_any_buffer_is_searched(wrap: Callable[[bytes], Buffer]) -> None:
    offset, size = places(TILED, "TILE")[4]
    broken = flip(TILED, offset + size // 2, offset)
    assert rescue(broken).states.count(WHOLE) == 11
    assert rescue(wrap(broken)) == rescue(broken)


@pytest.mark.parametrize(("sixteen_bit", "sample"), [(False, 200), (True, 54321)])
@pytest.mark.parametrize("size", [(1, 1), (300, 500)])
def test_flat_tiles_decode_to_their_sample(
    sixteen_bit: bool, sample: int, size: tuple[int, int]
) -> None:
    tile = encode_flat(sample, *size, sixteen_bit=sixteen_bit)
    pixels = decode_pixels(tile, *size, gray=True, sixteen_bit=sixteen_bit)
    assert (pixels == sample).all()
    assert tile.checksum == zlib.crc32(pixels.tobytes())
