"""The exact prior in torch: from hyper-latents to what the tables make levels and means of.

SPECIFICATION.md, section 10, defines its arithmetic.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aecodec.decoder.carriers import Carried, exactly, tensor_of
from aecodec.decoder.networks import Known
from aecodec.decoder.prior_layers import IntegerBlock, IntegerPass, integer_conv
from aecodec.decoder.prior_tables import Ints
from aecodec.format.constants import ACTIVATION_MAX, PASS_POSITION, PASSES
from aecodec.models.weights import TensorTree


class IntegerPrior(nn.Module):
    """The networks of the prior: integers in, integers out, on float carriers."""

    def __init__(self, tensors: TensorTree) -> None:
        """Builds the networks of the part `prior` of a weights file.

        Raises:
            WeightsError: something would not be exact.
        """
        super().__init__()
        latent_channels = tensors["tables"].array("base").shape[1]
        rates = tensor_of(tensors["tables"], "rate_features")
        self.register_buffer("rate_features", rates.float()[:, :, None, None])
        hyper = tensors["hyper_synthesis"]
        self.entry = integer_conv(hyper, "entry")
        self.first = IntegerBlock(hyper["first"])
        self.up = integer_conv(hyper, "up")
        self.second = IntegerBlock(hyper["second"])
        self.head = integer_conv(hyper, "head", head=True)
        self.passes = nn.ModuleList(
            IntegerPass(tensors["passes"][str(k)], PASS_POSITION[k + 1], latent_channels)
            for k in range(PASSES - 1)
        )

    rate_features: Tensor

    def features(self, z_hat: Tensor, quality_index: int) -> Tensor:
        """`(1, Z, h/4, w/4)` symbols in [-512, 511] to `(1, H, h, w)`."""
        h = self.first(functional.pixel_shuffle(self.entry(z_hat), 2))
        h = self.second(functional.pixel_shuffle(self.up(h), 2))
        features: Tensor = (h + self.rate_features[quality_index]).clamp_(
            -ACTIVATION_MAX, ACTIVATION_MAX - 1
        )
        return features

    def carried(self, array: "Ints | Known") -> Tensor:
        """`(h, w, C)` integers as `(1, C, h, w)` of the type that carries them here."""
        return torch.from_numpy(array).to(self.rate_features.dtype).permute(2, 0, 1)[None]


class TorchPrior:
    """`networks.PriorNetworks` by torch."""

    def __init__(self, tensors: TensorTree) -> None:
        """Builds the networks of the part `prior` of a weights file.

        Raises:
            WeightsError: something would not be exact.
        """
        self.carried = Carried(IntegerPrior(tensors).to(memory_format=torch.channels_last))

    @exactly
    def features(self, z_hat: Ints, quality_index: int) -> Tensor:
        """See `networks.PriorNetworks`; `(1, H, h, w)`."""
        network = self.carried.network
        return network.features(network.carried(z_hat), quality_index)

    @exactly
    def first(self, features: Tensor) -> Known:
        """See `networks.PriorNetworks`."""
        network = self.carried.network
        found: Tensor = network.head(features.to(network.rate_features))[0].permute(1, 2, 0)
        return found.numpy().astype(np.float32, copy=False)

    @exactly
    def corrections(self, number: int, known: Known, features: Tensor) -> Known:
        """See `networks.PriorNetworks`."""
        network = self.carried.network
        found: Tensor = network.passes[number - 1](
            network.carried(known), features.to(network.rate_features)
        )
        return found.numpy().astype(np.float32, copy=False)
