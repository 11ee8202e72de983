"""`.aec` chunks through zarr and numcodecs themselves."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from conftest import make_picture
from shell import ENVIRONMENT

from aecodec import ChecksumError, Codec, InputError
from aecodec.errors import PayloadError
from aecodec.plugins.chunks import ChunkOptions, decode_chunk, encode_chunk
from aecodec.plugins.numcodecs import AecNumcodec
from aecodec.plugins.zarr import AecZarr

pytestmark = pytest.mark.usefixtures("plugged")
PIXELS = make_picture(75, 110)
SHAPES = [(7,), (40, 30), (2, 20, 30), (40, 30, 3), (2, 20, 30, 3), (20, 30, 4), (5, 6, 2), (1, 3)]
PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


@pytest.fixture(autouse=True)
def _registered() -> None:
    """As the package's entry points do where it is installed."""
    zarr.registry.register_codec("aecodec", AecZarr)
    numcodecs.register_codec(AecNumcodec)


def samples(shape: tuple[int, ...], dtype: str) -> Any:  # noqa: ANN401  # of either type
    rng = np.random.default_rng(1)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_comes_back(shape: tuple[int, ...], dtype: str) -> None:
    chunk = samples(shape, dtype)
    data = encode_chunk(chunk, ChunkOptions(lossless=True))
    np.testing.assert_array_equal(decode_chunk(data, chunk.dtype, chunk.size), chunk.ravel())


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_array_of_a_picture(tmp_path: Path, plugged: Codec, zarr_format: Any) -> None:  # noqa: ANN401  # one of two literals
    codec: dict[str, Any] = (
        {"compressors": AecNumcodec(quality=70)}
        if zarr_format == 2
        else {"serializer": AecZarr(quality=70), "compressors": None}
    )
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=PIXELS.shape, chunks=(64, 64, 3), dtype="uint8",
        zarr_format=zarr_format, **codec,
    )  # fmt: skip
    array[:] = PIXELS
    found: Any = zarr.open_array(tmp_path / "a.zarr", mode="r")
    expected = plugged.decompress_array(plugged.compress(PIXELS[:64, :64], 70))
    np.testing.assert_array_equal(found[:64, :64], expected)
    assert np.abs(found[:].astype(int) - PIXELS).mean() < 20
    np.testing.assert_array_equal(found[10:20, 50:80], found[:][10:20, 50:80])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", [(90, 50), (3, 50, 40), (2, 33, 40, 3)], ids=str)
def test_lossless_arrays(shape: tuple[int, ...], dtype: str) -> None:
    values = samples(shape, dtype)
    array: Any = zarr.create_array(
        {}, shape=shape, dtype=dtype, chunks=tuple(min(32, n) for n in shape), compressors=None,
        serializer=AecZarr(lossless=True),
    )  # fmt: skip
    array[:] = values
    np.testing.assert_array_equal(array[:], values)


def test_chunks_of_shards() -> None:
    values = samples((64, 48), "uint8")
    array: Any = zarr.create_array(
        {}, shape=values.shape, dtype="uint8", chunks=(16, 16), shards=(32, 48), compressors=None,
        serializer=AecZarr(lossless=True),
    )  # fmt: skip
    array[:] = values
    np.testing.assert_array_equal(array[20:40, 5:20], values[20:40, 5:20])


def test_metadata_make_the_same_codec() -> None:
    codec = AecZarr(effort=0, max_error=2)
    assert codec.to_dict() == {
        "name": "aecodec", "configuration": {"effort": 0, "max_error": 2},
    }  # fmt: skip
    assert AecZarr.from_dict(codec.to_dict()) == codec
    assert AecZarr.from_dict({"name": "aecodec"}) == AecZarr()
    twin = numcodecs.get_codec(AecNumcodec(quality=30).get_config())
    assert twin == AecNumcodec(quality=30)
    assert twin.options.quality == 30


def test_what_cannot_be_coded_is_refused_when_an_array_is_made() -> None:
    with pytest.raises(InputError, match="float32"):
        zarr.create_array({}, shape=(9, 9), dtype="float32", serializer=AecZarr())
    with pytest.raises(InputError, match="effort"):
        AecZarr(effort=11)
    swapped = samples((4, 5), "uint16").astype(np.dtype("u2").newbyteorder("S"))
    with pytest.raises(InputError, match="native"):
        AecNumcodec().encode(swapped)
    with pytest.raises(InputError, match="no pixels"):
        AecNumcodec().encode(np.zeros((0, 3), np.uint8))


def test_damaged_chunks_are_told() -> None:
    store: dict[str, Any] = {}
    array: Any = zarr.create_array(
        store, shape=(20, 30), chunks=(20, 30), dtype="uint8", serializer=AecZarr(),
        compressors=None, fill_value=0,
    )  # fmt: skip
    array[:] = PIXELS[:20, :30, 0]
    key = next(name for name in store if name.startswith("c/"))
    whole = store[key].to_bytes()
    store[key] = type(store[key]).from_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
    with pytest.raises(ChecksumError):
        array[:]
    store[key] = type(store[key]).from_bytes(encode_chunk(PIXELS, ChunkOptions()))
    with pytest.raises(PayloadError, match="samples"):
        array[:]
    store[key] = type(store[key]).from_bytes(
        encode_chunk(samples((20, 30), "uint16"), ChunkOptions())
    )
    with pytest.raises(PayloadError, match="uint16"):
        array[:]


def test_decoding_into_an_array() -> None:
    codec, chunk = AecNumcodec(lossless=True), samples((6, 7), "uint16")
    out = np.empty_like(chunk)
    codec.decode(codec.encode(chunk), out)
    np.testing.assert_array_equal(out, chunk)


def test_installed_packages_are_found_without_an_import(tmp_path: Path) -> None:
    """By the entry points that the project declares."""
    declared = tomllib.loads(PROJECT.read_text("utf-8"))["project"]["entry-points"]
    place = tmp_path / "site" / "aecodec_here-1.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: aecodec-here\nVersion: 1\n")
    (place / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
            for group, entries in declared.items()
        )
    )
    code = (
        "import sys, zarr, numcodecs, numcodecs.registry\n"
        "assert 'aecodec' not in sys.modules\n"
        "assert zarr.registry.get_codec_class('aecodec').__name__ == 'AecZarr'\n"
        "assert type(numcodecs.get_codec({'id': 'aecodec'})).__name__ == 'AecNumcodec'\n"
    )
    path = os.pathsep.join([str(tmp_path / "site"), ENVIRONMENT["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**ENVIRONMENT, "PYTHONPATH": path}, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
