"""Files read in parts: the same records as of the whole file, and no more bytes than they need."""

from collections.abc import Callable
from io import BytesIO

import pytest
from drawn_streams import draw_stream
from hypothesis import given, settings
from raw_files import ALPH, CLEAR, DONE, HEAD, LAYR, NOTE, PIXL, RESI, SIGN, TILE, WHOLE, chunk
from test_faults import FAULTS, Fault

from aecodec.errors import AecError, ChecksumError, HeaderError, LimitError, TruncatedError
from aecodec.format.chunks import CHUNK_BYTES, HEADER_BYTES, Limits, LosslessTile, Tile
from aecodec.format.container import Stream, chunk_table, parse, serialize
from aecodec.format.reader import FileReader, StreamTiles, Tiles

FIRST_TILE = len(SIGN + HEAD + NOTE)


class CountingFile(BytesIO):
    """Counts what is read of it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.bytes_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """As `BytesIO.read`."""
        data = super().read(size)
        self.bytes_read += len(data)
        return data


def check_tiles(tiles: Tiles, stream: Stream) -> None:
    residuals = iter(() if stream.layer is None else stream.layer.residuals)
    assert tiles.header == stream.header
    assert tiles.layer == (None if stream.layer is None else stream.layer.head)
    for number, tile in enumerate(stream.tiles):
        assert tiles.is_lossless(number) == isinstance(tile, LosslessTile)
        assert tiles.tile(number) == tile
        if stream.alphas:
            assert tiles.alpha(number) == stream.alphas[number]
        if stream.layer is not None and isinstance(tile, Tile):
            assert tiles.residual(number) == next(residuals)


@settings(deadline=None, derandomize=True)
@given(draw_stream())
def test_parts_are_those_of_the_whole_file(stream: Stream) -> None:
    data = serialize(stream)
    reader = FileReader(BytesIO(data))
    check_tiles(reader, stream)
    check_tiles(StreamTiles(stream), stream)
    assert reader.ancillary == stream.ancillary
    assert places(FileReader(BytesIO(data))) == places(reader) == chunk_table(data)


def places(reader: FileReader) -> list[tuple[str, int, int]]:
    return [(place.type.decode(), place.offset, place.length) for place in reader.table()]


def test_residuals_can_be_asked_for_first_and_in_any_order() -> None:
    other = chunk(b"RESI", b"\3\0\0\0last")
    reader = FileReader(BytesIO(SIGN + HEAD + LAYR + TILE * 2 + RESI + other + DONE))
    assert [reader.residual(number).words for number in (1, 0)] == [b"last", b"more"]


def test_a_stream_without_a_layer_has_no_residuals() -> None:
    with pytest.raises(HeaderError, match="no residual layer"):
        StreamTiles(parse(WHOLE)).residual(0)


def test_the_header_alone_takes_36_bytes() -> None:
    file = CountingFile(WHOLE)
    assert FileReader(file).header == parse(WHOLE).header
    assert file.bytes_read == HEADER_BYTES == 36


def test_no_more_is_read_than_what_is_asked_for() -> None:
    file = CountingFile(WHOLE)
    reader = FileReader(file)
    assert reader.tile(1) == Tile(0, b"word")
    starts = 8 * 3  # of the note and both tiles
    assert file.bytes_read == 36 + starts + len(NOTE) + len(TILE)
    file = CountingFile(WHOLE)
    FileReader(file).table()
    assert file.bytes_read == 36 + starts + 8 + len(NOTE)


def test_what_is_not_read_is_not_checked() -> None:
    broken = WHOLE[: 50 + len(TILE)] + bytes(30)
    assert FileReader(BytesIO(broken)).tile(0) == Tile(0, b"word")
    with pytest.raises(HeaderError):
        FileReader(BytesIO(broken)).tile(1)


def read_everything(data: bytes) -> None:
    reader = FileReader(BytesIO(data))
    count = range(reader.header.tile_count)
    for number in count:
        if reader.header.pixel_format.has_alpha:
            reader.alpha(number)
        reader.tile(number)
    for number in count:
        if reader.layer is not None and not reader.is_lossless(number):
            reader.residual(number)
    reader.table()


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_each_fault_is_found_by_who_reads_everything(fault: Fault) -> None:
    with pytest.raises(fault.error) as caught:
        read_everything(fault.data)
    assert caught.type is fault.error


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda d: d[:20], TruncatedError),
        (lambda d: d[: FIRST_TILE + 5], TruncatedError),
        (lambda d: d[: FIRST_TILE + 19], TruncatedError),
        (lambda d: d[: FIRST_TILE + 12] + b"\xff" + d[FIRST_TILE + 13 :], ChecksumError),
        (lambda d: d[:FIRST_TILE] + b"\xff\xff\xff\x7f" + d[FIRST_TILE + 4 :], TruncatedError),
        (lambda d: d[:FIRST_TILE] + b"\xff\xff\xff\xff" + d[FIRST_TILE + 4 :], HeaderError),
        (lambda d: d[:FIRST_TILE] + d[-12:] + bytes(2000), HeaderError),
        (lambda d: d[:FIRST_TILE] + chunk(b"TILE", b"abc"), HeaderError),
        (lambda d: d.replace(b"note", b"NOTE"), AecError),
        (lambda d: d.replace(b"note", b"HEAD"), HeaderError),
    ],
)
def test_damage_before_and_in_a_tile_is_named(
    change: Callable[[bytes], bytes], error: type[AecError]
) -> None:
    with pytest.raises(error):
        FileReader(BytesIO(change(WHOLE))).tile(0)


@pytest.mark.parametrize("count", [0, 1])
def test_residuals_are_as_many_as_learned_tiles(count: int) -> None:
    for tiles, residuals in ((TILE * 2, RESI * count), (TILE + PIXL, RESI * 2 * count)):
        data = SIGN + HEAD + LAYR + tiles + residuals + DONE
        with pytest.raises(HeaderError, match="residuals up to the"):
            FileReader(BytesIO(data)).table()


def test_a_layer_of_16_bits_is_refused() -> None:
    data = serialize(parse(SIGN + HEAD + LAYR + TILE * 2 + RESI * 2 + DONE))
    fields = bytearray(data[16:32])
    fields[8] = 2
    data = SIGN + chunk(b"HEAD", bytes(fields)) + data[HEADER_BYTES:]
    with pytest.raises(HeaderError, match="16-bit"):
        FileReader(BytesIO(data)).tile(0)


def test_the_place_of_alpha_is_checked() -> None:
    with pytest.raises(HeaderError, match="without an ALPH"):
        FileReader(BytesIO(SIGN + CLEAR + TILE + DONE)).alpha(0)
    with pytest.raises(HeaderError, match="follows an ALPH"):
        FileReader(BytesIO(SIGN + CLEAR + ALPH + ALPH + TILE + DONE)).alpha(0)


def test_limits_hold_for_parts() -> None:
    with pytest.raises(LimitError, match="metadata"):
        FileReader(BytesIO(WHOLE), Limits(metadata_bytes=1)).table()
    with pytest.raises(LimitError, match="1 optional chunks, the limit is 0"):
        FileReader(BytesIO(WHOLE), Limits(metadata_chunks=0)).table()
    with pytest.raises(LimitError, match="pixels"):
        FileReader(BytesIO(WHOLE), Limits(pixels=100))


@pytest.mark.parametrize("cut", [1, CHUNK_BYTES])
def test_the_table_needs_the_end(cut: int) -> None:
    with pytest.raises(TruncatedError):
        FileReader(BytesIO(WHOLE[:-cut])).table()
    with pytest.raises(HeaderError, match="1 trailing bytes"):
        FileReader(BytesIO(WHOLE + b"\0")).table()
