"""A checksum of all decoded pixels within a file, as `--checksum` adds it and `verify` compares it.

An optional chunk `csum`, whose 32 bytes are the SHA-256 of the complete picture's samples: row by
row, pixel by pixel, channel by channel, alpha last, samples of 16 bits little-endian. It counts a
residual layer in, and colours under an alpha of 0. Decoding is exact, so it holds on every machine.
"""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.errors import ChecksumError, HeaderError
from aecodec.format.chunks import Chunk
from aecodec.format.container import Stream

TYPE = b"csum"


def pixel_digest(pixels: npt.NDArray[Any]) -> bytes:
    """32 bytes; pixels are `(H, W)` or `(H, W, C)`, uint8 or uint16."""
    samples = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(np.ascontiguousarray(samples).data).digest()


def with_digest(stream: Stream, digest: bytes | None) -> Stream:
    """The stream with that digest instead of any other; with none for None."""
    others = tuple(chunk for chunk in stream.ancillary if chunk.type != TYPE)
    return replace(stream, ancillary=others + (() if digest is None else (Chunk(TYPE, digest),)))


def check_digest(stream: Stream, pixels: npt.NDArray[Any]) -> bool:
    """Compares decoded pixels with the digest of their file; False if it has none.

    Raises:
        ChecksumError: they differ.
        HeaderError: the digest has another size.
    """
    stored = [chunk.payload for chunk in stream.ancillary if chunk.type == TYPE]
    if not stored:
        return False
    computed = pixel_digest(pixels)
    for digest in stored:
        if len(digest) != len(computed):
            raise HeaderError(f"a csum chunk has {len(digest)} bytes, not {len(computed)}")
        if digest != computed:
            raise ChecksumError(
                "the picture",
                stored=int.from_bytes(digest[:4], "big"),
                computed=int.from_bytes(computed[:4], "big"),
            )
    return True
