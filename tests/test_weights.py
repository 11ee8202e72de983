"""Released weights: round trip, identity, damage."""

from pathlib import Path

import pytest
import torch
from conftest import make_tiny_model
from safetensors.torch import save_file

from aecodec.errors import WeightsError
from aecodec.model import HyperpriorModel
from aecodec.weights import export_weights, load_weights, read_weights, trainable_state


def test_identity_covers_the_decoder_and_only_it(tmp_path: Path) -> None:
    model = make_tiny_model()
    path = tmp_path / "w.safetensors"
    first = export_weights(model, path)
    assert export_weights(model, path) == first == load_weights(path).model_id
    with torch.no_grad():
        model.analysis.entry.weight.mul_(1.1)
    assert export_weights(model, path) == first
    with torch.no_grad():
        model.synthesis.exit.weight.mul_(1.1)
    assert export_weights(model, path) != first


def test_training_can_go_on_from_released_weights(tmp_path: Path) -> None:
    path, again = tmp_path / "w.safetensors", tmp_path / "again.safetensors"
    first = export_weights(make_tiny_model(), path)
    model = HyperpriorModel(read_weights(path)[0])
    model.load_state_dict(trainable_state(path))
    assert export_weights(model, again) == first


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = make_tiny_model()
    with torch.no_grad():
        model.prior.hyper_synthesis.entry.weight[0, 0] = float("nan")
    with pytest.raises(WeightsError, match="finite"):
        export_weights(model, tmp_path / "w.safetensors")
    assert not list(tmp_path.iterdir())


def test_other_files_are_refused(tmp_path: Path, tiny_weights: Path) -> None:
    foreign, cut = tmp_path / "foreign.safetensors", tmp_path / "cut.safetensors"
    save_file({"x": torch.zeros(1)}, foreign)
    cut.write_bytes(tiny_weights.read_bytes()[:-10])
    for path in (foreign, cut, tmp_path / "missing", tmp_path):
        with pytest.raises(WeightsError, match=path.name):
            load_weights(path)


def test_a_missing_tensor_is_an_error(tmp_path: Path, tiny_weights: Path) -> None:
    from safetensors import safe_open

    _, tensors = read_weights(tiny_weights)
    with safe_open(tiny_weights, "pt") as file:
        metadata = file.metadata()
    for name in ("prior.entry.bias", "prior.tables.base", "synthesis.exit.weight"):
        kept = {k: v for k, v in tensors.items() if k.replace("hyper_synthesis.", "") != name}
        assert len(kept) == len(tensors) - 1
        path = tmp_path / "short.safetensors"
        save_file(kept, path, metadata=metadata)
        with pytest.raises(WeightsError):
            load_weights(path)
