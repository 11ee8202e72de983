"""The weights file: identity, registry, damage."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from aecodec.decoder.loading import load_decoder
from aecodec.errors import WeightsError
from aecodec.models.registry import MODELS, load_model
from aecodec.models.tensor_file import Array
from aecodec.models.weights import (
    FORMAT,
    MODEL_ID_BYTES,
    TensorTree,
    model_digest,
    read_weights,
    weights_bytes,
)

Arrays = dict[str, Array]


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, "np") as file:
        return dict(file.metadata())


def forged(
    source: Path,
    target: Path,
    *,
    tensors: Arrays | None = None,
    config: dict[str, object] | None = None,
) -> Path:
    """A copy of a weights file with other tensors, or other values in its config."""
    metadata = metadata_of(source)
    if config is not None:
        metadata["config"] = json.dumps(json.loads(metadata["config"]) | config)
    save_file(load_file(source) if tensors is None else tensors, target, metadata=metadata)
    return target


def test_files_are_read_as_they_were_written(tiny_weights: Path, tmp_path: Path) -> None:
    weights = read_weights(tiny_weights)
    assert weights.config == TINY
    assert len(weights.model_id) == MODEL_ID_BYTES
    tensors = load_file(tiny_weights)
    assert weights.model_id == model_digest(tensors)
    (tmp_path / "again").write_bytes(weights_bytes(tensors, TINY, weights.search))
    assert metadata_of(tmp_path / "again") == metadata_of(tiny_weights)
    again = load_file(tmp_path / "again")
    assert again.keys() == tensors.keys()
    for name, array in tensors.items():
        assert array.dtype == again[name].dtype
        np.testing.assert_array_equal(again[name], array)


@pytest.mark.parametrize("name", [model.name for model in MODELS])
def test_released_weights_have_their_id(name: str) -> None:
    assert load_model(name).model_id in {model.model_id for model in MODELS}


def test_models_have_names_or_paths(tiny_weights: Path, tmp_path: Path) -> None:
    assert load_model(tiny_weights).config == TINY
    with pytest.raises(WeightsError, match="neither a released model"):
        load_model("other")


def test_trees_are_taken_apart_at_dots() -> None:
    one = np.ones(1)
    tree = TensorTree.of({"a.b.weight": one, "a.bias": one})
    assert tree["a"]["b"].array("weight") is one
    assert list(tree["a"].arrays) == ["bias"]
    with pytest.raises(WeightsError, match="lack the part 'c'"):
        tree["c"]
    with pytest.raises(WeightsError, match="lack the tensor 'weight'"):
        tree["a"].array("weight")


def test_the_id_depends_on_names_types_and_shapes() -> None:
    zeros = np.zeros(4, np.int16)
    forms: list[Arrays] = [
        {"prior.a": zeros},
        {"prior.b": zeros},
        {"prior.a": zeros.reshape(2, 2)},
        {"prior.a": zeros.astype(np.int8)},
        {"synthesis.a": zeros},
    ]
    assert len({model_digest(form) for form in forms}) == len(forms)
    assert model_digest({**forms[0], **forms[1]}) == model_digest({**forms[1], **forms[0]})
    assert model_digest(forms[0] | {"analysis.a": zeros}) == model_digest(forms[0])


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.safetensors"):
        read_weights(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match=tmp_path.name):
        read_weights(tmp_path)


def test_damaged_files_are_refused(tiny_weights: Path, tmp_path: Path) -> None:
    data, path = tiny_weights.read_bytes(), tmp_path / "damaged.safetensors"
    for damaged in (b"", b"text\n", data[:7], data[:100], data[:-1], data + b"x", data[8:]):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match="cannot read weights"):
            read_weights(path)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "pt"},
        {"format": "aecodec-weights-3", "config": "{}"},
        {"format": FORMAT},
        {"format": FORMAT, "config": "no JSON"},
        {"format": FORMAT, "config": "5"},
        {"format": FORMAT, "config": '{"layers": 3}'},
    ],
)
def test_foreign_files_are_refused(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"tensor": np.zeros(3)}, path, metadata=metadata)
    with pytest.raises(WeightsError, match=r"foreign\.safetensors"):
        read_weights(path)


def test_every_missing_tensor_is_noticed(tiny_weights: Path, tmp_path: Path) -> None:
    tensors = load_file(tiny_weights)
    for name in sorted(tensors)[::7]:
        rest = {key: value for key, value in tensors.items() if key != name}
        path = forged(tiny_weights, tmp_path / "missing.safetensors", tensors=rest)
        with pytest.raises(WeightsError):
            read_weights(path)


def test_tensors_of_another_size_are_refused(tiny_weights: Path, tmp_path: Path) -> None:
    for name in ("analysis.entry.weight", "synthesis.up.bias", "prior.tables.base"):
        tensors = load_file(tiny_weights)
        tensors[name] = tensors[name][:-1]
        path = forged(tiny_weights, tmp_path / "short.safetensors", tensors=tensors)
        with pytest.raises(WeightsError):
            read_weights(path)


def test_another_config_than_the_tensors_have_is_refused(
    tiny_weights: Path, tmp_path: Path
) -> None:
    numbers = "synthesis_blocks", "synthesis_coarse_blocks", "analysis_coarse_blocks"
    for key in ("channels", "latent_channels", "hyper_channels", *numbers):
        config = {key: getattr(TINY, key) + 4}
        path = forged(tiny_weights, tmp_path / "config.safetensors", config=config)
        with pytest.raises(WeightsError):
            read_weights(path)


def test_sizes_that_a_file_does_not_state_are_one(tiny_weights: Path, tmp_path: Path) -> None:
    config = json.loads(metadata_of(tiny_weights)["config"])
    for name in ("analysis_coarse_blocks", "synthesis_coarse_blocks"):
        assert config.pop(name) == 1
    path = tmp_path / "older.safetensors"
    metadata = metadata_of(tiny_weights) | {"config": json.dumps(config)}
    save_file(load_file(tiny_weights), path, metadata=metadata)
    older = read_weights(path)
    assert (older.config, older.model_id) == (TINY, read_weights(tiny_weights).model_id)


@pytest.mark.parametrize("name", ["parent.prior.base", "parent.hyper_prior.logits"])
def test_weights_that_are_not_finite_are_not_loaded(
    name: str, tiny_weights: Path, tmp_path: Path
) -> None:
    tensors = load_file(tiny_weights)
    tensors[name].reshape(-1)[0] = np.nan
    path = forged(tiny_weights, tmp_path / "nan.safetensors", tensors=tensors)
    with pytest.raises(WeightsError):
        read_weights(path)


@pytest.mark.parametrize(
    "config",
    [
        {"channels": 0},
        {"latent_channels": -4},
        {"hyper_channels": "4"},
        {"context_channels": None},
        {"channels": 10**12},
        {"latent_channels": 18},
        {"synthesis_blocks": 2.5},
    ],
)
def test_impossible_sizes_are_refused(
    config: dict[str, object], tiny_weights: Path, tmp_path: Path
) -> None:
    path = forged(tiny_weights, tmp_path / "config.safetensors", config=config)
    with pytest.raises(WeightsError):
        read_weights(path)


@pytest.mark.parametrize(
    ("table", "damage"),
    [
        ("rate_features", "float"),
        ("rate_features", "short"),
        ("rate_features", "flat"),
        ("base", "float"),
        ("base", "flat"),
        ("norms", "float"),
        ("norms", "short"),
        ("reciprocals", "short"),
        ("hyper_counts", "short"),
        ("hyper_counts", "flat"),
        ("scale_sizes", "short"),
        ("scale_sizes", "float"),
        ("scale_counts", "short"),
    ],
)
def test_damaged_tables_are_refused(
    table: str, damage: str, tiny_weights: Path, tmp_path: Path
) -> None:
    tensors, name = load_file(tiny_weights), f"prior.tables.{table}"
    whole = tensors[name]
    tensors[name] = {
        "float": whole.astype(np.float32) + 0.25,
        "short": whole[:-1],
        "flat": whole.reshape(-1),
    }[damage]
    path = forged(tiny_weights, tmp_path / "table.safetensors", tensors=tensors)
    with pytest.raises(WeightsError):
        load_decoder(read_weights(path))
