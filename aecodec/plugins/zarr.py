"""A codec for chunks of zarr, format 3, as `serializer`; see `chunks` for how axes become pictures.

Source: the Zarr core specification, version 3, "Codecs", and the class `ArrayBytesCodec`.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.core.common import JSON, parse_named_configuration

from aecodec.plugins.chunks import NAME, ChunkOptions, check_type, decode_chunk, encode_chunk


@dataclass(frozen=True, kw_only=True)
class AecZarr(ChunkOptions, ArrayBytesCodec):
    """Chunks of uint8 or uint16 as .aec files.

    Example:
        >>> import zarr
        >>> array = zarr.create_array(
        ...     {}, shape=(40, 60, 3), chunks=(20, 30, 3), dtype="uint8",
        ...     serializer=AecZarr(quality=60), compressors=None,
        ... )
        >>> array[:] = 7
        >>> abs(int(array[5, 5, 0]) - 7) < 3
        True
    """

    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: dict[str, JSON]) -> Self:
        """The codec that an array's metadata describe.

        Raises:
            InputError: an option is not acceptable.
        """
        _, found = parse_named_configuration(data, NAME, require_configuration=False)
        given: dict[str, Any] = found or {}
        return cls(**given)

    def to_dict(self) -> dict[str, JSON]:
        """What an array's metadata say of it."""
        return {"name": NAME, "configuration": self.configuration()}

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:  # noqa: ANN401  # of zarr's classes
        """Checks the type of an array when it is made.

        Raises:
            InputError: it is not uint8 or native uint16.
        """
        check_type(dtype.to_native_dtype())

    def compute_encoded_size(self, _input_byte_length: int, _chunk_spec: ArraySpec) -> int:
        """Is not known before.

        Raises:
            NotImplementedError: always, as zarr asks for it.
        """
        raise NotImplementedError

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        chunk = np.asarray(chunk_data.as_ndarray_like())
        data = await asyncio.to_thread(encode_chunk, chunk, self)
        return chunk_spec.prototype.buffer.from_bytes(data)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        dtype, shape = chunk_spec.dtype.to_native_dtype(), chunk_spec.shape
        size = int(np.prod(shape, dtype=np.int64))
        samples = await asyncio.to_thread(decode_chunk, chunk_data.to_bytes(), dtype, size)
        return chunk_spec.prototype.nd_buffer.from_ndarray_like(samples.reshape(shape))  # type: ignore[arg-type]  # an array is like one
