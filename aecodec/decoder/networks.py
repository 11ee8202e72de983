"""What decoding needs of a model, behind one interface for every runtime.

Rows of tiles and latents speak to these protocols in NumPy arrays; `loading.py` chooses the
runtime.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from aecodec.decoder.prior_tables import Ints, PriorTables
from aecodec.decoder.work_sharing import Crew
from aecodec.format.quality_map import Quality
from aecodec.models.config import ModelConfig
from aecodec.picture.pixels import Pixels

YHat = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float32]
Symbols = npt.NDArray[np.int32]
Levels = npt.NDArray[np.uint8]
Means = npt.NDArray[np.int32] | npt.NDArray[np.int64]


class TilePasses(Protocol):
    """The four passes of one tile, whose symbols someone chooses or reads.

    `predict` and `put` take turns; their arrays are `(4, h/2, w/2, M/4)` of the padded grid.
    """

    def predict(self) -> tuple[Levels, Means]:
        """Levels in [0, 63] and means in 1/16 step of what the next pass codes."""

    def put(self, symbols: Symbols) -> None:
        """The pass' symbols, in [-32768, 32767], and 0 in the padding."""

    def latents(self) -> YHat:
        """`(h, w, M)` in 1/16 step, after the fourth pass."""

    def words(self) -> bytes | None:
        """Hyper-latents and symbols as words; None where the caller must code them."""


class PriorNetworks(Protocol):
    """The exact prior of one runtime; SPECIFICATION.md, sections 9 and 10."""

    def begin(self, z_hat: Ints, size: tuple[int, int], quality: Quality) -> TilePasses:
        """Begins the passes of a tile.

        Args:
            z_hat: `(ceil(h/4), ceil(w/4), Z)`, hyper-latents in [-512, 511].
            size: h and w, of the tile.
            quality: row of the quality grid, or `(h, w)` rows.
        """

    def decode(self, words: bytes, size: tuple[int, int], quality: Quality) -> YHat | None:
        """All passes of a tile at once, `(h, w, M)`; None where a runtime has no such way.

        Raises:
            PayloadError: the words do not fit the tile.
        """

    def encode(
        self, y: Floats, z_hat: Ints, quality: Quality, edges: Floats | None
    ) -> tuple[bytes, YHat] | None:
        """All passes of a tile at once for an encoder; None where a runtime has no such way.

        Args:
            y: `(h, w, M)`, in quantization steps.
            z_hat: see `begin`.
            quality: see `begin`.
            edges: `(64, 16)`, for each level and magnitude the fraction of a step beyond which a
                magnitude is rounded up; None rounds to the nearest.

        Returns:
            The words, and `(h, w, M)` as a decoder will see it.
        """


class SynthesisNetwork(Protocol):
    """The exact synthesis; SPECIFICATION.md, section 11."""

    def pixels(
        self, y_hat: YHat, quality: Quality, *, scale: int, inside: tuple[int, int],
        sixteen_bit: bool, gray: bool,
    ) -> Pixels:  # fmt: skip
        """Samples of a window.

        Args:
            y_hat: `(h, w, M)` latents in 1/16 step.
            quality: row of the quality grid, or `(h, w)` rows.
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
    networks: PriorNetworks


@dataclass(frozen=True, eq=False)
class DecoderModel:
    """A model ready for decoding.

    Attributes:
        model_id: 4 bytes.
        config: sizes.
        prior: of the latents.
        synthesis: latents to pixels.
        crew: the threads that both work with.
        is_native: whether prior and synthesis are on the kernel.
    """

    model_id: bytes
    config: ModelConfig
    prior: Prior
    synthesis: SynthesisNetwork
    crew: Crew
    is_native: bool = False
