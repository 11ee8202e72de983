"""How the networks start: as the best linear codec, or from released weights."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from aecodec.autoencoder.dequantize import (
    import_analysis,
    import_hyper_analysis,
    import_prior,
    import_synthesis,
    named_tensors,
)
from aecodec.autoencoder.layers import Block, hswish
from aecodec.autoencoder.model import HyperpriorModel
from aecodec.autoencoder.priors import LEVELS_PER_UNIT, SCALE_LOG_STEP, SCALE_MIN
from aecodec.format.constants import KNOTS, PATCH, PATCH_CHANNELS
from aecodec.models.weights import Weights
from aecodec.training.loss import lmbda

SCALE_LIMIT = 32.0
"""Largest scale of a channel that a block reads: beyond, it is rather noise than signal."""
LINEAR_REACH = 0.15
"""Deviation of an activation's inputs below which it is a straight line."""
LINEAR_SHARE = 8
"""One out of so many channels of a renewed pointwise branch goes on with what it did."""
VARIANCE_MIN = 1e-12
"""Taken for the variance of what never differed from zero."""


def start_model(model: HyperpriorModel, patches: Tensor) -> None:
    """Fits a new model to pictures, `(N, 3, H, W)` in [0, 1], H and W divisible by 64."""
    start_linear(model, patches)
    fit_scales(model, patches, torch.linspace(0, 1, len(patches)))


@torch.no_grad()
def start_linear(model: HyperpriorModel, patches: Tensor) -> None:
    """Makes a new model the best linear codec for these pictures, with its prior fitted.

    Entry and stride-2 convolutions become the Karhunen-Loève transforms of 8x8 patches and
    of 2x2 groups of their coefficients, the synthesis their transposes, the gains one over
    the best uniform step of each rate, and the base scales the coefficients' deviations.

    Args:
        model: a new one.
        patches: `(N, 3, H, W)` in [0, 1], H and W divisible by 16.
    """
    analysis, synthesis = model.analysis, model.synthesis
    channels, latent_channels = model.config.channels, model.config.latent_channels
    cells = functional.pixel_unshuffle(patches - 0.5, PATCH)  # (N, 192, H/8, W/8)
    samples = cells.permute(0, 2, 3, 1).reshape(-1, PATCH_CHANNELS)
    basis, _ = _principal_components(samples, channels)
    _start_pair(analysis.entry.weight, synthesis.exit.weight.transpose(0, 1), basis)
    coefficients = functional.conv2d(cells, analysis.entry.weight)
    groups = functional.unfold(coefficients, 2, stride=2).permute(0, 2, 1)
    basis, variances = _principal_components(groups.reshape(-1, 4 * channels), latent_channels)
    _start_pair(analysis.down.weight, synthesis.up.weight, basis)
    for conv in (analysis.entry, analysis.down, synthesis.up, synthesis.exit):
        if conv.bias is not None:
            conv.bias.zero_()
    log_gain = -uniform_step(torch.linspace(0, 1, KNOTS)).log()[:, None]  # (KNOTS, 1)
    analysis.outer_gain.log_gain.copy_(log_gain.expand(-1, latent_channels))
    synthesis.outer_gain.log_gain.copy_(-log_gain.expand(-1, latent_channels))
    missing = latent_channels - len(variances)
    variances = functional.pad(variances, (0, missing), value=VARIANCE_MIN)
    log_scale = log_gain + 0.5 * variances.log()
    index = (log_scale - math.log(SCALE_MIN)) / SCALE_LOG_STEP
    model.prior.base.copy_(index / LEVELS_PER_UNIT)


def uniform_step(q: Tensor) -> Tensor:
    """The uniform quantizer's best step at q, in units of [0, 1] pixels.

    At high rate the distortion is step**2 / 12 and the rate falls by one bit a doubling, so
    loss = -log2(step) + lambda * 255**2 * step**2 / 12 per sample; three colour samples make a
    pixel, which gives step = sqrt(18 / (ln 2 * lambda)) / 255.
    """
    return torch.sqrt(18.0 / math.log(2.0) / lmbda(q)) / 255.0


@torch.no_grad()
def fit_scales(model: HyperpriorModel, x: Tensor, q: Tensor) -> None:
    """Fits the scales of all blocks of the transforms to pictures, see `fit_block_scale`.

    Args:
        model: what it computes stays the same, nearly.
        x: `(N, 3, H, W)` in [0, 1], H and W divisible by 64.
        q: `(N,)`, relative quality in [0, 1].
    """
    inputs: dict[Block, Tensor] = {}

    def watch(block: nn.Module, args: tuple[Tensor, ...]) -> None:
        assert isinstance(block, Block)
        inputs[block] = args[0].std((0, 2, 3))

    hooks = [
        block.register_forward_pre_hook(watch)
        for part in (model.analysis, model.synthesis)
        for block in part.modules()
        if isinstance(block, Block)
    ]
    model(x, q, noisy=False)
    for hook in hooks:
        hook.remove()
    for block, deviation in inputs.items():
        fit_block_scale(block, deviation)


@torch.no_grad()
def fit_block_scale(block: Block, deviation: Tensor) -> None:
    """Sets `scale` for inputs that deviate by `deviation` `(C,)`; the function stays the same.

    But a pointwise branch that has hardly an activation, being a straight line on such
    inputs, is made anew: it computes nothing that its neighbours could not.
    """
    before = block.scale[:, 0, 0].clone()
    scale = torch.exp2(torch.round(-torch.log2(deviation.clamp_min(1e-6))))
    block.scale.copy_(scale.clamp(1.0, SCALE_LIMIT)[:, None, None])
    ratio = (before / block.scale[:, 0, 0])[:, None, None]
    for conv in (block.mix_in, block.expand):
        conv.weight.mul_(ratio)
    spread = deviation * block.scale[:, 0, 0]
    reached = (block.expand.weight[:, :, 0, 0] * spread).square().sum(1).mean().sqrt()
    if reached < LINEAR_REACH:
        _renew_pointwise(block, spread)


def trainable_state(weights: Weights) -> dict[str, Tensor]:
    """The state of a `HyperpriorModel` that continues from released weights."""
    model = HyperpriorModel(weights.config)
    tree = weights.tensors
    import_prior(model.prior, tree["prior"])
    import_synthesis(model.synthesis, tree["synthesis"])
    import_analysis(model.analysis, tree["analysis"])
    import_hyper_analysis(model.hyper_analysis, tree["hyper_analysis"])
    return model.state_dict() | dict(named_tensors(tree["parent"]))


def _principal_components(samples: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The strongest components of samples about zero.

    Args:
        samples: `(m, d)`.
        most: how many of them are wanted; there are d.

    Returns:
        Components `(n, d)` in rows, strongest first, and their variances `(n,)`.
    """
    wide = samples.double()
    variances, vectors = torch.linalg.eigh(wide.T @ wide / len(wide))
    strongest = variances.flip(0).clamp_min(VARIANCE_MIN)
    return vectors.flip(1).T[:most].float(), strongest[:most].float()


def _start_pair(analysis: Tensor, synthesis: Tensor, basis: Tensor) -> None:
    """Makes two weights `(O, ...)` an orthonormal transform and its transpose.

    Channels beyond the basis `(n, d)` are zero on the way in and random on the way out, so that
    they change nothing yet but have gradients.
    """
    count = len(basis)
    analysis.zero_()
    for weight in (analysis, synthesis):
        weight[:count] = basis.reshape(weight[:count].shape)


def _renew_pointwise(block: Block, spread: Tensor) -> None:
    """Leaves what is linear of the pointwise branch to a few channels and frees the others."""
    expand, contract = block.expand, block.contract
    assert expand.bias is not None
    assert contract.bias is not None
    weight, bias = contract.weight[:, :, 0, 0], expand.bias
    slope = (bias.clamp(-4.0, 4.0) + 2.0) / 4.0
    linear = (weight * slope) @ (expand.weight[:, :, 0, 0] * spread)  # of inputs of deviation 1
    offset = contract.bias + weight @ hswish(bias)
    left, values, right = torch.linalg.svd(linear)
    kept = -(-len(spread) // LINEAR_SHARE)
    expand.reset_parameters()
    contract.weight.zero_()
    expand.weight[:kept, :, 0, 0] = LINEAR_REACH * right[:kept] / spread
    expand.bias[:kept] = 0.0
    contract.weight[:, :kept, 0, 0] = left[:, :kept] * values[:kept] / (0.5 * LINEAR_REACH)
    contract.bias.copy_(offset)
