"""Records of a file, and limits: what they say, and which values they refuse."""

import pytest
from raw_files import DONE, HEAD, NOTE, SIGN, TILE, WHOLE

from aecodec.errors import HeaderError, LimitError
from aecodec.format.chunks import Chunk, Header, Limits, PixelFormat, ResidualTile, Tile
from aecodec.format.container import check_optional, parse, parse_header


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
def test_coded_words_refuse_what_does_not_fit(checksum: int, words: bytes) -> None:
    for kind in (Tile, ResidualTile):
        with pytest.raises(HeaderError):
            kind(checksum, words)


def test_tiles_and_residuals_are_not_the_same() -> None:
    assert len({Tile(1, b"word"), Tile(1, b"word"), ResidualTile(1, b"word")}) == 2


@pytest.mark.parametrize("kind", [b"", b"abc", b"abcde", b"ab1d", b"Note", b"TILE", b"ab\xe4d"])
def test_optional_chunk_refuses_other_types(kind: bytes) -> None:
    with pytest.raises(HeaderError, match="optional chunk"):
        Chunk(kind, b"")


def test_optional_chunk_refuses_a_payload_too_long() -> None:
    with pytest.raises(HeaderError, match="2147483648"):
        Chunk(b"note", Huge(b""))
