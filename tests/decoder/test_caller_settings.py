"""Decoding is exact, and encoding the same, whatever the caller has set in torch or NumPy."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_picture

from aecodec.codec import Codec
from aecodec.decoder.latents import Grid, decode_latents
from aecodec.format.chunks import Tile
from aecodec.format.container import parse
from aecodec.options import EncodeOptions
from aecodec.picture.pixels import Pixels

Setting = Callable[[], AbstractContextManager[object]]


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def without_mkldnn() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Intel's GPUs, which the flags speak of too
        with torch.backends.mkldnn.flags(enabled=False):
            yield


@contextmanager
def flushed_denormals() -> Iterator[None]:
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def small_buffer() -> Iterator[None]:
    before = np.setbufsize(16)
    try:
        yield
    finally:
        np.setbufsize(before)


SETTINGS: dict[str, Setting] = {
    "autocast to bfloat16": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "autocast to float16": lambda: torch.autocast("cpu", dtype=torch.float16),
    "medium precision": lambda: matmul_precision("medium"),
    "high precision": lambda: matmul_precision("high"),
    "float64 by default": lambda: default_dtype(torch.float64),
    "bfloat16 by default": lambda: default_dtype(torch.bfloat16),
    "meta by default": lambda: default_device("meta"),
    "meta device for a block": lambda: torch.device("meta"),
    "deterministic algorithms": deterministic,
    "without mkldnn": without_mkldnn,
    "flushed denormals": flushed_denormals,
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "NumPy raises": lambda: np.errstate(all="raise"),
    "a small buffer in NumPy": small_buffer,
}
OTHER_PRODUCTS = {"medium precision", "high precision", "without mkldnn"}
each_setting = pytest.mark.parametrize("setting", SETTINGS)


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    pixels = make_picture(100, 150)
    pixels[:64, :64] = 40
    return pixels


@pytest.fixture(scope="module")
def data(tiny_codec: Codec, pixels: Pixels) -> bytes:
    return tiny_codec.compress(pixels, 90, tile_exponent=6)


@each_setting
def test_pixels_and_latents_are_the_same(tiny_codec: Codec, data: bytes, setting: str) -> None:
    tile = parse(data).tiles[1]
    assert isinstance(tile, Tile)
    prior, grid = tiny_codec.encoder.decoder.prior, Grid(4, 4)
    latents = decode_latents(prior, tile, grid, 360)
    expected = [tiny_codec.decompress_array(data, scale=scale) for scale in (1, 2)]
    with SETTINGS[setting]():
        found = [tiny_codec.decompress_array(data, scale=scale) for scale in (1, 2)]
        inside = decode_latents(prior, tile, grid, 360)
    np.testing.assert_array_equal(inside, latents)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@each_setting
@pytest.mark.parametrize("effort", [1, 2, 3])
def test_what_is_encoded_is_the_same_and_decodes(
    tiny_codec: Codec, pixels: Pixels, setting: str, effort: int
) -> None:
    """The analysis is in floats: where products are others, bytes may be, but files decode."""
    options = EncodeOptions(quality=90, tile_exponent=6, effort=effort, checksum=True)
    with SETTINGS[setting]():
        data = tiny_codec.compress(pixels, options=options)
    tiny_codec.verify(data)
    if setting not in OTHER_PRODUCTS:
        assert data == tiny_codec.compress(pixels, options=options)


@each_setting
def test_models_may_be_loaded_there(
    tiny_codec: Codec, data: bytes, pixels: Pixels, tiny_weights: Path, setting: str
) -> None:
    with SETTINGS[setting]():
        codec = Codec(tiny_weights)
        decoded = codec.decompress_array(data)
        packed = codec.compress(pixels[:32, :32], 50, effort=3)
    np.testing.assert_array_equal(decoded, tiny_codec.decompress_array(data))
    assert codec.decompress_array(packed).shape == (32, 32, 3)
    np.testing.assert_array_equal(codec.decompress_array(data), decoded)
