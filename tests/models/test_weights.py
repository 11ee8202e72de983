"""The released form of a model: export, load, identity, damage."""

import json
from pathlib import Path

import pytest
import torch
from conftest import TINY, make_tiny_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from aecodec.autoencoder.layers import Block
from aecodec.autoencoder.model import HyperpriorModel
from aecodec.encoder.networks import load_weights
from aecodec.errors import WeightsError
from aecodec.export.weights import export_weights
from aecodec.models.weights import FORMAT, MODEL_ID_BYTES, model_digest, read_weights
from aecodec.training.initialization import trainable_state

Tensors = dict[str, Tensor]


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return dict(file.metadata())


def forged(
    source: Path,
    target: Path,
    *,
    tensors: Tensors | None = None,
    config: dict[str, object] | None = None,
) -> Path:
    """A copy of a weights file with other tensors, or other values in its config."""
    metadata = metadata_of(source)
    if config is not None:
        metadata["config"] = json.dumps(json.loads(metadata["config"]) | config)
    save_file(load_file(source) if tensors is None else tensors, target, metadata=metadata)
    return target


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


def test_export_and_load_keep_sizes_and_transforms(tiny_weights: Path) -> None:
    loaded, model = load_weights(tiny_weights), make_tiny_model()
    assert loaded.config == TINY
    assert len(loaded.model_id) == MODEL_ID_BYTES
    torch.manual_seed(0)
    x, q = torch.rand(1, 3, 64, 64), torch.tensor([0.6])
    with torch.inference_mode():
        y = model.analysis(x, q)
        scale = float(y.abs().max())
        torch.testing.assert_close(loaded.analysis(x, q), y, atol=2e-3 * scale, rtol=0)
        smooth = loaded.smooth_synthesis(y, q)
        torch.testing.assert_close(smooth, model.synthesis(y, q), atol=1e-2, rtol=0)
        z = model.hyper_analysis(y / scale)
        torch.testing.assert_close(loaded.hyper_analysis(y / scale), z, atol=2e-3, rtol=0)


def test_scales_go_into_the_weights(tmp_path: Path) -> None:
    model = make_tiny_model()
    torch.manual_seed(0)
    model.calibrate(torch.rand(4, 3, 64, 64), torch.linspace(0, 1, 4))
    assert model.synthesis.last.scale.max() > 1
    export_weights(model, tmp_path / "scaled.safetensors")
    loaded = load_weights(tmp_path / "scaled.safetensors")
    y, q = torch.randn(1, TINY.latent_channels, 4, 4), torch.tensor([0.6])
    with torch.inference_mode():
        smooth = loaded.smooth_synthesis(y, q)
        torch.testing.assert_close(smooth, model.synthesis(y, q), atol=1e-2, rtol=0)


def test_loaded_models_are_ready_for_inference(tiny_weights: Path) -> None:
    loaded = load_weights(tiny_weights)
    for module in (loaded.analysis, loaded.synthesis, loaded.hyper_analysis, loaded.prior):
        assert not module.training
        assert not any(p.requires_grad for p in module.parameters())


def test_block_convolutions_take_half_the_space(tiny_weights: Path) -> None:
    tensors = load_file(tiny_weights)
    blocks = {name for name, m in make_tiny_model().named_modules() if isinstance(m, Block)}
    for name, tensor in tensors.items():
        owner = name.rsplit(".", 2)[0]
        half = owner in blocks and name.endswith("weight")
        exact = name.startswith("synthesis.")
        assert (tensor.dtype == torch.float16) == (half and not exact), name
        assert tensor.dtype == torch.int16 or not (half and exact), name


def test_only_the_finished_file_is_left(tmp_path: Path) -> None:
    export_weights(make_tiny_model(), tmp_path / "model.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_tensors_and_id_are_stable(tiny_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "again.safetensors"
    model_id = export_weights(make_tiny_model(), path)
    assert model_id == load_weights(path).model_id == load_weights(tiny_weights).model_id
    assert different_tensors(path, tiny_weights) == []
    assert metadata_of(path) == metadata_of(tiny_weights)


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
    model_id = export_weights(changed(make_tiny_model(), name), tmp_path / "other.safetensors")
    assert model_id != load_weights(tiny_weights).model_id


@pytest.mark.parametrize(
    "name", ["analysis.entry.weight", "analysis.outer_gain.log_gain", "hyper_analysis.exit.bias"]
)
def test_the_id_leaves_the_encoder_free(name: str, tiny_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    model_id = export_weights(changed(make_tiny_model(), name), path)
    assert model_id == load_weights(tiny_weights).model_id
    assert different_tensors(path, tiny_weights) == [name]


def test_the_id_depends_on_names_types_and_shapes() -> None:
    zeros = torch.zeros(4, dtype=torch.int16)
    forms = [
        {"prior.a": zeros},
        {"prior.b": zeros},
        {"prior.a": zeros.view(2, 2)},
        {"prior.a": zeros.half()},
        {"synthesis.a": zeros},
    ]
    assert len({model_digest(form) for form in forms}) == len(forms)
    assert model_digest({**forms[0], **forms[1]}) == model_digest({**forms[1], **forms[0]})


def test_training_can_go_on_from_released_weights(tiny_weights: Path, tmp_path: Path) -> None:
    """What export rounded of the prior and kept of the encoder stays as it is."""
    model = HyperpriorModel(TINY)
    model.load_state_dict(trainable_state(tiny_weights))
    path = tmp_path / "again.safetensors"
    export_weights(model, path)
    changed = different_tensors(path, tiny_weights)
    assert [name for name in changed if not name.startswith("synthesis.")] == []


def test_released_weights_train_close_to_the_original(tiny_weights: Path) -> None:
    model, original = HyperpriorModel(TINY), make_tiny_model()
    model.load_state_dict(trainable_state(tiny_weights))
    torch.manual_seed(0)
    x, q = torch.rand(1, 3, 64, 64), torch.tensor([0.6])
    with torch.no_grad():
        outputs = [m(x, q, noisy=False) for m in (model, original)]
    assert outputs[0].bpp.item() == pytest.approx(outputs[1].bpp.item(), rel=0.02)
    assert outputs[0].mse.item() == pytest.approx(outputs[1].mse.item(), rel=0.02)


def test_missing_files_are_named(tmp_path: Path) -> None:
    for read in (load_weights, trainable_state, read_weights):
        with pytest.raises(WeightsError, match=r"none\.safetensors"):
            read(tmp_path / "none.safetensors")
        with pytest.raises(WeightsError, match=tmp_path.name):
            read(tmp_path)


def test_damaged_files_are_refused(tiny_weights: Path, tmp_path: Path) -> None:
    data, path = tiny_weights.read_bytes(), tmp_path / "damaged.safetensors"
    for damaged in (b"", b"text\n", data[:7], data[:100], data[:-1], data + b"x", data[8:]):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match="cannot read weights"):
            load_weights(path)


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
    save_file({"tensor": torch.zeros(3)}, path, metadata=metadata)
    with pytest.raises(WeightsError, match=r"foreign\.safetensors"):
        load_weights(path)


def test_every_missing_tensor_is_noticed(tiny_weights: Path, tmp_path: Path) -> None:
    tensors = load_file(tiny_weights)
    needed = [name for name in tensors if not name.startswith("parent.")]
    for name in needed[::7]:
        rest = {key: value for key, value in tensors.items() if key != name}
        path = forged(tiny_weights, tmp_path / "missing.safetensors", tensors=rest)
        with pytest.raises(WeightsError):
            load_weights(path)


def test_tensors_of_another_size_are_refused(tiny_weights: Path, tmp_path: Path) -> None:
    for name in ("analysis.entry.weight", "synthesis.up.bias", "prior.tables.base"):
        tensors = load_file(tiny_weights)
        tensors[name] = tensors[name][:-1].contiguous()
        path = forged(tiny_weights, tmp_path / "short.safetensors", tensors=tensors)
        with pytest.raises(WeightsError):
            load_weights(path)


def test_another_config_than_the_tensors_have_is_refused(
    tiny_weights: Path, tmp_path: Path
) -> None:
    for key in ("channels", "latent_channels", "hyper_channels", "synthesis_blocks"):
        config = {key: getattr(TINY, key) + 4}
        path = forged(tiny_weights, tmp_path / "config.safetensors", config=config)
        with pytest.raises(WeightsError):
            load_weights(path)


@pytest.mark.parametrize(
    "name",
    [
        "prior.hyper_synthesis.entry.weight",
        "prior.passes.0.first.depthwise.bias",
        "prior.passes.2.head.weight",
        "prior.base",
        "prior.rate_features",
        "hyper_prior.logits",
        "synthesis.exit.bias",
        "synthesis.first.expand.weight",
        "analysis.entry.weight",
        "hyper_analysis.second.mix_in.weight",
    ],
)
def test_weights_that_are_not_finite_are_not_exported(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")
    with pytest.raises(WeightsError):
        export_weights(changed(make_tiny_model(), name, float("nan")), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_weights_beyond_float16_are_not_exported(tmp_path: Path) -> None:
    model = changed(make_tiny_model(), "synthesis.first.expand.weight", 1e5)
    with pytest.raises(WeightsError):
        export_weights(model, tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    "name", ["analysis.entry.weight", "hyper_analysis.exit.bias", "analysis.first.expand.weight"]
)
def test_weights_that_are_not_finite_are_not_loaded(
    name: str, tiny_weights: Path, tmp_path: Path
) -> None:
    tensors = load_file(tiny_weights)
    tensors[name].view(-1)[0] = float("nan")
    path = forged(tiny_weights, tmp_path / "nan.safetensors", tensors=tensors)
    with pytest.raises(WeightsError):
        load_weights(path)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
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
    for read in (load_weights, trainable_state):
        with pytest.raises(WeightsError):
            read(path)


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
        "float": lambda: whole.float() + 0.25,
        "short": lambda: whole[:-1].contiguous(),
        "flat": lambda: whole.reshape(-1).contiguous(),
    }[damage]()
    path = forged(tiny_weights, tmp_path / "table.safetensors", tensors=tensors)
    with pytest.raises(WeightsError):
        load_weights(path)


@pytest.mark.parametrize("name", ["parent.prior.base", "prior.passes.1.head.shift"])
def test_training_needs_all_that_export_wrote(
    name: str, tiny_weights: Path, tmp_path: Path
) -> None:
    tensors = load_file(tiny_weights)
    del tensors[name]
    path = forged(tiny_weights, tmp_path / "missing.safetensors", tensors=tensors)
    with pytest.raises(WeightsError):
        trainable_state(path)


def test_the_smooth_synthesis_has_gradients_even_if_made_while_decoding(tmp_path: Path) -> None:
    export_weights(make_tiny_model(), tmp_path / "model.safetensors")
    coder = load_weights(tmp_path / "model.safetensors")
    with torch.inference_mode():
        synthesis = coder.smooth_synthesis
    y = torch.zeros(1, 16, 2, 2, requires_grad=True)
    synthesis(y, torch.ones(1)).square().sum().backward()
    assert y.grad is not None
    assert bool(y.grad.any())
