"""The autoencoder: wires transforms and priors, and starts them as a linear codec.

Letters of the papers and the names used here: x image, y latents, z hyper-latents, hats for
their quantized forms; g_a `analysis`, g_s `synthesis`, h_a `hyper_analysis`, h_s
`prior.hyper_synthesis`. Lambda weights the distortion, as in CompressAI:
loss = bpp + lambda * 255**2 * MSE, with MSE on [0, 1].
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from aecodec.autoencoder.layers import Block, FixedPointConv2d
from aecodec.autoencoder.priors import (
    LEVELS_PER_UNIT,
    SCALE_LOG_STEP,
    SCALE_MIN,
    ContextPrior,
    FactorizedPrior,
    LatentEstimate,
)
from aecodec.autoencoder.quantization import quantize, quantize_noise, quantize_ste
from aecodec.autoencoder.transforms import AnalysisTransform, HyperAnalysis, SynthesisTransform
from aecodec.format.constants import KNOTS, PATCH, PATCH_CHANNELS
from aecodec.models.config import ModelConfig
from aecodec.training.initialization import _principal_components, uniform_step


@dataclass(frozen=True)
class ForwardOutput:
    """Result of a training pass.

    Attributes:
        x_hat: `(N, 3, H, W)`, nominally in [0, 1].
        bpp: `(N,)`, bits of y and z per pixel.
        mse: `(N,)`, on [0, 1].
        z_bpp: `(N,)`, the share of z.
    """

    x_hat: Tensor
    bpp: Tensor
    mse: Tensor
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
    """

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or ModelConfig()
        self.analysis = AnalysisTransform(c.channels, c.latent_channels, c.analysis_blocks)
        self.synthesis = SynthesisTransform(c.channels, c.latent_channels, c.synthesis_blocks)
        self.hyper_analysis = HyperAnalysis(c.latent_channels, c.context_channels, c.hyper_channels)
        self.hyper_prior = FactorizedPrior(c.hyper_channels)
        self.prior = ContextPrior(c.latent_channels, c.context_channels, c.hyper_channels)

    def set_quantized(self, quantized: bool) -> None:
        """Makes the fixed-point networks round as their integer form does, or stop it."""
        for module in self.modules():
            if isinstance(module, FixedPointConv2d):
                module.quantized = quantized

    def estimate(
        self, y: Tensor, q: Tensor, *, noisy: bool = False, mixed: bool = False
    ) -> LatentEstimate:
        """Quantizes `y` `(N, M, h, w)` and estimates its rate; see `ContextPrior.forward`."""
        quantized = self.prior.hyper_synthesis.head.quantized
        norm = self.prior.norm(self.prior.base_index(q).detach())
        z = self.hyper_analysis(y / norm, mixed=mixed)
        z_hat = quantize_ste(z)
        z_bits = self.hyper_prior.bits(quantize_noise(z) if noisy else quantize(z))
        y_hat, y_bits = self.prior(
            y, z_hat, q, noisy=noisy, mixed=mixed and not quantized, quantized=quantized
        )
        return LatentEstimate(y_hat, y_bits, z_bits)

    def forward(
        self, x: Tensor, q: Tensor, *, noisy: bool = True, mixed: bool = False
    ) -> ForwardOutput:
        """Whole pass for training and validation.

        Args:
            x: `(N, 3, H, W)` in [0, 1], H and W divisible by 64.
            q: `(N,)`, relative quality in [0, 1].
            noisy: rate from additive noise (training) or from rounding.
            mixed: bfloat16 inside the blocks.
        """
        y = self.analysis(x, q, mixed=mixed)
        estimate = self.estimate(y, q, noisy=noisy, mixed=mixed)
        x_hat = self.synthesis(estimate.y_hat, q, mixed=mixed)
        pixels = x.shape[-2] * x.shape[-1]
        z_bpp = estimate.z_bits.sum((1, 2, 3)) / pixels
        bpp = estimate.y_bits.sum((1, 2, 3)) / pixels + z_bpp
        return ForwardOutput(x_hat, bpp, (x_hat - x).square().mean((1, 2, 3)), z_bpp)

    @torch.no_grad()
    def calibrate(self, x: Tensor, q: Tensor) -> None:
        """Fits the scales of all blocks of the transforms to pictures, see `Block.calibrate`.

        Args:
            x: `(N, 3, H, W)` in [0, 1], H and W divisible by 64.
            q: `(N,)`, relative quality in [0, 1].
        """
        inputs: dict[Block, Tensor] = {}

        def watch(block: nn.Module, args: tuple[Tensor, ...]) -> None:
            assert isinstance(block, Block)
            inputs[block] = args[0].std((0, 2, 3))

        blocks = [m for part in (self.analysis, self.synthesis) for m in part.modules()
                  if isinstance(m, Block)]  # fmt: skip
        hooks = [block.register_forward_pre_hook(watch) for block in blocks]
        self(x, q, noisy=False)
        for hook in hooks:
            hook.remove()
        for block, deviation in inputs.items():
            block.calibrate(deviation)

    @torch.no_grad()
    def start_linear(self, patches: Tensor) -> None:
        """Starts as the best linear codec for these pictures, with its prior fitted.

        Entry and stride-2 convolutions become the Karhunen-Loève transforms of 8x8 patches and
        of 2x2 groups of their coefficients, the synthesis their transposes, the gains one over
        the best uniform step of each rate, and the base scales the coefficients' deviations.

        Args:
            patches: `(N, 3, H, W)` in [0, 1], H and W divisible by 16.
        """
        cells = functional.pixel_unshuffle(patches - 0.5, PATCH)  # (N, 192, H/8, W/8)
        channels, latent_channels = self.config.channels, self.config.latent_channels
        basis, _ = _principal_components(cells.permute(0, 2, 3, 1).reshape(-1, PATCH_CHANNELS))
        entry = basis[:channels, :, None, None]
        self.analysis.entry.weight.copy_(entry)
        self.synthesis.exit.weight.copy_(entry.transpose(0, 1))
        groups = functional.unfold(functional.conv2d(cells, entry), 2, stride=2)
        basis, variances = _principal_components(groups.permute(0, 2, 1).reshape(-1, 4 * channels))
        down = basis[:latent_channels].reshape(latent_channels, channels, 2, 2)
        self.analysis.down.weight.copy_(down)
        self.synthesis.up.weight.copy_(down)
        for conv in (self.analysis.entry, self.analysis.down, self.synthesis.up,
                     self.synthesis.exit):  # fmt: skip
            if conv.bias is not None:
                conv.bias.zero_()
        log_gain = -uniform_step(torch.linspace(0, 1, KNOTS)).log()[:, None]  # (KNOTS, 1)
        self.analysis.outer_gain.log_gain.copy_(log_gain.expand(-1, latent_channels))
        self.synthesis.outer_gain.log_gain.copy_(-log_gain.expand(-1, latent_channels))
        log_scale = log_gain + 0.5 * variances[:latent_channels].log()
        index = (log_scale - math.log(SCALE_MIN)) / SCALE_LOG_STEP
        self.prior.base.copy_(index / LEVELS_PER_UNIT)
