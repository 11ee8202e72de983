"""Keeps freed memory in the process: activations come back for every layer of every picture.

glibc hands large blocks back to the system as soon as they are freed, and each new one then
costs page faults: about a fifth of the time of a whole compression or decompression, and a tenth
of a training step's.
"""

import ctypes
import os
import platform
from functools import cache

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_MMAP_BYTES = 32 * 2**20
"""Blocks up to this size, the largest that 64-bit glibc allows, come from the heap."""
_KEEP_BYTES = 256 * 2**20
"""Free memory that the process may keep at the top of its heap."""

_USER_CHOICES = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"}


@cache
def keep_freed_memory() -> bool:
    """Asks the C library, once and for the whole process, to keep freed memory.

    Returns:
        False where it is not glibc, or where the user has made a choice of their own in
        `MALLOC_TRIM_THRESHOLD_` or `MALLOC_MMAP_THRESHOLD_`.
    """
    if platform.libc_ver()[0] != "glibc" or _USER_CHOICES & os.environ.keys():
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES) and mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES))
