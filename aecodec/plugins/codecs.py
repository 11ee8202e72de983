"""The codec that plugins use: the one of the library's functions, or one that a program gives."""

from aecodec.codec import Codec, shared_codec

_given: Codec | None = None


def use_codec(codec: Codec | None) -> None:
    """Lets all plugins of this process use a codec, for example one with a model of your own.

    Args:
        codec: what to use; None for the released models.

    Example:
        >>> use_codec(Codec("aec-1"))
        >>> use_codec(None)
    """
    global _given
    _given = codec


def plugin_codec() -> Codec:
    """The codec that `use_codec` was given, or that of `aecodec.compress`."""
    return _given or shared_codec()
