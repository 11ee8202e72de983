"""Makes the released form of a trained model: its integers, tables and weights file."""

from pathlib import Path

import torch
from torch import Tensor, nn

from aecodec.autoencoder.dequantize import SCALED, blocks_of
from aecodec.autoencoder.model import HyperpriorModel
from aecodec.decoder.integer_prior import IntegerPrior
from aecodec.decoder.integer_synthesis import ExactSynthesis
from aecodec.decoder.prior_tables import Ints, PriorTables
from aecodec.errors import WeightsError
from aecodec.export.input_statistics import InputStatistics
from aecodec.export.prior import export_prior
from aecodec.export.synthesis import export_synthesis
from aecodec.models.config import SearchSettings
from aecodec.models.tensor_file import Array, Tensors
from aecodec.models.weights import (
    TensorTree,
    Weights,
    check_tensors,
    model_digest,
    weights_bytes,
)
from aecodec.storage.files import write_bytes

ENCODER_PARTS = ("analysis", "hyper_analysis")
"""Parts of a model that stay floats."""
PARENTS = ("prior.base", "prior.rate_features", "hyper_prior.")
"""What tables are made of and only further training needs."""


def export_weights(
    model: HyperpriorModel,
    path: Path,
    statistics: InputStatistics,
    observed: Ints | None = None,
    search: SearchSettings | None = None,
) -> bytes:
    """Writes the released form of a trained model; returns its model id.

    Args:
        model: a trained model.
        path: the file to write.
        statistics: see `export_synthesis`.
        observed: counts of symbols that tables are fitted to, see `export_prior`.
        search: settings of the encoder's search; the default ones if None.

    Raises:
        WeightsError: the model cannot be made exact.
        OSError: the file cannot be written.
    """
    try:
        arrays = exact_arrays(model, statistics, observed)
    except WeightsError as exc:
        raise WeightsError(f"{path}: {exc}") from exc
    write_bytes(str(path), weights_bytes(arrays, model.config, search))
    return model_digest(arrays)


def export_in_memory(model: HyperpriorModel, statistics: InputStatistics) -> Weights:
    """The released form of a trained model with Gaussian tables, as if read from a file.

    Raises:
        WeightsError: the model cannot be made exact.
    """
    arrays = exact_arrays(model, statistics)
    tree = TensorTree.of(arrays)
    return Weights(model_digest(arrays), model.config, SearchSettings(), tree)


def exact_arrays(
    model: HyperpriorModel, statistics: InputStatistics, observed: Ints | None = None
) -> dict[str, Array]:
    """All tensors of a weights file, proven to decode exactly; see `export_weights`.

    Raises:
        WeightsError: the model cannot be made exact.
    """
    for name, value in model.state_dict().items():
        if not torch.isfinite(value).all():
            raise WeightsError(f"{name} is not finite")
    parts = {
        "prior": export_prior(model.prior, model.hyper_prior, observed),
        "synthesis": export_synthesis(model.synthesis, statistics),
    }
    arrays = {f"{part}.{k}": v for part, own in parts.items() for k, v in own.items()}
    arrays |= _float_arrays(model)
    check_tensors(arrays, model.config)
    _prove_exact(arrays)
    return arrays


def _prove_exact(arrays: Tensors) -> None:
    """Builds the decoder's networks and tables, which check every bound.

    Raises:
        WeightsError: something would not be exact.
    """
    tree = TensorTree.of(arrays)
    IntegerPrior(tree["prior"])
    PriorTables(tree["prior"]["tables"])
    ExactSynthesis(tree["synthesis"])


def _float_arrays(model: HyperpriorModel) -> dict[str, Array]:
    """The encoder's transforms, and what only training needs."""
    tensors: dict[str, Tensor] = {}
    for part in ENCODER_PARTS:
        tensors |= {f"{part}.{k}": v for k, v in _compact(getattr(model, part)).items()}
    for name, tensor in model.state_dict().items():
        if name.startswith(PARENTS):
            tensors[f"parent.{name}"] = tensor
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


def _compact(transform: nn.Module) -> dict[str, Tensor]:
    """The state with the convolutions of blocks as float16, their scales within the weights.

    Gains and linear layers stay float32: they carry latents of several hundred steps, of which
    float16 would lose half a step.
    """
    state = dict(transform.state_dict())
    for name, _ in blocks_of(transform):
        scale = state.pop(f"{name}.scale")
        for reader in SCALED:
            state[f"{name}.{reader}.weight"] = state[f"{name}.{reader}.weight"] * scale
        inside = [k for k in state if k.startswith(f"{name}.") and k.endswith("weight")]
        state |= {k: state[k].half() for k in inside}
    return state
