"""Released models: by name and by id; the default is a choice, and not the newest."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture

import aecodec
from aecodec import codec as codec_module
from aecodec import options
from aecodec.applications.denoise import denoise
from aecodec.applications.latent_maps import LatentReader
from aecodec.codec import Codec
from aecodec.errors import InputError, UnsupportedError, WeightsError
from aecodec.models import registry, tensor_file
from aecodec.models.registry import (
    DEFAULT_TUNE,
    MODELS,
    TUNES,
    ReleasedModel,
    Tune,
    check_model,
    find_model,
    load_model,
    named_model,
    released_weights,
    tuned_model,
)
from aecodec.models.weights import read_weights


@pytest.fixture
def two_models(
    tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> ReleasedModel:
    """One release more, which no tuning chooses."""
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
    tunes = [model.tune for model in MODELS if model.tune is not None]
    assert len(tunes) == len(set(tunes))
    assert set(tunes) <= set(TUNES)
    assert tuned_model() is tuned_model(DEFAULT_TUNE)


def test_a_newer_model_does_not_become_the_default(two_models: ReleasedModel) -> None:
    pixels = make_picture(20, 30)
    assert aecodec.read_info(Codec().compress(pixels)).model_id == tuned_model().model_id
    named = Codec(two_models.name).compress(pixels)
    assert aecodec.read_info(named).model_id == two_models.model_id


def test_every_codec_decodes_files_of_all_released_models(
    two_models: ReleasedModel, tiny_weights: Path
) -> None:
    pixels = make_picture(20, 30)
    files = [Codec(name).compress(pixels) for name in (tuned_model().name, two_models.name)]
    codecs = [Codec(), Codec(tuned_model().name), Codec(two_models.name), Codec(tiny_weights)]
    for data in files:
        first, *others = (codec.decompress_array(data) for codec in codecs)
        for other in others:
            np.testing.assert_array_equal(first, other)


def test_weights_of_ones_own_decode_their_files_and_no_other_codec_does(
    tiny_weights: Path,
) -> None:
    data = Codec(tiny_weights).compress(make_picture(20, 30))
    with pytest.raises(UnsupportedError, match="upgrade aecodec, or pass the weights"):
        Codec(tuned_model().name).decompress_array(data)
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
    known = ", ".join(model.name for model in registry.MODELS)
    message = rf"^{name!r} is neither a released model \({known}\) nor a file$"
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


@pytest.mark.parametrize("tune", TUNES)
def test_a_tuning_chooses_its_model_and_files_tell_which(
    tunings: dict[Tune, ReleasedModel], tune: Tune
) -> None:
    pixels = make_picture(20, 30)
    data = aecodec.compress(pixels, tune=tune, lossless_tiles=False)
    assert aecodec.read_info(data).model_id == tunings[tune].model_id
    assert data == Codec(tunings[tune].name).compress(pixels, lossless_tiles=False)
    np.testing.assert_array_equal(
        aecodec.decompress_array(data), Codec(tunings[tune].name).decompress_array(data)
    )


def test_no_tuning_is_the_default_one(tunings: dict[Tune, ReleasedModel]) -> None:
    pixels = make_picture(20, 30)
    assert tuned_model() is tunings[DEFAULT_TUNE]
    assert Codec().compress(pixels) == Codec().compress(pixels, tune=DEFAULT_TUNE)


def test_a_codec_loads_each_model_once_and_only_when_it_is_needed(
    tunings: dict[Tune, ReleasedModel],
) -> None:
    pixels = make_picture(20, 30)
    with Codec() as codec:
        data = codec.compress(pixels, tune="visual", lossless_tiles=False)
        assert set(codec._models._decoders) == {tunings["visual"].model_id}
        codec.decompress_array(codec.compress(pixels, tune="psnr", lossless_tiles=False))
        codec.decompress_array(data)
        assert codec.encoder_for("visual") is codec.encoder_for("visual")
        assert codec.encoder_for("visual") is not codec.encoder_for("psnr")
        assert len(codec._models._decoders) == 2
    assert not codec._models._decoders


def test_a_tuning_and_a_given_model_exclude_each_other(tiny_codec: Codec) -> None:
    for codec in (tiny_codec, Codec(tuned_model().name)):
        for target in (None, aecodec.Target("bpp", 1)):
            wishes = options.EncodeOptions(tune="psnr", target=target)
            with pytest.raises(InputError, match=r"a tuning and a model .* exclude each other"):
                codec.compress(make_picture(20, 30), options=wishes)


def test_a_tuning_without_a_model_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MODELS", (ReleasedModel("none", b"none"),))
    for tune in TUNES:
        with pytest.raises(WeightsError, match=f"no model .* for the tuning {tune}"):
            Codec().compress(make_picture(20, 30), tune=tune)


def test_what_measures_latents_takes_the_model_for_psnr_whatever_the_default(
    tunings: dict[Tune, ReleasedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (registry, codec_module, options):
        monkeypatch.setattr(module, "DEFAULT_TUNE", "visual")
    reader = LatentReader(Codec())
    assert reader.of_pixels(make_picture(64, 64)).model_id == tunings["psnr"].model_id
    assert options.EncodeOptions(denoise=5).model_tune == "psnr"
    assert options.EncodeOptions(denoise=5, tune="visual").model_tune == "visual"
    assert options.EncodeOptions().model_tune == "visual"
    assert (
        denoise(make_picture(64, 64), 5) == denoise(make_picture(64, 64), 5, codec=Codec("aec-1"))
    ).all()
