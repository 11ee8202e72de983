"""Which runtime a process is asked to use, and why it may not have it."""

import os
from dataclasses import dataclass
from typing import Final

from aecodec.errors import InputError

VARIABLE: Final = "AECODEC_RUNTIME"
LEVELS: Final = ("plain", "simd128", "sse4.1", "avx2", "avx-vnni", "avx512", "neon")
"""Names of instruction levels, by their numbers."""
ANY_LEVEL: Final = -1


class LibraryError(Exception):
    """There is no kernel that could be used."""


@dataclass(frozen=True)
class Wish:
    """What the environment variable `AECODEC_RUNTIME` asks for.

    Attributes:
        native: whether the kernel may be used.
        level: number of the instruction level, or `ANY_LEVEL`.
    """

    native: bool = True
    level: int = ANY_LEVEL


def wish() -> Wish:
    """Reads the environment.

    Raises:
        InputError: the variable names no runtime.
    """
    value = os.environ.get(VARIABLE, "").strip().lower()
    if value in ("", "native"):
        return Wish()
    if value == "numpy":
        return Wish(native=False)
    if value in LEVELS:
        return Wish(level=LEVELS.index(value))
    names = ", ".join(("numpy", "native", *(name for name in LEVELS if name != "simd128")))
    raise InputError(f"{VARIABLE} is {value!r}, not one of {names}")
