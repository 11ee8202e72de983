"""The loss of one tile's latents and where it falls, for the encoder's search alone.

It runs the networks of training: rounding and clipping are those of the exact prior and pass
gradients on as if they were not there (straight-through, Theis et al., "Lossy Image Compression
with Compressive Autoencoders", section 2.2; nothing passes where a value is clipped). So a gradient
tells what a latent does to the probabilities of those that are coded after it, and what a
hyper-latent does to all. The bits are those of the coder's tables. The distortion is that of the
synthesis in real numbers, which differs from the decoder's by its rounding. Decoders need nothing
of this.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aecodec.autoencoder.caller_settings import undisturbed
from aecodec.autoencoder.layers import ACTIVATION_STEP
from aecodec.autoencoder.priors import RatePoint
from aecodec.autoencoder.quantization import quantize
from aecodec.autoencoder.transforms import to_model_space
from aecodec.decoder.latents import Floats
from aecodec.format.constants import (
    GROUP,
    MEAN_FRACTION,
    NORM_FRACTION,
    NORM_OFFSET,
    RECIPROCAL_SHIFT,
    SCALE_FRACTION,
    SCALE_LEVELS,
)
from aecodec.format.quality import lmbda, relative_quality

if TYPE_CHECKING:
    from aecodec.encoder.networks import EncoderModel
    from aecodec.encoder.tile_view import TileView

Rounding = Callable[[Floats, npt.NDArray[np.uint8]], Floats]
"""Residuals and the levels of their tables to symbols, see `dead_zone.DeadZone`."""


@dataclass(frozen=True, eq=False)
class LossGradient:
    """Loss at one choice of latents, in bits, and where it falls.

    Attributes:
        bits: of all symbols, without the coder's last words.
        distortion: `weight * squared error` over the window.
        decoded: `(h, w, M)`, the decoded latents.
        latents: `(h, w, M)`, by how much the loss rises for each step of a decoded latent, but for
            what its own symbol costs.
        hyper: `(h/4, w/4, Z)`, likewise for each step of a hyper-latent.
    """

    bits: float
    distortion: float
    decoded: Floats
    latents: Floats
    hyper: Floats

    @property
    def loss(self) -> float:
        """The loss in bits."""
        return self.bits + self.distortion


class Objective:
    """`bits + lambda * 255**2 * squared error` of one tile, for each of its pixels' samples."""

    def __init__(self, model: "EncoderModel", view: "TileView", quality_index: int) -> None:
        """Takes what stays the same over the search.

        Args:
            model: the encoder.
            view: the tile; its surroundings are decoded as the analysis leaves them.
            quality_index: row of the quality grid.
        """
        self._model, self._view = model, view
        q = relative_quality(quality_index)
        with undisturbed():
            self._q = torch.tensor([q], dtype=torch.float32)
            self._x, self._y = to_model_space(view.pixels), _batch(view.y).clone()
            self._point = rate_point(model, quality_index)
        self._weight = lmbda(q) * 255.0**2 / 3.0

    def __call__(self, target: Floats, z: Floats, rounding: Rounding) -> LossGradient:
        """Loss and gradient of what `target` and `z` are quantized to.

        Args:
            target: `(h, w, M)`, real latents.
            z: `(h/4, w/4, Z)`, integers.
            rounding: residuals to symbols.
        """
        with undisturbed():
            return self._evaluate(target, z, rounding)

    def _evaluate(self, target: Floats, z: Floats, rounding: Rounding) -> LossGradient:
        height, width = target.shape[:2]
        missing = (-height % GROUP, -width % GROUP)
        padded = _batch(np.pad(target, ((0, missing[0]), (0, missing[1]), (0, 0))))
        z_hat = _batch(z).clone().requires_grad_(True)
        moved = torch.zeros_like(padded).requires_grad_(True)
        symbols = torch.zeros_like(padded)
        coded = torch.zeros_like(padded[:, :1])
        coded[:, :, :height, :width] = 1.0

        def code(residual: Tensor, index: Tensor, mask: Tensor) -> Tensor:
            levels = quantize(index.detach()).clamp_(0, SCALE_LEVELS - 1)
            rounded = _batch(rounding(_array(residual), _array(levels).astype(np.uint8)))
            part = rounded * coded * mask
            symbols.add_(part)
            # A symbol other than zero follows its mean so that the latent stays what it is, which
            # costs or saves bits; a zero stays one, and its latent is the mean.
            return part + (part != 0) * (residual - residual.detach()) + moved

        latents = self._model.trainable.prior.code(
            padded, z_hat, self._point, code, mixed=False, quantized=True
        )
        residual = latents.residual
        following = symbols + (symbols != 0) * (residual - residual.detach())
        model = self._model.trainable
        y_bits = (model.latent_costs(following, latents.index) * coded).sum(dtype=torch.float64)
        channels = torch.arange(z.shape[2], dtype=torch.float32)[:, None, None]
        bits = y_bits + model.hyper_costs(z_hat, channels).sum(dtype=torch.float64)
        y_hat = latents.y_hat[:, :, :height, :width]
        distortion = self.distortion(y_hat)
        by_latent, by_hyper = torch.autograd.grad(bits + distortion, (moved, z_hat))
        decoded, found, hyper = (
            np.ascontiguousarray(_array(each))
            for each in (y_hat, by_latent[:, :, :height, :width], by_hyper)
        )
        return LossGradient(bits.item(), distortion.item(), decoded, found, hyper)

    def distortion(self, y_hat: Tensor) -> Tensor:
        """The weighted squared error over the window, if `y_hat` `(1, M, h, w)` is decoded."""
        view, y = self._view, y_hat
        if y.shape != self._y.shape:
            y = self._y.clone()
            y[:, :, view.rows, view.columns] = y_hat
        height, width = view.size
        x_hat = self._model.trainable.synthesis(y, self._q)
        error = (x_hat.clamp(0.0, 1.0) - self._x)[:, :, :height, :width]
        squared: Tensor = error.square().sum() * self._weight
        return squared


def rate_point(model: "EncoderModel", quality_index: int) -> RatePoint:
    """The exact prior's tables for `ContextPrior.code`."""
    tables = model.decoder.prior.tables
    base = tables.base[quality_index]
    norm = tables.norms[base - NORM_OFFSET] / NORM_FRACTION
    steps = tables.reciprocals[base - NORM_OFFSET] * (MEAN_FRACTION / 2**RECIPROCAL_SHIFT)
    stored = model.weights.tensors["prior"]["tables"].array("rate_features")[quality_index]
    base_index, norms, reciprocal, features = (
        torch.from_numpy(part.astype(np.float32))[None, :, None, None]
        for part in (base / SCALE_FRACTION, norm, steps * ACTIVATION_STEP, stored * ACTIVATION_STEP)
    )
    return RatePoint(base_index, norms, reciprocal, features)


def _batch(array: Floats) -> Tensor:
    """`(h, w, C)` to `(1, C, h, w)` in the same memory."""
    return torch.from_numpy(array).permute(2, 0, 1)[None]


def _array(batch: Tensor) -> Floats:
    """`(1, C, h, w)` to `(h, w, C)` in the same memory."""
    array: Floats = batch.detach()[0].permute(1, 2, 0).numpy()
    return array
