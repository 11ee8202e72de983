"""Pictures without their noise: the encoder's latents, shrunk, and decoded without being coded."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from aecodec.codec import Codec, shared_codec
from aecodec.decoder.tile_synthesis import TileSynthesis
from aecodec.encoder.effort import Effort
from aecodec.encoder.latents import in_sixteenths
from aecodec.encoder.noise import noise_level
from aecodec.encoder.picture_quality import PictureQuality
from aecodec.encoder.shrinkage import Shrinkage
from aecodec.encoder.tile import TileEncoder
from aecodec.format.chunks import Header, PixelFormat
from aecodec.format.constants import STRIDE
from aecodec.format.quality import quality_index
from aecodec.format.tiling import tile_boxes
from aecodec.options import DEFAULT_QUALITY, TILE_EXPONENT, Denoise, check_denoise
from aecodec.picture.picture import Picture, to_picture
from aecodec.picture.pixels import Pixels
from aecodec.picture.row_readers import PictureRows

if TYPE_CHECKING:
    import os
    from typing import Any

    import numpy.typing as npt
    from PIL import Image
    from torch import Tensor

    from aecodec.decoder.networks import YHat
    from aecodec.encoder.networks import EncoderModel


def denoise(
    image: "str | os.PathLike[str] | Image.Image | npt.NDArray[Any] | Tensor | Picture",
    strength: Denoise = "auto", *, codec: Codec | None = None,
) -> Pixels:  # fmt: skip
    """A picture without its noise.

    Args:
        image: what `Codec.compress` takes.
        strength: standard deviation of the noise in 8-bit steps, 0 to 100, or "auto" to estimate
            it. A clean picture stays as it is.
        codec: its model and limits are used; by default the released model for PSNR.

    Returns:
        Pixels as `Codec.decompress_array` gives them; alpha stays as it is.

    Raises:
        InputError: the strength is none, or the picture is not acceptable; the message says why.
        LimitError: the picture exceeds the codec's limits.
        OSError: `image` is a path that cannot be read.

    Example:
        >>> import numpy as np
        >>> noisy = np.random.default_rng(0).normal(128, 20, (64, 64, 3)).astype(np.uint8)
        >>> clean = denoise(noisy, 20)
        >>> bool(noisy.std() > 15 > 5 > clean.std())
        True
    """
    check_denoise(strength)
    used = codec or shared_codec()
    return denoised(to_picture(image, limits=used.limits), strength, used)[0].whole


def denoised(
    picture: Picture, strength: Denoise, codec: Codec, quality: float = DEFAULT_QUALITY
) -> tuple[Picture, float]:
    """A picture without its noise, and the level of that.

    Args:
        picture: with its alpha and metadata, which stay.
        strength: see `denoise`.
        codec: its model and limits are used.
        quality: 0 to 100, at which latents are taken.

    Raises what `denoise` raises.
    """
    check_denoise(strength)
    height, width = picture.pixels.shape[:2]
    codec.limits.check_pixels(width, height)
    level = noise_level(PictureRows(picture)) if strength == "auto" else float(strength)
    if not level:
        return picture, 0.0
    clean = _clean(codec.encoder_for("psnr"), picture.pixels, level, quality_index(quality))
    return replace(picture, pixels=clean), level


def _clean(encoder: "EncoderModel", pixels: Pixels, level: float, index: int) -> Pixels:
    gray, deep = pixels.ndim == 2, pixels.dtype == np.uint16
    form = PixelFormat.of(rgb=not gray, sixteen_bit=deep, alpha=False)
    height, width = pixels.shape[:2]
    header = Header(width, height, form, TILE_EXPONENT, index, encoder.decoder.model_id)
    boxes = list(tile_boxes(header))
    learned = np.zeros((-(-height // STRIDE), -(-width // STRIDE)), np.bool_)
    shrinkage = Shrinkage(encoder, level)
    tiles = TileEncoder(encoder, PictureQuality(index), Effort(), shrinkage=shrinkage)
    latents: list[YHat] = [
        in_sixteenths(tiles.view(pixels, box, learned).latents()) for box in boxes
    ]
    synthesis = TileSynthesis(
        encoder.decoder, header, learned, lambda number: latents[number], sixteen_bit=deep
    )
    clean = np.empty_like(pixels)
    for box in boxes:
        place = clean[box.slices(STRIDE)]
        place[...] = synthesis.pixels(box, box)[: place.shape[0], : place.shape[1]]
    return clean
