"""A distortion after SSIMULACRA2: structure, ringing and blur in XYB at several scales.

Sources, read in libjxl/libjxl, BSD-3-Clause, without taking code:
    tools/ssimulacra2.cc at commit ea17d78 (Jon Sneyers, version 2.1 of April 2023): the maps in
    `SSIMMap` and `EdgeDiffMap`, the range of XYB in `MakePositiveXYB`, the weights in
    `Msssim::Score`;
    lib/jxl/cms/opsin_params.h at commit 3c84d47: matrix and bias of XYB.

What differs: the weighted sum is the distortion, without the polynomial and the power that make a
score of it (their slope is infinite at equality and they leave the order as it is); weights below
0.003, of which the whole sixth scale consists, are left out; windows are cut at borders; 4-norms
are smooth at zero. The rank correlation with the `ssimulacra2` package is measured by `python -m
benchmarks perceptual`.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from aecodec.autoencoder.distortion import full_precision, need_side
from aecodec.autoencoder.windows import compare_structure, halve

STRUCTURE_UNIT = 6.0
"""Lambda units of the weighted sum: by how much the squared error falls when it falls by 1.

The geometric mean along qualities 20 to 95 of aec-1, on the centres of five pictures in samples/.
"""
STRUCTURE_SIDE = 8
"""Smallest side in samples at any scale; coarser scales of smaller pictures do not count."""

X, Y, B = range(3)
"""Channels: red against green, brightness, blue against yellow."""
STRUCTURE, RINGING, BLUR = range(3)
"""Maps: lost structure, edges that the original lacks, edges that the restored picture lacks."""
WEIGHTS: Sequence[Mapping[int, Mapping[int, tuple[float, float]]]] = (
    {
        STRUCTURE: {Y: (0, 7.467)},
        BLUR: {Y: (0, 17.45)},
    },
    {
        STRUCTURE: {X: (0, 1.104), Y: (0, 6.684)},
        BLUR: {Y: (0, 1.028)},
    },
    {
        STRUCTURE: {X: (0, 1.842), Y: (225.2, 19.21)},
        RINGING: {X: (0, 11.44)},
    },
    {
        STRUCTURE: {X: (0, 1.879), Y: (176.4, 24.43), B: (0, 8.827)},
        RINGING: {X: (0, 10.95), Y: (0, 0.2852), B: (0, 23.19)},
    },
    {
        STRUCTURE: {Y: (0, 34.78), B: (95.11, 0)},
        RINGING: {X: (0.9678, 0.9982), Y: (0, 44.84), B: (0.9864, 171.3)},
        BLUR: {B: (0.9834, 0.9808)},
    },
)
"""By scale from 1:1 to 1:16, map and channel: weights of the 1-norm and of the 4-norm."""

ABSORBANCE = (
    (0.30, 0.622, 0.078),
    (0.23, 0.692, 0.078),
    (0.24342268924547819, 0.20476744424496821, 0.55180986650955360),
)
"""`kOpsinAbsorbanceMatrix`: what the three kinds of cones take in of linear red, green and blue."""
ABSORBANCE_BIAS = 0.0037930732552754493
"""`kOpsinAbsorbanceBias`, the same for the three."""
X_GAIN = 14.0
"""`MakePositiveXYB`. Its offsets are left out: all maps are made of differences."""
NORM_MIN = 1e-3
"""4-norms are smooth below this."""


class StructureXyb:
    """6 times the weighted sum of SSIMULACRA2, whose scores of 90 and 50 are sums of 0.4 and 6.

    Chroma counts from 1:2 (red against green) and 1:8 (blue against yellow) on. What is finer the
    measure does not see, so that it is made for mixtures with the squared error.
    """

    def __call__(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """See `Distortion`."""
        need_side(x, STRUCTURE_SIDE, "structure_xyb")
        return STRUCTURE_UNIT * weighted_sum(x_hat, x)


@full_precision
def weighted_sum(x_hat: Tensor, x: Tensor) -> Tensor:
    """`(N,)`, the sum over scales, maps, channels and norms of `(N, 3, H, W)` in sRGB."""
    light_hat, light = to_linear(x_hat), to_linear(x)
    total = x_hat.new_zeros(len(x_hat))
    for scale, weights in enumerate(WEIGHTS):
        if scale:
            light_hat, light = halve(light_hat), halve(light)
        if min(light.shape[-2:]) < STRUCTURE_SIDE:
            break
        channels = sorted({channel for row in weights.values() for channel in row})
        maps = _maps(to_xyb(light_hat, channels), to_xyb(light, channels), weights)
        for name, each in maps.items():
            row = [weights[name].get(channel, (0.0, 0.0)) for channel in channels]
            total = total + _norms(each, row)
    return total


def _maps(x_hat: Tensor, x: Tensor, names: Mapping[int, object]) -> dict[int, Tensor]:
    """The maps that are asked for, each `(N, C, H, W)` and 0 where the pictures are equal."""
    local = compare_structure(x_hat, x, padded=True)
    maps = {}
    if STRUCTURE in names:
        alike = 1 - (local.mean_hat - local.mean).square()
        maps[STRUCTURE] = 1 - alike * (1 - local.lost)
    if RINGING in names or BLUR in names:
        edge_hat, edge = (x_hat - local.mean_hat).abs(), (x - local.mean).abs()
        gained = (edge_hat - edge) / (1 + edge)
        # `relu` and `abs` have slope 0 at 0, where the two maps would pull in opposite directions.
        maps[RINGING], maps[BLUR] = functional.relu(gained), functional.relu(-gained)
    return {name: each for name, each in maps.items() if name in names}


def _norms(differences: Tensor, weights: Sequence[tuple[float, float]]) -> Tensor:
    """`(N,)`, weighted 1-norms and 4-norms over the samples of a map.

    Args:
        differences: `(N, C, H, W)`, at least 0.
        weights: of both norms for each of the C channels.
    """
    first = differences.mean((2, 3))
    fourth = (differences.square().square().mean((2, 3)) + NORM_MIN**4).sqrt().sqrt() - NORM_MIN
    # Weights are numbers and no tensor, which would have to be copied to the device in each step.
    terms = [w1 * first[:, c] + w4 * fourth[:, c] for c, (w1, w4) in enumerate(weights)]
    return torch.stack(terms).sum(0)


def to_linear(rgb: Tensor) -> Tensor:
    """Linear light of sRGB, same shape; the straight piece goes on below 0 and the curve above 1.

    Source: IEC 61966-2-1.
    """
    curve = ((rgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(rgb > 0.04045, curve, rgb / 12.92)


def to_xyb(light: Tensor, channels: Sequence[int] = (X, Y, B)) -> Tensor:
    """XYB without offsets, in the range of SSIMULACRA2: X times 14, and B less Y.

    Args:
        light: `(N, 3, H, W)`, linear red, green and blue. Colours outside sRGB that cones cannot
            take in go along the tangent at black, so that the slope stays finite.
        channels: which of X, Y and B, in ascending order.

    Returns:
        `(N, len(channels), H, W)`.
    """
    long, medium = _response(light, ABSORBANCE[0]), _response(light, ABSORBANCE[1])
    planes = {Y: (long + medium) / 2}
    if X in channels:
        planes[X] = X_GAIN / 2 * (long - medium)
    if B in channels:
        planes[B] = _response(light, ABSORBANCE[2]) - planes[Y]
    return torch.stack([planes[channel] for channel in channels], 1)


def _response(light: Tensor, absorbance: Sequence[float]) -> Tensor:
    """`(N, H, W)`, what one kind of cones makes of `(N, 3, H, W)`; black is 0."""
    red, green, blue = (weight * light[:, c] for c, weight in enumerate(absorbance))
    absorbed = red + green + blue
    black = ABSORBANCE_BIAS ** (1 / 3)
    curve = (absorbed.clamp_min(0) + ABSORBANCE_BIAS) ** (1 / 3) - black
    return torch.where(absorbed > 0, curve, absorbed / (3 * black**2))
