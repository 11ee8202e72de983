"""What the layers of a trained synthesis read, so that their weights can be rounded for it."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

from aecodec.autoencoder.dequantize import READERS, SCALED, blocks_of
from aecodec.autoencoder.model import HyperpriorModel
from aecodec.autoencoder.transforms import SynthesisTransform

ABSENT = 2.0**-20
"""Taken for the largest value of an input that never differed from zero."""
QUALITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Relative qualities at which pictures are looked at."""
BATCH = 8

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

    def of_block(self, name: str) -> "InputStatistics":
        """Those of one block, without its name."""
        prefix = f"{name}."
        return InputStatistics(
            *(
                {k.removeprefix(prefix): v for k, v in part.items() if k.startswith(prefix)}
                for part in (self.reaches, self.moments)
            )
        )


@torch.no_grad()
def picture_statistics(model: HyperpriorModel, x: Tensor) -> InputStatistics:
    """The statistics that pictures give.

    Args:
        model: a trained model.
        x: `(N, 3, H, W)` in [0, 1], sides divisible by 64.
    """

    def inputs() -> Iterator[tuple[Tensor, Tensor]]:
        for part, value in product(torch.split(x, BATCH), QUALITIES):
            q = torch.full((len(part),), value)
            yield model.estimate(model.analysis(part, q), q).y_hat, q

    return measure_inputs(model.synthesis, inputs())


@torch.no_grad()
def measure_inputs(
    synthesis: SynthesisTransform, inputs: Iterable[tuple[Tensor, Tensor]]
) -> InputStatistics:
    """The statistics that latents give, computed in float64.

    Args:
        synthesis: trained, its blocks not fused.
        inputs: pairs `(y_hat, q)` as `SynthesisTransform.forward` takes them.
    """
    synthesis = deepcopy(synthesis).double()
    largest: Reaches = {}
    products: Moments = {}

    def watch(name: str, found: Tensor) -> None:
        largest[name] = torch.maximum(largest.get(name, found), found)

    def multiply(name: str, found: Tensor) -> None:
        rows = functional.pad(found.permute(0, 2, 3, 1).flatten(0, 2), (0, 1), value=1.0)
        products[name] = products.get(name, 0) + rows.T @ rows

    for name, block in blocks_of(synthesis):
        for reader in READERS:
            conv: nn.Conv2d = getattr(block, reader)
            scale = block.scale if reader in SCALED else 1.0
            conv.register_forward_pre_hook(
                lambda _m, args, name=f"{name}.{reader}", scale=scale: watch(
                    name, (args[0] / scale).abs().amax((0, 2, 3))
                )
            )
            if conv.kernel_size == (1, 1):
                conv.register_forward_pre_hook(
                    lambda _m, args, name=f"{name}.{reader}": multiply(name, args[0])
                )
        for reader, activation in SCALED.items():
            getattr(block, reader).register_forward_hook(
                lambda _m, _args, out, name=f"{name}.{activation}": watch(name, out.abs().amax())
            )
    for y_hat, q in inputs:
        synthesis(y_hat.double(), q.double())
    reaches = {
        name: torch.ceil(torch.log2(value.clamp_min(ABSENT))).to(torch.int8)
        for name, value in largest.items()
    }
    return InputStatistics(reaches, {k: v / v[-1, -1] for k, v in products.items()})
