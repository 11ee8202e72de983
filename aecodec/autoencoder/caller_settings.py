"""Keeps what a caller has set in torch out of a computation: autocast, devices, gradients."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")
Owner = TypeVar("Owner")


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
