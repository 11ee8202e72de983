"""Pixels of 8 or 16 bits to the model's input."""

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
