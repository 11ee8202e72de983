"""The autoencoder: wires transforms and priors.

Letters of the papers and the names used here: x image, y latents, z hyper-latents, hats for
their quantized forms; g_a `analysis`, g_s `synthesis`, h_a `hyper_analysis`, h_s
`prior.hyper_synthesis`.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from aecodec.autoencoder.layers import FixedPointConv2d
from aecodec.autoencoder.priors import ContextPrior, FactorizedPrior, LatentEstimate
from aecodec.autoencoder.quantization import (
    WHOLE,
    Part,
    quantize,
    quantize_noise,
    quantize_ste,
)
from aecodec.autoencoder.transforms import AnalysisTransform, HyperAnalysis, SynthesisTransform
from aecodec.models.config import ModelConfig


@dataclass(frozen=True)
class ForwardOutput:
    """Result of a whole pass.

    Attributes:
        x_hat: `(N, 3, H, W)`, nominally in [0, 1].
        bpp: `(N,)`, bits of y and z per pixel.
        z_bpp: `(N,)`, the share of z.
    """

    x_hat: Tensor
    bpp: Tensor
    z_bpp: Tensor


class HyperpriorModel(nn.Module):
    """Autoencoder with hyperprior and four-pass context, one model for all rates.

    x -> analysis -> y -> (/ norm) -> hyper_analysis -> z
                     |                                  |
                     +--- four passes <- prior(z_hat) --+
                     v
                   y_hat -> synthesis -> x_hat

    Source: Minnen, Ballé, Toderici, "Joint Autoregressive and Hierarchical Priors for Learned
    Image Compression" (mean and scale hyperprior); context as in DCVC-DC.

    Attributes:
        config: sizes.
        quantized: whether the fixed-point networks round, see `set_quantized`.
    """

    def __init__(self, config: ModelConfig | None = None) -> None:
        """Makes a new model of these sizes, or of the default ones."""
        super().__init__()
        self.config = c = config or ModelConfig()
        self.quantized = False
        self.analysis = AnalysisTransform(
            c.channels, c.latent_channels, c.analysis_blocks, c.analysis_coarse_blocks
        )
        self.synthesis = SynthesisTransform(
            c.channels, c.latent_channels, c.synthesis_blocks, c.synthesis_coarse_blocks
        )
        self.hyper_analysis = HyperAnalysis(c.latent_channels, c.context_channels, c.hyper_channels)
        self.hyper_prior = FactorizedPrior(c.hyper_channels)
        self.prior = ContextPrior(c.latent_channels, c.context_channels, c.hyper_channels)

    def set_quantized(self, quantized: bool) -> None:
        """Makes the fixed-point networks round as their integer form does, or stop it."""
        self.quantized = quantized
        for module in self.modules():
            if isinstance(module, FixedPointConv2d):
                module.quantized = quantized

    def estimate(
        self, y: Tensor, q: Tensor, *,
        noisy: bool = False, mixed: bool = False, part: Part = WHOLE,
    ) -> LatentEstimate:  # fmt: skip
        """Quantizes `y` `(N, M, h, w)` and estimates its rate; see `ContextPrior.forward`."""
        quantized = self.quantized
        if self.prior.dead_zone is not None:
            y = y.detach()  # the analysis stays as it is
        norm = self.prior.norm(self.prior.base_index(q).detach())
        z = self.hyper_analysis(y / norm, mixed=mixed)
        z_hat = quantize_ste(z)
        z_bits = self.hyper_prior.bits(quantize_noise(z, part) if noisy else quantize(z))
        y_hat, y_bits = self.prior(
            y, z_hat, q,
            noisy=noisy, mixed=mixed and not quantized, quantized=quantized, part=part,
        )  # fmt: skip
        return LatentEstimate(y_hat, y_bits, z_bits)

    def forward(
        self, x: Tensor, q: Tensor, *,
        noisy: bool = True, mixed: bool = False, part: Part = WHOLE,
    ) -> ForwardOutput:  # fmt: skip
        """Runs a whole pass, for training and validation.

        Args:
            x: `(N, 3, H, W)` in [0, 1], H and W divisible by 64.
            q: `(N,)`, relative quality in [0, 1].
            noisy: rate from additive noise (training) or from rounding.
            mixed: bfloat16 inside the blocks.
            part: of which larger batch these pictures are, see `quantize_noise`.
        """
        y = self.analysis(x, q, mixed=mixed)
        estimate = self.estimate(y, q, noisy=noisy, mixed=mixed, part=part)
        x_hat = self.synthesis(estimate.y_hat, q, mixed=mixed)
        pixels = x.shape[-2] * x.shape[-1]
        z_bpp = estimate.z_bits.sum((1, 2, 3)) / pixels
        bpp = estimate.y_bits.sum((1, 2, 3)) / pixels + z_bpp
        return ForwardOutput(x_hat, bpp, z_bpp)
