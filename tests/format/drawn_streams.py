"""Streams of all kinds, for tests of what holds for every file."""

from hypothesis import strategies as st

from aecodec.format.chunks import (
    Chunk,
    Header,
    Layer,
    LayerHead,
    LosslessTile,
    PixelCoder,
    PixelFormat,
    ResidualTile,
    Tile,
)
from aecodec.format.container import Stream


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
