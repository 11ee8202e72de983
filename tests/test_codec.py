"""Pictures to bytes and back, with the tiny model."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import make_picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import aecodec
from aecodec.codec import Codec, shared_codec
from aecodec.decoder.opening import open_file
from aecodec.errors import (
    AecError,
    ChecksumError,
    InputError,
    LimitError,
    PayloadError,
    UnsupportedError,
    WeightsError,
)
from aecodec.format.chunks import Limits, Tile
from aecodec.format.container import Stream, parse, serialize
from aecodec.format.quality import quality_index
from aecodec.format.tiling import Region
from aecodec.options import DecodeOptions, EncodeOptions, Target
from aecodec.picture.metadata import Metadata
from aecodec.picture.picture import Picture
from aecodec.picture.row_readers import PictureRows

ROOT = Path(__file__).resolve().parents[1]
Pixels = npt.NDArray[np.uint8 | np.uint16]


def psnr(a: Pixels, b: Pixels) -> float:
    mse = np.mean((a.astype(float) - b) ** 2)
    return float(10 * np.log10(255**2 / mse))


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 200), (17, 1), (15, 16), (64, 64), (65, 130), (100, 33)]
)
def test_every_size_comes_back(tiny_codec: Codec, height: int, width: int) -> None:
    pixels = make_picture(height, width)
    result = tiny_codec.decompress_array(tiny_codec.compress(pixels, 90))
    assert result.shape == pixels.shape
    assert result.dtype == np.uint8


def test_quality_buys_psnr_for_bytes(tiny_codec: Codec, picture: Pixels) -> None:
    files = [tiny_codec.compress(picture, quality) for quality in (0, 40, 80, 100)]
    sizes = [len(data) for data in files]
    quality = [psnr(picture, tiny_codec.decompress_array(data)) for data in files]
    assert sizes == sorted(sizes)
    assert quality == sorted(quality)
    assert quality[-1] > quality[0] + 3


def test_gray_stays_gray(tiny_codec: Codec, picture: Pixels) -> None:
    gray = picture[:, :, 0]
    image = tiny_codec.decompress(tiny_codec.compress(gray, 80))
    assert image.mode == "L"
    assert image.size == (110, 75)


def test_all_forms_of_a_picture_give_the_same_bytes(
    tiny_codec: Codec, picture: Pixels, tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(picture).save(path)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    forms = (path, str(path), Image.fromarray(picture), picture, tensor)
    assert len({tiny_codec.compress(form, 50) for form in forms}) == 1


def test_files_are_the_same_with_one_and_two_threads(
    tiny_codec: Codec, tiny_weights: Path, picture: Pixels
) -> None:
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            data = tiny_codec.compress(picture, 70)
            pixels = Codec(tiny_weights, threads=threads).decompress_array(data)
            results.append((data, pixels.tobytes()))
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1]


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_other_numbers_of_threads_are_refused(threads: object) -> None:
    with pytest.raises(InputError, match="threads"):
        Codec(threads=threads)  # type: ignore[arg-type]


def test_one_codec_serves_many_threads(tiny_codec: Codec) -> None:
    pictures = [make_picture(40 + n, 60, seed=n) for n in range(8)]
    expected = [tiny_codec.compress(p, 60) for p in pictures]
    with ThreadPoolExecutor(4) as pool:
        files = list(pool.map(lambda p: tiny_codec.compress(p, 60), pictures))
        arrays = list(pool.map(tiny_codec.decompress_array, files))
    assert files == expected
    for array, data in zip(arrays, expected, strict=True):
        np.testing.assert_array_equal(array, tiny_codec.decompress_array(data))


def test_tiles_are_coded_apart(tiny_codec: Codec) -> None:
    pixels = make_picture(150, 140)
    data = tiny_codec.compress(pixels, 95, tile_exponent=6)
    assert len(parse(data).tiles) == 9
    assert psnr(pixels, tiny_codec.decompress_array(data)) == pytest.approx(
        psnr(pixels, tiny_codec.decompress_array(tiny_codec.compress(pixels, 95))), abs=0.3
    )


def test_every_flipped_bit_is_noticed(tiny_codec: Codec) -> None:
    data = tiny_codec.compress(make_picture(20, 20), 60)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(AecError):
            tiny_codec.decompress_array(damaged)


def test_every_prefix_is_an_error(tiny_codec: Codec) -> None:
    data = tiny_codec.compress(make_picture(20, 20), 60)
    for length in range(len(data)):
        with pytest.raises(AecError):
            tiny_codec.decompress_array(data[:length])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words=st.binary(max_size=400), checksum=st.integers(0, 2**32 - 1))
def test_any_payload_decodes_or_raises_aec_error(
    tiny_codec: Codec, words: bytes, checksum: int
) -> None:
    """Payloads whose container is intact reach the entropy decoder, and fail cleanly there."""
    stream = parse(tiny_codec.compress(make_picture(20, 20), 60))
    words = words[: len(words) // 4 * 4]
    forged = serialize(Stream(stream.header, (Tile(checksum, words),)))
    with pytest.raises((PayloadError, ChecksumError)):
        tiny_codec.decompress_array(forged)


def test_wrong_checksum_of_latents_is_noticed(tiny_codec: Codec) -> None:
    stream = parse(tiny_codec.compress(make_picture(20, 20), 60))
    tile = stream.tiles[0]
    assert isinstance(tile, Tile)
    forged = serialize(Stream(stream.header, (Tile(tile.checksum ^ 1, tile.words),)))
    with pytest.raises(ChecksumError, match="decoded latents"):
        tiny_codec.decompress_array(forged)


def test_unknown_model_is_named(tiny_codec: Codec, tiny_weights: Path) -> None:
    data = tiny_codec.compress(make_picture(8, 8))
    model_id = parse(data).header.model_id
    with pytest.raises(UnsupportedError, match=model_id.hex()):
        Codec().decompress_array(data)
    assert Codec(tiny_weights).decompress_array(data).shape == (8, 8, 3)


def test_limits_hold_both_ways(tiny_weights: Path) -> None:
    small = Codec(tiny_weights, limits=Limits(pixels=100))
    with pytest.raises(LimitError, match="400 pixels"):
        small.compress(make_picture(20, 20))
    with pytest.raises(LimitError, match="400 pixels"):
        small.decompress_array(Codec(tiny_weights).compress(make_picture(20, 20)))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 5), np.uint8), r"\(H, W, 3\)"),
        (np.zeros((4,), np.uint8), r"\(H, W, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (np.full((4, 4, 3), np.nan), "finite"),
        (np.zeros((4, 4, 3), np.int64), "not int64"),
        (torch.full((3, 4, 4), float("nan")), "finite"),
        (torch.full((3, 4, 4), 1.5), "finite and lie"),
        (torch.zeros(4, 4), "tensors must be"),
        (Image.new("I", (4, 4), -1), "mode I must lie in 0 to 65535"),
        (Image.new("F", (4, 4), 1.5), "mode F must be finite and lie"),
        (42, "int"),
    ],
)
def test_wrong_pictures_say_what_is_wrong(tiny_codec: Codec, image: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tiny_codec.compress(image)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("quality", [-1, 100.5, float("nan"), "75", True, None])
def test_wrong_qualities_are_refused(quality: object) -> None:
    with pytest.raises(InputError, match="quality"):
        quality_index(quality)


def test_quality_is_rounded_to_quarters() -> None:
    assert [quality_index(q) for q in (0, 0.12, 0.13, 75, 99.9, 100)] == [0, 0, 1, 300, 400, 400]


def test_missing_weights_are_an_error_of_the_package(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="neither a released model"):
        Codec(tmp_path / "none.safetensors").compress(make_picture(8, 8))


def test_public_functions_share_one_codec_until_it_is_closed() -> None:
    assert aecodec.read_info(aecodec.compress(make_picture(9, 12))).height == 9
    shared = shared_codec()
    assert shared is shared_codec()
    aecodec.close()
    assert shared_codec() is not shared
    aecodec.close()
    aecodec.close()  # twice is no harm


def test_models_are_freed_and_loaded_again(tiny_weights: Path) -> None:
    with Codec(tiny_weights) as codec:
        data = codec.compress(make_picture(9, 12))
        encoder = codec.encoder
        assert codec.encoder is encoder
        assert codec.decoder(encoder.decoder.model_id) is encoder.decoder
    assert codec.compress(make_picture(9, 12)) == data
    assert codec.encoder is not encoder


def test_a_codec_costs_nothing_before_its_first_use(tmp_path: Path) -> None:
    """Not even weights that do not exist are noticed."""
    code = (
        "import sys\nfrom aecodec import Codec\ncodec = Codec('none')\ncodec.close()\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_options_may_be_given_whole_by_name_or_both(tiny_codec: Codec, picture: Pixels) -> None:
    options = EncodeOptions(quality=30, checksum=True)
    data = tiny_codec.compress(picture, 30, checksum=True)
    assert tiny_codec.compress(picture, options=options) == data
    assert tiny_codec.compress(picture, 30, options=EncodeOptions(checksum=True)) == data
    assert tiny_codec.compress(picture, options=EncodeOptions(quality=30), checksum=True) == data
    region = Region(10, 20, 30, 40)
    part = tiny_codec.decompress_array(data, region=region)
    both = tiny_codec.decompress_array(data, options=DecodeOptions(region=region, scale=2), scale=1)
    np.testing.assert_array_equal(part, both)


def test_unknown_options_are_named(tiny_codec: Codec, picture: Pixels, tmp_path: Path) -> None:
    more: dict[str, Any] = {"speed": 3}
    for call in (
        lambda: tiny_codec.compress(picture, **more),
        lambda: tiny_codec.compress_to(picture, Target("bpp", 1), **more),
        lambda: tiny_codec.decompress(b"", **more),
        lambda: tiny_codec.decompress_array(b"", **more),
        lambda: tiny_codec.decompress_picture(b"", **more),
        lambda: tiny_codec.open_rows(b"", **more).__enter__(),
        lambda: aecodec.compress(picture, **more),
    ):
        with pytest.raises(TypeError, match="speed"):
            call()


def test_rows_are_for_whole_files_and_known_qualities(tiny_codec: Codec, picture: Pixels) -> None:
    with (
        pytest.raises(InputError, match="not decoded by rows"),
        tiny_codec.open_rows(b"", allow_truncated=True),
    ):
        pass
    source = PictureRows(Picture(picture, Metadata()))
    with pytest.raises(InputError, match="use compress_to"):
        tiny_codec.compress_rows(source, EncodeOptions(target=Target("bpp", 1)))


def test_a_file_is_opened_once_and_decoded_later(tiny_codec: Codec, picture: Pixels) -> None:
    data, options = tiny_codec.compress(picture), DecodeOptions(scale=2)
    with open_file(data, options, tiny_codec.limits) as file:
        decoded = tiny_codec.decode(file, options)
    np.testing.assert_array_equal(decoded.pixels, tiny_codec.decompress_array(data, scale=2))
    assert decoded.alpha is None


def test_progress_rises_to_one(tiny_codec: Codec, picture: Pixels) -> None:
    seen: list[float] = []
    tiny_codec.compress(picture, tile_exponent=6, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1
