"""Released models: by name and by id; the default is a choice, and not the newest."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture

import aecodec
from aecodec.codec import Codec
from aecodec.errors import UnsupportedError, WeightsError
from aecodec.models import registry, tensor_file
from aecodec.models.registry import (
    DEFAULT_MODEL,
    MODELS,
    ReleasedModel,
    check_model,
    find_model,
    load_model,
    named_model,
    released_weights,
)
from aecodec.models.weights import read_weights


@pytest.fixture
def two_models(
    tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> ReleasedModel:
    """A second release, newer than the default model."""
    newest = ReleasedModel("aec-2", read_weights(tiny_weights).model_id)
    shutil.copy(tiny_weights, tmp_path / "aec-2.safetensors")
    for model in MODELS:
        name = f"{model.name}.safetensors"
        (tmp_path / name).symlink_to(tensor_file.FOLDER / name)
    monkeypatch.setattr(registry, "MODELS", (*MODELS, newest))
    monkeypatch.setattr(tensor_file, "FOLDER", tmp_path)
    return newest


def test_every_released_model_is_found_by_name_and_id() -> None:
    for model in MODELS:
        assert find_model(model.model_id) is named_model(model.name) is model
        assert released_weights(model).model_id == model.model_id
    assert find_model(b"none") is None
    assert named_model("none") is None
    assert named_model(DEFAULT_MODEL) is not None


def test_a_newer_model_does_not_become_the_default(two_models: ReleasedModel) -> None:
    pixels = make_picture(20, 30)
    default = named_model(DEFAULT_MODEL)
    assert default is not None
    assert aecodec.read_info(Codec().compress(pixels)).model_id == default.model_id
    named = Codec(two_models.name).compress(pixels)
    assert aecodec.read_info(named).model_id == two_models.model_id


def test_every_codec_decodes_files_of_all_released_models(
    two_models: ReleasedModel, tiny_weights: Path
) -> None:
    pixels = make_picture(20, 30)
    files = [Codec(name).compress(pixels) for name in (DEFAULT_MODEL, two_models.name)]
    codecs = [Codec(), Codec(DEFAULT_MODEL), Codec(two_models.name), Codec(tiny_weights)]
    for data in files:
        first, *others = (codec.decompress_array(data) for codec in codecs)
        for other in others:
            np.testing.assert_array_equal(first, other)


def test_weights_of_ones_own_decode_their_files_and_no_other_codec_does(
    tiny_weights: Path,
) -> None:
    data = Codec(tiny_weights).compress(make_picture(20, 30))
    with pytest.raises(UnsupportedError, match="upgrade aecodec, or pass the weights"):
        Codec(DEFAULT_MODEL).decompress_array(data)
    own = Codec(tiny_weights)
    released = aecodec.compress(make_picture(20, 30))
    assert own.decompress_array(released).shape == own.decompress_array(data).shape


def test_a_name_wins_over_a_file_and_a_path_is_the_file(
    tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(tiny_weights, "aec-1")
    default = named_model("aec-1")
    assert default is not None
    assert load_model("aec-1").model_id == default.model_id
    for path in ("./aec-1", str(tmp_path / "aec-1")):
        assert load_model(path).model_id == read_weights(tiny_weights).model_id
        check_model(path)


@pytest.mark.usefixtures("two_models")
@pytest.mark.parametrize("name", ["aec-9", "none.safetensors", "./none/w.st", "", "."])
def test_unknown_names_give_one_error_that_lists_the_known(name: str) -> None:
    message = rf"^{name!r} is neither a released model \(aec-1, aec-2\) nor a file$"
    for call in (check_model, load_model, lambda each: Codec(each).encoder):
        with pytest.raises(WeightsError, match=message):
            call(name)


def test_damaged_releases_are_noticed(two_models: ReleasedModel) -> None:
    wrong = ReleasedModel(two_models.name, b"else")
    with pytest.raises(WeightsError, match=r"aec-2 are damaged: model \w+, not 656c7365"):
        released_weights(wrong)


def test_released_weights_are_read_once() -> None:
    assert released_weights(MODELS[0]) is released_weights(MODELS[0])
    tensor = released_weights(MODELS[0]).tensors["prior"]["tables"].array("base")
    with pytest.raises(ValueError, match="read-only"):
        tensor[0] = 0


def test_a_missing_release_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_file, "FOLDER", tmp_path)
    with pytest.raises(WeightsError, match=r"none\.safetensors: cannot read weights"):
        released_weights(ReleasedModel("none", b"none"))
    (tmp_path / "empty.safetensors").touch()
    with pytest.raises(WeightsError, match="too short"):
        released_weights(ReleasedModel("empty", b"none"))
