"""Feature vectors: the latents of a picture, pooled at two scales to a fixed length.

Three parts follow each other. Colours and shades are the means of the channels of the largest norms
in 4x4 cells of the picture. Texture is the logarithm of the mean magnitude of channels: of the
largest ones in the same cells, and of all in the whole picture. Magnitudes say how much of a
pattern there is wherever it lies, so that vectors change little when a picture is cropped.
"""

import os
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aecodec.applications.latent_maps import LatentMap, LatentReader, channel_order
from aecodec.codec import Codec, shared_codec
from aecodec.decoder.latents import Floats
from aecodec.errors import InputError
from aecodec.options import DEFAULT_QUALITY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aecodec.applications.latent_maps import PictureSource

Vector = npt.NDArray[np.float32]

SHADES, TEXTURES, CELLS = 8, 32, 4
"""Channels of colours and shades; channels of texture in cells; cells along each side."""
_FLOOR = 0.3
"""Magnitude below which channels count as empty."""


def features(
    images: "Iterable[PictureSource]", *, codec: Codec | None = None,
    quality: float = DEFAULT_QUALITY,
) -> Vector:  # fmt: skip
    """Feature vectors of pictures, also straight from .aec files without decoding their pixels.

    Compare vectors by the cosine of their differences from a mean, or standardize them for a linear
    classifier. Those of files of other qualities are less alike.

    Args:
        images: each a path, a URL, the bytes of a picture or of an .aec file, or what
            `Codec.compress` takes.
        codec: its model makes the latents; by default the released one for PSNR.
        quality: 0 to 100, at which pixels are analyzed; .aec files keep their own.

    Returns:
        `(n, d)`; d is 960 for aec-1.

    Raises:
        InputError: there are no pictures, one is damaged, or their latents are of several models.
        FormatError: an .aec file is damaged.
        UnsupportedError: an .aec file needs a newer version or an unknown model.
        LimitError: a picture exceeds the codec's limits.
        OSError: a file cannot be read.

    Example:
        >>> import numpy as np
        >>> pictures = [np.full((64, 48, 3), shade, np.uint8) for shade in (50, 60, 200)]
        >>> features(pictures).shape
        (3, 960)
    """
    if isinstance(images, (str, bytes, os.PathLike)):
        raise InputError("features takes a list of pictures, not a single one")
    used = codec or shared_codec()
    reader, maker = LatentReader(used, quality), VectorMaker(used)
    vectors = [maker.vector(reader.read(image)) for image in images]
    if not vectors:
        raise InputError("no pictures to take features of")
    return np.stack(vectors)


class VectorMaker:
    """Makes vectors of latents of one model, which the first picture decides."""

    def __init__(self, codec: Codec) -> None:
        """Takes the codec whose models are meant."""
        self._codec = codec
        self._model_id = b""
        self._order: npt.NDArray[np.intp] | None = None

    @property
    def model_id(self) -> bytes:
        """That of the first picture; empty before it."""
        return self._model_id

    def vector(self, latents: LatentMap) -> Vector:
        """The vector of one picture, `(d,)`.

        Raises:
            InputError: its latents are of another model than those before.
        """
        if self._order is None:
            self._order = channel_order(self._codec.decoder(latents.model_id).prior)
            self._model_id = latents.model_id
        if latents.model_id != self._model_id:
            raise InputError(
                f"latents of model {latents.model_id.hex()} cannot be compared with those of "
                f"{self._model_id.hex()}"
            )
        return pooled(latents.y, self._order)


def pooled(y: Floats, order: npt.NDArray[np.intp]) -> Vector:
    """The vector of latents.

    Args:
        y: `(h, w, M)`, latents over their norms.
        order: of the channels, those of the largest norms first.
    """
    magnitudes = np.abs(y)
    textures = (_cells(magnitudes[:, :, order[:TEXTURES]]), magnitudes.mean((0, 1))[order])
    return np.concatenate(
        [_cells(y[:, :, order[:SHADES]]), *(np.log(each + _FLOOR) for each in textures)]
    ).astype(np.float32)


def _cells(x: Floats) -> Floats:
    """Means of 4x4 cells of `(h, w, c)`, flat; of maps with fewer places cells share them."""
    rows, columns = (_bounds(side) for side in x.shape[:2])
    return np.concatenate([x[r, c].mean((0, 1)) for r in rows for c in columns])


def _bounds(side: int) -> list[slice]:
    """Where each cell begins and ends, rounded outwards."""
    return [slice(n * side // CELLS, -(-(n + 1) * side // CELLS)) for n in range(CELLS)]
