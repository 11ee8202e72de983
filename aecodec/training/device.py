"""Where bfloat16 is faster than float32."""

import torch

from aecodec.errors import TrainingError


def computes_bfloat16(device: torch.device) -> bool:
    """Whether products of bfloat16 are worth their rounding on `device`.

    A CPU without AVX-512 emulates them: a training step took 61 s instead of 2 s on one core of
    Zen 3 (torch 2.14), more than half of which was not even the networks but the optimizer.
    """
    return device.type != "cpu" or torch.backends.cpu.get_cpu_capability() == "AVX512"


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
