"""Networks with gradients, for the encoder's search alone.

They are what training runs, made of released integers, see `autoencoder/dequantize.py`.
"""

from functools import cached_property

import torch
from torch import nn

from aecodec.autoencoder.caller_settings import undisturbed
from aecodec.autoencoder.dequantize import import_prior, import_synthesis
from aecodec.autoencoder.layers import Block, FixedPointConv2d
from aecodec.autoencoder.priors import ContextPrior
from aecodec.autoencoder.transforms import SynthesisTransform
from aecodec.decoder.prior_tables import PriorTables
from aecodec.encoder.symbol_costs import Costs
from aecodec.models.weights import Weights

COSTS_REACH, HYPER_COSTS_REACH = 2048, 64
"""Largest symbols whose costs are told apart: beyond, all take the escape."""


class TrainableNetworks:
    """A model's prior and synthesis with gradients, each made when it is first asked for."""

    def __init__(self, weights: Weights, tables: PriorTables) -> None:
        """Takes a model, and the tables of its exact prior."""
        self._weights, self._tables = weights, tables

    @cached_property
    def latent_costs(self) -> Costs:
        """Bits of latents under each level's table."""
        return Costs.of(self._tables.scale_tables, COSTS_REACH)

    @cached_property
    def hyper_costs(self) -> Costs:
        """Bits of hyper-latents under each channel's table."""
        return Costs.of(self._tables.hyper_tables, HYPER_COSTS_REACH)

    @cached_property
    def prior(self) -> ContextPrior:
        """The prior with straight-through gradients.

        It computes what the exact one does if it is given that one's tables as a `RatePoint`.
        """
        c = self._weights.config
        with undisturbed():  # else it had no gradients, once made while decoding
            prior = ContextPrior(c.latent_channels, c.context_channels, c.hyper_channels)
            import_prior(prior, self._weights.tensors["prior"])
            _freeze(prior)
        return prior

    @cached_property
    def synthesis(self) -> SynthesisTransform:
        """The synthesis in real numbers."""
        c = self._weights.config
        with undisturbed():
            synthesis = SynthesisTransform(
                c.channels, c.latent_channels, c.synthesis_blocks, c.synthesis_coarse_blocks
            )
            import_synthesis(synthesis, self._weights.tensors["synthesis"])
            _freeze(synthesis)
        return synthesis


def _freeze(module: nn.Module) -> None:
    module.float().eval().requires_grad_(False).to(memory_format=torch.channels_last)
    for part in module.modules():
        if isinstance(part, Block):
            part.fuse_activation()
        elif isinstance(part, FixedPointConv2d):
            part.fix_weights()
