"""What the blocks of trained transforms read, so that their weights can be rounded for it."""

from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from aecodec.autoencoder.dequantize import READERS, SCALED, blocks_of
from aecodec.autoencoder.layers import Block
from aecodec.autoencoder.model import HyperpriorModel

ABSENT = 2.0**-20
"""Taken for the largest value of an input that never differed from zero."""
QUALITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Relative qualities at which pictures are looked at."""
BATCH = 8

Transform = TypeVar("Transform", bound=nn.Module)
Reaches = dict[str, Tensor]
"""Exponents of powers of two, int8. By the name of each convolution of a block, `(I,)`, below which
each channel of what it reads stays; by the name of a block and "inner" or "outer", `()`, below
which what its activations read stays."""
Moments = dict[str, Tensor]
"""By the name of each 1x1 convolution of a block, `(I + 1, I + 1)` float64: means of the products
of its inputs and of a last one that is always 1."""


@dataclass(frozen=True, eq=False)
class InputStatistics:
    """How far the inputs of the block convolutions reach, and how they depend on each other."""

    reaches: Reaches
    moments: Moments

    def of_part(self, name: str) -> "InputStatistics":
        """Those of one transform, or of one block of a transform, without its name."""
        prefix = f"{name}."
        return InputStatistics(
            *(
                {k.removeprefix(prefix): v for k, v in part.items() if k.startswith(prefix)}
                for part in (self.reaches, self.moments)
            )
        )


class BlockWatch:
    """Looks at what the blocks of transforms read while these compute, in float64."""

    def __init__(self) -> None:
        self._largest: Reaches = {}
        self._products: Moments = {}

    def copy_of(self, transform: Transform, name: str) -> Transform:
        """A copy of a trained transform on float64, whose blocks are not fused, to be run."""
        copy = deepcopy(transform).double()
        for inner, block in blocks_of(copy):
            self._watch_block(f"{name}.{inner}", block)
        return copy

    def statistics(self) -> InputStatistics:
        """Of all that was seen."""
        reaches = {
            name: torch.ceil(torch.log2(value.clamp_min(ABSENT))).to(torch.int8)
            for name, value in self._largest.items()
        }
        return InputStatistics(reaches, {k: v / v[-1, -1] for k, v in self._products.items()})

    def _watch_block(self, name: str, block: Block) -> None:
        for reader in READERS:
            conv: nn.Conv2d = getattr(block, reader)
            scale = block.scale if reader in SCALED else 1.0
            conv.register_forward_pre_hook(
                lambda _m, args, name=f"{name}.{reader}", scale=scale: self._watch(
                    name, (args[0] / scale).abs().amax((0, 2, 3))
                )
            )
            if conv.kernel_size == (1, 1):
                conv.register_forward_pre_hook(
                    lambda _m, args, name=f"{name}.{reader}": self._multiply(name, args[0])
                )
        for reader, activation in SCALED.items():
            getattr(block, reader).register_forward_hook(
                lambda _m, _args, out, name=f"{name}.{activation}": self._watch(
                    name, out.abs().amax()
                )
            )

    def _watch(self, name: str, found: Tensor) -> None:
        self._largest[name] = torch.maximum(self._largest.get(name, found), found)

    def _multiply(self, name: str, found: Tensor) -> None:
        rows = functional.pad(found.permute(0, 2, 3, 1).flatten(0, 2), (0, 1), value=1.0)
        self._products[name] = self._products.get(name, 0) + rows.T @ rows


@torch.no_grad()
def picture_statistics(model: HyperpriorModel, x: Tensor) -> InputStatistics:
    """The statistics that pictures give, of all three transforms.

    Args:
        model: a trained model.
        x: `(N, 3, H, W)` in [0, 1], sides divisible by 64.
    """
    watch = BlockWatch()
    analysis = watch.copy_of(model.analysis, "analysis")
    hyper_analysis = watch.copy_of(model.hyper_analysis, "hyper_analysis")
    synthesis = watch.copy_of(model.synthesis, "synthesis")
    for part, value in product(torch.split(x, BATCH), QUALITIES):
        q = torch.full((len(part),), value)
        y = model.analysis(part, q)
        norm = model.prior.norm(model.prior.base_index(q))
        analysis(part.double(), q.double())
        hyper_analysis((y / norm).double())
        synthesis(model.estimate(y, q).y_hat.double(), q.double())
    return watch.statistics()
