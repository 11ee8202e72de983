"""Pictures of Pillow's other modes as gray or RGB ones that mean the same.

CMYK goes through the picture's own profile to sRGB. An alpha channel that is opaque everywhere says
nothing and is dropped; any other would be lost, and is refused.
"""

from io import BytesIO

from PIL import Image, ImageCms

from aecodec.errors import InputError

_TO_RGB = {"P", "RGBX", "YCbCr", "HSV"}
_ALPHA_OF = {
    "1": "LA",
    "L": "LA",
    "La": "LA",
    "P": "RGBA",
    "PA": "RGBA",
    "RGB": "RGBA",
    "RGBa": "RGBA",
}
"""What shows the alpha of modes that hide it in a palette, a colour key or the colours."""
_OPAQUE = 255


def to_gray_or_rgb(image: Image.Image) -> Image.Image:
    """A picture of mode L or RGB with the same meaning; the same picture if it is one already.

    Its `info` stays, apart from what holds no longer: the profile of CMYK, transparency.

    Raises:
        InputError: the mode is not supported, or something would be lost; the message says how to
            convert it.
    """
    if image.has_transparency_data and (image.mode in _ALPHA_OF or "A" in image.getbands()):
        return _without_alpha(image)
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode in _TO_RGB:
        return image.convert("RGB")
    if image.mode == "CMYK":
        return _from_cmyk(image)
    raise InputError(f"mode {image.mode} is not supported yet: convert it to 8-bit 'L' or 'RGB'")


def _without_alpha(image: Image.Image) -> Image.Image:
    whole = image.convert(_ALPHA_OF[image.mode]) if image.mode in _ALPHA_OF else image
    plain = "L" if whole.mode == "LA" else "RGB"
    lowest, _ = whole.getchannel("A").getextrema()
    if lowest != _OPAQUE:
        raise InputError(
            f"mode {image.mode} with transparent pixels is not supported yet: "
            f"flatten its alpha, e.g. image.convert('{plain}')"
        )
    opaque = whole.convert(plain)
    opaque.info.pop("transparency", None)
    return opaque


def _from_cmyk(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile:
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        to_srgb = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), "CMYK", "RGB")
    except (ImageCms.PyCMSError, OSError) as exc:
        raise InputError(f"the profile of this CMYK picture does not convert it: {exc}") from exc
    converted = to_srgb.apply(image)
    converted.info = {key: value for key, value in image.info.items() if key != "icc_profile"}
    return converted
