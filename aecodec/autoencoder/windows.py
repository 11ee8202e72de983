"""Local means and structure under a Gaussian window, which MS-SSIM and SSIMULACRA2 share."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

SIZE = 11
"""Samples of the window, as in SSIM; in SSIMULACRA2 it falls to zero at about the same place."""
SIGMA = 1.5
"""Standard deviation of the window in samples; in both measures."""
CONTRAST = 0.03**2
"""C2 of SSIM on a range of 1, `kC2` of SSIMULACRA2: variances far below it count as flat."""


@dataclass(frozen=True)
class LocalStructure:
    """Two batches of planes compared under the window; each field is `(N, C, h, w)`.

    Attributes:
        mean_hat: local means of the restored planes.
        mean: local means of the original planes.
        lost: 1 less the contrast and structure term of SSIM, 0 where they differ by a constant.
    """

    mean_hat: Tensor
    mean: Tensor
    lost: Tensor


def compare_structure(x_hat: Tensor, x: Tensor, *, padded: bool) -> LocalStructure:
    """Compares planes `(N, C, H, W)`, range about 1, under the window.

    The term of SSIM is `(2 cov + C2) / (var_hat + var + C2)`. Since `var(x_hat - x)` is `var_hat +
    var - 2 cov`, 1 less that term is `var(x_hat - x) / (var_hat + var + C2)`, exact near equality.

    Args:
        x_hat: the restored planes.
        x: the original planes, without gradient.
        padded: see `window_means`.
    """
    mean = window_means(x, padded=padded)
    error = x_hat - x
    squares = torch.cat([x_hat, x_hat.square() + x.square(), error.square()], 1)
    mean_hat, power, error_power = window_means(squares, padded=padded).chunk(3, 1)
    variances = power - mean_hat.square() - mean.square()
    lost = (error_power - (mean_hat - mean).square()) / (variances + CONTRAST)
    return LocalStructure(mean_hat, mean, lost)


def window_means(x: Tensor, *, padded: bool) -> Tensor:
    """Means under the window around each sample.

    Args:
        x: `(N, C, H, W)`, float32 or float64.
        padded: at borders, take the mean of those samples that exist; otherwise leave out the
            places where the window does not fit.

    Returns:
        `(N, C, H, W)` when padded, else `(N, C, H - 10, W - 10)`.
    """
    n, c, height, width = x.shape
    window = _window(x)
    border = SIZE // 2 if padded else 0
    # As channels of one picture: on a CPU a convolution of few channels takes up to twenty times
    # as long.
    planes = x.reshape(1, n * c, height, width)
    rows = window.view(1, 1, 1, SIZE).expand(n * c, 1, 1, SIZE)
    columns = window.view(1, 1, SIZE, 1).expand(n * c, 1, SIZE, 1)
    planes = functional.conv2d(planes, rows, padding=(0, border), groups=n * c)
    planes = functional.conv2d(planes, columns, padding=(border, 0), groups=n * c)
    means = planes.view(n, c, *planes.shape[-2:])
    if padded:
        means = means / (_share_inside(window, height)[:, None] * _share_inside(window, width))
    return means


def halve(x: Tensor) -> Tensor:
    """Means of 2x2 samples of `(N, C, H, W)`; at odd borders, means of those that exist."""
    return functional.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)


def _window(x: Tensor) -> Tensor:
    """`(SIZE,)`, sum 1, of the type and on the device of `x`."""
    offsets = torch.arange(SIZE, dtype=x.dtype, device=x.device) - SIZE // 2
    window = torch.exp(-offsets.square() / (2 * SIGMA**2))
    return window / window.sum()


def _share_inside(window: Tensor, length: int) -> Tensor:
    """`(length,)`, the part of the window that lies inside, at each sample of a line."""
    ones = window.new_ones(1, 1, length)
    return functional.conv1d(ones, window.view(1, 1, SIZE), padding=SIZE // 2)[0, 0]
