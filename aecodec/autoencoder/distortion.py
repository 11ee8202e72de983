"""What a distortion is, and the squared error.

Distortions are in lambda units: the loss is `bpp + lambda * distortion` for each of them. The
squared error in squared 8-bit levels, `255**2 * MSE`, defines the unit. The others carry a factor
that makes a bit buy about as many units (within a factor of two) as with the squared error, so
that one lambda gives about one rate whatever the distortion.
"""

from collections.abc import Callable
from functools import wraps
from typing import Protocol

import torch
from torch import Tensor

from aecodec.errors import TrainingError

LEVELS = 255.0
"""Levels of 8-bit pixels over the range [0, 1]."""


class Distortion(Protocol):
    """How far pictures are from their originals; 0 where they are equal."""

    def __call__(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """The distortion of each picture.

        It is computed in float32 at least, under autocast too, and its gradient is finite
        everywhere.

        Args:
            x_hat: `(N, 3, H, W)`, nominally in [0, 1], the restored pictures.
            x: `(N, 3, H, W)` in [0, 1], sRGB, the originals. They get no gradient.

        Returns:
            `(N,)`, in lambda units.

        Raises:
            TrainingError: the pictures are too small for it.
        """


def full_precision(
    function: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[Tensor, Tensor], Tensor]:
    """Makes a function of two batches of pictures compute in float32, or in float64 for float64.

    Local variances are differences of nearly equal numbers, so that 8 bits of bfloat16 will not do.
    """

    @wraps(function)
    def wide(x_hat: Tensor, x: Tensor) -> Tensor:
        double = torch.float64 in (x_hat.dtype, x.dtype)
        dtype = torch.float64 if double else torch.float32
        with torch.autocast(x_hat.device.type, enabled=False):
            return function(x_hat.to(dtype), x.detach().to(dtype))

    return wide


@full_precision
def mean_squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """`(N,)`, on [0, 1], of two batches `(N, 3, H, W)`."""
    return (x_hat - x).square().mean((1, 2, 3))


class Mse:
    """`255**2 * MSE`, in squared 8-bit levels."""

    def __call__(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """See `Distortion`."""
        return LEVELS**2 * mean_squared_error(x_hat, x)


def need_side(x: Tensor, side: int, name: str) -> None:
    """Checks that pictures `(N, C, H, W)` are large enough.

    Raises:
        TrainingError: they are not.
    """
    height, width = x.shape[-2:]
    if min(height, width) < side:
        raise TrainingError(
            f"{name} needs pictures of at least {side} pixels a side, not {width}x{height}: "
            f"train on larger crops or leave {name} out of the loss"
        )
