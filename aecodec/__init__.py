"""A learned image codec that decodes the same on every machine.

Example:
    Functions take a picture and give bytes, and the other way round.

    >>> import aecodec
    >>> from PIL import Image
    >>> picture = Image.linear_gradient("L").convert("RGB")
    >>> data = aecodec.compress(picture, quality=50)
    >>> aecodec.decompress(data).size
    (256, 256)
    >>> aecodec.decompress_array(data, region=aecodec.Region(0, 0, 30, 20)).shape
    (20, 30, 3)

    `read_info` gives the Header without decoding anything.

    >>> header = aecodec.read_info(data)
    >>> header.width, header.quality
    (256, 50.0)

    A Codec keeps models loaded, knows other models, and meets a target; `close` frees models.

    >>> with aecodec.Codec(limits=aecodec.Limits(pixels=100_000)) as codec:
    ...     file, found = codec.compress_to(picture, aecodec.Target("psnr", 38))
    >>> isinstance(found, aecodec.Found), found.measured >= 37.95
    (True, True)
    >>> aecodec.close()

    Every error is an AecError; most tell whose fault it is.

    >>> aecodec.decompress(b"GIF89a")
    Traceback (most recent call last):
        ...
    aecodec.errors.SignatureError: not an .aec file: it begins with 47 49 46 38 39 61
"""

from typing import TYPE_CHECKING, Any

from aecodec.plugins.registration import register as _register

if TYPE_CHECKING:
    from aecodec.applications.denoise import denoise
    from aecodec.applications.features import features
    from aecodec.applications.sklearn_transformer import AecFeatures
    from aecodec.codec import Codec, close, compress, decompress, decompress_array
    from aecodec.errors import (
        AecError,
        ChecksumError,
        FormatError,
        HeaderError,
        InputError,
        LimitError,
        LossWarning,
        PayloadError,
        SignatureError,
        TrainingError,
        TruncatedError,
        UnsupportedError,
        WeightsError,
    )
    from aecodec.format.chunks import Header, Limits
    from aecodec.format.interest import Roi, RoiMask
    from aecodec.format.tiling import Region
    from aecodec.info import read_info
    from aecodec.options import DecodeOptions, EncodeOptions, Found, Target

__version__ = "0.1.0"

__all__ = [
    "AecError",
    "AecFeatures",
    "ChecksumError",
    "Codec",
    "DecodeOptions",
    "EncodeOptions",
    "FormatError",
    "Found",
    "Header",
    "HeaderError",
    "InputError",
    "LimitError",
    "Limits",
    "LossWarning",
    "PayloadError",
    "Region",
    "Roi",
    "RoiMask",
    "SignatureError",
    "Target",
    "TrainingError",
    "TruncatedError",
    "UnsupportedError",
    "WeightsError",
    "close",
    "compress",
    "decompress",
    "decompress_array",
    "denoise",
    "features",
    "read_info",
]

_HOMES = {
    "AecFeatures": "applications.sklearn_transformer",
    "denoise": "applications.denoise",
    "features": "applications.features",
    "Codec": "codec",
    "close": "codec",
    "compress": "codec",
    "decompress": "codec",
    "decompress_array": "codec",
    "Header": "format.chunks",
    "Limits": "format.chunks",
    "Roi": "format.interest",
    "RoiMask": "format.interest",
    "Region": "format.tiling",
    "read_info": "info",
    "DecodeOptions": "options",
    "EncodeOptions": "options",
    "Found": "options",
    "Target": "options",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  # PEP 562: whatever the name stands for
    """Resolves public names on first use, so that importing the package loads no torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"aecodec.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


_register()
