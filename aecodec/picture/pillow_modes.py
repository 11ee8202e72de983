"""Pictures of Pillow's modes as arrays that mean the same: gray or RGB, 8 or 16 bits, with alpha.

CMYK goes through the picture's own profile to sRGB, or by a formula where there is none that fits,
and L*a*b* through the colour space itself.
Transparency in a palette or a colour key becomes alpha.
"""

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from aecodec.errors import InputError
from aecodec.picture.pixels import SIXTEEN_BIT_PEAK, Pixels, from_floats

if TYPE_CHECKING:
    from PIL import ImageCms

_TO_RGB = {"P", "RGBX", "YCbCr", "HSV"}
_ALPHA_OF = {
    "1": "LA",
    "L": "LA",
    "LA": "LA",
    "La": "LA",
    "P": "RGBA",
    "PA": "RGBA",
    "RGB": "RGBA",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
}
"""The modes that show alpha which others hide in a palette, a colour key or the colours."""
_SIXTEEN_BIT = {"I;16", "I;16L", "I;16B", "I;16N"}
CONVERTED = {"CMYK": "CMYK", "LAB": "L*a*b*", "HSV": "HSV"}
"""Modes of other colour spaces, by their names; their profiles mean nothing to the RGB."""


def to_array(image: Image.Image) -> Pixels:
    """A picture of any mode as an array of the same meaning.

    Returns:
        `(H, W)` gray, `(H, W, 2)` gray and alpha, `(H, W, 3)` RGB or `(H, W, 4)` RGB and alpha.
        Modes I;16, I and F give uint16, all others uint8.

    Raises:
        InputError: the mode is not supported, or values do not lie in its range; the message says
            how to convert it.
    """
    if image.mode in _SIXTEEN_BIT:
        return _keyed(np.asarray(image).astype(np.uint16), image)
    if image.mode == "I":
        return _keyed(_from_integers(np.asarray(image)), image)
    if image.mode == "F":
        return from_floats(np.asarray(image), "pictures of mode F")
    return np.asarray(to_plain(image))


def to_plain(image: Image.Image) -> Image.Image:
    """An 8-bit picture in mode L, LA, RGB or RGBA; the same object if it is in one of them.

    Raises:
        InputError: see `to_array`.
    """
    if image.has_transparency_data and image.mode in _ALPHA_OF:
        mode = _ALPHA_OF[image.mode]
        return image if image.mode == mode else image.convert(mode)
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode in _TO_RGB:
        return image.convert("RGB")
    if image.mode == "CMYK":
        return _from_cmyk(image)
    if image.mode == "LAB":
        from PIL import ImageCms

        return _to_srgb(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    raise InputError(f"mode {image.mode} is not supported: convert it to 'L' or 'RGB'")


def _from_integers(values: npt.NDArray[np.int32]) -> npt.NDArray[np.uint16]:
    if values.min(initial=0) < 0 or values.max(initial=0) > SIXTEEN_BIT_PEAK:
        raise InputError(f"pictures of mode I must lie in 0 to {SIXTEEN_BIT_PEAK}")
    return values.astype(np.uint16)


def _keyed(gray: npt.NDArray[np.uint16], image: Image.Image) -> Pixels:
    """Gray, and alpha where a colour key says which gray is transparent."""
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return gray
    return np.dstack((gray, np.where(gray == key, 0, SIXTEEN_BIT_PEAK).astype(np.uint16)))


def conversions(image: Image.Image) -> list[str]:
    """Lines that say what `to_array` converts, if that is more than another form of the same."""
    if image.mode not in CONVERTED:
        return []
    lines = [f"{CONVERTED[image.mode]} is converted to RGB"]
    if image.mode == "CMYK" and image.info.get("icc_profile") and not _cmyk_profile(image):
        lines.append("the colour profile does not fit CMYK pixels and is left out")
    return lines


def _from_cmyk(image: Image.Image) -> Image.Image:
    """RGB through the profile, or by Pillow's formula where none fits."""
    profile = _cmyk_profile(image)
    return _to_srgb(image, profile) if profile else image.convert("RGB")


def _cmyk_profile(image: Image.Image) -> "ImageCms.ImageCmsProfile | None":
    """The profile of a CMYK picture; None if there is none that can convert it."""
    from PIL import ImageCms

    from aecodec.picture.color_description import profile_space

    data = image.info.get("icc_profile")
    if not isinstance(data, bytes) or profile_space(data) != "CMYK":
        return None
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(data))
        _to_srgb(Image.new("CMYK", (1, 1)), profile)
    except (ImageCms.PyCMSError, OSError):
        return None
    return profile


def _to_srgb(image: Image.Image, profile: "ImageCms.ImageCmsProfile") -> Image.Image:
    from PIL import ImageCms

    to_srgb = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), image.mode, "RGB")
    converted = to_srgb.apply(image)
    converted.info = {key: value for key, value in image.info.items() if key != "icc_profile"}
    return converted
