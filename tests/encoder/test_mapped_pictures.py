"""Pictures whose cells differ in quality: every way of encoding, and what it does to pixels."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alpha_pictures import cut_out
from conftest import make_picture, make_sixteen_bit
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_rows_encoder import Stream, mixed

from aecodec.codec import Codec
from aecodec.format.chunks import LosslessTile, Tile
from aecodec.format.container import parse, parse_header
from aecodec.format.interest import Interest, Roi, RoiMask
from aecodec.format.tiling import Region
from aecodec.options import EncodeOptions, Target
from aecodec.picture.picture import to_picture
from aecodec.picture.pixels import Pixels

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
BELOW = Roi(Region(70, 60, 20, 30), -30)


def above(pixels: Pixels) -> RoiMask:
    mask = np.zeros(pixels.shape[:2], np.uint8)
    mask[:40, -30:], mask[-1] = 255, 100
    return RoiMask.of(mask, 60)


PICTURES: dict[str, Pixels] = {
    "rgb": mixed(290, 130),
    "gray": np.ascontiguousarray(mixed(201, 143)[:, :, 0]),
    "alpha": cut_out(200, 140),
    "16 bits": make_sixteen_bit(150, 130, 3),
    "narrow": make_picture(200, 9),
}
OPTIONS: dict[str, EncodeOptions] = {
    "plainly": EncodeOptions(effort=0, quality=60),
    "by cost": EncodeOptions(quality=60),
    "corrected": EncodeOptions(effort=2, quality=20),
    "search": EncodeOptions(effort=3, quality=20),
    "boost": EncodeOptions(quality=60, variance_boost=4),
    "small tiles": EncodeOptions(quality=60, tile_exponent=6),
    "tiles": EncodeOptions(quality=60, tile_exponent=7, variance_boost=2.5),
    "denoised": EncodeOptions(quality=60, denoise=12),
    "denoised and corrected": EncodeOptions(quality=60, denoise=12, effort=2),
    "denoised by search": EncodeOptions(quality=60, denoise=12, effort=3),
    "never stored": EncodeOptions(quality=60, lossless_tiles=False, tile_exponent=6),
    "lossless": EncodeOptions(lossless=True, tile_exponent=6),
    "bounded": EncodeOptions(max_error=4, tile_exponent=7),
    "target": EncodeOptions(target=Target("bpp", 2), tile_exponent=7),
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("way", OPTIONS)
def test_every_way_of_encoding_decodes(name: str, way: str, tiny_codec: Codec) -> None:
    pixels = PICTURES[name]
    region = Roi(Region(0, 0, 5, 70), 20) if pixels.shape[1] < 70 else BELOW
    roi: list[Interest] = [region, above(pixels)]
    options = OPTIONS[way]
    data = tiny_codec.compress(pixels, options=options, checksum=True, roi=roi)
    stream = tiny_codec.verify(data)
    stored = options.bound is not None and pixels.dtype == np.uint16
    learned = any(isinstance(tile, Tile) for tile in stream.tiles)
    if learned:
        assert stream.header.has_quality_map == (not stored)
    found = tiny_codec.decompress_array(data)
    assert found.shape == pixels.shape
    if options.bound is not None:
        visible = pixels[:, :, 3:] > 0 if name == "alpha" else np.True_
        error = np.abs(found.astype(int) - pixels) * visible
        assert error.max() <= options.bound


@pytest.mark.parametrize("way", ["by cost", "boost", "tiles", "lossless", "search", "denoised"])
@pytest.mark.parametrize("name", ["rgb", "gray", "16 bits"])
def test_rows_of_a_stream_give_the_same_bytes(name: str, way: str, tiny_codec: Codec) -> None:
    pixels = PICTURES[name]
    options = replace(OPTIONS[way], roi=[BELOW, above(pixels)])
    if options.tile_exponent > 7:
        options = replace(options, tile_exponent=6)
    stream = _Again(to_picture(pixels))
    data = b"".join(tiny_codec.compress_rows(stream, options))
    assert data == tiny_codec.compress(pixels, options=options)
    assert stream.held <= 64 * 4 + 64


class _Again(Stream):
    """A stream that begins again where it is asked for rows that are gone, as of files."""

    def rows(self, top: int, bottom: int) -> Pixels:
        """See `RowSource`."""
        if top < self.forgotten:
            assert top == 0
            self.forgotten = self.newest = 0
        return super().rows(top, bottom)


def test_tiles_stand_beside_stored_ones(tiny_codec: Codec) -> None:
    pixels = PICTURES["rgb"]
    data = tiny_codec.compress(pixels, 60, tile_exponent=6, roi=[BELOW, above(pixels)])
    kinds = {type(tile) for tile in parse(data).tiles}
    assert kinds == {Tile, LosslessTile}
    whole = tiny_codec.decompress_array(data)
    region = Region(50, 50, 60, 100)
    part = tiny_codec.decompress_array(data, region=region)
    np.testing.assert_array_equal(part, whole[region.slices()])


def test_what_quality_a_cell_has_decides_which_tiles_are_stored(tiny_codec: Codec) -> None:
    """A tile that is stored at high quality alone is so where its cells have that quality."""
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 2, (16, 32, 1)), np.ones((4, 4, 3))).astype(np.uint8)
    pixels = 90 + 60 * pixels + rng.integers(0, 5, pixels.shape, np.uint8)
    at = {
        quality: [
            isinstance(tile, LosslessTile)
            for tile in parse(tiny_codec.compress(pixels, quality, tile_exponent=6)).tiles
        ]
        for quality in (0, 100)
    }
    assert at == {0: [False, False], 100: [True, True]}
    roi = [Roi(Region(64, 0, 64, 64), 100)]
    found = parse(tiny_codec.compress(pixels, 0, tile_exponent=6, roi=roi)).tiles
    assert [isinstance(tile, LosslessTile) for tile in found] == [False, True]


def test_plugins_take_regions_and_boosts(plugged: Codec, tmp_path: Path) -> None:
    import imageio.v3

    pixels = make_picture(100, 130)
    wishes: dict[str, Any] = {"quality": 50, "variance_boost": 3, "roi": [BELOW]}
    expected = plugged.compress(pixels, 50, variance_boost=3, roi=[BELOW])
    Image.fromarray(pixels).save(tmp_path / "a.aec", **wishes)
    imageio.v3.imwrite(tmp_path / "b.aec", pixels, **wishes)
    assert (tmp_path / "a.aec").read_bytes() == (tmp_path / "b.aec").read_bytes() == expected


def test_what_asks_for_nothing_gives_the_same_file(tiny_codec: Codec) -> None:
    pixels = make_picture(150, 130)
    plain = tiny_codec.compress(pixels, 60)
    for options in (
        EncodeOptions(quality=60, variance_boost=0),
        EncodeOptions(quality=60, roi=[Roi(Region(3, 3, 4, 4), 0.9)]),  # less than half a step
        EncodeOptions(quality=60, roi=[RoiMask.of(np.zeros((150, 130), np.bool_), 40)]),
        EncodeOptions(quality=40, roi=[Roi(Region(0, 0, 130, 150), 20)]),
    ):
        assert tiny_codec.compress(pixels, options=options) == plain


def test_a_target_is_met_with_the_offsets_that_were_asked_for(tiny_codec: Codec) -> None:
    pixels = make_picture(150, 130)
    roi = [Roi(Region(0, 0, 9, 9), 20)]
    data, found = tiny_codec.compress_to(pixels, Target("psnr", 24), roi=roi)
    header = parse_header(data)
    assert header.has_quality_map
    assert header.quality == found.quality
    assert tiny_codec.compress(pixels, found.quality, roi=roi) == data


def psnr(a: Pixels, b: Pixels) -> float:
    return float(10 * np.log10(255**2 / np.square(a.astype(float) - b).mean()))


@pytest.fixture(scope="module")
def astronaut() -> Pixels:
    with Image.open(SAMPLES / "astronaut.png") as image:
        return np.asarray(image.convert("RGB"))


def test_a_region_gets_better_and_the_rest_stays(astronaut: Pixels) -> None:
    face = Region(192, 64, 64, 64)
    with Codec("aec-1") as codec:
        flat, better, worse = (
            codec.compress(astronaut, 40, roi=[Roi(face, offset)]) for offset in (0, 24, -24)
        )
        plain, fine, coarse = (codec.decompress_array(data) for data in (flat, better, worse))
    inside = face.slices()
    before = psnr(plain[inside], astronaut[inside])
    assert psnr(fine[inside], astronaut[inside]) > before + 2.5
    assert psnr(coarse[inside], astronaut[inside]) < before - 2.5
    assert len(worse) < len(flat) < len(better)
    rest = np.s_[256:, :]
    assert abs(psnr(fine[rest], astronaut[rest]) - psnr(plain[rest], astronaut[rest])) < 0.1


def test_a_target_takes_from_the_rest_what_a_region_gets(astronaut: Pixels) -> None:
    face, size = Region(192, 64, 64, 64), Target("size", 12_000)
    with Codec() as codec:
        flat, _ = codec.compress_to(astronaut, size)
        better, found = codec.compress_to(astronaut, size, roi=[Roi(face, 30)])
        plain, fine = (codec.decompress_array(data) for data in (flat, better))
    assert found.met
    inside = face.slices()
    assert psnr(fine[inside], astronaut[inside]) > psnr(plain[inside], astronaut[inside]) + 2
    assert psnr(fine, astronaut) < psnr(plain, astronaut)


def test_a_search_lowers_the_cost_by_cell(astronaut: Pixels) -> None:
    """Of what is lowered, bits and errors weighed by the lambda of their cell."""
    from aecodec.encoder.picture_quality import lambda_of
    from aecodec.encoder.quality_map import quality_of
    from aecodec.format.tiling import latent_grid

    part = np.ascontiguousarray(astronaut[:128, 128:320])
    offsets = np.array([[0, 10, 0], [-10, 0, 10]], np.int32)
    weights = lambda_of(quality_of(200, offsets).of(latent_grid(*part.shape[:2])))
    assert not isinstance(weights, float)
    pixel_weights = weights.repeat(16, 0).repeat(16, 1)[:, :, None]
    roi = [
        Roi(Region(64 * column, 64 * row, 64, 64), 2.0 * int(offsets[row, column]))
        for row, column in np.ndindex(2, 3)
    ]
    costs = []
    with Codec("aec-1") as codec:
        for effort in (0, 1, 2, 3):
            data = codec.compress(part, 50, effort=effort, roi=roi)
            error = np.square(codec.decompress_array(data).astype(float) - part)
            costs.append(8 * len(data) + float((pixel_weights * error).sum()) / 3)
    assert costs[0] > costs[1] > costs[2]


@settings(max_examples=20, deadline=None)
@given(
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
    st.integers(0, 100),
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(-100, 100, width=32)), max_size=4
    ),
    st.sampled_from((0.0, 1.0, 10.0)),
    st.sampled_from((6, 7, 10)),
)
def test_any_regions_decode(
    tiny_codec: Codec, size: tuple[int, int], quality: int,
    places: list[tuple[float, float, float]], boost: float, exponent: int,
) -> None:  # fmt: skip
    height, width = size
    roi = []
    for across, down, offset in places:
        left, top = min(int(across * width), width - 1), min(int(down * height), height - 1)
        roi.append(Roi(Region(left, top, min(70, width - left), min(9, height - top)), offset))
    pixels = make_picture(height, width)
    options = EncodeOptions(
        quality=quality, roi=roi, variance_boost=boost, tile_exponent=exponent, checksum=True
    )
    data = tiny_codec.compress(pixels, options=options)
    header = tiny_codec.verify(data).header
    assert (header.height, header.width) == size
    if not header.has_quality_map and not roi and not boost:
        assert header.quality == quality
