"""Stored files of every released model decode for ever, and the released weights are whole."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec import registry
from aecodec.codec import DEFAULT_CODEC
from aecodec.container import parse
from aecodec.weights import load_weights

SAMPLES = Path(__file__).parent.parent / "samples"
STORED = sorted(SAMPLES.glob("aec-*/*.aec"))
PSNR_AT_LEAST = {
    "aec-1": {
        "astronaut": 37.26,
        "camera": 40.15,
        "chelsea": 39.13,
        "coffee": 36.09,
        "rocket": 32.96,
    },
    "aec-2": {
        "astronaut": 37.08,
        "camera": 39.94,
        "chelsea": 38.98,
        "coffee": 35.97,
        "rocket": 32.94,
    },
    "aec-3": {
        "astronaut": 37.1,
        "camera": 39.93,
        "chelsea": 38.98,
        "coffee": 35.95,
        "rocket": 32.94,
    },
    "aec-4": {
        "astronaut": 37.12,
        "camera": 39.88,
        "chelsea": 38.92,
        "coffee": 35.98,
        "rocket": 32.96,
    },
    "aec-5": {
        "astronaut": 36.49,
        "camera": 38.55,
        "chelsea": 37.81,
        "coffee": 35.27,
        "rocket": 32.71,
    },
}
"""dB; what the stored files had when they were made, less 0.1 dB."""


def test_every_released_model_has_stored_files() -> None:
    assert {path.parent.name for path in STORED} == {model.name for model in registry.MODELS}
    assert len(STORED) == sum(len(each) for each in PSNR_AT_LEAST.values())


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_stored_files_decode(path: Path) -> None:
    """The latents equal those that were encoded (decoding compares their checksum)."""
    data = path.read_bytes()
    released = registry.find_model(parse(data).header.model_id)
    assert released is not None
    assert released.name == path.parent.name
    with Image.open(SAMPLES / f"{path.stem}.png") as image:
        original = np.asarray(image).astype(float)
    decoded = aecodec.decompress_array(data)
    psnr = 10 * np.log10(255**2 / np.mean((decoded - original) ** 2))
    assert psnr >= PSNR_AT_LEAST[released.name][path.stem]


@pytest.mark.parametrize("model", registry.MODELS, ids=lambda model: model.name)
def test_released_weights_are_what_their_id_says(model: registry.ReleasedModel) -> None:
    with registry.weights_path(model) as path:
        assert path.stat().st_size <= 10_000_000
        assert load_weights(path).model_id == model.model_id


def test_the_newest_model_compresses() -> None:
    assert DEFAULT_CODEC.model.model_id == registry.MODELS[-1].model_id
