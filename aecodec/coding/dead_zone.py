"""Rounding that weighs what a symbol costs against the error that it saves.

A latent's error e adds `w * e**2` bits to the loss `bits + lambda * 255**2 * squared error`, with
nearly the same w for all channels and qualities of a model that was trained for it: the transforms
are close to orthonormal and the gains close to one over the best uniform step, for which
w = 6 / ln 2 = 8.7. Weights files name the w that suits their model (`SearchSettings`). Symbol k
instead of k + 1 therefore pays off up to `(bits(k + 1) - bits(k)) / (2 * w)` beyond the middle
between them.
Source: Sullivan, "Efficient Scalar Quantization of Exponential and Laplacian Random Variables",
section IV (uniform reconstruction with a dead zone).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aecodec.coding.ans import SymbolTable

Floats = npt.NDArray[np.float32]

COSTS = 16
"""Magnitudes whose cost is looked at; larger symbols cost about as much as their neighbours."""

SHIFT_MAX = 0.6
"""Largest distance of a threshold from the middle between two symbols."""

EDGE_MIN = np.float32(0.5)
"""The middle between two symbols: no threshold lies nearer to zero."""

COST_STEP = 2.0**-12
"""Unit of costs, in bits: logarithms may differ between machines in their last places."""


def symbol_costs(tables: Sequence[SymbolTable]) -> Floats:
    """Bits of the symbols 0 to COSTS under each table, `(tables, COSTS + 1)`."""
    symbols = np.arange(COSTS + 1, dtype=np.int32)
    bits = np.array([table.bits(symbols) for table in tables])
    costs: Floats = (np.rint(bits / COST_STEP) * COST_STEP).astype(np.float32)
    return costs


class DeadZone:
    """Rounds residuals by cost; the symbols never exceed those of plain rounding."""

    edges: Floats
    """`(tables, COSTS)`: by the table and the whole part of a magnitude, the last one for all
    beyond, from which rest on the magnitude is rounded up."""

    def __init__(self, costs: Floats, weight: float) -> None:
        """Takes costs from `symbol_costs`, and w in bits per squared quantization step."""
        shift = np.diff(costs, axis=1) / (2.0 * weight)
        edges = EDGE_MIN + shift.clip(0.0, SHIFT_MAX).astype(np.float32)
        self.edges = np.ascontiguousarray(edges)

    def __call__(self, residual: Floats, levels: npt.NDArray[np.uint8]) -> Floats:
        """Symbols of `residual`, any shape, given the number of each one's table."""
        symbols = np.zeros(residual.shape, np.float32)
        magnitudes = np.abs(residual).reshape(-1)
        large = np.flatnonzero(magnitudes > EDGE_MIN)  # few, at most qualities
        magnitude = magnitudes[large]
        whole = np.floor(magnitude)
        places = levels.reshape(-1)[large] * np.intp(COSTS)
        places += np.minimum(whole, np.float32(COSTS - 1)).astype(np.intp)
        whole += magnitude - whole > self.edges.take(places)
        symbols.reshape(-1)[large] = np.copysign(whole, residual.reshape(-1)[large])
        return symbols
