"""A codec for numcodecs, and through it for arrays of zarr's second format, kerchunk and others."""

from typing import Any

import numpy as np
from numcodecs.abc import Codec as Numcodec
from numcodecs.compat import ensure_contiguous_ndarray, ndarray_copy

from aecodec.models.registry import Tune
from aecodec.plugins.chunks import NAME, ChunkOptions, decode_chunk, encode_chunk


class AecNumcodec(Numcodec):  # type: ignore[misc]  # numcodecs has no types
    """Chunks of uint8 or uint16 as .aec files; see `chunks` for how axes become a picture.

    Example:
        >>> codec = AecNumcodec(lossless=True)
        >>> chunk = np.arange(600, dtype=np.uint16).reshape(20, 30)
        >>> bool((codec.decode(codec.encode(chunk)) == chunk.ravel()).all())
        True
    """

    codec_id = NAME

    def __init__(
        self, *, quality: float | None = None, effort: int = 1, lossless: bool = False,
        max_error: int | None = None, tune: Tune | None = None,
    ) -> None:  # fmt: skip
        """Takes wishes of `EncodeOptions`.

        Raises:
            InputError: one is not acceptable.
        """
        self.options = ChunkOptions(
            quality=quality, effort=effort, lossless=lossless, max_error=max_error, tune=tune
        )

    def encode(self, buf: Any) -> bytes:  # noqa: ANN401  # whatever exports a buffer
        """An .aec file of an array.

        Raises:
            InputError: it is neither of uint8 nor of native uint16, or is empty.
        """
        return encode_chunk(np.asarray(buf), self.options)

    def decode(self, buf: Any, out: Any = None) -> Any:  # noqa: ANN401  # the same
        """The samples of a file, `(n,)`, or in `out` with its shape.

        Raises what `Codec.decompress_array` raises.
        """
        data = ensure_contiguous_ndarray(buf).view(np.uint8).tobytes()
        return ndarray_copy(decode_chunk(data), out)

    def get_config(self) -> dict[str, Any]:
        """What makes the same codec again."""
        return {"id": NAME, **self.options.configuration()}
