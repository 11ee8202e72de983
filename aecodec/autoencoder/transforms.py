"""The three real transforms: analysis g_a, synthesis g_s, hyper-analysis h_a.

The hyper-synthesis belongs to the prior (`priors.py`), because its arithmetic must be exact.
Everything runs at strides 8 to 64: an 8x8 patch of pixels becomes 192 channels at once.

They are those of training and, the synthesis, of the encoder's search. Decoders and encoders use
exact integer forms of all three, SPECIFICATION.md, sections 11 and 19.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from aecodec.autoencoder.layers import Block, RateGain
from aecodec.format.constants import PATCH, PATCH_CHANNELS

HYPER_SCALE = 2.0
"""Factor of what the hyper-analysis' last layer gives."""


def to_model_space(pixels: npt.NDArray[np.uint8 | np.uint16]) -> Tensor:
    """`(H, W, 3)` or `(H, W)`, uint8 or uint16, to `(1, 3, H, W)` float32 in [0, 1], channels_last.

    Gray becomes three equal channels.
    """
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    # Read-only arrays are copied: torch warns of them.
    x = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(2, 0, 1)[None]
    return x.float().mul_(1 / np.iinfo(pixels.dtype).max)


def autocast(x: Tensor, *, enabled: bool) -> torch.autocast:
    """The region in which block convolutions may run in bfloat16 (training only)."""
    return torch.autocast(x.device.type, torch.bfloat16, enabled=enabled)


def to_cells(x: Tensor) -> Tensor:
    """`(N, 3, H, W)` to `(N, 192, H/8, W/8)`, channels_last: one copy of what is channels_last.

    The same values as `pixel_unshuffle`, which takes three copies for that layout.
    """
    n, channels, height, width = x.shape
    rows, columns = height // PATCH, width // PATCH
    cells = x.permute(0, 2, 3, 1).reshape(n, rows, PATCH, columns, PATCH, channels)
    cells = cells.permute(0, 1, 3, 5, 2, 4).reshape(n, rows, columns, -1)
    return cells.permute(0, 3, 1, 2)


class AnalysisTransform(nn.Module):
    """Pixels to latents, in units of one quantization step at quality q."""

    def __init__(
        self, channels: int, latent_channels: int, blocks: int, coarse_blocks: int = 1
    ) -> None:
        super().__init__()
        self.entry = nn.Conv2d(PATCH_CHANNELS, channels, 1)
        self.first = Block(channels)
        self.inner_gain = RateGain(channels)
        self.blocks = nn.Sequential(*(Block(channels) for _ in range(blocks - 1)))
        self.down = nn.Conv2d(channels, latent_channels, 2, stride=2)
        self.coarse = nn.Sequential(*(Block(latent_channels) for _ in range(coarse_blocks - 1)))
        self.last = Block(latent_channels)
        self.outer_gain = RateGain(latent_channels)

    def forward(self, x: Tensor, q: Tensor, *, mixed: bool = False) -> Tensor:
        """`x` is `(N, 3, H, W)` in [0, 1], H and W divisible by 16; `q` is `(N,)` in [0, 1].

        Returns:
            `(N, M, H/16, W/16)`, real-valued latents y.
        """
        return self.finish(self.begin(x, mixed=mixed), q, mixed=mixed)

    def begin(self, x: Tensor, *, mixed: bool = False) -> Tensor:
        """What does not depend on the quality, `(N, C, H/8, W/8)`."""
        h = self.entry(to_cells(x) - 0.5)
        with autocast(x, enabled=mixed):
            begun: Tensor = self.first(h)
        return begun

    def finish(self, h: Tensor, q: Tensor, *, mixed: bool = False) -> Tensor:
        """The latents, of what `begin` gave, which stays as it is."""
        h = h * self.inner_gain(q)  # (N, C, H/8, W/8)
        with autocast(h, enabled=mixed):
            h = self.blocks(h)
        h = self.down(h)  # (N, M, H/16, W/16)
        with autocast(h, enabled=mixed):
            h = self.last(self.coarse(h))
        y: Tensor = h * self.outer_gain(q)
        return y


class SynthesisTransform(nn.Module):
    """Latents to pixels."""

    def __init__(
        self, channels: int, latent_channels: int, blocks: int, coarse_blocks: int = 1
    ) -> None:
        super().__init__()
        self.outer_gain = RateGain(latent_channels)
        self.first = Block(latent_channels)
        self.coarse = nn.Sequential(*(Block(latent_channels) for _ in range(coarse_blocks - 1)))
        self.up = nn.ConvTranspose2d(latent_channels, channels, 2, stride=2)
        self.blocks = nn.Sequential(*(Block(channels) for _ in range(blocks - 1)))
        self.inner_gain = RateGain(channels)
        self.last = Block(channels)
        self.exit = nn.Conv2d(channels, PATCH_CHANNELS, 1)

    def forward(self, y_hat: Tensor, q: Tensor, *, mixed: bool = False) -> Tensor:
        """`y_hat` is `(N, M, h, w)`; `q` is `(N,)` in [0, 1], or `(N, h, w)` of each latent.

        Returns:
            `(N, 3, 16h, 16w)`, nominally in [0, 1], not clipped.
        """
        h = self.features(y_hat, q, mixed=mixed)
        return functional.pixel_shuffle(self.exit(h), PATCH) + 0.5

    def features(self, y_hat: Tensor, q: Tensor, *, mixed: bool = False) -> Tensor:
        """What the last layer, which is linear, turns into patches: `(N, C, 2h, 2w)`."""
        h = y_hat * self.outer_gain(q)
        with autocast(h, enabled=mixed):
            h = self.coarse(self.first(h))
        h = self.up(h)  # (N, C, 2h, 2w)
        with autocast(h, enabled=mixed):
            h = self.blocks(h)
        if q.dim() == 3:
            q = q.repeat_interleave(2, 1).repeat_interleave(2, 2)
        h = h * self.inner_gain(q)
        with autocast(h, enabled=mixed):
            last: Tensor = self.last(h)
        return last


class HyperAnalysis(nn.Module):
    """Normalized latents to hyper-latents."""

    def __init__(self, latent_channels: int, channels: int, hyper_channels: int) -> None:
        super().__init__()
        self.entry = nn.Conv2d(latent_channels, channels, 1)
        self.first = Block(channels)
        self.down = nn.Conv2d(channels, channels, 2, stride=2)
        self.second = Block(channels)
        self.exit = nn.Conv2d(channels, hyper_channels, 2, stride=2)

    def forward(self, y: Tensor, *, mixed: bool = False) -> Tensor:
        """`(N, M, h, w)` of order one, h and w divisible by 4, to `(N, Z, h/4, w/4)`."""
        with autocast(y, enabled=mixed):
            h = self.first(self.entry(y).to(y.dtype))
            h = self.second(self.down(h).to(y.dtype))
            z: Tensor = self.exit(h)
        return z.to(y.dtype) * HYPER_SCALE
