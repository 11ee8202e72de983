"""The losses that training lowers."""

from torch import Tensor

from aecodec.autoencoder.model import ForwardOutput
from aecodec.format.quality import lmbda

LOSS_SCALE = 0.1


def rate_distortion_loss(output: ForwardOutput, q: Tensor) -> Tensor:
    """`mean((bpp + lambda * 255**2 * MSE) / sqrt(lambda))`, scaled by 0.1.

    Dividing by sqrt(lambda) makes a per cent of rate count about the same at every rate.
    """
    weight = lmbda(q)
    loss = output.bpp + weight * 255.0**2 * output.mse
    return (loss / weight.sqrt()).mean() * LOSS_SCALE
