"""EXIF for AVIF, which holds the orientation in a box of its own."""

from PIL import ExifTags, Image

from aecodec.picture.metadata import Metadata
from aecodec.picture.orientation import orientation_in, upright


class TurnedExif(Image.Exif):
    """EXIF that Pillow writes into AVIF as it is, with the orientation in a box of its own.

    Pillow takes the orientation out and would write the rest anew, which loses what it cannot read.
    """

    def __init__(self, metadata: Metadata) -> None:
        """Takes the EXIF of a picture."""
        super().__init__()
        self._raw = upright(metadata).exif or b""
        self[ExifTags.Base.Orientation] = orientation_in(metadata)
        self[ExifTags.Base.Make] = ""  # without another tag Pillow writes nothing

    def tobytes(self, offset: int = 8) -> bytes:
        """The bytes, wherever they will lie."""
        del offset
        return self._raw
