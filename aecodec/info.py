"""What an .aec file says about itself: header, chunks, model."""

from dataclasses import dataclass

from aecodec.format.chunks import (
    CHUNK_BYTES,
    DEFAULT_LIMITS,
    HEADER_BYTES,
    Buffer,
    Header,
    LayerHead,
    Limits,
    Tile,
)
from aecodec.format.constants import GROUP
from aecodec.format.container import Stream, chunk_table, parse, parse_header
from aecodec.format.quality import QUALITY_STEPS
from aecodec.format.reader import FileReader
from aecodec.format.tiling import tile_box
from aecodec.models.registry import find_model
from aecodec.storage.arguments import load
from aecodec.storage.sources import Source, can_seek, is_url, opened, read_all


@dataclass(frozen=True)
class ChunkInfo:
    """One chunk.

    Attributes:
        type: four letters.
        offset: of its first byte in the file.
        length: of its payload in bytes.
    """

    type: str
    offset: int
    length: int


@dataclass(frozen=True)
class FileInfo:
    """A file, as `aecodec info` tells of it.

    Attributes:
        file: its name.
        bytes: its size.
        checked: whether the checksums of all chunks were checked.
        width: pixels.
        height: pixels.
        pixel_format: name of the format's `PixelFormat`.
        quality: 0 to 100.
        has_quality_map: whether it varies over the picture.
        quality_range: the lowest and the highest of a quality map; None without one, and where the
            tiles were not read.
        bpp: bits per pixel of the whole file.
        model: name of the released model; None for any other.
        model_id: as hexadecimal digits.
        tile_side: pixels.
        tiles: their number.
        lossless_tiles: how many of them hold pixels.
        max_error: largest error that a residual layer leaves; None without one.
        alpha_bytes: what alpha takes.
        chunks: all of them.
    """

    file: str
    bytes: int
    checked: bool
    width: int
    height: int
    pixel_format: str
    quality: float
    has_quality_map: bool
    quality_range: tuple[float, float] | None
    bpp: float
    model: str | None
    model_id: str
    tile_side: int
    tiles: int
    lossless_tiles: int
    max_error: int | None
    alpha_bytes: int
    chunks: tuple[ChunkInfo, ...]

    @property
    def quality_text(self) -> str:
        """The quality, and between which ones a map varies it."""
        if self.quality_range is not None:
            low, high = self.quality_range
            return f"{self.quality:g}, varying from {low:g} to {high:g}"
        return f"{self.quality:g}" + (", varying" if self.has_quality_map else "")

    def text(self) -> str:
        """The same for people, in several lines."""
        lines = [
            f"{self.file}: {self.width}x{self.height} {self.pixel_format}, "
            f"{self.bytes} bytes, {self.bpp:.3f} bpp",
            f"  quality {self.quality_text}, model {self.model or 'unknown to this version'} "
            f"({self.model_id}), {self.tiles} tiles of {self.tile_side} pixels, "
            f"{self.lossless_tiles} lossless",
        ]
        if self.alpha_bytes:
            lines.append(f"  alpha takes {self.alpha_bytes} bytes")
        if self.max_error is not None:
            kept = f"within {self.max_error}" if self.max_error else "exactly"
            lines.append(f"  a residual layer keeps every sample {kept}")
        if not self.checked:
            lines.append("  read from afar: checksums of the chunks are not checked")
        lines += [f"  chunk {c.type} at {c.offset}, {c.length} bytes" for c in self.chunks]
        return "\n".join(lines)


def read_info(source: Source, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Reads the header of a file; nothing behind its first 36 bytes is looked at.

    Args:
        source: bytes, a path, a URL, or a binary file object.
        limits: what the picture may ask for.

    Raises:
        FormatError: signature or header are damaged or cut off.
        UnsupportedError: newer version or unknown pixel format.
        LimitError: the picture exceeds the limits.
        InputError: the source is none of these, or its URL cannot be opened.
        OSError: it cannot be read.

    Example:
        >>> import aecodec
        >>> from PIL import Image
        >>> header = read_info(aecodec.compress(Image.new("L", (40, 30)), quality=50))
        >>> header.width, header.height, header.quality, header.pixel_format.is_gray
        (40, 30, 50.0, True)
    """
    if isinstance(source, Buffer):
        return parse_header(source, limits)
    with opened(source) as file:
        if can_seek(file):
            file.seek(0)
        return parse_header(file.read(HEADER_BYTES), limits)


def read_file_info(name: str, limits: Limits = DEFAULT_LIMITS) -> FileInfo:
    """Reads a file, or of a URL that can seek only the starts of its chunks, and describes it.

    Args:
        name: a path, a URL, or `-` for standard input.
        limits: what file and picture may ask for.

    Raises:
        FormatError: the file is damaged, as far as it is read.
        UnsupportedError: newer version, unknown pixel format or unknown critical chunk.
        LimitError: file or picture exceed the limits.
        InputError: the URL cannot be opened.
        OSError: the file cannot be read.
    """
    if is_url(name):
        with opened(name) as file:
            if can_seek(file):
                return _survey(name, FileReader(file, limits))
            data: Buffer = read_all(file, limits)
    else:
        data = load(name)
    stream = parse(data, limits)
    head = None if stream.layer is None else stream.layer.head
    chunks = tuple(ChunkInfo(*each) for each in chunk_table(data))
    return _described(name, stream.header, chunks, head, quality_range(stream), checked=True)


def _survey(name: str, file: FileReader) -> FileInfo:
    chunks = tuple(
        ChunkInfo(place.type.decode(), place.offset, place.length) for place in file.table()
    )
    return _described(name, file.header, chunks, file.layer, None, checked=False)


def quality_range(stream: Stream) -> tuple[float, float] | None:
    """The lowest and the highest quality of learned tiles; None without a map.

    Raises:
        PayloadError: a tile's words hold no map.
    """
    header = stream.header
    if not header.has_quality_map:
        return None
    from aecodec.coding.map_words import split_map  # late, as few files need an entropy coder
    from aecodec.format.quality_map import cell_qualities

    found: set[int] = set()
    for number, tile in enumerate(stream.tiles):
        if isinstance(tile, Tile):
            box = tile_box(header, number)
            cells = -(-box.height // GROUP), -(-box.width // GROUP)
            qualities = cell_qualities(header.quality_index, split_map(tile.words, cells)[0])
            found |= {int(qualities.min()), int(qualities.max())}
    return (min(found) / QUALITY_STEPS, max(found) / QUALITY_STEPS) if found else None


def _described(
    name: str, header: Header, chunks: tuple[ChunkInfo, ...], head: LayerHead | None,
    qualities: tuple[float, float] | None, *, checked: bool,
) -> FileInfo:  # fmt: skip
    released = find_model(header.model_id)
    size = chunks[-1].offset + CHUNK_BYTES  # DONE ends the file
    return FileInfo(
        file=name,
        bytes=size,
        checked=checked,
        width=header.width,
        height=header.height,
        pixel_format=header.pixel_format.name,
        quality=header.quality,
        has_quality_map=header.has_quality_map,
        quality_range=qualities,
        bpp=8 * size / (header.width * header.height),
        model=released.name if released else None,
        model_id=header.model_id.hex(),
        tile_side=header.tile_side,
        tiles=header.tile_count,
        lossless_tiles=sum(chunk.type == "PIXL" for chunk in chunks),
        max_error=None if head is None else head.bound,
        alpha_bytes=sum(CHUNK_BYTES + chunk.length for chunk in chunks if chunk.type == "ALPH"),
        chunks=chunks,
    )
