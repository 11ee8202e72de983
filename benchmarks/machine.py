"""The machine that measures: what it is, and how much of it codecs may use."""

import os
import platform
from pathlib import Path

import torch
from PIL import AvifImagePlugin, features
from PIL import __version__ as pillow_version

from aecodec import __version__ as aecodec_version
from aecodec.decoder.threads import usable_cores


def hold_threads(threads: int) -> None:
    """Lets codecs and metrics use so many threads, as far as they can be told."""
    # For libraries that are not loaded yet: FLIP brings its own OpenMP.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    AvifImagePlugin.DEFAULT_MAX_THREADS = threads


def machine_facts() -> dict[str, str | int]:
    """What a reader must know of the machine to judge the numbers."""
    return {
        "aecodec": aecodec_version,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pillow": pillow_version,
        "libjpeg": _feature("libjpeg_turbo", "jpg"),
        "libwebp": _feature("webp"),
        "libavif": _feature("avif"),
        "machine": platform.machine(),
        "processor": _processor(),
        "system": platform.system(),
        "cpus": os.cpu_count() or 1,
        "usable cpus": usable_cores(),
        "threads": torch.get_num_threads(),
        "load average": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
    }


def _processor() -> str:
    """The name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, names), platform.processor() or "unknown")


def _feature(*names: str) -> str:
    return next((str(v) for v in map(features.version, names) if v), "absent")
