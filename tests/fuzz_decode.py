"""Fuzz target: any bytes either decompress or raise `AecError`; nothing else ever.

Not collected by pytest. From the root of the repository, with atheris installed:

    PYTHONPATH=. python tests/fuzz_decode.py -max_total_time=120 -max_len=4096 CORPUS

CORPUS is a folder that starts as a copy of small .aec files, and grows.
"""

import importlib
import struct
import sys
import zlib
from collections.abc import Callable

from aecodec.errors import AecError

Decompress = Callable[[bytes], object]

SIGNATURE_BYTES = 8
"""Not imported: what is imported before atheris can instrument it gives no coverage."""


def reseal(data: bytes) -> bytes:
    """Corrects the crc of every whole chunk, so that mutations get past it."""
    repaired = bytearray(data)
    offset = SIGNATURE_BYTES
    while offset + 12 <= len(repaired):
        (length,) = struct.unpack_from("<I", repaired, offset)
        end = offset + 12 + length
        if end > len(repaired):
            break
        crc = zlib.crc32(repaired[offset + 4 : end - 4])
        struct.pack_into("<I", repaired, end - 4, crc)
        offset = end
    return bytes(repaired)


def check(decompress: Decompress, data: bytes) -> None:
    """Passes if the bytes, as they are and resealed, decompress or raise `AecError`."""
    for candidate in (data, reseal(data)):
        try:
            decompress(candidate)
        except AecError:
            continue


def main() -> None:
    """Runs libFuzzer with the arguments of the command line until it finds another error."""
    try:
        import atheris
    except ModuleNotFoundError:
        sys.exit("fuzz_decode needs atheris: pip install 'aecodec[fuzz]' (Linux only)")
    with atheris.instrument_imports(include=["aecodec"]):
        decompress: Decompress = importlib.import_module("aecodec").decompress
    atheris.Setup(sys.argv, lambda data: check(decompress, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
