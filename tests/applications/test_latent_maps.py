"""Latent maps: the same from pixels and from files, for every kind of file."""

from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture, make_sixteen_bit
from mapped_files import any_offsets, with_map
from mutation import with_model
from PIL import Image, ImageDraw

from aecodec.applications.latent_maps import LatentMap, LatentReader, channel_order
from aecodec.codec import Codec
from aecodec.decoder.code_lengths import CodeLengths
from aecodec.errors import FormatError, InputError, LimitError, UnsupportedError
from aecodec.format.chunks import Limits, Tile
from aecodec.format.container import parse
from aecodec.models.registry import ReleasedModel, Tune

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def equal(a: LatentMap, b: LatentMap) -> bool:
    same = np.array_equal(a.y, b.y) and np.array_equal(a.z, b.z)
    return same and np.allclose(a.bits, b.bits, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(("height", "width"), [(75, 110), (1, 1), (16, 64), (130, 33)])
def test_a_picture_and_its_file_have_the_same_map(
    tiny_codec: Codec, height: int, width: int
) -> None:
    pixels = make_picture(height, width)
    data = tiny_codec.compress(pixels, 75, lossless_tiles=False)
    own, stored = LatentReader(tiny_codec).read(pixels), LatentReader(tiny_codec).read(data)
    assert own.y.shape == (-(-height // 16), -(-width // 16), 16)
    assert own.z.shape == (-(-height // 64), -(-width // 64), 4)
    assert (own.height, own.width, own.quality_index) == (height, width, 300)
    assert equal(own, stored)


def test_bits_add_up_to_the_size_of_the_file(tiny_codec: Codec) -> None:
    data = tiny_codec.compress(make_picture(128, 192), 90, lossless_tiles=False)
    found = LatentReader(tiny_codec).read(data)
    words = sum(len(tile.words) for tile in parse(data).tiles if isinstance(tile, Tile))
    assert found.bits.sum() == pytest.approx(8 * words, abs=64)


def test_files_with_quality_maps(tiny_codec: Codec) -> None:
    """Norms are those of each place, so that the map hardly depends on its quality."""
    flat = tiny_codec.compress(make_picture(128, 192), 90, tile_exponent=7, lossless_tiles=False)
    mapped = with_map(tiny_codec, flat, any_offsets(flat, 4))
    plain, found = (LatentReader(tiny_codec).read(data) for data in (flat, mapped))
    assert found.quality_index == 360
    assert np.corrcoef(plain.y.ravel(), found.y.ravel())[0, 1] > 0.97
    words = sum(len(tile.words) for tile in parse(mapped).tiles if isinstance(tile, Tile))
    assert found.bits.sum() == pytest.approx(8 * words, abs=128)


def test_code_lengths_are_those_of_each_table(tiny_codec: Codec) -> None:
    tables = tiny_codec.encoder.decoder.prior.tables.scale_tables
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, len(tables), 500).astype(np.uint8)
    symbols = rng.integers(-300, 300, 500).astype(np.int32)
    each = [tables[n].bits(symbols[i : i + 1])[0] for i, n in enumerate(numbers)]
    assert CodeLengths(tables)(symbols, numbers) == pytest.approx(each, rel=1e-6)


def test_tiles_are_put_together(tiny_codec: Codec) -> None:
    pixels = make_picture(200, 150)
    whole = LatentReader(tiny_codec).read(pixels)
    tiled = tiny_codec.compress(pixels, 75, lossless_tiles=False, tile_exponent=6)
    parts = LatentReader(tiny_codec).read(tiled)
    assert parts.y.shape == whole.y.shape
    assert np.corrcoef(parts.y.ravel(), whole.y.ravel())[0, 1] > 0.95


def test_lossless_tiles_are_analyzed(tiny_codec: Codec) -> None:
    image = Image.new("RGB", (128, 64), "white")
    ImageDraw.Draw(image).rectangle((10, 10, 90, 40), fill="black")
    pixels = np.asarray(image)
    data = tiny_codec.compress(pixels, 75)
    assert parse(data).lossless_count == 1
    assert equal(LatentReader(tiny_codec).read(data), LatentReader(tiny_codec).read(pixels))


def test_residual_layers_are_left_out() -> None:
    with Image.open(SAMPLES / "chelsea.png") as image:
        pixels = np.asarray(image)[100:196, 100:196]
    codec = Codec()
    near = codec.compress(pixels, 75, max_error=3)
    assert parse(near).layer is not None
    assert parse(near).lossless_count == 0
    assert equal(LatentReader(codec).read(near), LatentReader(codec).read(pixels))


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bit_and_gray_pictures_work(tiny_codec: Codec, channels: int) -> None:
    pixels = make_sixteen_bit(40, 50, channels)
    found = LatentReader(tiny_codec).read(pixels)
    assert found.y.shape[:2] == (3, 4)
    assert np.isfinite(found.y).all()


def test_files_of_another_model_are_analyzed_as_pixels(
    tiny_codec: Codec, tunings: dict[Tune, ReleasedModel]
) -> None:
    pixels = make_picture(64, 96)
    for tune in tunings:
        data = Codec().compress(pixels, 75, tune=tune)
        shown = Codec().decompress_array(data)
        for codec in (Codec(), tiny_codec):
            reader, own = LatentReader(codec), codec.encoder_for("psnr").decoder.model_id
            found = reader.read(data)
            assert found.model_id == own
            of_file = parse(data).header.model_id == own
            assert equal(found, reader.of_file(data) if of_file else reader.of_pixels(shown))


def test_lossless_tiles_are_analyzed_by_the_model_that_made_the_file(
    tiny_codec: Codec, tunings: dict[Tune, ReleasedModel]
) -> None:
    pixels = np.full((64, 64, 3), 255, np.uint8)
    for tune, model in tunings.items():
        flat = Codec().compress(pixels, 75, tune=tune)
        assert parse(flat).lossless_count == 1
        expected = LatentReader(Codec(model.name)).of_pixels(pixels)
        for reader in (LatentReader(Codec()), LatentReader(tiny_codec)):
            found = reader.of_file(flat)
            assert found.model_id == model.model_id
            np.testing.assert_array_equal(found.y, expected.y)
    with pytest.raises(UnsupportedError, match="needs model"):
        LatentReader(Codec()).of_file(with_model(flat, b"none"))


def test_damaged_and_large_pictures_are_refused(tiny_codec: Codec, compressed: bytes) -> None:
    reader = LatentReader(tiny_codec)
    with pytest.raises(FormatError):
        reader.read(compressed[:-20])
    with pytest.raises(InputError):
        reader.read(b"no picture at all")
    small = LatentReader(Codec(limits=Limits(pixels=100)))
    with pytest.raises(LimitError):
        small.read(make_picture(20, 30))
    with pytest.raises(InputError, match="quality"):
        LatentReader(tiny_codec, 101)


def test_channels_come_by_falling_norm(tiny_codec: Codec) -> None:
    model = tiny_codec.encoder.decoder
    order = channel_order(model.prior)
    base = model.prior.tables.base[300][order]
    assert sorted(order) == list(range(16))
    assert (np.diff(base) <= 0).all()
