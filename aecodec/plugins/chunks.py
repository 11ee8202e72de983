"""Chunks of arrays as pictures: what the codecs of numcodecs and zarr share.

A chunk whose last axis has three samples is RGB, and any other is gray; all axes before the last of
the picture are laid below each other. The file alone thus says how to take the chunk apart, but for
its shape. No axis is taken for alpha, under which samples would be lost.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.errors import InputError, PayloadError
from aecodec.format.chunks import Buffer
from aecodec.models.registry import Tune
from aecodec.options import DEFAULT_EFFORT, EncodeOptions
from aecodec.picture.pixels import Pixels
from aecodec.plugins.codecs import plugin_codec

NAME = "aecodec"
"""Of the codec, in zarr and numcodecs."""
_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16))


@dataclass(frozen=True, kw_only=True)
class ChunkOptions:
    """How chunks are compressed; the fields are those of `EncodeOptions`."""

    quality: float | None = None
    effort: int = DEFAULT_EFFORT
    lossless: bool = False
    max_error: int | None = None
    tune: Tune | None = None

    def __post_init__(self) -> None:
        """Checks the fields.

        Raises:
            InputError: one is not acceptable.
        """
        self.encode_options()

    def encode_options(self) -> EncodeOptions:
        """The same for the encoder."""
        return EncodeOptions(**asdict(self))

    def configuration(self) -> dict[str, Any]:
        """The fields that are not the defaults, for metadata of arrays."""
        plain = asdict(ChunkOptions())
        return {name: value for name, value in asdict(self).items() if value != plain[name]}


def check_type(dtype: np.dtype[Any]) -> None:
    """Checks that arrays of a type can be coded.

    Raises:
        InputError: they cannot.
    """
    if dtype not in _TYPES:
        raise InputError(f"{NAME} takes arrays of uint8 and of native uint16, not {dtype}")


def encode_chunk(chunk: npt.NDArray[Any], options: ChunkOptions) -> bytes:
    """An .aec file of a chunk of any shape, of uint8 or uint16.

    Raises:
        InputError: the type is none of these, or the chunk is empty.
    """
    check_type(chunk.dtype)
    data: bytes = plugin_codec().compress(_picture(chunk), options=options.encode_options())
    return data


def decode_chunk(
    data: Buffer, dtype: np.dtype[Any] | None = None, size: int | None = None
) -> Pixels:
    """The samples of a chunk, `(n,)` in the order in which they lie in the array.

    Args:
        data: an .aec file.
        dtype: what the array has; None for whatever it is.
        size: how many samples there must be; None for any number.

    Raises:
        PayloadError: the file is whole and holds another chunk.
        AecError: what else `Codec.decompress_array` raises.
    """
    samples = plugin_codec().decompress_array(data).reshape(-1)
    if dtype is not None and samples.dtype != dtype:
        raise PayloadError(f"the chunk holds {samples.dtype}, and the array {dtype}")
    if size is not None and samples.size != size:
        raise PayloadError(f"the chunk holds {samples.size} samples, and must hold {size}")
    return samples


def _picture(chunk: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A chunk as `(H, W)` or `(H, W, 3)`."""
    if chunk.ndim < 2:
        return chunk.reshape(1, -1)
    if chunk.ndim > 2 and chunk.shape[-1] == 3:
        return chunk.reshape(-1, chunk.shape[-2], 3)
    return chunk.reshape(-1, chunk.shape[-1])
