"""What a command sets for its own process, so that it runs fast.

Only commands do so: a library must not change the process of the programs that use it. What
libraries read when they are imported must be set before.
"""

import gc
import os
import sys
from functools import cache

SPIN_COUNT = "1000"
"""Rounds that GNU OpenMP's threads wait in a loop before they sleep, by default 300,000.

Where other processes hold some of the cores, waiting takes most of the time with the default.
"""

_OBJECTS_BEFORE_COLLECTION = 100_000
"""Imports make tens of thousands of objects that stay, which need no search for garbage."""

_SPIN_CHOICES = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}

_M_TRIM_THRESHOLD = -1

_M_MMAP_THRESHOLD = -3

_MMAP_BYTES = 32 * 2**20
"""Blocks up to this size, the largest that 64-bit glibc allows, come from the heap."""

_KEEP_BYTES = 256 * 2**20
"""Free memory that the process may keep at the top of its heap."""

_MEMORY_CHOICES = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"}


def prepare_process(*, torch: bool = False) -> None:
    """Sets how threads work and how memory is found and freed, unless the user has made choices.

    Args:
        torch: whether the work will need torch.
    """
    keep_freed_memory()
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION, *gc.get_threshold()[1:])
    if "numpy" not in sys.modules:  # whose BLAS would start threads that nobody uses
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if torch and "torch" not in sys.modules and not _SPIN_CHOICES & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT


@cache
def keep_freed_memory() -> bool:
    """Asks the C library, once and for the whole process, to keep freed memory.

    Activations come back for every layer of every picture. glibc hands large blocks back to the
    system as soon as they are freed, and each new one then costs page faults: about a fifth of the
    time of a whole compression or decompression, and a tenth of a training step's.

    Returns:
        False where it is not glibc, or where the user has made a choice of their own in
        `MALLOC_TRIM_THRESHOLD_` or `MALLOC_MMAP_THRESHOLD_`.
    """
    if not _is_glibc() or _MEMORY_CHOICES & os.environ.keys():
        return False
    import ctypes  # here, for `info` needs it not

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES) and mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES))


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):  # systems without this name, or without any
        return False
