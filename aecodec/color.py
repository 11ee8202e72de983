"""Pixels of 8 or 16 bits to the model's input and back, with stated rounding."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def to_model_space(pixels: npt.NDArray[np.uint8 | np.uint16]) -> Tensor:
    """`(H, W, 3)` or `(H, W)`, uint8 or uint16, to `(1, 3, H, W)` float32 in [0, 1], channels_last.

    Gray becomes three equal channels.
    """
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    # Read-only arrays are copied: torch warns of them.
    x = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(2, 0, 1)[None]
    return x.float().mul_(1 / np.iinfo(pixels.dtype).max)


def to_pixels(
    x_hat: Tensor, *, gray: bool, maximum: int = 255
) -> npt.NDArray[np.uint8 | np.uint16]:
    """`(1, 3, H, W)` nominally in [0, 1] to `(H, W, 3)`, or `(H, W)` when `gray`.

    Gray is the mean of the channels. Values are clipped and rounded half up to `maximum`, 255 for
    uint8 or 65535 for uint16.
    """
    x = x_hat.mean(1, keepdim=True) if gray else x_hat
    dtype = torch.uint8 if maximum == 255 else torch.uint16
    pixels = (x * maximum + 0.5).clamp_(0, maximum).to(dtype).permute(0, 2, 3, 1)[0]
    array: npt.NDArray[np.uint8 | np.uint16] = pixels.contiguous().numpy()
    return array[:, :, 0] if gray else array
