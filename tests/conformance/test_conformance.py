"""Stored files of aec-1 decode for ever, and released weights are whole."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from mutation import with_model
from PIL import Image

from aecodec.codec import Codec
from aecodec.errors import UnsupportedError, WeightsError
from aecodec.format.container import parse
from aecodec.models import registry
from aecodec.picture.metrics import pixels_psnr

SAMPLES = Path(__file__).parents[2] / "samples"
NAME = "aec-1"
PSNR_AT_LEAST = {
    "astronaut": 36.46,
    "camera": 38.30,
    "chelsea": 37.61,
    "coffee": 35.27,
    "rocket": 32.84,
}
"""dB; what the stored files had when they were made, less 0.1 dB."""
PIXELS = {
    "astronaut": "6b0ca60644cd507b",
    "camera": "3887d6e645444f31",
    "chelsea": "00e2ea4a84071b77",
    "coffee": "a4c43d21e4a30482",
    "rocket": "1640295d8e955bbc",
}
"""Start of SHA-256 of the decoded pixels, row by row: the same on every machine."""


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec()


def stored(name: str) -> bytes:
    return (SAMPLES / NAME / f"{name}.aec").read_bytes()


def test_every_sample_is_listed() -> None:
    found = {path.relative_to(SAMPLES).as_posix() for path in SAMPLES.glob("*/*.aec")}
    assert found == {f"{NAME}/{name}.aec" for name in PSNR_AT_LEAST}


@pytest.mark.parametrize("name", PSNR_AT_LEAST)
def test_stored_files_decode(codec: Codec, name: str) -> None:
    """The latents equal those that were encoded (decoding compares their checksum)."""
    data = stored(name)
    released = registry.find_model(parse(data).header.model_id)
    assert released is not None
    assert released.name == NAME
    with Image.open(SAMPLES / f"{name}.png") as image:
        original = np.asarray(image)
    decoded = codec.decompress_array(data)
    assert pixels_psnr(original, decoded) >= PSNR_AT_LEAST[name]
    assert sha256(np.ascontiguousarray(decoded).tobytes()).hexdigest().startswith(PIXELS[name])


def test_files_of_an_unknown_model_are_refused(codec: Codec) -> None:
    with pytest.raises(UnsupportedError, match="needs model 6e6f6e65"):
        codec.decompress_array(with_model(stored("chelsea"), b"none"))


def test_a_foreign_file_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "picture.safetensors"
    path.write_bytes(stored("chelsea"))
    with pytest.raises(WeightsError, match=r"picture\.safetensors: cannot read weights"):
        Codec(path).compress(np.zeros((16, 16, 3), np.uint8))


@pytest.mark.parametrize("model", registry.MODELS, ids=lambda model: model.name)
def test_released_weights_are_what_their_id_says(model: registry.ReleasedModel) -> None:
    assert registry.released_weights(model).model_id == model.model_id
    path = Path(registry.__file__).with_name(f"{model.name}.safetensors")
    assert path.stat().st_size <= 10_000_000


def test_the_default_model_compresses(codec: Codec) -> None:
    assert codec.encoder.decoder.model_id == registry.tuned_model().model_id
