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
from aecodec.autoencoder.mixture import Mixture
from aecodec.autoencoder.mixture_text import parse_mixture
from aecodec.autoencoder.priors import RatePoint
from aecodec.autoencoder.quantization import quantize
from aecodec.autoencoder.transforms import to_model_space
from aecodec.decoder.latents import Floats
from aecodec.encoder.picture_quality import lambda_of
from aecodec.format.constants import (
    GROUP,
    MEAN_FRACTION,
    NORM_FRACTION,
    NORM_OFFSET,
    RECIPROCAL_SHIFT,
    SCALE_FRACTION,
    SCALE_LEVELS,
    STRIDE,
)
from aecodec.format.quality import QUALITY_INDEX_MAX
from aecodec.format.quality_map import Quality, whole_cells
from aecodec.picture.ms_ssim import MS_SSIM_SIDE

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
        distortion: of the window, times its weight.
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
    """`bits + pixels * lambda * distortion` of one tile in its window.

    The distortion is what the settings of the search name, in lambda units. The squared error is
    weighed by the lambda of the cell which a pixel lies in. A mixture is a number for the whole
    window and takes the mean lambda of the window's latents. Windows of less than 161 pixels a side
    are too small for a mixture, and count by the squared error.
    """

    def __init__(self, model: "EncoderModel", view: "TileView") -> None:
        """Takes what stays the same over the search.

        Args:
            model: the encoder.
            view: the tile; its surroundings are decoded as the analysis leaves them.
        """
        self._model, self._view = model, view
        with undisturbed():
            self._q = torch.tensor(view.quality, dtype=torch.float32)[None] / QUALITY_INDEX_MAX
            self._x, self._y = to_model_space(view.pixels), _batch(view.y).clone()
            self._point = rate_point(model, view.tile_quality)
            self._weight = _weight(view)
            self._mixture = _mixture(model.search.distortion, view)

    def __call__(self, target: Floats, z: Floats, rounding: Rounding) -> LossGradient:
        """Loss and gradient of what `target` and `z` are quantized to.

        Args:
            target: `(h, w, M)`, real latents.
            z: `(h/4, w/4, Z)`, integers.
            rounding: residuals to symbols.
        """
        with undisturbed():
            return self._evaluate(target, z, rounding)

    def loss(self, target: Floats, z: Floats, rounding: Rounding) -> float:
        """The loss alone, of the same arguments."""
        with undisturbed(), torch.no_grad():
            found = self._forward(target, z, rounding)
            return found.bits.item() + found.distortion.item()

    def _evaluate(self, target: Floats, z: Floats, rounding: Rounding) -> LossGradient:
        height, width = target.shape[:2]
        found = self._forward(target, z, rounding)
        by_latent, by_hyper = torch.autograd.grad(
            found.bits + found.distortion, (found.moved, found.z_hat)
        )
        decoded, latents, hyper = (
            np.ascontiguousarray(_array(each))
            for each in (found.y_hat, by_latent[:, :, :height, :width], by_hyper)
        )
        return LossGradient(found.bits.item(), found.distortion.item(), decoded, latents, hyper)

    def _forward(self, target: Floats, z: Floats, rounding: Rounding) -> "_Evaluation":
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
        return _Evaluation(bits, self.distortion(y_hat), y_hat, moved, z_hat)

    def distortion(self, y_hat: Tensor) -> Tensor:
        """The weighted distortion of the window, if `y_hat` `(1, M, h, w)` is decoded."""
        view, y = self._view, y_hat
        if y.shape != self._y.shape:
            y = self._y.clone()
            y[:, :, view.rows, view.columns] = y_hat
        height, width = view.size
        x_hat = self._model.trainable.synthesis(y, self._q).clamp(0.0, 1.0)
        shown, x = (each[:, :, :height, :width] for each in (x_hat, self._x))
        if self._mixture is not None:
            weight = height * width * float(np.mean(lambda_of(view.quality)))
            return self._mixture(shown, x).sum() * weight
        error = shown - x
        if isinstance(self._weight, float):
            squared: Tensor = error.square().sum() * self._weight
        else:
            squared = (error.square() * self._weight).sum()
        return squared


@dataclass(frozen=True, eq=False)
class _Evaluation:
    """The loss of a tile with what it depends on; shapes as the networks have them.

    Attributes:
        bits: of all symbols.
        distortion: weighted.
        y_hat: what a decoder would see.
        moved: zeros, added to what the symbols of the latents decode to.
        z_hat: the hyper-latents.
    """

    bits: Tensor
    distortion: Tensor
    y_hat: Tensor
    moved: Tensor
    z_hat: Tensor


def rate_point(model: "EncoderModel", quality: Quality) -> RatePoint:
    """The exact prior's tables for `ContextPrior.code`, of a tile's quality or its latents'."""
    tables = model.decoder.prior.tables
    at = np.array([[quality]]) if isinstance(quality, int) else whole_cells(quality)
    base = tables.base[at]
    norm = tables.norms[base - NORM_OFFSET] / NORM_FRACTION
    steps = tables.reciprocals[base - NORM_OFFSET] * (MEAN_FRACTION / 2**RECIPROCAL_SHIFT)
    stored = model.weights.tensors["prior"]["tables"].array("rate_features")[at]
    base_index, norms, reciprocal, features = (
        _batch(part.astype(np.float32))
        for part in (base / SCALE_FRACTION, norm, steps * ACTIVATION_STEP, stored * ACTIVATION_STEP)
    )
    return RatePoint(base_index, norms, reciprocal, features)


def _mixture(text: str, view: "TileView") -> Mixture | None:
    """The distortion that a text names; None stands for the squared error."""
    if text == "mse" or min(view.size) < MS_SSIM_SIDE:
        return None
    return parse_mixture(text)


def _weight(view: "TileView") -> float | Tensor:
    """Of the squared errors of a window's samples in [0, 1], for all or `(H, W)`, for each."""
    weight = lambda_of(view.quality)
    if isinstance(weight, float):
        return weight * 255.0**2 / 3.0
    pixels = (weight * (255.0**2 / 3.0)).astype(np.float32).repeat(STRIDE, 0).repeat(STRIDE, 1)
    return torch.from_numpy(np.ascontiguousarray(pixels[: view.size[0], : view.size[1]]))


def _batch(array: Floats) -> Tensor:
    """`(h, w, C)` to `(1, C, h, w)` in the same memory."""
    return torch.from_numpy(array).permute(2, 0, 1)[None]


def _array(batch: Tensor) -> Floats:
    """`(1, C, h, w)` to `(h, w, C)` in the same memory."""
    array: Floats = batch.detach()[0].permute(1, 2, 0).numpy()
    return array
