"""Features as a step of a scikit-learn pipeline (extra `apps`)."""

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from aecodec.applications.features import Vector, features
from aecodec.codec import Codec, shared_codec
from aecodec.errors import InputError
from aecodec.format.container import SIGNATURE
from aecodec.options import DEFAULT_QUALITY
from aecodec.picture.picture import decode_picture, to_picture
from aecodec.picture.pixels import Pixels, to_eight_bit
from aecodec.storage.sources import read_all

try:
    from sklearn.base import BaseEstimator, TransformerMixin
except ImportError as exc:
    raise InputError("AecFeatures needs scikit-learn: pip install 'aecodec[apps]'") from exc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aecodec.applications.latent_maps import PictureSource

_SIDE_MAX = 4096


class AecFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # no types
    """Turns pictures and .aec files into feature vectors; learns nothing itself.

    Parameters are checked by `fit` and `transform`. Models are shared by all transformers of a
    process and are no part of what is pickled.

    Example:
        >>> import numpy as np
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.pipeline import make_pipeline
        >>> dark = [np.full((32, 32), shade, np.uint8) for shade in (10, 20, 30)]
        >>> light = [np.full((32, 32), shade, np.uint8) for shade in (210, 220, 230)]
        >>> steps = make_pipeline(AecFeatures(), LogisticRegression())
        >>> fitted = steps.fit(dark + light, [0, 0, 0, 1, 1, 1])
        >>> fitted.predict([np.full((32, 32), 225, np.uint8)]).tolist()
        [1]
    """

    def __init__(
        self, model: str | None = None, quality: float = DEFAULT_QUALITY, side: int | None = None
    ) -> None:
        """Takes its parameters.

        Args:
            model: what `Codec` takes; by default the released one for PSNR.
            quality: 0 to 100, at which pixels are analyzed; .aec files keep their own.
            side: pictures whose shorter side has fewer pixels are enlarged to it, with 8 bits;
                None leaves them. The smallest detail of latents has 16 pixels.
        """
        self.model = model
        self.quality = quality
        self.side = side

    def fit(self, X: "Sequence[PictureSource] | npt.NDArray[Any]", y: object = None) -> Self:
        """Checks the parameters.

        Raises:
            InputError: one is not acceptable, or there are no pictures.
        """
        del y
        if self.side is not None and not 1 <= self.side <= _SIDE_MAX:
            raise InputError(f"side must lie in 1 to {_SIDE_MAX}, not {self.side}")
        if not len(X):
            raise InputError("no pictures to take features of")
        return self

    def transform(self, X: "Sequence[PictureSource] | npt.NDArray[Any]") -> Vector:
        """Vectors of pictures, `(n, d)`.

        Args:
            X: pictures, see `features`; an array of pictures is `(n, H, W)` or `(n, H, W, c)`.

        Raises what `features` raises.
        """
        self.fit(X)
        codec = _codec_of(self.model)
        images = X if self.side is None else [_enlarged(each, self.side, codec) for each in X]
        return features(images, codec=codec, quality=self.quality)

    def __sklearn_is_fitted__(self) -> bool:
        """There is nothing to fit."""
        return True

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401  # scikit-learn has no types
        """Says that it needs no fit, and takes lists."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        return tags


@lru_cache(maxsize=4)
def _codec_of(model: str | None) -> Codec:
    return shared_codec() if model is None else Codec(model)


def _enlarged(source: "PictureSource", side: int, codec: Codec) -> "PictureSource":
    """A picture whose shorter side has at least `side` pixels; an .aec file stays as it is."""
    pixels = _pixels_of(source, codec)
    if pixels is None or min(pixels.shape[:2]) >= side:
        return source
    factor = side / min(pixels.shape[:2])
    size = tuple(max(round(each * factor), side) for each in pixels.shape[1::-1])
    image = Image.fromarray(to_eight_bit(pixels))
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))


def _pixels_of(source: "PictureSource", codec: Codec) -> Pixels | None:
    """Colours of a picture; None for an .aec file."""
    if not isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview)):
        return to_picture(source, limits=codec.limits).pixels
    data = bytes(read_all(source, codec.limits))
    if data.startswith(SIGNATURE):
        return None
    return decode_picture(data, limits=codec.limits).pixels
