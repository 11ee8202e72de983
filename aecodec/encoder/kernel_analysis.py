"""The exact analysis on the kernel, in the units of the encoder."""

import numpy as np

from aecodec.decoder.latents import Floats
from aecodec.decoder.native import NativeAnalysis
from aecodec.decoder.native_library import LibraryError
from aecodec.decoder.networks import DecoderModel
from aecodec.encoder.numpy_analysis import HYPER_STEP, LATENT_STEP
from aecodec.models.weights import Array, Weights
from aecodec.picture.pixels import Pixels

Y_MIN, Y_MAX = -(2**22), 2**22 - 1


class KernelAnalysis:
    """`networks.AnalysisNetworks` on the kernel."""

    def __init__(self, native: NativeAnalysis) -> None:
        """Takes the analysis of a model."""
        self._native = native

    def begin(self, pixels: Pixels) -> Array:
        """See `networks.AnalysisNetworks`."""
        return self._native.begin(pixels)

    def finish(self, begun: Array, quality_index: int) -> Floats:
        """See `networks.AnalysisNetworks`."""
        y = self._native.finish(begun.astype(np.int32, copy=False), quality_index)
        return y.astype(np.float32) * LATENT_STEP

    def hyper(self, y: Floats, quality_index: int) -> Floats:
        """See `networks.AnalysisNetworks`."""
        rounded = np.floor(y.astype(np.float64) / LATENT_STEP + 0.5).clip(Y_MIN, Y_MAX)
        z = self._native.hyper(rounded.astype(np.int32), quality_index)
        return z.astype(np.float32) * HYPER_STEP


def native_analysis(weights: Weights, decoder: DecoderModel) -> KernelAnalysis | None:
    """The analysis of a model whose decoder is on the kernel, too; None where it is not."""
    if decoder.native is None:
        return None
    try:
        return KernelAnalysis(NativeAnalysis(weights, decoder.native.threads))
    except LibraryError:
        return None
