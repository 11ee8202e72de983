"""The networks that the encoder needs, made of a weights file."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from aecodec.autoencoder.dequantize import import_prior, import_synthesis
from aecodec.autoencoder.layers import Block, FixedPointConv2d
from aecodec.autoencoder.priors import ContextPrior
from aecodec.autoencoder.transforms import AnalysisTransform, HyperAnalysis, SynthesisTransform
from aecodec.decoder.integer_prior import IntegerPrior
from aecodec.decoder.integer_synthesis import ExactSynthesis
from aecodec.errors import WeightsError
from aecodec.models.config import ModelConfig
from aecodec.models.weights import ENCODERS, TensorDict, _read, below, model_digest


@dataclass(frozen=True, eq=False)
class CodecModel:
    """A model ready for coding, in evaluation mode: float encoder, exact prior and synthesis."""

    model_id: bytes
    config: ModelConfig
    analysis: AnalysisTransform
    synthesis: ExactSynthesis
    hyper_analysis: HyperAnalysis
    prior: IntegerPrior
    integers: TensorDict
    """What `prior` was made of."""
    rounded: TensorDict
    """What `synthesis` was made of."""

    @cached_property
    def smooth_prior(self) -> ContextPrior:
        """The prior with straight-through gradients: for the encoder's search alone.

        It computes what `prior` does if it is given that one's tables as a `RatePoint`.
        """
        c = self.config
        with torch.inference_mode(mode=False):
            prior = ContextPrior(c.latent_channels, c.context_channels, c.hyper_channels)
            import_prior(prior, self.integers)
            _freeze(prior)
        return prior

    @cached_property
    def smooth_synthesis(self) -> SynthesisTransform:
        """The synthesis in real numbers, which has gradients: for the encoder's search alone."""
        c = self.config
        with torch.inference_mode(mode=False):  # else it had no gradients, once made while decoding
            synthesis = SynthesisTransform(c.channels, c.latent_channels, c.synthesis_blocks)
            import_synthesis(synthesis, self.rounded)
            _freeze(synthesis)
        return synthesis


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
        integers = below(tensors, "prior")
        prior = IntegerPrior(integers)
        rounded = below(tensors, "synthesis")
        synthesis = ExactSynthesis(rounded)
    except WeightsError as exc:
        raise WeightsError(f"{path}: {exc}") from exc
    for module in (model.analysis, synthesis, model.hyper_analysis, prior):
        _freeze(module)
    return CodecModel(
        model_id, model.config, model.analysis, synthesis, model.hyper_analysis, prior,
        integers, rounded,
    )  # fmt: skip


def _load_transform(module: nn.Module, state: TensorDict) -> None:
    scales = {k: torch.ones(v.shape) for k, v in module.state_dict().items()
              if k.endswith(".scale")}  # fmt: skip
    module.load_state_dict({k: v.float() for k, v in state.items()} | scales, assign=True)


def _freeze(module: nn.Module) -> None:
    module.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    for part in module.modules():
        if isinstance(part, Block):
            part.fuse_activation()
        elif isinstance(part, FixedPointConv2d):
            part.fix_weights()
