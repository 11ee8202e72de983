"""Files decoded in parts: no more bytes and tiles than a region needs, and the same pixels."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture

import aecodec
from aecodec.codec import Codec
from aecodec.decoder.latents import Grid, decode_latents
from aecodec.decoder.networks import Prior, YHat
from aecodec.format.chunks import CHUNK_BYTES, Chunk, LosslessTile, Tile
from aecodec.format.container import Stream, chunk_table, parse, serialize
from aecodec.format.tiling import Region

WIDTH, HEIGHT = 500, 460
"""8 by 8 tiles."""


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


@pytest.fixture(scope="module")
def tiled(tiny_codec: Codec) -> bytes:
    pixels = make_picture(HEIGHT, WIDTH)
    pixels[128:192, 64:128] = 40
    data = tiny_codec.compress(pixels, 80, tile_exponent=6)
    stream = parse(data)
    assert {type(tile) for tile in stream.tiles} == {Tile, LosslessTile}
    return serialize(Stream(stream.header, stream.tiles, (Chunk(b"xmpd", b"<x/>"),)))


@pytest.mark.parametrize(
    "region",
    [Region(0, 0, 1, 1), Region(130, 130, 60, 70), Region(WIDTH - 3, 0, 3, HEIGHT),
     Region(0, HEIGHT - 9, WIDTH, 9), Region(0, 0, WIDTH, HEIGHT)],
)  # fmt: skip
def test_all_kinds_of_sources_give_the_same_pixels(
    tiny_codec: Codec, tiled: bytes, region: Region, tmp_path: Path
) -> None:
    path = tmp_path / "a.aec"
    path.write_bytes(tiled)
    expected = tiny_codec.decompress_array(tiled, region=region)
    with path.open("rb") as file:
        file.read(100)  # the position does not matter
        for source in (path, str(path), file, BytesIO(tiled), memoryview(tiled)):
            found = tiny_codec.decompress_array(source, region=region)
            np.testing.assert_array_equal(found, expected)
        assert not file.closed
        image = tiny_codec.decompress(file, region=region)
    assert image.info["xmp"] == b"<x/>"


def test_whole_pictures_come_from_all_kinds_of_sources(
    tiny_codec: Codec, tiled: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "a.aec"
    path.write_bytes(tiled)
    expected = tiny_codec.decompress_array(tiled)
    for source in (path, BytesIO(tiled)):
        np.testing.assert_array_equal(tiny_codec.decompress_array(source), expected)
        assert aecodec.read_info(source) == aecodec.read_info(tiled)


def test_bytes_and_tiles_grow_with_the_region(
    tiny_codec: Codec, tiled: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Tile] = []

    def count(prior: Prior, tile: Tile, grid: Grid, quality_index: int) -> YHat:
        decoded.append(tile)
        return decode_latents(prior, tile, grid, quality_index)

    monkeypatch.setattr("aecodec.decoder.rows.decode_latents", count)
    sizes = [length + CHUNK_BYTES for kind, _, length in chunk_table(tiled) if kind == "TILE"]
    start = 36 + CHUNK_BYTES + 4  # header and metadata, read once
    found = []
    for side in (10, 100, 300):
        decoded.clear()
        file = CountingFile(tiled)
        # The lossless tile lies outside all of these.
        tiny_codec.decompress_array(file, region=Region(WIDTH - side, HEIGHT - side, side, side))
        found.append((file.bytes_read, len(decoded)))
    assert [tiles for _, tiles in found] == [2, 9, 36]  # with those within the halo of 32 pixels
    for bytes_read, tiles in found:
        heads = 8 * 64 + 16
        assert bytes_read <= start + heads + tiles * max(sizes)
    assert found[0][0] < found[1][0] < found[2][0] < len(tiled)


def test_a_region_at_the_top_reads_nothing_behind_it(tiny_codec: Codec, tiled: bytes) -> None:
    """The rest of the file may even be missing or damaged."""
    region = Region(0, 0, 40, 40)
    end = chunk_table(tiled)[2 + 11][1]
    broken = tiled[:end] + bytes(len(tiled) - end)
    np.testing.assert_array_equal(
        tiny_codec.decompress_array(BytesIO(broken), region=region),
        tiny_codec.decompress_array(tiled, region=region),
    )
