"""Files with alpha that were cut off or damaged."""

import numpy as np
import pytest
from alpha_pictures import cut_out
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aecodec.codec import Codec
from aecodec.errors import AecError, ChecksumError, FormatError, PayloadError
from aecodec.format.chunks import LosslessTile, PixelCoder
from aecodec.format.container import chunk_table, parse, serialize
from aecodec.format.reader import TileState
from aecodec.format.recovery import rescue

steady = settings(
    deadline=None, derandomize=True, max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
WHOLE, CUT, DAMAGED, MISSING = TileState


@pytest.fixture(scope="module")
def tiled(tiny_codec: Codec) -> bytes:
    """Twelve tiles with alpha, two of them of one alpha only."""
    pixels = cut_out(190, 250)
    pixels[:64, :64, 3] = 0
    pixels[64:128, 64:128, 3] = 255
    return tiny_codec.compress(pixels, 80, tile_exponent=6, lossless_tiles=False)


def places(data: bytes, kind: str) -> list[tuple[int, int]]:
    return [(offset, size) for name, offset, size in chunk_table(data) if name == kind]


def flip(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :]


@pytest.mark.parametrize("at", ["length", "payload", "crc"])
def test_damaged_alpha_is_opaque_and_all_else_exact(
    tiny_codec: Codec, tiled: bytes, at: str
) -> None:
    offset, size = places(tiled, "ALPH")[5]
    position = {"length": offset + 2, "payload": offset + 10, "crc": offset + 8 + size}[at]
    broken = flip(tiled, position)
    with pytest.raises(FormatError):
        tiny_codec.decompress_array(broken)
    left = rescue(broken)
    assert left.states == (WHOLE,) * 12
    assert left.alphas == tuple(DAMAGED if n == 5 else WHOLE for n in range(12))
    assert left.report() == ["alpha of tile 5 (row 1, column 1) is damaged"]
    expected = tiny_codec.decompress_array(tiled)
    expected[64:128, 64:128, 3] = 255
    decoded = tiny_codec.decompress_array(broken, allow_truncated=True)
    np.testing.assert_array_equal(decoded, expected)
    repaired, _ = tiny_codec.repair(broken)
    np.testing.assert_array_equal(tiny_codec.decompress_array(repaired), expected)


def test_a_damaged_tile_keeps_its_alpha(tiny_codec: Codec, tiled: bytes) -> None:
    offset, _ = places(tiled, "TILE")[6]
    left = rescue(flip(tiled, offset + 13))
    assert left.report() == ["tile 6 (row 1, column 2) is damaged"]
    both = flip(flip(tiled, offset + 13), places(tiled, "ALPH")[6][0] + 9)
    assert sorted(rescue(both).report()) == [
        "alpha of tile 6 (row 1, column 2) is damaged",
        "tile 6 (row 1, column 2) is damaged",
    ]
    border = flip(flip(tiled, offset + 13), places(tiled, "ALPH")[7][0] + 9)
    assert sorted(rescue(border).report()) == [
        "alpha of tile 7 (row 1, column 3) is damaged",
        "tile 6 (row 1, column 2) is damaged",
    ]


@steady
@given(st.data())
def test_every_prefix_with_alpha_decodes(
    tiny_codec: Codec, tiled: bytes, data: st.DataObject
) -> None:
    size = data.draw(st.integers(36, len(tiled) - 1))
    whole = tiny_codec.decompress_array(tiled)
    decoded = tiny_codec.decompress_array(tiled[:size], allow_truncated=True)
    complete = len([1 for offset, length in places(tiled, "ALPH") if offset + length + 12 <= size])
    for number in range(12):
        box = slice(number // 4 * 64, number // 4 * 64 + 64), slice(number % 4 * 64, None)
        box = box[0], slice(box[1].start, box[1].start + 64)
        if number < complete:
            np.testing.assert_array_equal(decoded[box][..., 3], whole[box][..., 3])
        else:
            assert (decoded[box][..., 3] == 255).all()


@steady
@given(st.data())
def test_no_damage_to_alpha_does_more_than_raise_our_errors(
    tiny_codec: Codec, tiled: bytes, data: st.DataObject
) -> None:
    stream = parse(tiled)
    number = data.draw(st.integers(0, 11))
    forged = LosslessTile(
        data.draw(st.integers(0, 2**32 - 1)),
        data.draw(st.sampled_from(PixelCoder)),
        data.draw(st.binary(max_size=40)),
    )
    alphas = (*stream.alphas[:number], forged, *stream.alphas[number + 1 :])
    broken = serialize(type(stream)(stream.header, stream.tiles, (), alphas))
    with pytest.raises((ChecksumError, PayloadError)):
        tiny_codec.decompress_array(broken)
    try:
        tiny_codec.decompress_array(broken[: data.draw(st.integers(36, len(broken)))])
    except AecError:
        return
