"""Integers on float carriers: what keeps them exact in torch, whatever the caller has set.

Every sum of the exact networks stays below 2**24, so that float32 holds it exactly in any order.
That fails where products are rounded: in a caller's autocast, or with a lowered precision of
float32 products. The first is switched off for the time of a computation; with the second the
carriers are float64, to which such settings do not apply. A caller's default device is left aside
in the same way, and a default type concerns nothing, for tensors are made of a stated one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from copy import deepcopy
from functools import cached_property, wraps
from typing import Concatenate, Generic, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from aecodec.models.weights import TensorTree

ACCUMULATOR_LIMIT = 2**24
SHIFT_MAX = 24

P = ParamSpec("P")
R = TypeVar("R")
Owner = TypeVar("Owner")
Network = TypeVar("Network", bound=nn.Module)


def tensor_of(tensors: TensorTree, name: str) -> Tensor:
    """A tensor of a part, of the type that it has in the file.

    Raises:
        WeightsError: there is none of that name.
    """
    return torch.tensor(tensors.array(name))


def exactly(
    function: Callable[Concatenate[Owner, P], R],
) -> Callable[Concatenate[Owner, P], R]:
    """Runs a method without gradients, without autocast, and on the CPU."""

    @wraps(function)
    def run(self: Owner, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with undisturbed(inference=True):
            return function(self, *args, **kwargs)

    return run


@contextmanager
def undisturbed(*, inference: bool) -> Iterator[None]:
    """Leaves a caller's modes aside: autocast, devices, and whether gradients are on.

    Args:
        inference: leaves gradients out; otherwise tensors are made as those that have them.
    """
    elsewhere = torch.get_default_device().type != "cpu"
    with (
        torch.inference_mode(mode=inference),
        torch.set_grad_enabled(not inference),
        torch.autocast("cpu", enabled=False),
        torch.device("cpu") if elsewhere else nullcontext(),
    ):
        yield


def is_full_precision() -> bool:
    """Whether products of float32 are products of float32 in this process."""
    with suppress(RuntimeError):  # where precisions were set by backend, which are asked for next
        if torch.get_float32_matmul_precision() != "highest":
            return False
    backend = torch.backends.mkldnn
    parts = (torch.backends, backend, getattr(backend, "matmul", 0), getattr(backend, "conv", 0))
    return not any(getattr(part, "fp32_precision", "ieee") in ("bf16", "tf32") for part in parts)


class Carried(Generic[Network]):
    """A network on float32 carriers, and on float64 ones for callers who lowered the precision."""

    def __init__(self, network: Network) -> None:
        """Takes a network of float32, which is frozen."""
        self.single = network.eval().requires_grad_(False)

    @cached_property
    def double(self) -> Network:
        """The same network on float64."""
        return deepcopy(self.single).double()

    @property
    def network(self) -> Network:
        """The network that is exact with the caller's present settings."""
        return self.single if is_full_precision() else self.double
