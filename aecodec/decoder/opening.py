"""Opens an .aec file, wherever it lies, for a decoder: as much of it as a view needs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from aecodec.format.chunks import Buffer, Limits
from aecodec.format.container import Stream, parse
from aecodec.format.reader import FileReader, StreamTiles, Tiles, TileState
from aecodec.options import DecodeOptions
from aecodec.picture.metadata import Metadata, metadata_in
from aecodec.picture.reshaping import reshaped
from aecodec.storage.sources import Source, can_seek, opened, read_all

if TYPE_CHECKING:
    from aecodec.format.recovery import Rescued


@dataclass(frozen=True)
class OpenFile:
    """What a decoder needs of a file.

    Attributes:
        tiles: its header and tiles.
        ancillary: its optional chunks, with the metadata.
        left: what is left of a file that may be damaged; None for one that is whole.
    """

    tiles: Tiles
    ancillary: FileReader | Stream
    left: "Rescued | None" = None

    @property
    def states(self) -> Sequence[TileState] | None:
        """What is left of each tile; None where all are whole."""
        return None if self.left is None else self.left.states

    @property
    def losses(self) -> list[str]:
        """A line for each tile that is not whole, and one for a lost layer."""
        return [] if self.left is None else self.left.report()

    @property
    def metadata(self) -> Metadata:
        """What the file says of its whole picture."""
        return metadata_in(self.ancillary)

    def described(self, options: DecodeOptions) -> tuple[Metadata, tuple[str, ...]]:
        """What is true of the view that is wanted, and a line for each thing that it lacks."""
        header, metadata = self.tiles.header, self.metadata
        view = options.view(header)
        height, width = view.size
        if (height, width) == (header.height, header.width):
            return metadata, ()
        return reshaped(metadata, width, height)

    def is_exact(self, options: DecodeOptions) -> bool:
        """Whether every visible pixel of the view is that of the source."""
        header, layer = self.tiles.header, self.tiles.layer
        if self.left is not None:
            return False
        if layer is not None and layer.bound == 0 and not options.lossy:
            return True
        return all(self.tiles.is_lossless(number) for number in range(header.tile_count))


@contextmanager
def open_file(source: Source, options: DecodeOptions, limits: Limits) -> Iterator[OpenFile]:
    """Opens a file for one view.

    A file of which a region is wanted is read in parts where its source can seek; any other is
    read and checked whole.

    Args:
        source: bytes, a path, a URL, or a binary file object.
        options: what is wanted.
        limits: what the file may ask for.

    Raises what `Codec.decompress_array` raises.
    """
    if options.allow_truncated:
        from aecodec.format.recovery import rescue

        left = rescue(read_all(source, limits), limits)
        yield OpenFile(StreamTiles(left.stream), left.stream, left)
    elif options.region is None or isinstance(source, Buffer):
        yield _whole(source, limits)
    else:
        with opened(source) as file:
            if can_seek(file):
                reader = FileReader(file, limits)
                yield OpenFile(reader, reader)
            else:
                yield _whole(file, limits)


@contextmanager
def open_rows(source: Source, options: DecodeOptions, limits: Limits) -> Iterator[OpenFile]:
    """Opens a file to be decoded from top to bottom; one that can seek is not held in memory.

    All lengths are checked here; what stands in the chunks is checked when its row is reached.

    Raises what `Codec.decompress_array` raises.
    """
    with opened(source) as file:
        if not can_seek(file):
            file = BytesIO(read_all(file, limits))
        reader = FileReader(file, limits)
        if options.region is None:
            reader.table()
        yield OpenFile(reader, reader)


def _whole(source: Source, limits: Limits) -> OpenFile:
    stream = parse(read_all(source, limits), limits)
    return OpenFile(StreamTiles(stream), stream)
