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


class PixelDigest:
    """The digest of a picture that comes in rows."""

    def __init__(self) -> None:
        """Begins with no row."""
        self._digest = hashlib.sha256()

    def update(self, rows: npt.NDArray[Any]) -> None:
        """Takes the next rows, `(h, W)` or `(h, W, C)`, uint8 or uint16."""
        samples = rows.astype(rows.dtype.newbyteorder("<"), copy=False)
        self._digest.update(np.ascontiguousarray(samples).data)

    def result(self) -> bytes:
        """32 bytes."""
        return self._digest.digest()


def with_digest(stream: Stream, digest: bytes | None) -> Stream:
    """The stream with that digest instead of any other; with none for None."""
    others = tuple(chunk for chunk in stream.ancillary if chunk.type != TYPE)
    return replace(stream, ancillary=others + (() if digest is None else (Chunk(TYPE, digest),)))


def has_digest(stream: Stream) -> bool:
    """Whether a file states a digest of its pixels."""
    return any(chunk.type == TYPE for chunk in stream.ancillary)


def check_digest(stream: Stream, computed: bytes) -> None:
    """Compares the digest of decoded pixels with those that their file states, if any.

    Raises:
        ChecksumError: they differ.
        HeaderError: a stated digest has another size.
    """
    for chunk in stream.ancillary:
        if chunk.type != TYPE:
            continue
        if len(chunk.payload) != len(computed):
            raise HeaderError(f"a csum chunk has {len(chunk.payload)} bytes, not {len(computed)}")
        if chunk.payload != computed:
            raise ChecksumError("the picture", stored=chunk.payload.hex(), computed=computed.hex())
