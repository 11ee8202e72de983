"""Settings of the encoder's search, as a weights file has them."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from aecodec.autoencoder.mixture_text import DISTORTIONS, parse_mixture
from aecodec.errors import WeightsError
from aecodec.models.config import DISTORTION_NAMES, SearchSettings
from aecodec.models.registry import MODELS, ReleasedModel, load_model
from aecodec.models.weights import read_weights, weights_bytes

MIXTURE = "0.5 mse@2 + 0.4 ms_ssim@1.1 + 0.1 structure_xyb@.5"


def test_settings_know_the_distortions_that_there_are() -> None:
    assert set(DISTORTIONS) == DISTORTION_NAMES


@pytest.mark.parametrize(
    "text",
    [
        "",
        "psnr",
        "ms_ssim",
        "mse + mse",
        "0.5 mse + 0.5 ms_ssim",
        "0.5 mse@1 + 0.4 ms_ssim@1",
        "0.5 mse@1 + 0.5 mse@1",
        "0.5 mse@0 + 0.5 ms_ssim@1",
        "0.5 mse@1 + 0.5 vmaf@1",
        "1 mse@1 + ",
        "1 mse@" + "9" * 400,
        7,
        None,
        ["mse"],
    ],
)
def test_bad_distortions_are_refused(text: object) -> None:
    with pytest.raises(WeightsError, match="search setting distortion is"):
        SearchSettings(distortion=text)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), "7", None, (1.0, 2.0)])
def test_bad_numbers_are_refused(value: object) -> None:
    with pytest.raises(WeightsError, match="search setting curvature is"):
        SearchSettings(curvature=value)  # type: ignore[arg-type]


def test_a_file_keeps_its_distortion_and_its_id(tiny_weights: Path, tmp_path: Path) -> None:
    weights, tensors = read_weights(tiny_weights), load_file(tiny_weights)
    search = SearchSettings(curvature=9.0, distortion=MIXTURE)
    path = tmp_path / "other.safetensors"
    path.write_bytes(weights_bytes(tensors, weights.config, search))
    found = read_weights(path)
    assert found.search == search
    assert found.model_id == weights.model_id


def test_a_file_with_a_bad_distortion_is_named(tiny_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    with safe_open(tiny_weights, "np") as file:
        metadata = dict(file.metadata())
    metadata["search"] = json.dumps({"distortion": "0.5 mse@1"})
    save_file(load_file(tiny_weights), path, metadata=metadata)
    with pytest.raises(WeightsError, match=r"bad\.safetensors: search setting distortion"):
        read_weights(path)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_searches_of_released_models_lower_what_these_were_trained_for(
    model: ReleasedModel,
) -> None:
    text = load_model(model.name).search.distortion
    assert (text == "mse") == (model.tune == "psnr")
    assert parse_mixture(text).calibrated
