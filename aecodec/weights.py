"""The weights file: released form of a model, checked when it is read, never unpickled.

A safetensors file. `prior.*` and `synthesis.*` hold the exact integer path (`integer.py`,
`integer_synthesis.py`), `analysis.*` and `hyper_analysis.*` the float transforms (block
convolutions as float16), `parent.*` knots that only further training needs. Its metadata holds the
model's sizes.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from aecodec.errors import WeightsError
from aecodec.files import write_bytes
from aecodec.integer import IntegerPrior, Ints, TensorDict, below
from aecodec.integer_export import Signature, export_prior, import_prior, prior_signature
from aecodec.integer_synthesis import ExactSynthesis
from aecodec.layers import Block
from aecodec.model import HyperpriorModel, ModelConfig
from aecodec.synthesis_export import (
    InputStatistics,
    export_synthesis,
    import_synthesis,
    measure_inputs,
    synthesis_signature,
)
from aecodec.transforms import AnalysisTransform, HyperAnalysis, SynthesisTransform

FORMAT = "aecodec-weights-1"
DECODER_PARTS = ("prior.", "synthesis.")
ENCODERS = ("analysis", "hyper_analysis")
REACH_QUALITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
REACH_BATCH = 8
PARENTS = ("prior.base", "prior.rate_features", "hyper_prior.")
MODEL_ID_BYTES = 4


@dataclass(frozen=True, eq=False)
class CodecModel:
    """A model ready for coding, in evaluation mode: float encoder, exact prior and synthesis."""

    model_id: bytes
    config: ModelConfig
    analysis: AnalysisTransform
    synthesis: ExactSynthesis
    hyper_analysis: HyperAnalysis
    prior: IntegerPrior
    rounded: TensorDict
    """What `synthesis` was made of."""

    @cached_property
    def smooth_synthesis(self) -> SynthesisTransform:
        """The synthesis in real numbers, which has gradients: for the encoder's search alone."""
        c = self.config
        with torch.inference_mode(mode=False):  # else it had no gradients, once made while decoding
            synthesis = SynthesisTransform(c.channels, c.latent_channels, c.synthesis_blocks)
            import_synthesis(synthesis, self.rounded)
            _freeze(synthesis)
        return synthesis


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


def model_digest(tensors: TensorDict) -> bytes:
    """The model id, see SPECIFICATION.md: a digest of all that decoding depends on."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        if name.startswith(DECODER_PARTS):
            array = tensors[name].numpy()
            encoded = name.encode("ascii")
            digest.update(bytes([len(encoded)]) + encoded)
            digest.update(bytes([8 * array.itemsize, array.ndim]))
            digest.update(np.array(array.shape, "<u4").tobytes())
            digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return digest.digest()[:MODEL_ID_BYTES]


@torch.inference_mode(mode=False)
def load_weights(path: Path) -> CodecModel:
    """Reads and checks a weights file.

    Its tensors are plain ones wherever it is called, since the encoder's search has gradients.

    Raises:
        WeightsError: the file is missing, damaged, or would not decode exactly.
    """
    model, tensors = _read(path)
    model_id = model_digest(tensors)  # first: fusing below works in place
    for part in ENCODERS:
        _load_transform(getattr(model, part), below(tensors, part))
    try:
        prior = IntegerPrior(below(tensors, "prior"))
        rounded = below(tensors, "synthesis")
        synthesis = ExactSynthesis(rounded)
    except WeightsError as exc:
        raise WeightsError(f"{path}: {exc}") from exc
    for module in (model.analysis, synthesis, model.hyper_analysis, prior):
        _freeze(module)
    return CodecModel(
        model_id, model.config, model.analysis, synthesis, model.hyper_analysis, prior, rounded
    )


def trainable_state(path: Path) -> dict[str, Tensor]:
    """The state of a `HyperpriorModel` that continues from released weights.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    config, tensors = read_weights(path)
    model = HyperpriorModel(config)
    import_prior(model.prior, below(tensors, "prior"))
    import_synthesis(model.synthesis, below(tensors, "synthesis"))
    state = model.state_dict()
    for part in ENCODERS:
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
    _check_tensors(_signature(model), tensors, path)
    return model, tensors


def _load_transform(module: nn.Module, state: TensorDict) -> None:
    scales = {k: torch.ones(v.shape) for k, v in module.state_dict().items()
              if k.endswith(".scale")}  # fmt: skip
    module.load_state_dict({k: v.float() for k, v in state.items()} | scales, assign=True)


def _freeze(module: nn.Module) -> None:
    module.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    for block in module.modules():
        if isinstance(block, Block):
            block.fuse_activation()


def _check_tensors(signature: Signature, tensors: TensorDict, path: Path) -> None:
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
