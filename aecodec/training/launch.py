"""What torchrun and the system tell of a process and its start; loads no torch."""

import os
import time
from pathlib import Path

LAUNCHED, RESTARTS = "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"
"""Names in the environment."""
_START_FIELD = 19
"""When a process began, among what /proc tells of it after its name."""


def is_launched() -> bool:
    """Whether torchrun has started this process."""
    return LAUNCHED in os.environ


def restarts() -> int:
    """How often torchrun has started the processes of this run anew after a failure."""
    return int(os.environ.get(RESTARTS, "0")) if is_launched() else 0


def attempt() -> str:
    """A name for what is agreed on until the next restart.

    On one machine torchrun keeps its store of agreements over restarts. On several it can be told
    to make a new one each time, and there each machine has a count of its own.
    """
    alone = os.environ.get("LOCAL_WORLD_SIZE") == os.environ.get("WORLD_SIZE")
    return f"aecodec/{restarts() if alone else 0}"


def seconds_since_launch() -> float:
    """Age of torchrun, restarts included; 0 without it, or where the system does not tell."""
    return (process_age(os.getppid()) or 0.0) if is_launched() else 0.0


def process_age(number: int) -> float | None:
    """Seconds since a process began; None where the system, which must be Linux, does not tell."""
    try:
        told = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
        began = int(told.rpartition(")")[2].split()[_START_FIELD]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began)
    except (OSError, ValueError, IndexError, AttributeError):
        return None
