"""The checksum of all decoded samples that a file can hold; SPECIFICATION.md, section 4.3.

Decoding is exact, so that it holds on every machine.
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
"""The type of the chunk."""


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
            raise ChecksumError("the picture", stored=digest.hex(), computed=computed.hex())
    return True
