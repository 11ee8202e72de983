"""Bits of symbols under the coder's own tables, with gradients: for the encoder's search alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aecodec.autoencoder.quantization import quantize
from aecodec.coding.ans import SymbolTable

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Costs:
    """Bits of every symbol under every table, and how they change from table to table.

    Attributes:
        bits: `(tables, 2 * reach + 1)`, for symbols from -reach on; beyond, all cost the same.
        by_table: how many bits more the next table takes, likewise (central differences).
        by_symbol: how many bits more the next symbol takes, likewise.
        reach: see above.
    """

    bits: Floats
    by_table: Floats
    by_symbol: Floats
    reach: int

    @classmethod
    def of(cls, tables: Sequence[SymbolTable], reach: int) -> "Costs":
        """Tabulates."""
        symbols = np.arange(-reach, reach + 1, dtype=np.int32)
        bits = np.array([table.bits(symbols) for table in tables], np.float32)
        by_table, by_symbol = (np.gradient(bits, axis=axis).astype(np.float32) for axis in (0, 1))
        return cls(bits, by_table, by_symbol, reach)

    def __call__(self, symbols: Tensor, index: Tensor) -> Tensor:
        """Bits of each symbol, with the gradients that the attributes tell.

        Args:
            symbols: integers, any shape.
            index: numbers of their tables, of a shape that fits, not rounded. Those beyond the
                first and the last table stand for these and have no gradient.
        """
        bits: Tensor = _Lookup.apply(symbols, index, self)
        return bits


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, symbols: Tensor, index: Tensor, costs: Costs) -> Tensor:  # noqa: ANN401  # torch's
        tables, symbols_each = costs.bits.shape
        numbers = quantize(index)
        inside = (numbers >= 0) & (numbers < tables)
        rows = numbers.clamp(0, tables - 1).long() * symbols_each
        places = rows + (symbols.clamp(-costs.reach, costs.reach).long() + costs.reach)
        bits, by_table, by_symbol = (
            torch.from_numpy(part).view(-1)[places]
            for part in (costs.bits, costs.by_table, costs.by_symbol)
        )
        ctx.save_for_backward(by_symbol, by_table * inside)
        return bits

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:  # noqa: ANN401  # torch's
        by_symbol, by_table = ctx.saved_tensors
        return grad * by_symbol, grad * by_table if ctx.needs_input_grad[1] else None, None
