"""What encoding needs of a model: the decoder, the analysis, and networks with gradients."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.autoencoder.dequantize import import_prior, import_synthesis
from aecodec.autoencoder.layers import Block, FixedPointConv2d
from aecodec.autoencoder.priors import ContextPrior
from aecodec.autoencoder.transforms import (
    AnalysisTransform,
    HyperAnalysis,
    SynthesisTransform,
    to_model_space,
)
from aecodec.decoder.carriers import exactly, undisturbed
from aecodec.decoder.latents import Floats
from aecodec.decoder.loading import load_decoder
from aecodec.decoder.networks import DecoderModel
from aecodec.encoder.rdoq import symbol_costs
from aecodec.encoder.symbol_costs import Costs
from aecodec.errors import WeightsError
from aecodec.format.constants import GROUP, NORM_FRACTION, NORM_OFFSET
from aecodec.format.quality import relative_quality
from aecodec.models.config import SearchSettings
from aecodec.models.tensor_file import Array
from aecodec.models.weights import TensorTree, Weights
from aecodec.picture.pixels import Pixels

COSTS_REACH, HYPER_COSTS_REACH = 2048, 64
"""Largest symbols whose costs are told apart: beyond, all take the escape."""


@dataclass(frozen=True, eq=False)
class EncoderModel:
    """A model ready for encoding, in evaluation mode.

    Attributes:
        decoder: the exact part.
        search: settings of rounding and refinement.
        analysis: pixels to latents, in floats.
        hyper_analysis: latents to hyper-latents, in floats.
        weights: what all was made of.
    """

    decoder: DecoderModel
    search: SearchSettings
    analysis: AnalysisTransform
    hyper_analysis: HyperAnalysis
    weights: Weights

    @exactly
    def begin(self, pixels: Pixels) -> Tensor:
        """The part of the analysis that does not depend on the quality.

        Args:
            pixels: `(H, W, 3)` or `(H, W)`, uint8 or uint16, H and W divisible by 16.
        """
        return self.analysis.begin(to_model_space(pixels))

    @exactly
    def finish(self, begun: Tensor, quality_index: int) -> Floats:
        """Latents `(H/16, W/16, M)` of what `begin` gave, in quantization steps."""
        y = self.analysis.finish(begun, _quality(quality_index))
        return y[0].permute(1, 2, 0).numpy()

    def analyze(self, pixels: Pixels, quality_index: int) -> Floats:
        """Latents of pixels, see `begin` and `finish`."""
        return self.finish(self.begin(pixels), quality_index)

    @exactly
    def hyper_analyze(self, y: Floats, quality_index: int) -> Floats:
        """Hyper-latents `(ceil(h/4), ceil(w/4), Z)` of one tile's latents `(h, w, M)`."""
        tables = self.decoder.prior.tables
        base = tables.base[quality_index]
        norms = tables.norms[base - NORM_OFFSET].astype(np.float32) / NORM_FRACTION
        height, width = (-(-side // GROUP) * GROUP for side in y.shape[:2])
        padded = np.pad(y / norms, ((0, height - y.shape[0]), (0, width - y.shape[1]), (0, 0)))
        z = self.hyper_analysis(torch.from_numpy(padded).permute(2, 0, 1)[None])
        return np.ascontiguousarray(z[0].permute(1, 2, 0).numpy())

    @cached_property
    def symbol_costs(self) -> Floats:
        """Bits of small symbols under each level's table, for the dead zone."""
        return symbol_costs(self.decoder.prior.tables.scale_tables)

    @cached_property
    def latent_costs(self) -> Costs:
        """Bits of latents under each level's table, with gradients."""
        return Costs.of(self.decoder.prior.tables.scale_tables, COSTS_REACH)

    @cached_property
    def hyper_costs(self) -> Costs:
        """Bits of hyper-latents under each channel's table, with gradients."""
        return Costs.of(self.decoder.prior.tables.hyper_tables, HYPER_COSTS_REACH)

    @cached_property
    def trainable_prior(self) -> ContextPrior:
        """The prior with straight-through gradients.

        It computes what the exact one does if it is given that one's tables as a `RatePoint`.
        """
        c = self.decoder.config
        with undisturbed(inference=False):  # else it had no gradients, once made while decoding
            prior = ContextPrior(c.latent_channels, c.context_channels, c.hyper_channels)
            import_prior(prior, self.weights.tensors["prior"])
            _freeze(prior)
        return prior

    @cached_property
    def trainable_synthesis(self) -> SynthesisTransform:
        """The synthesis in real numbers, with gradients."""
        c = self.decoder.config
        with undisturbed(inference=False):
            synthesis = SynthesisTransform(c.channels, c.latent_channels, c.synthesis_blocks)
            import_synthesis(synthesis, self.weights.tensors["synthesis"])
            _freeze(synthesis)
        return synthesis


def load_encoder(weights: Weights, decoder: DecoderModel | None = None) -> EncoderModel:
    """Builds the encoder of a model.

    Args:
        weights: as read from a file.
        decoder: what `load_decoder` made of them, if that is there already.

    Raises:
        WeightsError: the weights would not decode exactly, or do not fit.
    """
    c, tensors = weights.config, weights.tensors
    with torch.device("meta"):  # initial values would cost time and random numbers
        analysis = AnalysisTransform(c.channels, c.latent_channels, c.analysis_blocks)
        hyper = HyperAnalysis(c.latent_channels, c.context_channels, c.hyper_channels)
    with undisturbed(inference=False):
        for module, part in ((analysis, "analysis"), (hyper, "hyper_analysis")):
            _load(module, tensors[part])
            _freeze(module)
    return EncoderModel(decoder or load_decoder(weights), weights.search, analysis, hyper, weights)


def _load(module: nn.Module, tensors: TensorTree) -> None:
    state = {name: torch.tensor(array).float() for name, array in _flat(tensors).items()}
    for name, value in module.state_dict().items():
        if name.endswith(".scale"):  # a weights file holds scales within the weights
            state[name] = torch.ones(value.shape, dtype=torch.float32)
    try:
        module.load_state_dict(state, assign=True)
    except RuntimeError as exc:
        raise WeightsError(f"the weights do not fit the encoder: {exc}") from exc


def _flat(tensors: TensorTree) -> Mapping[str, Array]:
    flat = dict(tensors.arrays)
    for name, part in tensors.parts.items():
        flat |= {f"{name}.{inner}": array for inner, array in _flat(part).items()}
    return flat


def _freeze(module: nn.Module) -> None:
    module.float().eval().requires_grad_(False).to(memory_format=torch.channels_last)
    for part in module.modules():
        if isinstance(part, Block):
            part.fuse_activation()
        elif isinstance(part, FixedPointConv2d):
            part.fix_weights()


def _quality(index: int) -> Tensor:
    return torch.tensor([relative_quality(index)], dtype=torch.float32)
