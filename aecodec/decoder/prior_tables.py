"""The prior's tables: from what its networks say to levels, means and symbol tables.

SPECIFICATION.md, sections 10 and 15, defines them.
"""

import numpy as np
import numpy.typing as npt

from aecodec.coding.ans import SymbolTable
from aecodec.errors import WeightsError
from aecodec.format.constants import (
    ACTIVATION_MAX,
    HYPER_RADIUS,
    NORM_OFFSET,
    NORM_SHIFT,
    NORM_SIZE,
    RECIPROCAL_SHIFT,
    SCALE_FRACTION,
    SCALE_LEVELS,
)
from aecodec.models.weights import TensorTree

HALF_LEVEL = SCALE_FRACTION // 2

Ints = npt.NDArray[np.int64]
Outputs = npt.NDArray[np.int32]
"""What networks give, below 2**25 in size."""


class PriorTables:
    """Everything of the exact prior that is not a network.

    Attributes:
        base: `(401, M)`, base scale in 1/16 levels.
        norms: `(2560,)`, norm in 1/64, by base scale minus `NORM_OFFSET`.
        reciprocals: `(2560,)`, 2**21 / norm.
        scale_tables: of each level.
        hyper_tables: of each channel of the hyper-latents.
    """

    def __init__(self, tensors: TensorTree) -> None:
        """Takes the part `prior.tables` of a weights file.

        Raises:
            WeightsError: the tables do not fit together.
        """
        self.base: Ints = tensors.array("base").astype(np.int64)
        self.norms: Ints = tensors.array("norms").astype(np.int64)
        self.reciprocals: Ints = tensors.array("reciprocals").astype(np.int64)
        if not 0 <= self.base.min() - NORM_OFFSET <= self.base.max() - NORM_OFFSET < NORM_SIZE:
            raise WeightsError("a base scale lies outside the table of norms")
        sizes = tensors.array("scale_sizes").tolist()
        counts = tensors.array("scale_counts").astype(np.int64)
        if min(sizes) < 2 or sum(sizes) != len(counts):
            raise WeightsError("the tables of the scales do not fit together")
        parts = np.split(counts, np.cumsum(sizes)[:-1])
        self.scale_tables = [SymbolTable(-((len(part) - 2) // 2), part) for part in parts]
        rows = tensors.array("hyper_counts").astype(np.int64)
        self.hyper_tables = [SymbolTable(-HYPER_RADIUS, row) for row in rows]

    @property
    def latent_channels(self) -> int:
        """M, the channels of the latents."""
        return int(self.base.shape[1])

    def levels(self, offsets: Outputs, base: Ints) -> npt.NDArray[np.uint8]:
        """Scale levels from the networks' offsets `(..., c)` and their base scales."""
        levels = offsets + (base + HALF_LEVEL).astype(np.int32)
        levels >>= 4
        return levels.clip(0, SCALE_LEVELS - 1, out=levels).astype(np.uint8)

    def means(self, normed: Outputs, base: Ints) -> Ints:
        """Means in 1/16 step from the networks' normed means `(..., c)`."""
        means: Ints = normed * self.norms[base - NORM_OFFSET]
        means += 1 << (NORM_SHIFT - 1)
        means >>= NORM_SHIFT
        return means

    def known(self, y_hat: Ints, base: Ints) -> Ints:
        """What the networks read of `y_hat` `(..., c)`, given in 1/16 step."""
        known: Ints = y_hat * self.reciprocals[base - NORM_OFFSET]
        known += 1 << (RECIPROCAL_SHIFT - 1)
        known >>= RECIPROCAL_SHIFT
        return known.clip(-ACTIVATION_MAX, ACTIVATION_MAX - 1, out=known)
