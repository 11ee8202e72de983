"""Where to train, and in what numbers."""

from collections import deque
from collections.abc import Callable

import torch

from aecodec.autoencoder.model import ForwardOutput, HyperpriorModel
from aecodec.errors import TrainingError

BACKLOG = 4
"""Steps that may wait on a GPU."""


def default_device() -> str:
    """The best device at hand: CUDA, MPS, else the CPU."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def check_device(device: str) -> None:
    """Checks that `device` can hold a tensor.

    Raises:
        TrainingError: it cannot.
    """
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as exc:
        reason = str(exc).splitlines()[0]
        raise TrainingError(f"device {device!r} is not usable here: {reason}") from exc


def computes_bfloat16(device: torch.device) -> bool:
    """Whether products of bfloat16 are worth their rounding on `device`.

    A CPU without AVX-512 emulates them, many times slower than float32.
    """
    return device.type != "cpu" or torch.backends.cpu.get_cpu_capability() == "AVX512"


def compiled(model: HyperpriorModel, device: torch.device) -> Callable[..., ForwardOutput]:
    """The model compiled for one shape; on CUDA its launches are recorded as graphs as well."""
    mode = "reduce-overhead" if device.type == "cuda" else None
    run: Callable[..., ForwardOutput] = torch.compile(model, mode=mode, dynamic=False)
    return run


class Backlog:
    """Lets the host be a few steps ahead of a GPU, which never idles for that, but no more."""

    def __init__(self, device: torch.device) -> None:
        """Does nothing on other devices than CUDA's."""
        self._asynchronous = device.type == "cuda"
        self._events: deque[torch.cuda.Event] = deque()

    def limit(self) -> None:
        """Waits for the step that lies `BACKLOG` steps back; called after each."""
        if self._asynchronous:
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch
            event.record()
            self._events.append(event)
            if len(self._events) > BACKLOG:
                self._events.popleft().synchronize()
