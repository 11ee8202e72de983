"""What readers of picture files give, and what they are asked for."""

from collections.abc import Collection
from dataclasses import dataclass, field

from aecodec.format.chunks import DEFAULT_LIMITS, METADATA_KINDS, Limits
from aecodec.picture.metadata import Metadata
from aecodec.picture.pixels import Pixels


@dataclass(frozen=True)
class Wishes:
    """What is to be read of a file.

    Attributes:
        keep: which metadata, out of `METADATA_KINDS`.
        limits: of pixels, and of the bytes of metadata that are decompressed.
    """

    keep: Collection[str] = METADATA_KINDS
    limits: Limits = DEFAULT_LIMITS


@dataclass(frozen=True)
class Reading:
    """A picture as a reader found it.

    Attributes:
        pixels: `(H, W)` gray, `(H, W, 2)` gray and alpha, `(H, W, 3)` RGB or `(H, W, 4)` RGB and
            alpha, uint8 or uint16, as they lie in the file.
        metadata: all that can be kept; an orientation there says how to turn the pixels.
        losses: a line for each thing that the file holds and this does not.
        frames: the number of frames in the file, of which this is the first.
    """

    pixels: Pixels
    metadata: Metadata = field(default_factory=Metadata)
    losses: tuple[str, ...] = ()
    frames: int = 1


def more_frames(frames: int) -> list[str]:
    """The line that says that frames are left out, if there are more than one."""
    return [f"only the first of {frames} frames is kept"] if frames > 1 else []
