"""Files with quality maps: every runtime and a second decoder, parts, scales, what is left."""

from collections.abc import Iterator
from io import BytesIO
from zlib import crc32

import numpy as np
import pytest
from conftest import make_picture
from exact_reference import PriorReference, SynthesisReference
from hypothesis import given, settings
from hypothesis import strategies as st
from mapped_files import any_offsets, any_qualities, with_map
from native_kernel import LEVELS, SIZES, needs_kernel, on_kernel, on_numpy
from random_models import random_weights

from aecodec.codec import Codec
from aecodec.coding.dead_zone import DeadZone
from aecodec.coding.map_words import split_map
from aecodec.decoder.latents import Grid, decode_latents, without_map
from aecodec.decoder.loading import load_decoder
from aecodec.decoder.tile_synthesis import TileSynthesis
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.networks import EncoderModel
from aecodec.errors import FormatError, InputError, PayloadError
from aecodec.format.chunks import Header, LosslessTile, PixelFormat, Tile
from aecodec.format.container import parse
from aecodec.format.quality_map import cell_qualities, spread
from aecodec.format.tiling import Region, tile_box
from aecodec.models.registry import MODELS, released_weights
from aecodec.picture.pixels import shrink


def tiled(codec: Codec, height: int, width: int, quality: int = 50) -> bytes:
    """Tiles of 64 pixels a side, all learned."""
    pixels = make_picture(height, width)
    return codec.compress(pixels, quality, tile_exponent=6, lossless_tiles=False)


@pytest.fixture(scope="module")
def mapped(tiny_codec: Codec) -> bytes:
    """Twelve tiles with maps."""
    flat = tiled(tiny_codec, 150, 210)
    return with_map(tiny_codec, flat, any_offsets(flat, 12))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (90, 150), (1, 1), (130, 70)])
@pytest.mark.parametrize("index", [0, 101, 400])
def test_a_second_decoder_agrees(tiny_codec: Codec, height: int, width: int, index: int) -> None:
    flat = tiny_codec.compress(make_picture(height, width), index / 4, lossless_tiles=False)
    stream = parse(with_map(tiny_codec, flat, any_offsets(flat, 50, height)))
    (tile,) = stream.tiles
    assert isinstance(tile, Tile)
    model, grid = tiny_codec.encoder, Grid(-(-height // 16), -(-width // 16))
    plain, quality = without_map(tile, grid, stream.header)
    y_hat = decode_latents(model.decoder.prior, plain, grid, quality)
    reference = PriorReference(model.weights.tensors["prior"], tile.words)
    qualities = reference.map(grid, index)
    np.testing.assert_array_equal(qualities[: grid.height, : grid.width], quality)
    np.testing.assert_array_equal(reference.decode(grid, qualities), y_hat)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("spread_of", [60, 2**15])
def test_pixels_of_the_reference(tiny_coder: EncoderModel, spread_of: int, gray: bool) -> None:
    """Also where qualities change between any two positions."""
    rng = np.random.default_rng(spread_of)
    y = rng.integers(-spread_of, spread_of, (5, 6, 16), np.int16)
    for quality in (any_qualities((5, 6)), rng.integers(0, 401, (5, 6), np.int16)):
        found = tiny_coder.decoder.synthesis.pixels(
            y, quality, scale=1, inside=(80, 96), sixteen_bit=True, gray=gray
        )
        expected = SynthesisReference(tiny_coder.weights.tensors["synthesis"]).decode(
            y.transpose(2, 0, 1).astype(np.int64), quality.astype(np.int64), 65535, gray=gray
        )
        np.testing.assert_array_equal(found, expected[:, :, 0] if gray else expected)


@pytest.fixture(scope="module", params=list(SIZES))
def models(request: pytest.FixtureRequest) -> Iterator[list[EncoderModel]]:
    """A random model in NumPy and on each level of the kernel, with one thread and with two."""
    weights = random_weights(SIZES[request.param], 7)
    with pytest.MonkeyPatch.context() as patch:
        kernels = [
            on_kernel(weights, patch, level, 1 + number % 2) for number, level in enumerate(LEVELS)
        ]
        yield [on_numpy(weights, patch), *kernels]


@needs_kernel
@pytest.mark.parametrize("seed", range(4))
def test_runtimes_agree(models: list[EncoderModel], seed: int) -> None:
    """Words, latents and pixels, at every scale."""
    config, rng = models[0].decoder.config, np.random.default_rng(seed)
    size = ((1, 1), (5, 9), (13, 14), (8, 3))[seed]
    quality = any_qualities(size, seed)
    y = rng.normal(0, 10.0 ** (seed - 1), (*size, config.latent_channels)).astype(np.float32)
    z = rng.normal(0, 9, (*Grid(*size).hyper, config.hyper_channels)).astype(np.float32)
    zone = None if seed % 2 else DeadZone(models[0].symbol_costs, 9.0)
    tile, y_hat = encode_latents(models[0].decoder.prior, y, z, quality, dead_zone=zone)
    views = [(scale, deep, gray) for scale in (1, 2, 4, 8) for deep in (0, 1) for gray in (0, 1)]
    for model in models:
        prior = model.decoder.prior
        assert encode_latents(prior, y, z, quality, dead_zone=zone)[0] == tile
        np.testing.assert_array_equal(decode_latents(prior, tile, Grid(*size), quality), y_hat)
        passes = prior.networks.begin(np.zeros(z.shape, np.int64), size, quality)
        first = models[0].decoder.prior.networks.begin(np.zeros(z.shape, np.int64), size, quality)
        for found, expected in zip(passes.predict(), first.predict(), strict=True):
            np.testing.assert_array_equal(found, expected)
    for scale, deep, gray in views:
        pictures = [
            model.decoder.synthesis.pixels(
                y_hat, quality, scale=scale, inside=(16 * size[0], 16 * size[1]),
                sixteen_bit=bool(deep), gray=bool(gray),
            )
            for model in models
        ]  # fmt: skip
        for each in pictures[1:]:
            np.testing.assert_array_equal(each, pictures[0])


@needs_kernel
def test_a_map_of_one_quality_is_that_quality(models: list[EncoderModel]) -> None:
    config, rng = models[0].decoder.config, np.random.default_rng(0)
    y = rng.normal(0, 3, (6, 5, config.latent_channels)).astype(np.float32)
    z = rng.normal(0, 3, (2, 2, config.hyper_channels)).astype(np.float32)
    flat = np.full((6, 5), 123, np.int16)
    for model in models:
        one, several = (encode_latents(model.decoder.prior, y, z, q) for q in (123, flat))
        assert one[0] == several[0]
        pictures = [
            model.decoder.synthesis.pixels(
                one[1], q, scale=1, inside=(96, 80), sixteen_bit=False, gray=False
            )
            for q in (123, flat)
        ]
        np.testing.assert_array_equal(pictures[0], pictures[1])


def test_regions_are_parts_of_the_whole(tiny_codec: Codec, mapped: bytes) -> None:
    """They synthesize other windows, in which cells lie elsewhere."""
    whole = tiny_codec.decompress_array(mapped)
    for region in (
        Region(0, 0, 9, 9), Region(60, 60, 100, 50), Region(127, 0, 2, 20), Region(17, 145, 193, 5),
    ):  # fmt: skip
        part = tiny_codec.decompress_array(BytesIO(mapped), region=region)
        np.testing.assert_array_equal(part, whole[region.slices()])


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_smaller_pictures_and_their_regions(tiny_codec: Codec, mapped: bytes, scale: int) -> None:
    whole = tiny_codec.decompress_array(mapped)
    small = tiny_codec.decompress_array(mapped, scale=scale)
    inner = np.s_[: 150 // scale, : 210 // scale]
    assert np.abs(small.astype(int) - shrink(whole, scale))[inner].max() <= 1
    region = Region(64, 64, 64, 64)
    part = tiny_codec.decompress_array(mapped, scale=scale, region=region)
    side = 64 // scale
    np.testing.assert_array_equal(part, small[side : 2 * side, side : 2 * side])


def test_lossless_tiles_have_the_quality_of_the_picture() -> None:
    """It counts where they lie in the corner of a window: biases make other numbers of zeros.

    The released model has other gains at other qualities everywhere, unlike one without training.
    """
    weights = released_weights(MODELS[-1])
    model, channels = load_decoder(weights), weights.config.latent_channels
    header = Header(128, 128, PixelFormat.RGB16, 6, 240, b"demo", has_quality_map=True)
    y_hat = np.random.default_rng(0).integers(-30, 30, (8, 8, channels), np.int16)
    quality = any_qualities((8, 8))
    lossless = np.zeros((8, 8), np.bool_)
    lossless[4:, 4:] = True
    y_hat[lossless], quality[lossless] = 0, header.quality_index
    boxes = [tile_box(header, number).slices() for number in range(4)]
    synthesis = TileSynthesis(
        model, header, lossless, lambda n: y_hat[boxes[n]] if n < 3 else None,
        sixteen_bit=True, qualities=lambda n: quality[boxes[n]] if n < 3 else 0,
    )  # fmt: skip
    tile = tile_box(header, 0)
    reference = SynthesisReference(weights.tensors["synthesis"])
    y = y_hat.transpose(2, 0, 1).astype(np.int64)
    expected = reference.decode(y, quality.astype(np.int64), 65535, gray=False)
    np.testing.assert_array_equal(synthesis.pixels(tile, tile), expected[:64, :64])


def test_lossless_tiles_beside_maps(tiny_codec: Codec) -> None:
    pixels = make_picture(140, 140)
    pixels[64:128, 64:128] = 255
    flat = tiny_codec.compress(pixels, 60, tile_exponent=6)
    assert {type(tile) for tile in parse(flat).tiles} == {Tile, LosslessTile}
    data = with_map(tiny_codec, flat, any_offsets(flat, 9))
    whole = tiny_codec.decompress_array(data)
    np.testing.assert_array_equal(whole[64:128, 64:128], pixels[64:128, 64:128])
    with tiny_codec.open_rows(data) as (rows, _):
        np.testing.assert_array_equal(np.concatenate(list(rows)), whole)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_maps_survive(tiny_codec: Codec, data: st.DataObject) -> None:
    """Any offsets, sizes and qualities; the words hold what was meant."""
    height, width = (data.draw(st.integers(1, 200)) for _ in range(2))
    index, limit = data.draw(st.integers(0, 400)), data.draw(st.sampled_from((0, 1, 9, 50)))
    flat = tiled(tiny_codec, height, width, index // 4)
    offsets = any_offsets(flat, limit, data.draw(st.integers(0, 99)))
    stream = parse(with_map(tiny_codec, flat, offsets))
    for number, tile in enumerate(stream.tiles):
        assert isinstance(tile, Tile)
        row, column = divmod(number, stream.header.tile_columns)
        assert split_map(tile.words, (1, 1))[0] == offsets[row, column]
    assert tiny_codec.decompress_array(with_map(tiny_codec, flat, offsets)).shape[0] == height


def test_encode_latents_writes_the_map(tiny_coder: EncoderModel) -> None:
    prior, rng = tiny_coder.decoder.prior, np.random.default_rng(0)
    y = rng.normal(0, 2, (7, 5, 16)).astype(np.float32)
    z = rng.normal(0, 2, (2, 2, 4)).astype(np.float32)
    offsets = np.array([[3, -20], [0, 4]], np.int32)
    quality = spread(cell_qualities(100, offsets), 7, 5)
    tile, y_hat = encode_latents(prior, y, z, quality, map_index=100)
    plain, same = encode_latents(prior, y, z, quality)
    found, words = split_map(tile.words, (2, 2))
    assert found.tolist() == [[3, -13], [0, 4]]  # the smallest offset that reaches quality 0
    assert (words, tile.checksum) == (plain.words, plain.checksum)
    np.testing.assert_array_equal(y_hat, same)
    flat, _ = encode_latents(prior, y, z, 108, map_index=100)
    assert split_map(flat.words, (2, 2))[0].tolist() == [[1, 1], [1, 1]]
    with pytest.raises(InputError, match="whole steps"):
        encode_latents(prior, y, z, 105, map_index=100)


def test_files_that_were_cut_off(tiny_codec: Codec) -> None:
    """Every beginning shows something, and repaired files show the same."""
    flat = tiny_codec.compress(make_picture(150, 210), 50, lossless_tiles=False)
    data = with_map(tiny_codec, flat, any_offsets(flat, 50))
    for size in (*range(44, 80, 4), *range(80, len(data), 97)):
        left = tiny_codec.decompress_array(data[:size], allow_truncated=True)
        repaired, _ = tiny_codec.repair(data[:size])
        assert parse(repaired).header.has_quality_map
        np.testing.assert_array_equal(tiny_codec.decompress_array(repaired), left)


def test_a_bad_map_is_named(tiny_codec: Codec, mapped: bytes) -> None:
    """Flags that lie: a map that is not there, and one that is not announced."""
    for data in (mapped, tiled(tiny_codec, 150, 210)):
        changed = bytearray(data)
        changed[27] ^= 0x80
        changed[32:36] = crc32(changed[12:32]).to_bytes(4, "little")
        with pytest.raises(FormatError):
            tiny_codec.decompress_array(bytes(changed))
    tile = parse(mapped).tiles[0]
    assert isinstance(tile, Tile)
    with pytest.raises(PayloadError, match="out of range"):
        split_map(b"", (1, 3))  # words of nothing: three times -20
