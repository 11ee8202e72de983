"""Where to train, and in what numbers."""

import torch

from aecodec.errors import TrainingError


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
