"""Alpha through the codec: exact, and cheap where nothing is visible."""

from io import BytesIO

import numpy as np
import pytest
from alpha_pictures import cut_out
from conftest import make_picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import aecodec
from aecodec.codec import Codec
from aecodec.errors import InputError
from aecodec.format.chunks import LosslessTile, Tile
from aecodec.format.container import parse
from aecodec.format.tiling import Region
from aecodec.options import Target
from aecodec.picture.metrics import PSNR_MAX

steady = settings(
    deadline=None, derandomize=True, max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


@pytest.fixture(scope="module")
def tiled(tiny_codec: Codec) -> bytes:
    """Twelve tiles with alpha, two of them of one alpha only."""
    pixels = cut_out(190, 250)
    pixels[:64, :64, 3] = 0
    pixels[64:128, 64:128, 3] = 255
    return tiny_codec.compress(pixels, 80, tile_exponent=6, lossless_tiles=False)


@steady
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from([2, 4]),
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(0, 2**32 - 1),
)
def test_alpha_is_exact_at_any_size(
    tiny_codec: Codec, height: int, width: int, channels: int, kind: type, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, np.iinfo(kind).max, (height, width, channels), kind, endpoint=True)
    pixels[0, 0, -1] = 7  # never opaque everywhere
    if seed % 2:
        pixels[:, :, -1] = np.linspace(0, 255, width).astype(kind)
    data = tiny_codec.compress(pixels, 30, tile_exponent=6, lossless_tiles=False)
    decoded = tiny_codec.decompress_array(data)
    assert decoded.shape == pixels.shape
    assert decoded.dtype == kind
    np.testing.assert_array_equal(decoded[:, :, -1], pixels[:, :, -1])


def test_visible_colours_are_those_of_the_picture_without_alpha(tiny_codec: Codec) -> None:
    pixels = make_picture(75, 110)
    alpha = np.full((75, 110), 200, np.uint8)
    data = tiny_codec.compress(np.dstack((pixels, alpha)), 60)
    plain = tiny_codec.compress(pixels, 60)
    np.testing.assert_array_equal(
        tiny_codec.decompress_array(data)[:, :, :3], tiny_codec.decompress_array(plain)
    )
    assert len(data) == len(plain) + 12 + 5 + 1  # a flat ALPH


@pytest.mark.parametrize("channels", [2, 4])
def test_opaque_alpha_is_left_out(tiny_codec: Codec, channels: int) -> None:
    pixels = np.dstack((make_picture(40, 30)[:, :, : channels - 1], np.full((40, 30), 255)))
    colour = pixels[:, :, 0] if channels == 2 else pixels[:, :, :3]
    whole = tiny_codec.compress(pixels.astype(np.uint8), 50)
    assert whole == tiny_codec.compress(colour.astype(np.uint8), 50)


def test_hidden_colours_do_not_matter(tiny_codec: Codec) -> None:
    pixels = cut_out(130, 140)
    other = pixels.copy()
    hidden = pixels[:, :, 3] == 0
    other[hidden, :3] = np.random.default_rng(0).integers(0, 256, (hidden.sum(), 3))
    assert tiny_codec.compress(pixels, 70) == tiny_codec.compress(other, 70)


def test_a_transparent_area_costs_next_to_nothing() -> None:
    """With the released model: the tiny one has not learned what is likely."""
    pixels = np.dstack((make_picture(256, 512), np.full((256, 512), 255, np.uint8)))
    pixels[:, 128:, :3] = np.random.default_rng(1).integers(0, 256, (256, 384, 3))
    pixels[:, 128:, 3] = 0
    alone = aecodec.compress(pixels[:, :128], 75)
    whole = aecodec.compress(pixels, 75)
    visible = aecodec.compress(pixels[:, :, :3], 75)
    assert len(whole) - len(alone) < 0.05 * 256 * 384 / 8  # bits a hidden pixel
    assert len(visible) > 10 * len(whole)


def test_a_transparent_tile_costs_what_its_chunks_do(tiny_codec: Codec) -> None:
    pixels = np.dstack((make_picture(64, 256), np.full((64, 256), 255, np.uint8)))
    pixels[:, 64:192, :3] = np.random.default_rng(1).integers(0, 256, (64, 128, 3))
    pixels[:, 64:192, 3] = 0
    stream = parse(tiny_codec.compress(pixels, 75, tile_exponent=6))
    assert [type(tile) for tile in stream.tiles] == [Tile, LosslessTile, LosslessTile, Tile]
    assert [tile.size for tile in stream.tiles[1:3]] == [12 + 5 + 3] * 2
    assert [alpha.size for alpha in stream.alphas[1:3]] == [12 + 5 + 1] * 2


def test_alpha_quality_saves_bytes_and_100_is_exact(tiny_codec: Codec) -> None:
    pixels = cut_out(120, 100)
    rng = np.random.default_rng(0)
    pixels[:, :, 3] = np.clip(pixels[:, :, 3] + rng.normal(0, 20, (120, 100)), 0, 255)
    files = [tiny_codec.compress(pixels, 50, alpha_quality=each) for each in (0, 40, 90, 100)]
    assert [len(data) for data in files] == sorted(len(data) for data in files)
    alphas = [tiny_codec.decompress_array(data)[:, :, 3] for data in files]
    assert set(np.unique(alphas[0])) == {0, 255}
    np.testing.assert_array_equal(alphas[3], pixels[:, :, 3])
    errors = [np.square(alpha.astype(float) - pixels[:, :, 3]).mean() for alpha in alphas]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("wrong", [-1, 101, float("nan"), True, "50"])
def test_alpha_qualities_out_of_range_are_refused(tiny_codec: Codec, wrong: float) -> None:
    with pytest.raises(InputError, match="alpha quality must"):
        tiny_codec.compress(make_picture(8, 8), alpha_quality=wrong)


@pytest.mark.parametrize("gray", [False, True])
def test_pil_pictures_keep_their_mode(tiny_codec: Codec, gray: bool) -> None:
    image = Image.fromarray(cut_out(30, 40))
    image = image.convert("LA") if gray else image
    decoded = tiny_codec.decompress(tiny_codec.compress(image, 90))
    assert decoded.mode == image.mode
    np.testing.assert_array_equal(
        np.asarray(decoded.getchannel("A")), np.asarray(image.getchannel("A"))
    )


def test_tensors_may_have_alpha(tiny_codec: Codec) -> None:
    import torch

    pixels = cut_out(30, 40)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    assert tiny_codec.compress(tensor, 50) == tiny_codec.compress(pixels, 50)
    two = pixels[:, :, 2:]
    assert tiny_codec.compress(tensor[2:], 50) == tiny_codec.compress(two, 50)


@pytest.mark.parametrize("region", [Region(0, 0, 1, 1), Region(50, 61, 90, 70)])
@pytest.mark.parametrize("scale", [1, 2, 8])
def test_parts_and_previews_have_the_alpha_of_the_whole(
    tiny_codec: Codec, tiled: bytes, region: Region, scale: int
) -> None:
    whole = tiny_codec.decompress_array(tiled, scale=scale)
    alpha = Image.fromarray(tiny_codec.decompress_array(tiled)[:, :, 3].copy())
    expected = np.asarray(alpha.reduce(scale) if scale > 1 else alpha)
    np.testing.assert_array_equal(whole[:, :, 3], expected)
    top, left = region.top // scale, region.left // scale
    for source in (tiled, BytesIO(tiled)):
        part = tiny_codec.decompress_array(source, region=region, scale=scale)
        inner = whole[top : top + part.shape[0], left : left + part.shape[1]]
        np.testing.assert_array_equal(part[:, :, 3], inner[:, :, 3])
        assert np.abs(part.astype(int) - inner).max() <= 1  # float windows of another shape


def test_bands_are_the_whole(tiny_codec: Codec, tiled: bytes) -> None:
    with tiny_codec.open_rows(BytesIO(tiled)) as (bands, _):
        rows = list(bands)
    assert len(rows) == 3
    np.testing.assert_array_equal(np.concatenate(rows), tiny_codec.decompress_array(tiled))


def test_lossless_tiles_and_alpha_go_together(tiny_codec: Codec) -> None:
    pixels = cut_out(130, 140)
    pixels[:64, 64:128] = 9, 90, 200, 100
    data = tiny_codec.compress(pixels, 80, tile_exponent=6)
    stream = parse(data)
    assert {type(tile) for tile in stream.tiles} == {Tile, LosslessTile}
    decoded = tiny_codec.decompress_array(data)
    np.testing.assert_array_equal(decoded[:64, 64:128], pixels[:64, 64:128])
    np.testing.assert_array_equal(decoded[:, :, 3], pixels[:, :, 3])


def test_icons_become_one_lossless_tile(tiny_codec: Codec) -> None:
    pixels = np.zeros((200, 320, 4), np.uint8)
    pixels[::8, :, :] = 250, 40, 10, 255
    data = tiny_codec.compress(pixels, 80, tile_exponent=6)
    stream = parse(data)
    assert len(stream.tiles) == len(stream.alphas) == 1
    decoded = tiny_codec.decompress_array(data)
    np.testing.assert_array_equal(decoded[:, :, 3], pixels[:, :, 3])
    np.testing.assert_array_equal(decoded[::8], pixels[::8])


def test_sprites_do_not_pay_for_what_is_hidden(tiny_codec: Codec) -> None:
    """A smooth fill of scattered holes would cost ten times what their PNG takes."""
    colours = np.array([[0, 0, 0, 0], [255, 0, 0, 255], [0, 255, 0, 128], [9, 9, 9, 60]], np.uint8)
    blocks = np.random.default_rng(0).integers(0, 4, (25, 40)).repeat(8, 0).repeat(8, 1)
    pixels = colours[blocks]
    data = tiny_codec.compress(pixels, 75)
    png = BytesIO()
    Image.fromarray(pixels).save(png, "PNG", optimize=True)
    assert len(data) <= png.tell() + 82
    np.testing.assert_array_equal(tiny_codec.decompress_array(data), pixels)


def test_previews_of_lossless_tiles_have_no_dark_edges(tiny_codec: Codec) -> None:
    pixels = np.full((64, 64, 4), 200, np.uint8)
    pixels[:, 30:, 3] = 0
    data = tiny_codec.compress(pixels, 75, tile_exponent=6)
    assert parse(data).lossless_count == 1
    assert not tiny_codec.decompress_array(data)[:, 30:].any()
    small = tiny_codec.decompress_array(data, scale=4)
    assert (small[:, :8, :3] == 200).all()  # the eighth column has two visible pixels of four
    assert small[0, 7, 3] == 100


def test_targets_measure_what_is_visible(tiny_codec: Codec) -> None:
    pixels = cut_out(90, 100)
    data, found = tiny_codec.compress_to(pixels, Target("psnr", 30.0))
    decoded = tiny_codec.decompress_array(data)
    visible = pixels[:, :, 3] > 0
    error = np.square(decoded[visible, :3].astype(float) - pixels[visible, :3]).mean()
    assert found.measured == pytest.approx(10 * np.log10(255**2 / error), abs=0.01)


def test_a_picture_of_nothing_visible(tiny_codec: Codec) -> None:
    pixels = np.zeros((70, 30, 4), np.uint8)
    data, found = tiny_codec.compress_to(pixels, Target("psnr", 30.0))
    assert found.measured == PSNR_MAX
    assert not tiny_codec.decompress_array(data)[:, :, 3].any()
