"""Stored files of every released model decode for ever, and the released weights are whole."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec.codec import DEFAULT_CODEC
from aecodec.encoder.networks import load_weights
from aecodec.format.container import parse
from aecodec.models import registry

SAMPLES = Path(__file__).parent.parent / "samples"
STORED = sorted(SAMPLES.glob("aec-*/*.aec"))
PSNR_AT_LEAST = {
    "aec-1": {
        "astronaut": 37.26,
        "camera": 40.10,
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
    "aec-6": {
        "astronaut": 36.45,
        "camera": 38.28,
        "chelsea": 37.58,
        "coffee": 35.23,
        "rocket": 32.79,
    },
    "aec-7": {
        "astronaut": 36.43,
        "camera": 38.25,
        "chelsea": 37.57,
        "coffee": 35.23,
        "rocket": 32.79,
    },
}
"""dB; what the stored files had when they were made, less 0.1 dB.

Up to aec-5 they were made for a synthesis in floats, of which the exact one keeps all but a few
hundredths.
"""

PIXELS = {
    "aec-1/astronaut": "086efa19b19bb088",
    "aec-1/camera": "130a5d38c0617097",
    "aec-1/chelsea": "3e20095b80017826",
    "aec-1/coffee": "dbe93f9860d96d21",
    "aec-1/rocket": "3b323d33ef3a677f",
    "aec-2/astronaut": "6aeec9f5689717c4",
    "aec-2/camera": "d18e87afc9816b89",
    "aec-2/chelsea": "2a93e7dfa9f74ba5",
    "aec-2/coffee": "c6661def14a5f48b",
    "aec-2/rocket": "97eb77b0dfb297fa",
    "aec-3/astronaut": "1cfd778733fca19a",
    "aec-3/camera": "3d8f1892ccf15e05",
    "aec-3/chelsea": "5c0f87434f74d0e9",
    "aec-3/coffee": "4762fa06cb7321b5",
    "aec-3/rocket": "aae1ebe806263434",
    "aec-4/astronaut": "4b4415422ca1d605",
    "aec-4/camera": "317f2f0fb462ca3f",
    "aec-4/chelsea": "2b6ff25bc0212e81",
    "aec-4/coffee": "11af17b00afcc28c",
    "aec-4/rocket": "fe1e708fadc5ea57",
    "aec-5/astronaut": "25bd72185dfdb6de",
    "aec-5/camera": "1e88c5e2c75294d8",
    "aec-5/chelsea": "ffac85f1808c8912",
    "aec-5/coffee": "ac578136eec5f877",
    "aec-5/rocket": "b953ed558acdc200",
    "aec-6/astronaut": "db34fcdbea0c17ac",
    "aec-6/camera": "fb4ce98cf05303d5",
    "aec-6/chelsea": "bffd925507be7f50",
    "aec-6/coffee": "78662a6e954ac2ed",
    "aec-6/rocket": "44fec50585f4ff96",
    "aec-7/astronaut": "99cb4f28985afc4b",
    "aec-7/camera": "34e4f3a2fe2d2698",
    "aec-7/chelsea": "00777c78376bb349",
    "aec-7/coffee": "5779b6388ab68f8b",
    "aec-7/rocket": "994f09ab289d6285",
}
"""Start of SHA-256 of the decoded pixels, row by row: the same on every machine."""


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
    digest = sha256(np.ascontiguousarray(decoded).tobytes()).hexdigest()
    assert digest.startswith(PIXELS[f"{released.name}/{path.stem}"])


@pytest.mark.parametrize("model", registry.MODELS, ids=lambda model: model.name)
def test_released_weights_are_what_their_id_says(model: registry.ReleasedModel) -> None:
    with registry.weights_path(model) as path:
        assert path.stat().st_size <= 10_000_000
        assert load_weights(path).model_id == model.model_id


def test_the_newest_model_compresses() -> None:
    assert DEFAULT_CODEC.model.model_id == registry.MODELS[-1].model_id
