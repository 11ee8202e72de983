"""Turns the trained priors into their exact integer form."""

import math

import numpy as np
import torch
from torch import Tensor

from aecodec.autoencoder.layers import (
    ACTIVATION_STEP,
    WEIGHT_EXPONENTS,
    WEIGHT_MAX,
    FixedPointConv2d,
    interpolate_knots,
)
from aecodec.autoencoder.priors import (
    LEVELS_PER_UNIT,
    SCALE_LOG_STEP,
    SCALE_MIN,
    ContextPrior,
    FactorizedPrior,
)
from aecodec.coding.ans import frequency_counts
from aecodec.decoder.bounds import ACCUMULATOR_LIMIT, accumulator_bounds
from aecodec.decoder.prior_tables import Ints
from aecodec.errors import WeightsError
from aecodec.format.constants import (
    HYPER_RADIUS,
    MEAN_FRACTION,
    NORM_FRACTION,
    NORM_OFFSET,
    NORM_SIZE,
    RECIPROCAL_SHIFT,
    SCALE_FRACTION,
    SCALE_LEVELS,
)
from aecodec.format.quality import QUALITIES
from aecodec.models.tensor_file import Array

SCALE_ESCAPE, HYPER_ESCAPE = 2**4, 2**6
"""Counts of what lies beyond a table of latents, and of hyper-latents."""
OBSERVED_RADIUS = 2**11
"""Largest symbol that is counted for fitting a table."""
GAUSSIAN_SYMBOLS = 30.0
"""How many observed symbols the Gaussian counts for in a fitted table."""


def export_conv(conv: FixedPointConv2d) -> dict[str, Array]:
    """Rounds a trained convolution to its integer form.

    A channel whose bound does not hold at 8 bits gets coarser weights until it does.

    Returns:
        `weight`, `bias` and `shift`, as a layer of the exact prior has them.

    Raises:
        WeightsError: weights are not finite or too large for the fixed point.
    """
    weight = conv.weight.detach().double().cpu()
    bias = torch.zeros(len(weight)) if conv.bias is None else conv.bias.detach().cpu()
    if not (torch.isfinite(weight).all() and torch.isfinite(bias).all()):
        raise WeightsError("weights are not finite")
    exponents = conv.weight_exponents().double().cpu()
    for _ in range(WEIGHT_EXPONENTS[1] - WEIGHT_EXPONENTS[0]):
        tensors = _round_conv(conv, weight, bias.double(), exponents)
        too_large = accumulator_bounds(tensors["weight"], tensors["bias"]) >= ACCUMULATOR_LIMIT
        if not too_large.any():
            return tensors
        exponents[torch.from_numpy(too_large)] += 1
    raise WeightsError("weights are too large for the fixed-point path")


def export_prior(
    prior: ContextPrior, hyper_prior: FactorizedPrior, observed: Ints | None = None
) -> dict[str, Array]:
    """Makes everything that the exact path needs from the trained priors.

    Args:
        prior: the prior of the latents.
        hyper_prior: the prior of the hyper-latents.
        observed: `(SCALE_LEVELS, 2 * OBSERVED_RADIUS + 1)`, how often each symbol occurred under
            each level, to fit the tables; None leaves them Gaussian.

    Returns:
        The part `prior` of a weights file, by name: integer networks and tables.

    Raises:
        WeightsError: the trained values cannot be made exact.
    """
    arrays: dict[str, Array] = {}
    for name, module in prior.named_modules():
        if isinstance(module, FixedPointConv2d):
            arrays |= {f"{name}.{key}": value for key, value in export_conv(module).items()}
    tables = {
        **_network_tables(prior),
        **_scale_tables(observed),
        "hyper_counts": _hyper_counts(hyper_prior),
    }
    return arrays | {f"tables.{key}": value for key, value in tables.items()}


def _round_conv(
    conv: FixedPointConv2d, weight: Tensor, bias: Tensor, exponents: Tensor
) -> dict[str, Array]:
    steps = torch.exp2(exponents)
    # A shift below zero would mean weights so large that one step of the input moves the output
    # by more than one step: coarser weights would be exact, finer outputs would be noise.
    shift = torch.log2(conv.output_steps().double()) - exponents - math.log2(conv.input_step)
    if int(shift.min()) < 0:
        raise WeightsError("weights are too large for the fixed-point path")
    half = torch.where(shift > 0, torch.exp2(shift - 1), 0.0)
    rounded = torch.floor(weight / steps[:, None, None, None] + 0.5)
    rounded_bias = torch.floor(bias / (steps * conv.input_step) + 0.5) + half
    return {
        "weight": rounded.clamp(-WEIGHT_MAX, WEIGHT_MAX).to(torch.int8).numpy(),
        "bias": rounded_bias.clamp(-(2**30), 2**30).to(torch.int32).numpy(),
        "shift": shift.to(torch.int8).numpy(),
    }


@torch.no_grad()
def _network_tables(prior: ContextPrior) -> dict[str, Array]:
    """What stands between networks and symbols: base scales, features of rates, norms."""
    q = torch.linspace(0, 1, QUALITIES, dtype=torch.float64)
    base = interpolate_knots(prior.base.double().cpu(), q)[:, :, 0, 0] * LEVELS_PER_UNIT
    fine = torch.floor(base * SCALE_FRACTION + 0.5)
    fine = fine.clamp(NORM_OFFSET, NORM_OFFSET + NORM_SIZE - 1)
    features = interpolate_knots(prior.rate_features.double().cpu(), q)[:, :, 0, 0]
    rate_features = torch.floor(features / ACTIVATION_STEP + 0.5)
    grid = torch.arange(NORM_OFFSET, NORM_OFFSET + NORM_SIZE, dtype=torch.float64)
    norms = ContextPrior.norm(grid / SCALE_FRACTION)
    # known = y_hat / MEAN_FRACTION / norm / ACTIVATION_STEP
    reciprocals = 2.0**RECIPROCAL_SHIFT / (MEAN_FRACTION * ACTIVATION_STEP) / norms
    return {
        "base": fine.numpy().astype(np.int16),
        "rate_features": rate_features.clamp(-(2**14), 2**14).numpy().astype(np.int16),
        "norms": torch.floor(norms * NORM_FRACTION + 0.5).numpy().astype(np.int32),
        "reciprocals": torch.floor(reciprocals + 0.5).numpy().astype(np.int32),
    }


def _scale_tables(observed: Ints | None) -> dict[str, Array]:
    """The tables of all scale levels, one after the other, and their lengths."""
    counts = [
        _scale_counts(level, None if observed is None else observed[level])
        for level in range(SCALE_LEVELS)
    ]
    return {
        "scale_counts": np.concatenate(counts).astype(np.int32),
        "scale_sizes": np.array([len(c) for c in counts], np.int32),
    }


def _scale(level: int) -> float:
    """Standard deviation of a level, in quantization steps."""
    return SCALE_MIN * math.exp(SCALE_LOG_STEP * level)


def _scale_radius(level: int) -> int:
    """Largest symbol of a level's table; what lies beyond takes the escape."""
    return math.ceil(6 * _scale(level)) + 2


def _scale_counts(level: int, observed: Ints | None) -> Ints:
    scale, radius = _scale(level), _scale_radius(level)
    edges = (np.arange(-radius, radius + 2) - 0.5) / (scale * math.sqrt(2))
    cumulative = 0.5 * torch.erfc(-torch.from_numpy(edges)).numpy()
    probabilities = np.diff(cumulative)
    if observed is not None:
        seen = observed[OBSERVED_RADIUS - radius : OBSERVED_RADIUS + radius + 1]
        probabilities = seen + GAUSSIAN_SYMBOLS * probabilities
    symmetric = 0.5 * (probabilities + probabilities[::-1])
    return frequency_counts(symmetric, SCALE_ESCAPE)


@torch.no_grad()
def _hyper_counts(hyper_prior: FactorizedPrior) -> Array:
    """A table for each channel of the hyper-latents, in rows."""
    prior = FactorizedPrior(len(hyper_prior.logits)).double()
    prior.load_state_dict(hyper_prior.state_dict())
    edges = torch.arange(-HYPER_RADIUS, HYPER_RADIUS + 2, dtype=torch.float64) - 0.5
    cumulative = prior.cdf(edges.expand(1, len(hyper_prior.logits), 1, -1))[0, :, 0]
    probabilities = cumulative.diff(dim=1).clamp_min(0).numpy()
    if not np.isfinite(probabilities).all():
        raise WeightsError("the prior of the hyper-latents is not finite")
    rows = np.stack([frequency_counts(row, HYPER_ESCAPE) for row in probabilities])
    return rows.astype(np.int32)
