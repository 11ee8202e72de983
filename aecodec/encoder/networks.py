"""What encoding needs of a model: the decoder, and the exact analysis behind one interface."""

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from aecodec.coding.dead_zone import symbol_costs
from aecodec.decoder.latents import Floats
from aecodec.decoder.loading import load_decoder
from aecodec.decoder.networks import DecoderModel
from aecodec.decoder.runtime_choice import LibraryError
from aecodec.encoder.numpy_analysis import NumpyAnalysis
from aecodec.models.config import SearchSettings
from aecodec.models.tensor_file import Array
from aecodec.models.weights import Weights
from aecodec.picture.pixels import Pixels

if TYPE_CHECKING:
    from aecodec.encoder.trainable import TrainableNetworks


class AnalysisNetworks(Protocol):
    """The exact analysis and hyper-analysis; SPECIFICATION.md, section 19.

    Every runtime gives the same numbers. Latents are multiples of 1/1024 step, hyper-latents of
    2**-14.
    """

    def begin(self, pixels: Pixels) -> Array:
        """What does not depend on the quality, an array that `finish` takes.

        Args:
            pixels: `(H, W, 3)` or `(H, W)`, uint8 or uint16, H and W divisible by 16.
        """

    def finish(self, begun: Array, quality_index: int) -> Floats:
        """Latents `(H/16, W/16, M)` of what `begin` gave, which stays as it is."""

    def hyper(self, y: Floats, quality_index: int) -> Floats:
        """Hyper-latents `(ceil(h/4), ceil(w/4), Z)` of one tile's latents `(h, w, M)`.

        Latents between multiples of 1/1024 are rounded to the nearest.
        """


@dataclass(frozen=True, eq=False)
class EncoderModel:
    """A model ready for encoding.

    Attributes:
        decoder: the exact decoder.
        search: settings of rounding and refinement.
        analysis: the networks that only encoders need.
        weights: what all was made of.
    """

    decoder: DecoderModel
    search: SearchSettings
    analysis: AnalysisNetworks
    weights: Weights

    def analyze(self, pixels: Pixels, quality_index: int) -> Floats:
        """Latents of pixels, see `AnalysisNetworks`."""
        return self.analysis.finish(self.analysis.begin(pixels), quality_index)

    @cached_property
    def symbol_costs(self) -> Floats:
        """Bits of small symbols under each level's table, for the dead zone."""
        return symbol_costs(self.decoder.prior.tables.scale_tables)

    @cached_property
    def trainable(self) -> "TrainableNetworks":
        """Networks with gradients, for the search alone, which needs PyTorch."""
        from aecodec.encoder.trainable import TrainableNetworks

        return TrainableNetworks(self.weights, self.decoder.prior.tables)


def load_encoder(weights: Weights, decoder: DecoderModel | None = None) -> EncoderModel:
    """Builds the encoder of a model.

    Args:
        weights: as read from a file.
        decoder: what `load_decoder` made of them, if that is there already.

    Raises:
        WeightsError: the weights would not decode exactly, or do not fit.
    """
    decoder = decoder or load_decoder(weights)
    networks = _native_analysis(weights, decoder) or _numpy_analysis(weights, decoder)
    return EncoderModel(decoder, weights.search, networks, weights)


def _native_analysis(weights: Weights, decoder: DecoderModel) -> AnalysisNetworks | None:
    """None where the decoder is not on the kernel, or the kernel does not take the analysis."""
    if not decoder.is_native:
        return None
    from aecodec.decoder.native import NativeAnalysis  # late: it needs ctypes

    with suppress(LibraryError):
        return NativeAnalysis(weights, decoder.crew.threads)
    return None


def _numpy_analysis(weights: Weights, decoder: DecoderModel) -> NumpyAnalysis:
    analysis, hyper_analysis = (weights.tensors[part] for part in ("analysis", "hyper_analysis"))
    return NumpyAnalysis(analysis, hyper_analysis, decoder.prior.tables, decoder.crew)
