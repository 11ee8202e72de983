"""MS-SSIM of luma and of chroma as distortions.

Written here and not taken from `pytorch_msssim`, since training needs finite gradients for
anticorrelated pictures (VainF/pytorch-msssim issue 7) and four scales for chroma at half the
resolution; the tests compare the two.

Source: Wang, Simoncelli, Bovik, "Multi-scale structural similarity for image quality assessment"
(2003): scale weights in section 3.2, window and constants as in SSIM.
"""

import torch
from torch import Tensor

from aecodec.autoencoder.distortion import full_precision, need_side
from aecodec.autoencoder.windows import compare_structure, halve
from aecodec.picture.ms_ssim import MS_SSIM_SIDE, WEIGHTS

LUMINANCE = 0.01**2
"""C1 of SSIM on a range of 1."""
SIMILARITY_MIN = 0.01
"""A scale less alike than this counts as this, without gradient, which would be infinite at 0."""
MS_SSIM_UNIT = 1275.0
"""Lambda units of 1 - MS-SSIM, as in the mixture of the README's section on fine-tuning.

Along qualities 20 to 95 of aec-1, on the centres of five pictures in samples/, a bit buys 1.9
times as many units of the squared error: with this alone, one lambda gives a lower rate.
"""
LUMA = (0.299, 0.587, 0.114)
"""BT.601 at full range, as in JPEG."""
BLUE_RANGE, RED_RANGE = 1.772, 1.402
"""`B - Y` and `R - Y` over Cb and Cr, BT.601."""


class MsSsim:
    """`1275 * (1 - MS-SSIM)` of the luma Y of BT.601; pictures of at least 161 pixels a side."""

    def __call__(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """See `Distortion`."""
        need_side(x, MS_SSIM_SIDE, "ms_ssim")
        return MS_SSIM_UNIT * _lost_luma(x_hat, x)


class MsSsimChroma:
    """`1275 * (1 - MS-SSIM)` of chroma at half the resolution; at least 161 pixels a side.

    It is the mean over Cb and Cr of BT.601. The four scales of the halved planes are the coarser
    four of luma, with their weights over the sum of these. Luma does not count: this is a part
    for mixtures.
    """

    def __call__(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """See `Distortion`."""
        need_side(x, MS_SSIM_SIDE, "ms_ssim_chroma")
        return MS_SSIM_UNIT * _lost_chroma(x_hat, x)


@full_precision
def _lost_luma(x_hat: Tensor, x: Tensor) -> Tensor:
    """`(N,)`, 1 - MS-SSIM of luma."""
    return 1 - ms_ssim(luma(x_hat), luma(x), WEIGHTS).mean(1)


@full_precision
def _lost_chroma(x_hat: Tensor, x: Tensor) -> Tensor:
    """`(N,)`, 1 - MS-SSIM of chroma."""
    total = sum(WEIGHTS[1:])
    weights = tuple(weight / total for weight in WEIGHTS[1:])
    return 1 - ms_ssim(halve(chroma(x_hat)), halve(chroma(x)), weights).mean(1)


def ms_ssim(x_hat: Tensor, x: Tensor, weights: tuple[float, ...]) -> Tensor:
    """MS-SSIM of each plane.

    Args:
        x_hat: `(N, C, H, W)`, range 1, the restored planes.
        x: `(N, C, H, W)` in [0, 1], the original planes.
        weights: exponents of the scales from fine to coarse.

    Returns:
        `(N, C)`, at most 1.
    """
    product = x_hat.new_ones(x_hat.shape[:2])
    for scale, weight in enumerate(weights):
        if scale:
            x_hat, x = halve(x_hat), halve(x)
        local = compare_structure(x_hat, x, padded=False)
        similarity = 1 - local.lost
        if scale == len(weights) - 1:
            squares = local.mean_hat.square() + local.mean.square()
            brightness_lost = (local.mean_hat - local.mean).square() / (squares + LUMINANCE)
            similarity = similarity * (1 - brightness_lost)
        product = product * similarity.mean((2, 3)).clamp_min(SIMILARITY_MIN) ** weight
    return product


def luma(rgb: Tensor) -> Tensor:
    """`(N, 1, H, W)` of `(N, 3, H, W)`, same range."""
    return LUMA[0] * rgb[:, :1] + LUMA[1] * rgb[:, 1:2] + LUMA[2] * rgb[:, 2:]


def chroma(rgb: Tensor) -> Tensor:
    """Cb and Cr, `(N, 2, H, W)`, gray at 0.5, of `(N, 3, H, W)` in [0, 1]."""
    y, red, blue = luma(rgb), rgb[:, :1], rgb[:, 2:]
    return torch.cat([(blue - y) / BLUE_RANGE, (red - y) / RED_RANGE], 1) + 0.5
