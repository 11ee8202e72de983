"""Whole files: five properties, the examples of the specification, and single chunks."""

import re
import struct
from collections.abc import Callable
from importlib.resources import files

import numpy as np
import pytest
from drawn_streams import draw_stream
from hypothesis import example, given, settings
from hypothesis import strategies as st
from raw_files import (
    ALPH,
    CLEAR,
    DONE,
    HEAD,
    LAYR,
    NOTE,
    PIXL,
    RESI,
    SIGN,
    TILE,
    WHOLE,
    chunk,
    head,
)

from aecodec.coding.lossless import decode_pixels
from aecodec.errors import AecError, ChecksumError, HeaderError, TruncatedError
from aecodec.format.chunks import (
    HEADER_BYTES,
    Chunk,
    Header,
    Layer,
    LayerHead,
    Limits,
    LosslessTile,
    PixelCoder,
    PixelFormat,
    ResidualTile,
    Tile,
)
from aecodec.format.container import (
    SIGNATURE,
    VERSION,
    Stream,
    chunk_table,
    closing,
    opening,
    parse,
    parse_header,
    serialize,
)

steady = settings(deadline=None, derandomize=True)
"""No time limit on a busy machine, and the same examples on every run."""


streams = draw_stream()
resealed = st.lists(
    st.builds(
        chunk,
        st.sampled_from(
            [b"HEAD", b"TILE", b"PIXL", b"ALPH", b"LAYR", b"RESI", b"DONE", b"note", b"XtrA"]
        ),
        st.binary(max_size=20) | st.sampled_from([HEAD[8:24], b""]),
    ),
    max_size=5,
).map(b"".join)
"""Chunks whose crc is right, so that the rules behind it are reached."""


@steady
@given(streams)
def test_what_is_serialized_parses_to_the_same(stream: Stream) -> None:
    data = serialize(stream)
    assert parse(data) == stream
    assert parse_header(data) == stream.header


@steady
@given(streams, st.data())
def test_every_strict_prefix_is_truncated(stream: Stream, data: st.DataObject) -> None:
    whole = serialize(stream)
    size = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(TruncatedError):
        parse(whole[:size])


@steady
@given(streams, st.data())
def test_every_flipped_bit_is_noticed(stream: Stream, data: st.DataObject) -> None:
    damaged = bytearray(serialize(stream))
    bit = data.draw(st.integers(0, 8 * len(damaged) - 1))
    damaged[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(AecError):
        parse(damaged)


@steady
@given(
    st.binary(max_size=128)
    | st.binary(max_size=124).map(lambda rest: SIGN + rest)
    | st.binary(max_size=64).map(lambda rest: SIGN + HEAD + rest)
    | resealed.map(lambda rest: SIGN + rest)
    | resealed.map(lambda rest: SIGN + HEAD + rest + DONE)
    | resealed.map(lambda rest: SIGN + head(64) + rest + DONE)
    | resealed.map(lambda rest: SIGN + head(64, pixel_format=5) + rest + DONE)
)
@example(WHOLE)
def test_any_bytes_parse_or_raise_aec_error(data: bytes) -> None:
    try:
        stream = parse(data)
    except AecError:
        return
    assert serialize(stream) == data


def example_file(section: str) -> bytes:
    """The complete file that a section of the specification shows."""
    text = (files("aecodec") / "format" / "SPECIFICATION.md").read_text()
    shown = text.partition(f"\n### {section} ")[2].partition("\n### ")[0]
    lines: list[str] = re.findall(r"^    ([0-9A-F ]{27})\S", shown, re.MULTILINE)
    return bytes.fromhex("".join(lines))


GOLDEN = bytes.fromhex(
    "89414543010d0a1a"
    "10000000 48454144 03000000 02000000 01 0a 6500 64656d6f e9e3f3ad"
    "08000000 54494c45 78563412 efbeadde e2494b78"
    "00000000 444f4e45 1f0db826"
)


def test_golden_bytes() -> None:
    header = Header(3, 2, PixelFormat.RGB8, 10, 101, b"demo")
    stream = Stream(header, (Tile(0x12345678, b"\xef\xbe\xad\xde"),))
    assert example_file("17.1") == GOLDEN
    assert serialize(stream) == GOLDEN
    assert parse(GOLDEN) == stream


def test_the_example_that_needs_no_weights() -> None:
    data = example_file("17.2")
    assert len(data) == 118
    stream = parse(data)
    header = Header(2, 1, PixelFormat.GRAYA8, 6, 300, bytes(4))
    assert (stream.header, stream.ancillary) == (header, (Chunk(b"text", b"Title\0Two"),))
    assert serialize(stream) == data
    (tile,), (alpha,) = stream.tiles, stream.alphas
    assert isinstance(tile, LosslessTile)
    assert (tile.coder, alpha.coder) == (PixelCoder.FLAT, PixelCoder.PNG)
    np.testing.assert_array_equal(decode_pixels(tile, 1, 2, gray=True), [[7, 7]])
    np.testing.assert_array_equal(decode_pixels(alpha, 1, 2, gray=True), [[0, 255]])


@pytest.mark.parametrize("data", [GOLDEN, WHOLE], ids=["golden", "two tiles and a note"])
def test_no_flipped_bit_or_prefix_of_a_small_file_passes(data: bytes) -> None:
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(AecError):
            parse(damaged)
    for size in range(len(data)):
        with pytest.raises(TruncatedError):
            parse(data[:size])


def test_the_file_without_faults_parses() -> None:
    header = Header(100, 50, PixelFormat.GRAY8, 6, 0, b"demo")
    assert parse(WHOLE) == Stream(header, (Tile(0, b"word"),) * 2, (Chunk(b"note", b"hi"),))


def test_learned_and_lossless_tiles_may_alternate() -> None:
    stream = parse(SIGN + HEAD + TILE + PIXL + DONE)
    assert stream.tiles == (Tile(0, b"word"), LosslessTile(1, PixelCoder.PNG, b"data"))
    assert [tile.size for tile in stream.tiles] == [len(TILE), len(PIXL)]
    assert stream.lossless_count == 1


def test_alpha_stands_before_its_tile() -> None:
    data = SIGN + CLEAR + NOTE + ALPH + TILE + DONE
    stream = parse(data)
    assert stream.header.pixel_format == PixelFormat.RGBA8
    assert stream.alphas == (LosslessTile(1, PixelCoder.FLAT, b"a"),)
    assert serialize(stream) == data


def test_residuals_stand_behind_all_tiles() -> None:
    data = SIGN + HEAD + LAYR + NOTE + TILE + PIXL + RESI + DONE
    stream = parse(data)
    assert stream.layer == Layer(LayerHead(b"tabl", 3), (ResidualTile(2, b"more"),))
    assert [each.size for each in stream.layer.residuals] == [len(RESI)]
    assert serialize(stream) == data


def test_a_file_can_be_written_piece_by_piece() -> None:
    """A row encoder knows the head of the layer at the start, and its residuals at the end."""
    whole = SIGN + HEAD + LAYR + NOTE + TILE + PIXL + RESI + DONE
    stream = parse(whole)
    assert stream.layer is not None
    start = opening(stream.header, stream.ancillary, stream.layer.head)
    assert start == SIGN + HEAD + LAYR + NOTE
    assert b"".join(stream.tile_chunks()) == TILE + PIXL
    assert closing(stream.layer.residuals) == RESI + DONE
    assert opening(stream.header) == SIGN + HEAD
    assert closing() == DONE


@pytest.mark.parametrize("border", [8, 36, 50, 70, 90])
def test_truncated_at_a_chunk_border(border: int) -> None:
    with pytest.raises(TruncatedError) as caught:
        parse(WHOLE[:border])
    error = caught.value
    assert (error.what, error.needed, error.available) == (f"chunk at byte {border}", 8, 0)


@pytest.mark.parametrize(
    ("offset", "what"),
    [(8, "HEAD chunk"), (36, "note chunk"), (50, "TILE 0"), (70, "TILE 1"), (90, "DONE chunk")],
)
def test_checksum_errors_name_the_chunk(offset: int, what: str) -> None:
    damaged = bytearray(WHOLE)
    (length,) = struct.unpack_from("<I", damaged, offset)
    damaged[offset + 8 + length] ^= 1
    with pytest.raises(ChecksumError) as caught:
        parse(damaged)
    assert caught.value.what == what
    assert int(caught.value.stored, 16) == int(caught.value.computed, 16) ^ 1


def test_an_absurd_tile_count_reserves_nothing() -> None:
    data = SIGN + head(2**31 - 1, 2**31 - 1)
    boundless = Limits(pixels=2**62)
    assert parse_header(data, boundless).tile_count == 2**50
    with pytest.raises(TruncatedError):
        parse(data, boundless)
    with pytest.raises(HeaderError, match=f"follows 1 tiles, the header asks {2**50}"):
        parse(data + TILE + DONE, boundless)


@pytest.mark.parametrize("words", [b"", b"word", bytes(400)])
def test_a_single_tile_costs_64_bytes(words: bytes) -> None:
    header = Header(64, 64, PixelFormat.RGB8, 6, 200, b"demo")
    assert len(serialize(Stream(header, (Tile(0, words),)))) == 64 + len(words)


def test_constants_are_those_of_the_file() -> None:
    assert (SIGN, SIGN[4], len(SIGN + HEAD)) == (SIGNATURE, VERSION, HEADER_BYTES)


def test_chunk_table_lists_also_what_parse_refuses() -> None:
    data = SIGN + HEAD + NOTE + chunk(b"XtrA", b"!") + DONE
    expected = [("HEAD", 8, 16), ("note", 36, 2), ("XtrA", 50, 1), ("DONE", 63, 0)]
    assert chunk_table(data) == expected
    with pytest.raises(HeaderError, match="trailing"):
        chunk_table(data + b"!")


def test_parse_header_needs_the_first_bytes_only() -> None:
    assert parse_header(WHOLE[:HEADER_BYTES] + b"anything") == parse(WHOLE).header
    for size in range(HEADER_BYTES):
        with pytest.raises(TruncatedError):
            parse_header(WHOLE[:size])


def with_gaps(data: bytes) -> memoryview:
    """The data as every second byte of a buffer."""
    spread = bytearray(2 * len(data))
    spread[::2] = data
    return memoryview(spread)[::2]


@pytest.mark.parametrize("wrap", [bytearray, memoryview, with_gaps])
def test_any_buffer_parses(wrap: Callable[[bytes], bytearray | memoryview]) -> None:
    assert parse(wrap(WHOLE)) == parse(WHOLE)
    assert parse_header(wrap(WHOLE)) == parse_header(WHOLE)
    assert chunk_table(wrap(WHOLE)) == chunk_table(WHOLE)
    with pytest.raises(TruncatedError):
        parse(wrap(b""))
