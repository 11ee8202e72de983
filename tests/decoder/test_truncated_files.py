"""Files that were cut off or damaged: what is left decodes, and the report names what is lost."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aecodec.codec import Codec
from aecodec.errors import AecError, FormatError
from aecodec.format.chunks import HEADER_BYTES, Chunk
from aecodec.format.container import chunk_table, parse, serialize
from aecodec.format.reader import TileState
from aecodec.format.recovery import rescue

HEIGHT, WIDTH = 190, 250
WHOLE, CUT, DAMAGED, MISSING = TileState
Pixels = npt.NDArray[np.uint8 | np.uint16]


@pytest.fixture(scope="module")
def picture() -> Pixels:
    return make_picture(HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def tiled(tiny_codec: Codec, picture: Pixels) -> bytes:
    """Twelve learned tiles."""
    return tiny_codec.compress(picture, 90, tile_exponent=6, lossless_tiles=False)


def error(picture: Pixels, decoded: Pixels) -> float:
    return float(np.square(picture.astype(float) - decoded).mean())


def flip(data: bytes, *positions: int) -> bytes:
    changed = bytearray(data)
    for position in positions:
        changed[position] ^= 0x55
    return bytes(changed)


def tiles_of(data: bytes) -> list[tuple[int, int]]:
    return [(offset, size) for kind, offset, size in chunk_table(data) if kind == "TILE"]


def test_a_whole_file_is_the_same(tiny_codec: Codec, tiled: bytes) -> None:
    left = rescue(tiled)
    assert left.stream.tiles == parse(tiled).tiles
    assert left.report() == []
    np.testing.assert_array_equal(
        tiny_codec.decompress_array(tiled, allow_truncated=True),
        tiny_codec.decompress_array(tiled),
    )


def test_more_of_a_file_is_a_better_picture(tiny_codec: Codec, tiled: bytes) -> None:
    whole = tiny_codec.decompress_array(tiled)
    errors = [
        error(whole, tiny_codec.decompress_array(tiled[:size], allow_truncated=True))
        for size in (HEADER_BYTES, len(tiled) // 3, 2 * len(tiled) // 3, len(tiled) - 12)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > errors[1] > errors[2]
    assert errors[-1] == 0


def test_passes_of_a_cut_tile_count(tiny_codec: Codec, picture: Pixels) -> None:
    """Within a single tile the picture gets better as well, since passes come one by one."""
    data = tiny_codec.compress(picture, 95, lossless_tiles=False)
    whole = tiny_codec.decompress_array(data)
    ((offset, size),) = tiles_of(data)
    errors = [
        error(whole, tiny_codec.decompress_array(data[: offset + int(size * part)],
                                                 allow_truncated=True))
        for part in (0.0, 0.5, 0.8)
    ]  # fmt: skip
    assert errors[0] > errors[1] > errors[2] > 0
    assert rescue(data[: offset + size // 2]).states == (CUT,)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_every_prefix_decodes(tiny_codec: Codec, tiled: bytes, data: st.DataObject) -> None:
    size = data.draw(st.integers(HEADER_BYTES, len(tiled) - 1))
    decoded = tiny_codec.decompress_array(tiled[:size], allow_truncated=True)
    assert decoded.shape == (HEIGHT, WIDTH, 3)
    states = rescue(tiled[:size]).states
    order = [WHOLE, CUT, MISSING]
    assert [order.index(state) for state in states] == sorted(map(order.index, states))


def test_a_damaged_tile_leaves_the_others_exact(tiny_codec: Codec, tiled: bytes) -> None:
    offset, size = tiles_of(tiled)[0]
    broken = flip(tiled, offset + size // 2)
    left = rescue(broken)
    assert left.states == (DAMAGED, *[WHOLE] * 11)
    assert left.report() == ["tile 0 (row 0, column 0) is damaged"]
    assert left.stream.tiles[1:] == parse(tiled).tiles[1:]
    decoded = tiny_codec.decompress_array(broken, allow_truncated=True)
    whole = tiny_codec.decompress_array(tiled)
    np.testing.assert_array_equal(decoded[:, 128:], whole[:, 128:])  # beyond the halo
    assert error(decoded[:64, :64], whole[:64, :64]) > 0
    with pytest.raises(FormatError):
        tiny_codec.decompress_array(broken)


@pytest.mark.parametrize("lossless_tiles", [False, True])
def test_a_repaired_file_is_valid_and_shows_the_same(
    tiny_codec: Codec, picture: Pixels, lossless_tiles: bool
) -> None:
    pixels = picture.copy()
    pixels[:64] = 7
    data = tiny_codec.compress(pixels, 90, tile_exponent=6, lossless_tiles=lossless_tiles)
    assert bool(parse(data).lossless_count) == lossless_tiles
    broken = flip(data, len(data) // 2)[: len(data) * 9 // 10]
    repaired, left = tiny_codec.repair(broken)
    assert {DAMAGED, CUT} <= set(left.states)
    assert rescue(repaired).report() == []
    np.testing.assert_array_equal(
        tiny_codec.decompress_array(repaired),
        tiny_codec.decompress_array(broken, allow_truncated=True),
    )


def test_a_whole_file_needs_no_repair(tiny_codec: Codec, tiled: bytes) -> None:
    stream = replace(parse(tiled), ancillary=(Chunk(b"note", b"kept"),))
    data = serialize(stream)
    assert tiny_codec.repair(data)[0] == data


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_no_damage_does_more_than_raise_our_errors(
    tiny_codec: Codec, tiled: bytes, data: st.DataObject
) -> None:
    places = data.draw(st.lists(st.integers(0, len(tiled) - 1), min_size=1, max_size=6))
    size = data.draw(st.integers(0, len(tiled)))
    try:
        decoded = tiny_codec.decompress_array(flip(tiled, *places)[:size], allow_truncated=True)
    except AecError:
        return
    assert decoded.ndim == 3


def test_a_damaged_header_is_an_error(tiny_codec: Codec, tiled: bytes) -> None:
    for position in range(HEADER_BYTES):
        with pytest.raises(AecError):
            tiny_codec.decompress_array(flip(tiled, position), allow_truncated=True)
