"""The weights file: released form of a model, checked when it is read, never unpickled.

A safetensors file. `prior.*` holds the exact integer path (`integer.py`), `analysis.*`,
`synthesis.*` and `hyper_analysis.*` the float transforms (block convolutions as float16),
`parent.*` knots that only further training needs. Its metadata holds the model's sizes.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from aecodec.errors import WeightsError
from aecodec.files import write_bytes
from aecodec.integer import IntegerPrior, Ints, TensorDict, below
from aecodec.integer_export import Signature, export_prior, import_prior, prior_signature
from aecodec.layers import Block
from aecodec.model import HyperpriorModel, ModelConfig
from aecodec.transforms import AnalysisTransform, HyperAnalysis, SynthesisTransform

FORMAT = "aecodec-weights-1"
DECODER_PARTS = ("prior.", "synthesis.")
TRANSFORMS = ("analysis", "synthesis", "hyper_analysis")
PARENTS = ("prior.base", "prior.rate_features", "hyper_prior.")
MODEL_ID_BYTES = 4


@dataclass(frozen=True, eq=False)
class CodecModel:
    """A model ready for coding: float transforms and the exact prior, in evaluation mode."""

    model_id: bytes
    config: ModelConfig
    analysis: AnalysisTransform
    synthesis: SynthesisTransform
    hyper_analysis: HyperAnalysis
    prior: IntegerPrior


def export_weights(model: HyperpriorModel, path: Path, observed: Ints | None = None) -> bytes:
    """Writes the released form of a trained model; returns its model id.

    Args:
        model: a trained model.
        path: the file to write.
        observed: counts of symbols that tables are fitted to, see `export_prior`.

    Raises:
        WeightsError: the model cannot be made exact.
        OSError: the file cannot be written.
    """
    tensors = {
        f"prior.{k}": v for k, v in export_prior(model.prior, model.hyper_prior, observed).items()
    }
    tensors |= _float_tensors(model)
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    _check_tensors(_empty_model(model.config), tensors, path)
    IntegerPrior(below(tensors, "prior"))
    metadata = {"format": FORMAT, "config": json.dumps(asdict(model.config))}
    write_bytes(str(path), save(tensors, metadata))
    return model_digest(tensors)


def model_digest(tensors: TensorDict) -> bytes:
    """The model id: SHA-256 of name, type, shape and bytes of all that decoding depends on."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        if name.startswith(DECODER_PARTS):
            tensor = tensors[name].contiguous()
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.digest()[:MODEL_ID_BYTES]


def load_weights(path: Path) -> CodecModel:
    """Reads and checks a weights file.

    Raises:
        WeightsError: the file is missing, damaged, or would not decode exactly.
    """
    model, tensors = _read(path)
    model_id = model_digest(tensors)  # first: fusing below works in place
    for part in TRANSFORMS:
        module: nn.Module = getattr(model, part)
        state = {k: v.float() for k, v in below(tensors, part).items()}
        scales = {k: torch.ones(v.shape) for k, v in module.state_dict().items()
                  if k.endswith(".scale")}  # fmt: skip
        module.load_state_dict(state | scales, assign=True)
    try:
        prior = IntegerPrior(below(tensors, "prior"))
    except WeightsError as exc:
        raise WeightsError(f"{path}: {exc}") from exc
    for module in (model.analysis, model.synthesis, model.hyper_analysis, prior):
        module.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        for block in module.modules():
            if isinstance(block, Block):
                block.fuse_activation()
    return CodecModel(
        model_id, model.config, model.analysis, model.synthesis, model.hyper_analysis, prior
    )


def trainable_state(path: Path) -> dict[str, Tensor]:
    """The state of a `HyperpriorModel` that continues from released weights.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    config, tensors = read_weights(path)
    model = HyperpriorModel(config)
    import_prior(model.prior, below(tensors, "prior"))
    state = model.state_dict()
    for part in TRANSFORMS:
        state |= {f"{part}.{k}": v.float() for k, v in below(tensors, part).items()}
    return state | below(tensors, "parent")


def read_weights(path: Path) -> tuple[ModelConfig, TensorDict]:
    """Sizes and tensors of a weights file: exactly those that its sizes ask for, all finite.

    Raises:
        WeightsError: the file is missing, damaged or of another kind.
    """
    model, tensors = _read(path)
    return model.config, tensors


def _read(path: Path) -> tuple[HyperpriorModel, TensorDict]:
    """A model without storage, and the tensors that it asks for."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise WeightsError(f"{path}: not a weights file of aecodec")
            config = ModelConfig(**json.loads(metadata["config"]))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no dict
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as exc:
        raise WeightsError(f"{path}: cannot read weights: {exc}") from exc
    model = _empty_model(config)
    _check_tensors(model, tensors, path)
    return model, tensors


def _check_tensors(model: HyperpriorModel, tensors: TensorDict, path: Path) -> None:
    signature = _signature(model)
    found: Signature = {k: (v.dtype, tuple(v.shape)) for k, v in tensors.items()}
    wrong = sorted(k for k in signature.keys() | found.keys() if signature.get(k) != found.get(k))
    if wrong:
        raise WeightsError(f"{path}: {wrong[0]} is missing, superfluous or of another shape")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{path}: {name} is not finite")


def _empty_model(config: ModelConfig) -> HyperpriorModel:
    """A model without storage: initial values would cost time and random numbers."""
    with torch.device("meta"):
        return HyperpriorModel(config)


def _signature(model: HyperpriorModel) -> Signature:
    prior = prior_signature(model.prior, model.hyper_prior)
    signature = {f"prior.{k}": v for k, v in prior.items()}
    for name, tensor in _float_tensors(model).items():
        signature[name] = (tensor.dtype, tuple(tensor.shape))
    return signature


def _float_tensors(model: HyperpriorModel) -> TensorDict:
    """The transforms, and the knots that only training needs."""
    tensors: TensorDict = {}
    for part in TRANSFORMS:
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
