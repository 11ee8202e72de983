"""The kernel as a runtime: whole files, threads, forks, and quiet fallbacks."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture
from native_kernel import LEVELS, SIZES, needs_kernel, on_kernel, on_numpy
from random_models import random_weights

from aecodec.codec import Codec
from aecodec.decoder import native_library
from aecodec.decoder.build_kernel import LIBRARY_NAME, SOURCES
from aecodec.decoder.latents import Grid, decode_latents, decode_prefix
from aecodec.decoder.loading import load_decoder, runtime_info
from aecodec.decoder.native_library import load_library
from aecodec.decoder.runtime_choice import VARIABLE, LibraryError
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.networks import EncoderModel
from aecodec.errors import ChecksumError, InputError, PayloadError, WeightsError
from aecodec.models.weights import Weights


@pytest.fixture
def weights(tiny_coder: EncoderModel) -> Weights:
    return tiny_coder.weights


def test_a_kernel_was_built_here() -> None:
    """Where a compiler is, an installation builds it, and without it much is left untested."""
    if not any(shutil.which(name) for name in ("cc", "gcc", "clang")):
        pytest.skip("there is no compiler")
    assert "plain" in LEVELS


@needs_kernel
def test_the_fastest_level_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    found = runtime_info()
    assert (found.runtime, found.instructions, found.levels) == ("native", LEVELS[-1], LEVELS)
    assert f"instructions: {LEVELS[-1]}" in found.text()


@needs_kernel
@pytest.mark.parametrize("effort", [0, 1, 2])
def test_files_are_the_same(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, effort: int
) -> None:
    picture, files = make_picture(150, 201), []
    for runtime in ("numpy", *LEVELS):
        monkeypatch.setenv(VARIABLE, runtime)
        codec = Codec(tiny_weights, threads=2)
        assert codec.encoder.decoder.is_native == (runtime != "numpy")
        data = codec.compress(picture, 70, effort=effort)
        files.append((data, codec.decompress_array(data).tobytes()))
    assert len(set(files)) == 1


@needs_kernel
def test_a_prefix_gives_the_same_latents(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    models = [on_numpy(weights, monkeypatch), on_kernel(weights, monkeypatch)]
    rng = np.random.default_rng(3)
    y = rng.normal(0, 30, (9, 6, 16)).astype(np.float32)
    z = rng.normal(0, 3, (3, 2, 4)).astype(np.float32)
    tile, _ = encode_latents(models[0].decoder.prior, y, z, 200)
    for count in range(0, len(tile.words) + 1, 4):
        found = [
            decode_prefix(model.decoder.prior, tile.words[:count], Grid(9, 6), 200)
            for model in models
        ]
        np.testing.assert_array_equal(found[0][0], found[1][0])


@needs_kernel
@pytest.mark.parametrize("words", [b"\0\0\0\0", b"\1\0\0\0\2\0\0\0", b"\0\0\0\0\1\0\0\0"])
def test_words_that_fit_no_tile_are_refused(
    weights: Weights, monkeypatch: pytest.MonkeyPatch, words: bytes
) -> None:
    y, z = np.zeros((4, 4, 16), np.float32), np.zeros((1, 1, 4), np.float32)
    kinds = []
    for model in (on_numpy(weights, monkeypatch), on_kernel(weights, monkeypatch)):
        tile, _ = encode_latents(model.decoder.prior, y, z, 9)
        with pytest.raises((PayloadError, ChecksumError)) as caught:
            decode_latents(model.decoder.prior, replace(tile, words=words), Grid(4, 4), 9)
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


@needs_kernel
@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_threads_give_the_same(
    weights: Weights, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    reference = on_numpy(weights, monkeypatch)
    model = on_kernel(weights, monkeypatch, threads=threads)
    pixels = make_picture(16 * 33, 16 * 21)
    y = reference.analyze(pixels, 200)
    np.testing.assert_array_equal(model.analyze(pixels, 200), y)
    z = reference.analysis.hyper(y, 200)
    np.testing.assert_array_equal(model.analysis.hyper(y, 200), z)
    tile, y_hat = encode_latents(reference.decoder.prior, y, z, 200)
    assert encode_latents(model.decoder.prior, y, z, 200)[0] == tile
    np.testing.assert_array_equal(
        decode_latents(model.decoder.prior, tile, Grid(33, 21), 200), y_hat
    )
    inside = pixels.shape[0], pixels.shape[1]
    found = [
        each.decoder.synthesis.pixels(
            y_hat, 200, scale=1, inside=inside, sixteen_bit=False, gray=False
        )
        for each in (reference, model)
    ]
    np.testing.assert_array_equal(found[0], found[1])


def decodes(model: EncoderModel) -> Callable[[], bytes]:
    """Something that the model computes, again and again."""
    y = np.random.default_rng(1).integers(-900, 900, (24, 16, 16)).astype(np.int16)

    def decode() -> bytes:
        samples = model.decoder.synthesis.pixels(
            y, 300, scale=1, inside=(384, 256), sixteen_bit=False, gray=False
        )
        return samples.tobytes()

    return decode


@needs_kernel
def test_many_threads_call_at_once(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = decodes(on_kernel(weights, monkeypatch, threads=3))
    expected = decode()
    found: list[bytes] = []
    callers = [
        threading.Thread(target=lambda: found.extend(decode() for _ in range(5))) for _ in range(6)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 30
    assert set(found) == {expected}


@needs_kernel
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_decodes(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = decodes(on_kernel(weights, monkeypatch, threads=3))
    expected = decode()
    child = os.fork()
    if child == 0:
        os._exit(0 if decode() == expected else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert decode() == expected


@needs_kernel
def test_weights_beyond_the_kernel_fall_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Valid ones, whose sums might overflow here, decode in NumPy."""
    monkeypatch.setenv(VARIABLE, "native")
    for change in ("exit", "norms"):
        model = random_weights(SIZES["odd"], 2)
        changed = deepcopy(model)
        if change == "exit":
            weight = changed.tensors["synthesis"]["exit"].array("weight")
            changed.tensors["synthesis"]["exit"].arrays["weight"] = np.full_like(weight, 2**15 - 1)
        else:
            tables = changed.tensors["prior"]["tables"]
            tables.arrays["norms"] = np.full_like(tables.array("norms"), 2**20)
        assert load_decoder(model).is_native
        assert not load_decoder(changed).is_native


@needs_kernel
@pytest.mark.parametrize(
    ("part", "name", "value"),
    [("up", "shift", 0), ("up", "shift", 25), ("exit", "shift", 17), ("exit", "bias", 2**44 + 1)],
)
def test_weights_beyond_the_format_are_refused(
    monkeypatch: pytest.MonkeyPatch, part: str, name: str, value: int
) -> None:
    changed = random_weights(SIZES["odd"], 0)
    tree = changed.tensors["synthesis"][part]
    tree.arrays[name] = np.full_like(tree.array(name), value)
    monkeypatch.setenv(VARIABLE, "native")
    with pytest.raises(WeightsError):
        load_decoder(changed)


def test_numpy_can_be_asked_for(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    on_numpy(weights, monkeypatch)
    found = runtime_info()
    assert (found.runtime, found.instructions) == ("numpy", "")
    assert "asks for NumPy" in found.text()


def test_no_other_runtime_can(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "cuda")
    with pytest.raises(InputError, match="AECODEC_RUNTIME is 'cuda', not one of numpy, native"):
        load_decoder(weights)


def test_a_level_that_is_not_there_falls_back(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "simd128")
    assert not load_decoder(weights).is_native
    assert runtime_info().runtime == "numpy"


def test_missing_damaged_and_foreign_libraries_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="not built"):
        load_library(tmp_path / "kernel.so")
    damaged = tmp_path / "damaged.so"
    damaged.write_bytes(b"\x7fELF and nothing more")
    with pytest.raises(LibraryError, match="cannot be loaded"):
        load_library(damaged)


@needs_kernel
def test_a_library_of_other_sources_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / LIBRARY_NAME
    shutil.copy(SOURCES / LIBRARY_NAME, other)
    load_library(other)
    monkeypatch.setattr(native_library, "source_digest", lambda: "0" * 64)
    with pytest.raises(LibraryError, match="other sources"):
        load_library(other)


def test_without_a_library_numpy_decodes(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the system refuses to load any."""

    def refused(*_arguments: object) -> None:
        raise OSError("refused")

    monkeypatch.setenv(VARIABLE, "native")
    monkeypatch.setattr("ctypes.CDLL", refused)
    native_library.library.cache_clear()
    try:
        assert not load_decoder(weights).is_native
        assert runtime_info().runtime == "numpy"
        assert runtime_info().reason
    finally:
        native_library.library.cache_clear()


def test_without_ctypes_numpy_decodes() -> None:
    """As on systems that refuse its import."""
    code = (
        "import sys\nsys.modules['ctypes'] = None\n"
        "from aecodec.decoder.loading import load_decoder, runtime_info\n"
        "from aecodec.models.registry import load_model\n"
        "assert not load_decoder(load_model('aec-1')).is_native\n"
        "assert 'refuses ctypes' in runtime_info().reason\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
