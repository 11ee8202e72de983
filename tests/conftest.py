"""A tiny seeded model, so that the default run needs neither trained weights nor ../shared."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from shell import Shell

from aecodec.models.config import ModelConfig
from aecodec.training.config import TrainConfig

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from aecodec.autoencoder.model import HyperpriorModel
    from aecodec.codec import Codec
    from aecodec.encoder.networks import EncoderModel
    from aecodec.models.registry import ReleasedModel, Tune

TINY = ModelConfig(
    channels=12,
    latent_channels=16,
    hyper_channels=4,
    context_channels=8,
    analysis_blocks=2,
    synthesis_blocks=2,
)
COARSE = replace(TINY, analysis_coarse_blocks=3, synthesis_coarse_blocks=2)
"""Sizes with more than one block at stride 16 in each transform."""
FAST_RUN = TrainConfig(
    steps=30, batch=2, crop=64, warmup=2, compile=False, mixed=False, ema=0.5, validate_every=10,
    report_every=5, start_patches=8, model=TINY,
)  # fmt: skip
"""Settings of a training run that takes a moment."""


def make_tiny_model(config: ModelConfig = TINY) -> "HyperpriorModel":
    """A model of a few thousand parameters whose every layer takes part (no zeros left)."""
    import torch

    from aecodec.autoencoder.model import HyperpriorModel
    from aecodec.training.initialization import start_linear

    torch.manual_seed(7)
    model = HyperpriorModel(config)
    coarse = torch.rand(8, 3, 8, 8)
    patches = torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear")
    start_linear(model, patches)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if not p.any():
                p.normal_(0, 0.05 if name.startswith("prior") else 0.003)
    return model


def make_busy_model(config: ModelConfig = TINY) -> "HyperpriorModel":
    """A tiny model whose blocks look sideways as much as they can."""
    import torch

    model = make_tiny_model(config)
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if name.startswith(("analysis", "synthesis")) and name.endswith("weight"):
            if "depthwise" in name:
                torch.nn.init.normal_(weight, std=0.7)
            elif "mix_out" in name:
                torch.nn.init.normal_(weight, std=0.3)
    return model


def export_tiny(model: "HyperpriorModel", path: Path) -> bytes:
    """Writes the released form of a model, for random pictures; returns the model id."""
    import torch

    from aecodec.export.input_statistics import picture_statistics
    from aecodec.export.weights import export_weights

    coarse = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    x = torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear")
    return export_weights(model, path, picture_statistics(model, x))


def make_picture(height: int, width: int, *, seed: int = 0) -> npt.NDArray[np.uint8]:
    """A smooth random picture with some noise, `(height, width, 3)` uint8."""
    rng = np.random.default_rng(seed)
    rows = np.sin(np.linspace(0, 3 + seed, height))[:, None, None]
    columns = np.cos(np.linspace(0, 5, width))[None, :, None]
    noise = rng.normal(0, 2, (height, width, 3))
    picture = 128 + 60 * rows * columns * rng.uniform(0.3, 1, 3) + noise
    return np.clip(picture, 0, 255).astype(np.uint8)


def make_sixteen_bit(
    height: int, width: int, channels: int, *, seed: int = 0
) -> npt.NDArray[np.uint16]:
    """Noise of all 16 bits on a smooth picture."""
    rng = np.random.default_rng(seed)
    smooth = np.dstack((make_picture(height, width, seed=seed), make_picture(height, width)))
    pixels = smooth[:, :, :channels].astype(np.uint16) * 256
    pixels += rng.integers(0, 256, pixels.shape, np.uint16)
    return pixels[:, :, 0] if channels == 1 else pixels


@pytest.fixture(autouse=True)
def _threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undoes `hold_threads`: sums of floats, and so exports, depend on the number of threads."""
    if "torch" not in sys.modules:
        yield
        return
    import torch

    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", str(before))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    export_tiny(make_tiny_model(), path)
    return path


@pytest.fixture
def tunings(
    tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> "dict[Tune, ReleasedModel]":
    """A released model of each tuning, of which that for the eye has the tiny weights."""
    from aecodec.models import registry, tensor_file
    from aecodec.models.weights import read_weights

    folder = tmp_path_factory.mktemp("released")
    for path in tensor_file.FOLDER.glob("*.safetensors"):
        (folder / path.name).symlink_to(path)
    tiny = registry.ReleasedModel("tiny-visual", read_weights(tiny_weights).model_id, "visual")
    (folder / "tiny-visual.safetensors").symlink_to(tiny_weights)
    psnr = registry.tuned_model("psnr")
    others = [each for each in registry.MODELS if each.tune is None]
    monkeypatch.setattr(registry, "MODELS", (*others, psnr, tiny))
    monkeypatch.setattr(tensor_file, "FOLDER", folder)
    return {"psnr": psnr, "visual": tiny}


@pytest.fixture(scope="session")
def tiny_codec(tiny_weights: Path) -> "Codec":
    from aecodec.codec import Codec

    return Codec(tiny_weights)


@pytest.fixture(scope="session")
def tiny_coder(tiny_codec: "Codec") -> "EncoderModel":
    return tiny_codec.encoder


@pytest.fixture(scope="session")
def picture() -> npt.NDArray[np.uint8]:
    return make_picture(75, 110)


@pytest.fixture
def picture_folder(tmp_path: Path) -> Path:
    """Four small pictures to train on."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        Image.fromarray(make_picture(200, 220, seed=number)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def shell(
    tmp_path: Path,
    tiny_weights: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> Shell:
    """The command line in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, tiny_weights, capfdbinary)


@pytest.fixture(scope="session")
def compressed(tiny_codec: "Codec") -> bytes:
    """A file of 30 by 20 pixels."""
    return tiny_codec.compress(make_picture(20, 30), 60)


@pytest.fixture
def plugged(tiny_codec: "Codec") -> Iterator["Codec"]:
    """The tiny model, which the plugins use for the time of a test."""
    from aecodec.plugins.codecs import use_codec

    use_codec(tiny_codec)
    yield tiny_codec
    use_codec(None)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Chromium without a window; playwright is loaded only for tests that ask for it."""
    from browsers import program
    from playwright.sync_api import sync_playwright

    path = program("chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path)
        yield started
        started.close()
