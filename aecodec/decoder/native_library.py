"""The kernel's library: found, checked and loaded once, or the reason why it is not there."""

import ctypes
from functools import cache
from pathlib import Path
from typing import Final

from aecodec.decoder.build_kernel import LIBRARY_NAME, SOURCES, source_digest
from aecodec.decoder.runtime_choice import LEVELS, LibraryError

ABI: Final = 3
OK, WEIGHTS, UNSUPPORTED, PAYLOAD, MEMORY, ARGUMENT = range(6)
"""What functions of the kernel return; `kernel/kernel.h` says when."""
_POINTER, _INT, _SIZE = ctypes.c_void_p, ctypes.c_int32, ctypes.c_size_t
_FUNCTIONS: Final = {
    "aec_abi": (_INT, []),
    "aec_source": (ctypes.c_char_p, []),
    "aec_has_level": (_INT, [_INT]),
    "aec_create": (_POINTER, [_INT] * 7),
    "aec_tensor": (_INT, [_POINTER, ctypes.c_char_p, _POINTER, _INT, _INT, _POINTER]),
    "aec_ready": (_INT, [_POINTER]),
    "aec_message": (ctypes.c_char_p, [_POINTER]),
    "aec_level": (_INT, [_POINTER]),
    "aec_free": (None, [_POINTER]),
    "aec_decode_latents": (
        _INT, [_POINTER, ctypes.c_char_p, _SIZE, _INT, _INT, _INT, _POINTER, _INT, _POINTER],
    ),
    "aec_synthesize": (_INT, [_POINTER, _POINTER, *[_INT] * 3, _POINTER, *[_INT] * 6, _POINTER]),
    "aec_begin": (_POINTER, [_POINTER, _POINTER, _INT, _INT, _INT, _POINTER, _INT]),
    "aec_predict": (_INT, [_POINTER, _POINTER, _POINTER]),
    "aec_put": (_INT, [_POINTER, _POINTER]),
    "aec_round": (_INT, [_POINTER, _POINTER, _POINTER]),
    "aec_latents": (_INT, [_POINTER, _POINTER]),
    "aec_words": (_POINTER, [_POINTER, ctypes.POINTER(_SIZE)]),
    "aec_end": (None, [_POINTER]),
    "aec_create_analysis": (_POINTER, [_INT] * 7),
    "aec_analyze_begin": (_INT, [_POINTER, _POINTER, *[_INT] * 5, _POINTER]),
    "aec_analyze_finish": (
        _INT, [_POINTER, _POINTER, _INT, _INT, _INT, _POINTER, _INT, _POINTER],
    ),
    "aec_analyze_hyper": (
        _INT, [_POINTER, _POINTER, _INT, _INT, _INT, _POINTER, _INT, _POINTER],
    ),
}  # fmt: skip


@cache
def library() -> ctypes.CDLL:
    """The kernel.

    Raises:
        LibraryError: it was not built, is another one, or the system does not load it.
    """
    return load_library(SOURCES / LIBRARY_NAME)


def load_library(path: Path) -> ctypes.CDLL:
    """Loads a kernel and checks that it is that of these sources.

    Raises:
        LibraryError: see `library`.
    """
    if not path.is_file():
        raise LibraryError("it was not built: no compiler was found when aecodec was installed")
    try:
        loaded = ctypes.CDLL(str(path))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(loaded, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as exc:
        raise LibraryError(f"it cannot be loaded: {exc}") from exc
    if loaded.aec_abi() != ABI or loaded.aec_source() != source_digest().encode():
        raise LibraryError("it was built of other sources; build it again")
    return loaded


def levels() -> tuple[str, ...]:
    """The instruction levels that this machine has, from the slowest to the fastest.

    Raises:
        LibraryError: see `library`.
    """
    return tuple(name for number, name in enumerate(LEVELS) if library().aec_has_level(number))
