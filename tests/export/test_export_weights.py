"""Export: schema, identity, refusals, exactness of what is written."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import COARSE, TINY, export_tiny, make_picture, make_tiny_model
from safetensors import safe_open
from safetensors.torch import load_file

from aecodec.autoencoder.model import HyperpriorModel
from aecodec.decoder.loading import load_decoder
from aecodec.encoder.networks import load_encoder
from aecodec.errors import WeightsError
from aecodec.export.input_statistics import picture_statistics
from aecodec.export.weights import exact_arrays, export_in_memory, export_weights
from aecodec.models.config import ModelConfig, SearchSettings
from aecodec.models.schema import signature
from aecodec.models.weights import read_weights
from aecodec.training.initialization import fit_scales, trainable_state


def different_tensors(first: Path, second: Path) -> list[str]:
    """Names of the tensors in which two weights files differ."""
    before, after = load_file(first), load_file(second)
    names = sorted(before.keys() | after.keys())
    common = before.keys() & after.keys()
    return [n for n in names if n not in common or not torch.equal(before[n], after[n])]


def changed(model: HyperpriorModel, name: str, change: float = 0.5) -> HyperpriorModel:
    """The model with one value of one tensor changed."""
    with torch.no_grad():
        model.get_parameter(name).view(-1)[0] += change
    return model


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(12, 20, 5, 8, 2, 3),
        ModelConfig(10, 8, 3, 14, 1, 4),
        ModelConfig(10, 8, 3, 6, 1, 1, 3, 2),
    ],
)
def test_the_schema_says_what_export_makes(config: ModelConfig) -> None:
    torch.manual_seed(0)
    model = HyperpriorModel(config)
    statistics = picture_statistics(model, torch.rand(1, 3, 64, 64))
    arrays = exact_arrays(model, statistics)
    wanted = signature(config)
    assert arrays.keys() == wanted.keys()
    for name, (kind, shape) in wanted.items():
        array = arrays[name]
        assert array.dtype.name == kind, name
        assert len(array.shape) == len(shape), name
        assert all(side in (None, n) for side, n in zip(shape, array.shape, strict=True)), name


def test_export_keeps_sizes_and_search(tmp_path: Path) -> None:
    model, path = make_tiny_model(), tmp_path / "model.safetensors"
    search = SearchSettings(curvature=5.0, weights=(9.0, 4.0))
    statistics = picture_statistics(model, torch.rand(1, 3, 64, 64))
    model_id = export_weights(model, path, statistics, search=search)
    weights = read_weights(path)
    assert (weights.model_id, weights.config, weights.search) == (model_id, TINY, search)
    with safe_open(path, "np") as file:
        assert json.loads(file.metadata()["config"]) == asdict(TINY)


def test_a_file_and_memory_hold_the_same(tmp_path: Path) -> None:
    model, path = make_tiny_model(), tmp_path / "model.safetensors"
    statistics = picture_statistics(model, torch.rand(1, 3, 64, 64))
    export_weights(model, path, statistics)
    weights = export_in_memory(model, statistics)
    assert weights.model_id == read_weights(path).model_id
    assert load_decoder(weights).config == TINY


def test_scales_go_into_the_weights(tmp_path: Path) -> None:
    model = make_tiny_model()
    torch.manual_seed(0)
    fit_scales(model, torch.rand(4, 3, 64, 64), torch.linspace(0, 1, 4))
    assert model.synthesis.last.scale.max() > 1
    export_tiny(model, tmp_path / "scaled.safetensors")
    loaded = HyperpriorModel(TINY)
    loaded.load_state_dict(trainable_state(read_weights(tmp_path / "scaled.safetensors")))
    assert loaded.synthesis.last.scale.max() == 1
    x, y, q = torch.rand(1, 3, 64, 64), torch.randn(1, 16, 4, 4), torch.tensor([0.6])
    with torch.no_grad():
        expected, found = model.synthesis(y, q), loaded.synthesis(y, q)
        torch.testing.assert_close(found, expected, atol=1e-2, rtol=0)
        expected, found = model.analysis(x, q), loaded.analysis(x, q)
        torch.testing.assert_close(found, expected, atol=2e-3 * float(expected.max()), rtol=0)


def test_only_what_training_needs_is_not_an_integer(tiny_weights: Path) -> None:
    for name, tensor in load_file(tiny_weights).items():
        assert tensor.is_floating_point() == name.startswith("parent."), name


def test_only_the_finished_file_is_left(tmp_path: Path) -> None:
    export_tiny(make_tiny_model(), tmp_path / "model.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_export_is_reproducible(tiny_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "again.safetensors"
    model_id = export_tiny(make_tiny_model(), path)
    assert model_id == read_weights(tiny_weights).model_id
    assert different_tensors(path, tiny_weights) == []


@pytest.mark.parametrize(
    "name",
    [
        "synthesis.exit.bias",
        "synthesis.first.expand.weight",
        "synthesis.inner_gain.log_gain",
        "prior.base",
        "prior.rate_features",
        "prior.hyper_synthesis.entry.weight",
        "prior.passes.2.head.bias",
        "hyper_prior.locations",
    ],
)
def test_the_id_covers_all_that_decoding_depends_on(
    name: str, tiny_weights: Path, tmp_path: Path
) -> None:
    model_id = export_tiny(changed(make_tiny_model(), name), tmp_path / "other.safetensors")
    assert model_id != read_weights(tiny_weights).model_id


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("analysis.down.weight", "analysis.down.weight"),
        ("analysis.outer_gain.log_gain", "analysis.outer_gain"),
        ("hyper_analysis.exit.bias", "hyper_analysis.exit.bias"),
    ],
)
def test_the_id_leaves_the_encoder_free(name: str, stored: str, tmp_path: Path) -> None:
    model, paths = make_tiny_model(), [tmp_path / "before", tmp_path / "after"]
    statistics = picture_statistics(model, torch.rand(1, 3, 64, 64))
    before = export_weights(model, paths[0], statistics)
    after = export_weights(changed(model, name, 0.01), paths[1], statistics)
    assert before == after
    assert different_tensors(*paths) == [stored]


@pytest.mark.parametrize("config", [TINY, COARSE])
def test_training_can_go_on_from_released_weights(config: ModelConfig, tmp_path: Path) -> None:
    """What export rounded of the prior stays as it is, and the transforms do nearly the same."""
    released, path = tmp_path / "released.safetensors", tmp_path / "again.safetensors"
    export_tiny(make_tiny_model(config), released)
    model = HyperpriorModel(config)
    model.load_state_dict(trainable_state(read_weights(released)))
    export_tiny(model, path)
    differ = different_tensors(path, released)
    assert [name for name in differ if name.startswith(("prior", "parent"))] == []
    before, after = (load_encoder(read_weights(each)) for each in (released, path))
    pixels = make_picture(64, 96)
    y = before.analyze(pixels, 300)
    again = after.analyze(pixels, 300)
    np.testing.assert_allclose(again, y, atol=0.01 * float(np.abs(y).max()))
    z, again = (each.analysis.hyper(y, 300) for each in (before, after))
    np.testing.assert_allclose(again, z, atol=0.01 * float(np.abs(z).max()))


@pytest.mark.parametrize(
    "name",
    [
        "prior.hyper_synthesis.entry.weight",
        "prior.passes.0.first.depthwise.bias",
        "prior.base",
        "hyper_prior.logits",
        "synthesis.first.expand.weight",
        "analysis.entry.weight",
        "hyper_analysis.second.mix_in.weight",
    ],
)
def test_weights_that_are_not_finite_are_not_exported(name: str, tmp_path: Path) -> None:
    model, path = make_tiny_model(), tmp_path / "model.safetensors"
    statistics = picture_statistics(model, torch.rand(1, 3, 64, 64))
    path.write_bytes(b"old")
    with pytest.raises(WeightsError, match=rf"model\.safetensors: {name} is not finite"):
        export_weights(changed(model, name, float("nan")), path, statistics)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["synthesis.first.expand.weight", "analysis.first.expand.weight"])
def test_weights_that_are_too_large_are_not_exported(name: str, tmp_path: Path) -> None:
    model = make_tiny_model()
    statistics = picture_statistics(model, torch.rand(1, 3, 64, 64))
    with pytest.raises(WeightsError):
        export_weights(changed(model, name, 1e6), tmp_path / "model.safetensors", statistics)
    assert list(tmp_path.iterdir()) == []
