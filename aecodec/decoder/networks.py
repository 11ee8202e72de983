"""What decoding needs of a model, behind one interface for every runtime.

Rows of tiles and latents speak to these protocols in NumPy arrays; `loading.py` chooses the
runtime.
"""

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from aecodec.decoder.prior_tables import Ints, PriorTables
from aecodec.decoder.work_sharing import Crew
from aecodec.models.config import ModelConfig
from aecodec.picture.pixels import Pixels

YHat = npt.NDArray[np.int16]
Known = npt.NDArray[np.float32]
Features = TypeVar("Features")


class PriorNetworks(Protocol[Features]):
    """The exact networks of the prior; SPECIFICATION.md, section 10. All arrays hold integers."""

    def features(self, z_hat: Ints, quality_index: int) -> Features:
        """`(h/4, w/4, Z)` hyper-latents to what the other methods take, of `(h, w)` places."""

    def first(self, features: Features) -> Known:
        """Offsets and normed means of pass 1, `(h, w, 2M)`, for the caller to keep."""

    def corrections(self, number: int, known: Known, features: Features) -> Known:
        """What pass `number`, 1 to 3 counted from 0, adds to them where it codes.

        Args:
            number: of the pass.
            known: `(h, w, M)`, the latents known so far, in the networks' unit.
            features: see `features`.

        Returns:
            `(4, h/2, w/2, M/2)`: each quarter of the channels at its place.
        """


class SynthesisNetwork(Protocol):
    """The exact synthesis; SPECIFICATION.md, section 11."""

    def pixels(
        self, y_hat: YHat, quality_index: int, *, scale: int, inside: tuple[int, int],
        sixteen_bit: bool, gray: bool,
    ) -> Pixels:  # fmt: skip
        """Samples of a window.

        Args:
            y_hat: `(h, w, M)` latents in 1/16 step.
            quality_index: row of the quality grid.
            scale: 1, 2, 4 or 8 pixels a side that become one.
            inside: height and width in pixels, from the corner, where the picture ends.
            sixteen_bit: samples up to 65535 rather than 255.
            gray: one channel rather than three.

        Returns:
            `(16h / scale, 16w / scale, 3)`, or without the last axis for gray; undefined beyond
            the picture.
        """


@dataclass(frozen=True, eq=False)
class Prior:
    """The exact prior: its tables and its networks."""

    tables: PriorTables
    networks: PriorNetworks[Any]


@dataclass(frozen=True, eq=False)
class DecoderModel:
    """A model ready for decoding.

    Attributes:
        model_id: 4 bytes.
        config: sizes.
        prior: of the latents.
        synthesis: latents to pixels.
        crew: the threads that both work with.
    """

    model_id: bytes
    config: ModelConfig
    prior: Prior
    synthesis: SynthesisNetwork
    crew: Crew
