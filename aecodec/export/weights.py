"""Writes the weights file of a trained model."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from aecodec.autoencoder.layers import Block
from aecodec.autoencoder.model import HyperpriorModel
from aecodec.decoder.integer_layers import Ints
from aecodec.decoder.integer_prior import IntegerPrior
from aecodec.decoder.integer_synthesis import ExactSynthesis
from aecodec.errors import WeightsError
from aecodec.export.prior import export_prior
from aecodec.export.synthesis import InputStatistics, export_synthesis, measure_inputs
from aecodec.models.config import ModelConfig
from aecodec.models.schema import Signature, prior_signature, synthesis_signature
from aecodec.models.weights import ENCODERS, FORMAT, TensorDict, _check_tensors, below, model_digest
from aecodec.storage.files import write_bytes

REACH_QUALITIES = (0.0, 0.25, 0.5, 0.75, 1.0)

REACH_BATCH = 8

PARENTS = ("prior.base", "prior.rate_features", "hyper_prior.")


def export_weights(
    model: HyperpriorModel,
    path: Path,
    observed: Ints | None = None,
    statistics: InputStatistics | None = None,
) -> bytes:
    """Writes the released form of a trained model; returns its model id.

    Args:
        model: a trained model.
        path: the file to write.
        observed: counts of symbols that tables are fitted to, see `export_prior`.
        statistics: see `measure_inputs`; by default those of made-up latents.

    Raises:
        WeightsError: the model cannot be made exact.
        OSError: the file cannot be written.
    """
    for name, value in model.state_dict().items():
        if not torch.isfinite(value).all():
            raise WeightsError(f"{path}: {name} is not finite")
    if statistics is None:
        statistics = _made_up_statistics(model)
    parts = {
        "prior": export_prior(model.prior, model.hyper_prior, observed),
        "synthesis": export_synthesis(model.synthesis, statistics),
    }
    tensors = {f"{part}.{k}": v for part, state in parts.items() for k, v in state.items()}
    tensors |= _float_tensors(model)
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    _check_tensors(_signature(_empty_model(model.config)), tensors, path)
    IntegerPrior(below(tensors, "prior"))
    ExactSynthesis(below(tensors, "synthesis"))
    metadata = {"format": FORMAT, "config": json.dumps(asdict(model.config))}
    write_bytes(str(path), save(tensors, metadata))
    return model_digest(tensors)


@torch.no_grad()
def picture_statistics(model: HyperpriorModel, x: Tensor) -> InputStatistics:
    """`measure_inputs` with the latents of pictures `(N, 3, H, W)`, sides divisible by 64."""

    def inputs() -> Iterator[tuple[Tensor, Tensor]]:
        for part, value in product(torch.split(x, REACH_BATCH), REACH_QUALITIES):
            q = torch.full((len(part),), value)
            yield model.estimate(model.analysis(part, q), q).y_hat, q

    return measure_inputs(model.synthesis, inputs())


@torch.no_grad()
def _made_up_statistics(model: HyperpriorModel) -> InputStatistics:
    """Reaches alone, with random latents of the scales that the prior expects."""
    generator = torch.Generator().manual_seed(0)
    prior, inputs = model.prior, []
    for value in REACH_QUALITIES:
        q = torch.full((16,), value)
        scales = prior.scales(prior.base_index(q)).cpu()
        noise = torch.randn(16, scales.shape[1], 8, 8, generator=generator)
        inputs.append(((noise * scales).to(q), q))
    return InputStatistics(measure_inputs(model.synthesis, inputs).reaches)


def _empty_model(config: ModelConfig) -> HyperpriorModel:
    """A model without storage: initial values would cost time and random numbers."""
    with torch.device("meta"):
        return HyperpriorModel(config)


def _signature(model: HyperpriorModel) -> Signature:
    parts = {
        "prior": prior_signature(model.prior, model.hyper_prior),
        "synthesis": synthesis_signature(model.synthesis),
    }
    signature = {f"{part}.{k}": v for part, each in parts.items() for k, v in each.items()}
    for name, tensor in _float_tensors(model).items():
        signature[name] = (tensor.dtype, tuple(tensor.shape))
    return signature


def _float_tensors(model: HyperpriorModel) -> TensorDict:
    """The encoder's transforms, and the knots that only training needs."""
    tensors: TensorDict = {}
    for part in ENCODERS:
        tensors |= {f"{part}.{k}": v for k, v in _compact(getattr(model, part)).items()}
    parents = {k: v for k, v in model.state_dict().items() if k.startswith(PARENTS)}
    return tensors | {f"parent.{k}": v for k, v in parents.items()}


def _compact(module: nn.Module) -> TensorDict:
    """State with the convolutions of blocks as float16, their scales within the weights.

    Gains and linear layers stay float32: they carry latents of several hundred steps, of which
    float16 would lose half a step.
    """
    state = dict(module.state_dict())
    for name, child in module.named_modules():
        if isinstance(child, Block):
            scale = state.pop(f"{name}.scale")
            for reader in (f"{name}.mix_in.weight", f"{name}.expand.weight"):
                if not scale.is_meta:  # where only shapes count; a product would import sympy
                    state[reader] = state[reader] * scale
            inside = [k for k in state if k.startswith(name + ".") and k.endswith("weight")]
            state |= {k: state[k].half() for k in inside}
    return state
