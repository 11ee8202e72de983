"""The byte layout: five properties, golden bytes, and one case for every rule and error."""

import re
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aecodec.errors import (
    AecError,
    ChecksumError,
    HeaderError,
    LimitError,
    SignatureError,
    TruncatedError,
    UnsupportedError,
)
from aecodec.format import container
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
    check_optional,
    chunk_table,
    parse,
    parse_header,
    serialize,
)

steady = settings(deadline=None, derandomize=True)
"""No time limit on a busy machine, and the same examples on every run."""


def chunk(kind: bytes, payload: bytes = b"") -> bytes:
    """A chunk, written without the code under test."""
    crc = zlib.crc32(kind + payload)
    return struct.pack("<I", len(payload)) + kind + payload + struct.pack("<I", crc)


def head(
    width: int = 100,
    height: int = 50,
    pixel_format: int = 0,
    tile_exponent: int = 6,
    quality_index: int = 0,
) -> bytes:
    fields = (width, height, pixel_format, tile_exponent, quality_index, b"demo")
    return chunk(b"HEAD", struct.pack("<IIBBH4s", *fields))


SIGN = b"\x89AEC\x01\r\n\x1a"
HEAD = head()  # 100 x 50 in tiles of 64: two tiles
TILE = chunk(b"TILE", b"\0\0\0\0word")
PIXL = chunk(b"PIXL", b"\1\0\0\0\1data")
ALPH = chunk(b"ALPH", b"\1\0\0\0\2a")
CLEAR = head(64, pixel_format=5)  # one tile, with alpha
LAYR = chunk(b"LAYR", b"tabl\3")
RESI = chunk(b"RESI", b"\2\0\0\0more")
DONE = chunk(b"DONE")
NOTE = chunk(b"note", b"hi")
WHOLE = SIGN + HEAD + NOTE + TILE + TILE + DONE


@st.composite
def draw_stream(draw: st.DrawFn) -> Stream:
    header = draw(
        st.builds(
            Header,
            width=st.integers(1, 200),
            height=st.integers(1, 200),
            pixel_format=st.sampled_from(PixelFormat),
            tile_exponent=st.integers(6, 14),
            quality_index=st.integers(0, 400),
            model_id=st.binary(min_size=4, max_size=4),
        )
    )
    words = st.binary(max_size=12).map(lambda raw: raw[: len(raw) // 4 * 4])
    tile = st.builds(Tile, checksum=st.integers(0, 2**32 - 1), words=words)
    stored = st.builds(
        LosslessTile,
        checksum=st.integers(0, 2**32 - 1),
        coder=st.sampled_from(PixelCoder),
        data=st.binary(max_size=9),
    )
    count = header.tile_count
    tiles = draw(st.lists(tile | stored, min_size=count, max_size=count))
    kind = st.from_regex(rb"[a-z][A-Za-z]{3}", fullmatch=True)
    optional = st.builds(Chunk, type=kind, payload=st.binary(max_size=9))
    alphas = [draw(stored) for _ in tiles] if header.pixel_format.has_alpha else []
    ancillary = draw(st.lists(optional, max_size=3))
    residual = st.builds(ResidualTile, checksum=st.integers(0, 2**32 - 1), words=words)
    learned = sum(isinstance(tile, Tile) for tile in tiles)
    residuals = st.lists(residual, min_size=learned, max_size=learned).map(tuple)
    start = st.builds(LayerHead, st.binary(min_size=4, max_size=4), st.integers(0, 255))
    layers = (
        st.none()
        if header.pixel_format.is_sixteen_bit
        else st.none() | st.builds(Layer, start, residuals)
    )
    return Stream(header, tuple(tiles), tuple(ancillary), tuple(alphas), draw(layers))


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


def golden() -> bytes:
    """The complete file of section 7 of the specification."""
    assert container.__doc__ is not None
    section = container.__doc__.partition("\n7. ")[2]
    lines = re.findall(r"^    ((?:[0-9A-F]{2} {1,2})+) +\S", section, re.MULTILINE)
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
    assert golden() == GOLDEN
    assert serialize(stream) == GOLDEN
    assert parse(GOLDEN) == stream


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


class Fault(NamedTuple):
    """Bytes that break one rule, and what must be said about them."""

    name: str
    data: bytes
    error: type[AecError]
    message: str


PIXELS_2_62 = f"{2**31 - 1} x {2**31 - 1} = {(2**31 - 1) ** 2} pixels, the limit is 178956970"
FAULTS = [
    Fault("empty", b"", TruncatedError, "signature needs 8 bytes, 0 left"),
    Fault("signature cut", SIGN[:7], TruncatedError, "signature needs 8 bytes, 7 left"),
    Fault("png", b"\x89PNG\r\n\x1a\n", SignatureError, "begins with 89 50 4e 47"),
    Fault("short and foreign", b"GIF", SignatureError, "begins with 47 49 46"),
    Fault("seventh bit lost", b"\x09" + WHOLE[1:], SignatureError, "09 41"),
    Fault("line end to LF", WHOLE.replace(b"\r\n", b"\n"), SignatureError, "01 0a"),
    Fault("line end to CR LF", WHOLE.replace(b"\n", b"\r\n"), SignatureError, "01 0d 0d 0a"),
    Fault("version 0", b"\x89AEC\x00\r\n\x1a", HeaderError, "version 0"),
    Fault("version 2", b"\x89AEC\x02\r\n\x1a", UnsupportedError, "version 2, .* up to 1"),
    Fault("nothing else", SIGN, TruncatedError, "chunk at byte 8 needs 8 bytes, 0 left"),
    Fault("length cut", SIGN + HEAD[:3], TruncatedError, "8 bytes, 3 left"),
    Fault("type cut", SIGN + HEAD[:7], TruncatedError, "8 bytes, 7 left"),
    Fault("length 2**31", SIGN + b"\0\0\0\x80HEAD", HeaderError, "is 2147483648, .* 2147483647$"),
    Fault(
        "length 2**31 - 1", SIGN + b"\xff\xff\xff\x7fHEAD", TruncatedError, "2147483651 bytes, 0"
    ),
    Fault("digit in type", SIGN + b"\0\0\0\0HE4D", HeaderError, "b'HE4D' .* byte 8"),
    Fault("high bit in type", SIGN + b"\0\0\0\0HE\xc1D", HeaderError, r"\\xc1"),
    Fault("payload cut", SIGN + HEAD[:15], TruncatedError, "HEAD chunk needs 20 bytes, 7 left"),
    Fault("crc cut", SIGN + HEAD[:-1], TruncatedError, "HEAD chunk needs 20 bytes, 19 left"),
    Fault("crc wrong", SIGN + HEAD[:-4] + b"\0\0\0\0", ChecksumError, "HEAD chunk .* 00000000"),
    Fault("crc and width", SIGN + head(0)[:-4] + b"\0\0\0\0", ChecksumError, "HEAD chunk"),
    Fault("TILE first", SIGN + TILE, HeaderError, "not HEAD but b'TILE'"),
    Fault("optional first", SIGN + NOTE + HEAD, HeaderError, "not HEAD but b'note'"),
    Fault("DONE only", SIGN + DONE, HeaderError, "not HEAD but b'DONE'"),
    Fault("two HEADs", SIGN + HEAD + HEAD, HeaderError, "second HEAD chunk at byte 36"),
    Fault("HEAD after TILE", SIGN + HEAD + TILE + HEAD, HeaderError, "second HEAD .* byte 56"),
    Fault("HEAD of 15", SIGN + chunk(b"HEAD", b"\0" * 15), HeaderError, "HEAD .* 15, .* allows 16"),
    Fault("HEAD of 17", SIGN + chunk(b"HEAD", b"\0" * 17), HeaderError, "HEAD .* 17, .* allows 16"),
    Fault("width 0", SIGN + head(width=0), HeaderError, "width is 0, .* 1 to 2147483647"),
    Fault("height 0", SIGN + head(height=0), HeaderError, "height is 0"),
    Fault("width 2**32 - 1", SIGN + head(width=2**32 - 1), HeaderError, "width is 4294967295"),
    Fault("height 2**31", SIGN + head(height=2**31), HeaderError, "height is 2147483648"),
    Fault("largest", SIGN + head(2**31 - 1, 2**31 - 1), LimitError, PIXELS_2_62),
    Fault("pixel format 8", SIGN + head(pixel_format=8), UnsupportedError, "pixel format 8"),
    Fault(
        "tile exponent 5", SIGN + head(tile_exponent=5), HeaderError, "exponent is 5, .* 6 to 14"
    ),
    Fault("tile exponent 15", SIGN + head(tile_exponent=15), HeaderError, "exponent is 15"),
    Fault("quality 401", SIGN + head(quality_index=401), HeaderError, "index is 401, .* 0 to 400"),
    Fault("TILE of 0", SIGN + HEAD + chunk(b"TILE"), HeaderError, "TILE 0 has 0 bytes"),
    Fault("TILE of 3", SIGN + HEAD + chunk(b"TILE", b"abc"), HeaderError, "TILE 0 has 3 bytes"),
    Fault("TILE of 6", SIGN + HEAD + chunk(b"TILE", b"abcdef"), HeaderError, "TILE 0 has 6 bytes"),
    Fault("TILE 1 damaged", SIGN + HEAD + TILE + TILE[:-1] + b"!", ChecksumError, "TILE 1"),
    Fault("PIXL of 4", SIGN + HEAD + chunk(b"PIXL", b"abcd"), HeaderError, "PIXL 0 has 4 bytes"),
    Fault(
        "coder 3",
        SIGN + HEAD + TILE + chunk(b"PIXL", b"abcd\3"),
        UnsupportedError,
        "coder 3 of PIXL 1 is unknown",
    ),
    Fault("ALPH of 4", SIGN + CLEAR + chunk(b"ALPH", b"abcd"), HeaderError, "ALPH 0 has 4 bytes"),
    Fault("ALPH damaged", SIGN + CLEAR + ALPH[:-1] + b"!", ChecksumError, "ALPH 0"),
    Fault(
        "ALPH in opaque", SIGN + HEAD + ALPH, HeaderError, "ALPH at byte 36 in a picture without"
    ),
    Fault("ALPH missing", SIGN + CLEAR + TILE, HeaderError, "TILE at byte 36 without an ALPH"),
    Fault("two ALPHs", SIGN + CLEAR + ALPH + ALPH, HeaderError, "ALPH at byte 54 follows an ALPH"),
    Fault("ALPH last", SIGN + CLEAR + ALPH + DONE, HeaderError, "DONE at byte 54 follows an ALPH"),
    Fault("note after ALPH", SIGN + CLEAR + ALPH + NOTE, HeaderError, "note .* follows an ALPH"),
    Fault("note later", SIGN + CLEAR + ALPH + TILE + NOTE, HeaderError, "note .* follows a tile"),
    Fault(
        "critical after ALPH",
        SIGN + CLEAR + ALPH + chunk(b"XtrA"),
        UnsupportedError,
        "XtrA chunk at byte 54",
    ),
    Fault("PIXL damaged", SIGN + HEAD + PIXL[:-1] + b"!", ChecksumError, "PIXL 0"),
    Fault("optional after PIXL", SIGN + HEAD + PIXL + NOTE, HeaderError, "note .* follows"),
    Fault("a PIXL too many", SIGN + HEAD + PIXL * 3 + DONE, HeaderError, "3 tiles"),
    Fault("LAYR of 4", SIGN + HEAD + chunk(b"LAYR", b"tabl"), HeaderError, "is 4, .* allows 5"),
    Fault("late LAYR", SIGN + HEAD + NOTE + LAYR, HeaderError, "LAYR at byte 50 does not follow"),
    Fault("two LAYRs", SIGN + HEAD + LAYR + LAYR, HeaderError, "LAYR at byte 53 does not follow"),
    Fault("RESI alone", SIGN + HEAD + TILE * 2 + RESI, HeaderError, "RESI at byte 76 has no LAYR"),
    Fault(
        "RESI of 6",
        SIGN + HEAD + LAYR + TILE * 2 + chunk(b"RESI", b"abcdef"),
        HeaderError,
        "RESI chunk has 6 bytes",
    ),
    Fault(
        "RESI missing",
        SIGN + HEAD + LAYR + TILE * 2 + RESI + DONE,
        HeaderError,
        "1 residuals, 2 learned tiles",
    ),
    Fault(
        "tile after RESI",
        SIGN + HEAD + LAYR + TILE + RESI + TILE,
        HeaderError,
        "TILE at byte 93 follows a RESI",
    ),
    Fault(
        "LAYR in 16 bits",
        SIGN + head(64, pixel_format=2) + LAYR + TILE + RESI + DONE,
        HeaderError,
        "residual layer in a 16-bit",
    ),
    Fault("no tiles", SIGN + HEAD + DONE, HeaderError, "0 tiles, the header asks 2"),
    Fault("a tile missing", SIGN + HEAD + TILE + DONE, HeaderError, "1 tiles, the header asks 2"),
    Fault("a tile too many", SIGN + HEAD + TILE * 3 + DONE, HeaderError, "3 tiles"),
    Fault("optional late", SIGN + HEAD + TILE + NOTE, HeaderError, "note chunk at byte 56 follows"),
    Fault("critical", SIGN + HEAD + chunk(b"XtrA"), UnsupportedError, "XtrA chunk at byte 36"),
    Fault("DONE of 1", SIGN + HEAD + chunk(b"DONE", b"!"), HeaderError, "DONE .* 1, .* allows 0"),
    Fault("DONE missing", SIGN + HEAD + TILE * 2, TruncatedError, "byte 76 needs 8 bytes, 0 left"),
    Fault("trailing byte", WHOLE + b"\0", HeaderError, "1 trailing bytes after the DONE"),
    Fault("two files", WHOLE + WHOLE, HeaderError, f"{len(WHOLE)} trailing bytes"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_each_fault_has_its_error(fault: Fault) -> None:
    with pytest.raises(fault.error, match=fault.message) as caught:
        parse(fault.data)
    assert caught.type is fault.error


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


@pytest.mark.parametrize("form", PixelFormat)
def test_pixel_formats_are_sums_of_what_they_say(form: PixelFormat) -> None:
    name = form.name
    assert form.is_gray == name.startswith("GRAY")
    assert form.is_sixteen_bit == name.endswith("16")
    assert form.has_alpha == (name.rstrip("0123456789")[-1] == "A")
    assert form.channels == (1 if form.is_gray else 3) + form.has_alpha
    assert form.maximum == 2 ** (16 if form.is_sixteen_bit else 8) - 1
    assert form == PixelFormat.of(
        rgb=not form.is_gray, sixteen_bit=form.is_sixteen_bit, alpha=form.has_alpha
    )


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
    assert caught.value.stored == caught.value.computed ^ 1


def test_pixel_limit_is_the_largest_allowed() -> None:
    assert parse(WHOLE, Limits(pixels=5000)).header.width == 100
    for read in (parse, parse_header):
        with pytest.raises(LimitError, match="100 x 50 = 5000 pixels, the limit is 4999"):
            read(WHOLE, Limits(pixels=4999))


def test_file_limit_is_the_largest_allowed() -> None:
    size = len(WHOLE)
    assert parse(WHOLE, Limits(file_bytes=size)).header.width == 100
    with pytest.raises(LimitError, match=f"{size} bytes, the limit is {size - 1}"):
        parse(WHOLE, Limits(file_bytes=size - 1))
    assert parse_header(WHOLE, Limits(file_bytes=1)).width == 100


def test_limit_on_optional_chunks_is_the_largest_allowed() -> None:
    most = Limits().metadata_chunks
    accepted = SIGN + HEAD + NOTE * most + 2 * TILE + DONE
    assert len(parse(accepted).ancillary) == most
    with pytest.raises(LimitError, match=r"^4097 optional chunks, the limit is 4096$"):
        parse(SIGN + HEAD + NOTE * (most + 1) + 2 * TILE + DONE)
    with pytest.raises(LimitError, match=r"^2 optional chunks, the limit is 1$"):
        parse(accepted, Limits(metadata_chunks=1))
    check_optional(parse(accepted).ancillary, Limits())
    with pytest.raises(LimitError, match="4096 optional chunks, the limit is 4095"):
        check_optional(parse(accepted).ancillary, Limits(metadata_chunks=most - 1))


def test_default_pixel_limit_is_pillows() -> None:
    image = pytest.importorskip("PIL.Image")
    assert Limits().pixels == 2 * image.MAX_IMAGE_PIXELS


def test_an_absurd_tile_count_reserves_nothing() -> None:
    data = SIGN + head(2**31 - 1, 2**31 - 1)
    boundless = Limits(pixels=2**62)
    assert parse_header(data, boundless).tile_count == 2**50
    with pytest.raises(TruncatedError):
        parse(data, boundless)
    with pytest.raises(HeaderError, match=f"1 tiles, the header asks {2**50}"):
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


@pytest.mark.parametrize(
    ("width", "height", "exponent", "columns", "rows"),
    [(1, 1, 6, 1, 1), (64, 65, 6, 1, 2), (1500, 900, 10, 2, 1), (2**31 - 1, 1, 14, 2**17, 1)],
)
def test_tiles_cover_the_picture(
    width: int, height: int, exponent: int, columns: int, rows: int
) -> None:
    header = Header(width, height, PixelFormat.RGB8, exponent, 202, b"demo")
    assert header.tile_side == 2**exponent
    assert (header.tile_columns, header.tile_rows) == (columns, rows)
    assert header.tile_count == columns * rows
    assert header.quality == 50.5


class Huge(bytes):
    """Claims to be longer than a chunk may be."""

    def __len__(self) -> int:
        return 2**31


@pytest.mark.parametrize("model_id", [b"", b"abc", b"abcde"])
def test_model_id_has_four_bytes(model_id: bytes) -> None:
    with pytest.raises(HeaderError, match="model id"):
        Header(1, 1, PixelFormat.RGB8, 6, 0, model_id)


@pytest.mark.parametrize(
    ("checksum", "words"), [(-1, b""), (2**32, b""), (0, b"abc"), (0, Huge(b"word"))]
)
def test_tile_refuses_what_does_not_fit(checksum: int, words: bytes) -> None:
    with pytest.raises(HeaderError):
        Tile(checksum, words)


@pytest.mark.parametrize("kind", [b"", b"abc", b"abcde", b"ab1d", b"Note", b"TILE", b"ab\xe4d"])
def test_optional_chunk_refuses_other_types(kind: bytes) -> None:
    with pytest.raises(HeaderError, match="optional chunk"):
        Chunk(kind, b"")


def test_optional_chunk_refuses_a_payload_too_long() -> None:
    with pytest.raises(HeaderError, match="2147483648"):
        Chunk(b"note", Huge(b""))
