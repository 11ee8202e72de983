"""The kernel in tests: its levels on this machine, and models on both runtimes."""

from dataclasses import replace

import pytest

from aecodec.decoder.loading import load_decoder
from aecodec.decoder.native_library import levels
from aecodec.decoder.runtime_choice import VARIABLE, LibraryError
from aecodec.encoder.networks import EncoderModel, load_encoder
from aecodec.models.config import ModelConfig
from aecodec.models.weights import Weights

SIZES = {
    "least": ModelConfig(1, 4, 1, 1, 1, 1),
    "odd": ModelConfig(33, 36, 7, 17, 2, 3),
    "even": ModelConfig(64, 96, 16, 32, 3, 2),
    "wide": ModelConfig(20, 260, 130, 70, 1, 4),
    "coarse": ModelConfig(12, 36, 5, 9, 1, 1, 2, 3),
}


def machine_levels() -> tuple[str, ...]:
    """Those of this machine; none where no kernel was built, of which one test tells."""
    try:
        return levels()
    except LibraryError:
        return ()


LEVELS = machine_levels()
needs_kernel = pytest.mark.skipif(not LEVELS, reason="no kernel was built here")


def on_numpy(weights: Weights, patch: pytest.MonkeyPatch) -> EncoderModel:
    """The model in NumPy, on one thread."""
    patch.setenv(VARIABLE, "numpy")
    model = load_encoder(weights, load_decoder(weights, 1))
    assert not model.decoder.is_native
    return model


def on_kernel(
    weights: Weights, patch: pytest.MonkeyPatch, level: str = "native", threads: int = 1
) -> EncoderModel:
    """The model on the kernel, which must take it."""
    patch.setenv(VARIABLE, level)
    model = load_encoder(weights, load_decoder(weights, threads))
    from aecodec.decoder.native import NativeAnalysis

    assert model.decoder.is_native
    assert isinstance(model.analysis, NativeAnalysis)
    if level != "native":
        assert model.analysis.level == level
    return model


def with_sizes(weights: Weights, **sizes: int) -> Weights:
    """The same tensors under other sizes."""
    return replace(weights, config=replace(weights.config, **sizes))
