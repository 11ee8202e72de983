"""A learned image codec that decodes the same on every machine.

Example:
    >>> import aecodec
    >>> from PIL import Image
    >>> data = aecodec.compress(Image.new("RGB", (40, 30), "teal"), quality=50)
    >>> aecodec.read_info(data).width
    40
    >>> aecodec.decompress(data).size
    (40, 30)
"""

from typing import TYPE_CHECKING, Any

from aecodec.plugins.registration import register as _register

if TYPE_CHECKING:
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
    "features",
    "read_info",
]

_HOMES = {
    "AecFeatures": "applications.sklearn_transformer",
    "features": "applications.features",
    "Codec": "codec",
    "close": "codec",
    "compress": "codec",
    "decompress": "codec",
    "decompress_array": "codec",
    "Header": "format.chunks",
    "Limits": "format.chunks",
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
