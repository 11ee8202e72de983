"""Every exception that aecodec raises on purpose.

    AecError
    ├── InputError          the caller's argument is wrong         (also ValueError)
    ├── FormatError         the bytes are not a valid .aec stream  (also ValueError)
    │   ├── SignatureError      the signature is absent: not an .aec file at all
    │   ├── TruncatedError      the stream ends before a field does
    │   ├── HeaderError         a field or chunk breaks a rule of the format
    │   ├── ChecksumError       stored and computed checksum differ
    │   └── PayloadError        the entropy-coded part contradicts the header
    ├── UnsupportedError    a valid .aec that this build cannot decode
    ├── LimitError          decoding would exceed the caller's `Limits`
    ├── WeightsError        model weights are missing, damaged or not exact
    └── TrainingError       a training run cannot start or go on

`LossWarning`, a `UserWarning`, names what a source holds and the result does not.

An `OSError` from reading or writing a file passes through unchanged.
"""


class AecError(Exception):
    """Base of all errors that aecodec raises on purpose."""


class InputError(AecError, ValueError):
    """The caller's argument is wrong."""


class FormatError(AecError, ValueError):
    """The bytes are not a valid .aec stream."""


class SignatureError(FormatError):
    """The signature is absent: not an .aec file at all."""


class TruncatedError(FormatError):
    """The stream ends before a field does.

    Attributes:
        what: the field or chunk that was being read.
        needed: bytes that it takes.
        available: bytes that were left.
    """

    def __init__(self, what: str, *, needed: int, available: int) -> None:
        super().__init__(f"truncated: {what} needs {needed} bytes, {available} left")
        self.what = what
        self.needed = needed
        self.available = available


class HeaderError(FormatError):
    """A field or chunk breaks a rule of the format."""


class ChecksumError(FormatError):
    """Stored and computed checksum differ.

    Attributes:
        what: the chunk, tile or picture that was checked.
        stored: the checksum in the file, in hexadecimal digits.
        computed: that of the bytes, latents or samples at hand, in hexadecimal digits.
    """

    def __init__(self, what: str, *, stored: str, computed: str) -> None:
        super().__init__(f"checksum of {what} is {computed}, the file says {stored}")
        self.what = what
        self.stored = stored
        self.computed = computed


class PayloadError(FormatError):
    """The entropy-coded part contradicts the header."""


class UnsupportedError(AecError):
    """A valid .aec that this build cannot decode: newer version, unknown model or mode."""


class LimitError(AecError):
    """Decoding would exceed the caller's `Limits`."""


class WeightsError(AecError):
    """Model weights are missing, damaged, or break the bounds that exactness needs."""


class TrainingError(AecError):
    """A training run cannot start or go on."""


class LossWarning(UserWarning):
    """A source holds something that is not kept."""
