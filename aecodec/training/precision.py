"""Where bfloat16 is faster than float32."""

import torch


def computes_bfloat16(device: torch.device) -> bool:
    """Whether products of bfloat16 are worth their rounding on `device`.

    A CPU without AVX-512 emulates them: a training step took 61 s instead of 2 s on one core of
    Zen 3 (torch 2.14), more than half of which was not even the networks but the optimizer.
    """
    return device.type != "cpu" or torch.backends.cpu.get_cpu_capability() == "AVX512"
