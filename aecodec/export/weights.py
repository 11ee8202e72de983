"""Makes the released form of a trained model: its integers, tables and weights file."""

from pathlib import Path

import torch

from aecodec.autoencoder.model import HyperpriorModel
from aecodec.decoder.numpy_prior import NumpyPrior
from aecodec.decoder.numpy_synthesis import NumpySynthesis
from aecodec.decoder.prior_tables import Ints, PriorTables
from aecodec.decoder.work_sharing import Crew
from aecodec.encoder.numpy_analysis import NumpyAnalysis
from aecodec.errors import WeightsError
from aecodec.export.analysis import export_analysis, export_hyper_analysis
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
        statistics: what the blocks of its transforms read, for which weights are rounded.
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
        "synthesis": export_synthesis(model.synthesis, statistics.of_part("synthesis")),
        "analysis": export_analysis(model.analysis, statistics.of_part("analysis")),
        "hyper_analysis": export_hyper_analysis(
            model.hyper_analysis, statistics.of_part("hyper_analysis")
        ),
    }
    arrays = {f"{part}.{k}": v for part, own in parts.items() for k, v in own.items()}
    arrays |= _parents(model)
    check_tensors(arrays, model.config)
    _prove_exact(arrays)
    return arrays


def _prove_exact(arrays: Tensors) -> None:
    """Builds the exact networks and tables, which check every bound.

    Raises:
        WeightsError: something would not be exact.
    """
    tree, crew = TensorTree.of(arrays), Crew(1)
    NumpyPrior(tree["prior"], crew)
    tables = PriorTables(tree["prior"]["tables"])
    NumpySynthesis(tree["synthesis"], crew)
    NumpyAnalysis(tree["analysis"], tree["hyper_analysis"], tables, crew)


def _parents(model: HyperpriorModel) -> dict[str, Array]:
    """What only training needs."""
    return {
        f"parent.{name}": tensor.detach().cpu().numpy()
        for name, tensor in model.state_dict().items()
        if name.startswith(PARENTS)
    }
