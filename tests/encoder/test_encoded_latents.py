"""Latents that the kernel rounds and codes are those of NumPy, pass by pass."""

from pathlib import Path

import numpy as np
import pytest
from native_kernel import LEVELS, needs_kernel

from aecodec.coding.dead_zone import DeadZone
from aecodec.decoder.latents import Floats
from aecodec.decoder.loading import load_decoder
from aecodec.decoder.networks import DecoderModel
from aecodec.decoder.runtime_choice import VARIABLE
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.networks import EncoderModel
from aecodec.models.weights import read_weights

SIZES = ((8, 8), (1, 1), (5, 7), (2, 13), (12, 3))

pytestmark = needs_kernel


def decoder(path: Path, runtime: str, patch: pytest.MonkeyPatch, threads: int = 1) -> DecoderModel:
    patch.setenv(VARIABLE, runtime)
    return load_decoder(read_weights(path), threads)


def drawn_latents(kind: str, size: tuple[int, int], channels: int) -> tuple[Floats, Floats]:
    """Latents, of which many lie on edges, and hyper-latents."""
    rng = np.random.default_rng(size[0])
    shape = (*size, channels)
    if kind == "usual":
        y = rng.laplace(0, 2, shape)
    elif kind == "halves":
        y = rng.integers(-9, 10, shape) / 2 + rng.integers(-1, 2, shape) / 1024
    else:
        y = rng.choice([-1e9, -32769, -4096, -1.5, 0, 0.5, 4096, 32767.4, 1e9], shape)
    z = rng.normal(0, 3, (-(-size[0] // 4), -(-size[1] // 4), 4))
    return y.astype(np.float32), z.astype(np.float32)


@pytest.mark.parametrize("kind", ["usual", "halves", "huge"])
@pytest.mark.parametrize("by_cost", [False, True])
def test_the_kernel_does_what_the_passes_do(
    kind: str, by_cost: bool, tiny_coder: EncoderModel, tiny_weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    zone = DeadZone(tiny_coder.symbol_costs, 12.0) if by_cost else None
    stepped = decoder(tiny_weights, "numpy", monkeypatch)
    channels = stepped.config.latent_channels
    assert not stepped.is_native
    for level in LEVELS:
        whole = decoder(tiny_weights, level, monkeypatch, threads=2)
        for size in SIZES:
            y, z = drawn_latents(kind, size, channels)
            expected, latents = encode_latents(stepped.prior, y, z, 200, dead_zone=zone)
            found, y_hat = encode_latents(whole.prior, y, z, 200, dead_zone=zone)
            np.testing.assert_array_equal(y_hat, latents)
            assert found == expected


def test_whoever_observes_sees_each_pass(
    tiny_coder: EncoderModel, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    y, z = drawn_latents("usual", (5, 7), 16)
    seen: list[int] = []
    model = decoder(tiny_weights, "native", monkeypatch)
    tile, _ = encode_latents(
        model.prior, y, z, 90, observe=lambda symbols, _: seen.append(len(symbols))
    )
    assert sum(seen) == y.size
    assert len(seen) == 4
    assert encode_latents(model.prior, y, z, 90)[0] == tile
