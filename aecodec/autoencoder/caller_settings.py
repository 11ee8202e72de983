"""Keeps what a caller has set in torch out of a computation: autocast, devices, gradients."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leaves a caller's modes aside: gradients are on, autocast off, and tensors on the CPU."""
    elsewhere = torch.get_default_device().type != "cpu"
    with (
        torch.inference_mode(mode=False),
        torch.set_grad_enabled(True),
        torch.autocast("cpu", enabled=False),
        torch.device("cpu") if elsewhere else nullcontext(),
    ):
        yield
