"""Pictures that are read by rows, from top to bottom, whether they lie in memory or in a file.

Raw PPM and PGM are read in place. PNG and TIFF are decoded by libvips (package pyvips, of the extra
`vips`) in memory that does not grow with their height; their metadata are read as those of pictures
that are read at once.

Source: netpbm, https://netpbm.sourceforge.net/doc/ppm.html.
"""

import re
import stat
import zlib
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from aecodec.errors import InputError
from aecodec.format.chunks import DEFAULT_LIMITS, METADATA_KINDS
from aecodec.picture import png_chunks
from aecodec.picture.metadata import UPRIGHT, Metadata
from aecodec.picture.orientation import exif_orientation, orientation_in
from aecodec.picture.picture import Picture
from aecodec.picture.pixels import DAMAGE, Pixels
from aecodec.picture.reading import Reading, Wishes
from aecodec.picture.tiff_tags import ORIENTATION, PHOTOMETRIC, SIGNATURES, Directories
from aecodec.picture.vips import damage, load_vips

_TIFF_JPEG = 7
"""A compression of TIFF that libvips undoes, beside those of plain bytes."""

_PNG_LATE = (b"tEXt", b"zTXt", b"iTXt", b"eXIf")
"""Metadata that PNG allows behind the pixels."""
_PNG_UNSUITED = (b"tRNS", b"acTL")
"""Transparency, and animation."""

_NETPBM_HEAD = re.compile(rb"P([56])" + 3 * rb"(?:\s|#[^\n]*\n)+?(\d{1,10})" + rb"\s")
_NETPBM_HEAD_BYTES = 4096
"""A head with longer comments is not found."""

_PIECE = 64
"""Rows that libvips decodes at a time."""


class RowSource(Protocol):
    """A picture whose rows an encoder asks for, from top to bottom."""

    @property
    def height(self) -> int:
        """The number of rows."""

    @property
    def width(self) -> int:
        """The number of columns."""

    @property
    def gray(self) -> bool:
        """Whether colours have one channel rather than three."""

    @property
    def sixteen_bit(self) -> bool:
        """Whether samples have 16 bits rather than 8."""

    @property
    def metadata(self) -> Metadata:
        """What is to be kept of what the picture says about itself."""

    @property
    def picture(self) -> Picture | None:
        """The whole picture, if it lies in memory anyway."""

    def rows(self, top: int, bottom: int) -> Pixels:
        """Colours of the rows from `top` on, without `bottom`.

        Returns:
            `(h, w, 3)`, or `(h, w)` if `gray`; uint16 if `sixteen_bit`, else uint8.

        Raises:
            InputError: the picture is damaged.
        """

    def alpha(self, top: int, bottom: int) -> Pixels | None:
        """Alpha of these rows, `(h, w)`; None for every row if the picture is opaque."""

    def forget(self, top: int) -> None:
        """Says that no row above `top` will be asked for again.

        Those that are asked for nevertheless come too, but may take as long as all above them.
        """


class PictureRows:
    """The rows of a picture in memory."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.metadata = picture.metadata
        self.height, self.width = picture.pixels.shape[:2]
        self.gray = picture.pixels.ndim == 2
        self.sixteen_bit = picture.pixels.dtype == np.uint16

    def rows(self, top: int, bottom: int) -> Pixels:
        """Views of the picture; see `RowSource`."""
        return self.picture.pixels[top:bottom]

    def alpha(self, top: int, bottom: int) -> Pixels | None:
        """Views of the picture; see `RowSource`."""
        return None if self.picture.alpha is None else self.picture.alpha[top:bottom]

    def forget(self, top: int) -> None:
        """Does nothing: the caller has the whole picture."""


class _FileRows:
    """What pictures in files that are read by rows have in common."""

    picture: None = None

    def alpha(self, top: int, bottom: int) -> None:
        """Gives None: only opaque pictures are read by rows."""


class NetpbmSource(_FileRows):
    """A raw PPM or PGM of 8 or 16 bits in a file that can seek."""

    def __init__(
        self, file: BinaryIO, size: tuple[int, int], *, gray: bool, sixteen_bit: bool, start: int
    ) -> None:
        self._file, self._start = file, start
        self.height, self.width = size
        self.gray, self.sixteen_bit = gray, sixteen_bit
        self.metadata = Metadata()

    def rows(self, top: int, bottom: int) -> Pixels:
        """Reads the rows where they lie; see `RowSource`."""
        stride = self.width * (1 if self.gray else 3) * (2 if self.sixteen_bit else 1)
        self._file.seek(self._start + top * stride)
        data = self._file.read((bottom - top) * stride)
        if len(data) != (bottom - top) * stride:
            raise InputError(f"damaged picture: it ends before row {bottom}")
        shape = (bottom - top, self.width)
        samples = np.frombuffer(data, ">u2" if self.sixteen_bit else np.uint8)
        pixels = samples.reshape(shape if self.gray else (*shape, 3))
        return pixels.astype(np.uint16) if self.sixteen_bit else pixels

    def forget(self, top: int) -> None:
        """Does nothing: no row is kept."""

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


@dataclass(frozen=True)
class _Head:
    """Size, channels and metadata of a picture."""

    width: int
    height: int
    gray: bool
    metadata: Metadata


class ScanlineSource(_FileRows):
    """A PNG or TIFF that libvips decodes from top to bottom, each row once.

    It keeps the rows that were decoded and not forgotten. Only for forgotten ones it begins anew.
    """

    sixteen_bit = False

    def __init__(self, path: Path, head: _Head) -> None:
        self._path = path
        self.width, self.height, self.gray = head.width, head.height, head.gray
        self.metadata = head.metadata
        self._pieces: deque[Pixels] = deque()
        self._first = self._end = 0
        """The first row of the pieces, and the one behind them, which comes next."""
        self._needed = 0
        """The first row that is not forgotten."""
        self._region: Any = None

    def rows(self, top: int, bottom: int) -> Pixels:
        """Decodes what is missing of the rows; see `RowSource`."""
        self._needed = min(self._needed, top)
        if self._region is None or top < self._first:
            self._open()
        while self._end < bottom:
            self._pieces.append(self._fetch(min(_PIECE, self.height - self._end)))
            self._end += len(self._pieces[-1])
            self._drop()
        shape = (bottom - top, self.width) if self.gray else (bottom - top, self.width, 3)
        result, start = np.empty(shape, np.uint8), self._first
        for piece in self._pieces:
            low, high = max(start, top), min(start + len(piece), bottom)
            if low < high:
                result[low - top : high - top] = piece[low - start : high - start]
            start += len(piece)
        return result

    def forget(self, top: int) -> None:
        """Drops rows above `top`; see `RowSource`."""
        self._needed = top
        self._drop()

    def close(self) -> None:
        """Lets go of the file and of all rows."""
        self._region = None
        self._pieces.clear()
        self._first = self._end = 0

    def _drop(self) -> None:
        while self._pieces and self._first + len(self._pieces[0]) <= self._needed:
            self._first += len(self._pieces.popleft())

    def _open(self) -> None:
        import pyvips

        self.close()
        try:
            image = pyvips.Image.new_from_file(
                str(self._path), access="sequential", fail_on="error", revalidate=True
            )
            found = (image.width, image.height, image.bands, image.format)
            self._region = pyvips.Region.new(image)
        except pyvips.Error as exc:
            raise damage(exc) from exc
        expected = (self.width, self.height, 1 if self.gray else 3, "uchar")
        if found != expected:
            raise InputError(f"libvips sees another picture: {found} instead of {expected}")

    def _fetch(self, count: int) -> Pixels:
        import pyvips

        try:
            data = self._region.fetch(0, self._end, self.width, count)
        except pyvips.Error as exc:
            raise damage(exc) from exc
        shape = (count, self.width) if self.gray else (count, self.width, 3)
        return np.frombuffer(data, np.uint8).reshape(shape)


@contextmanager
def open_rows(
    path: Path, keep: Collection[str] = METADATA_KINDS, least: int = 0
) -> Iterator[RowSource | None]:
    """A picture file that can be read by rows, open until the end of the block; None for others.

    These are raw PPM and PGM of 8 or 16 bits and, with pyvips, PNG without interlacing and TIFF of
    one page with interleaved samples, both of 8-bit gray or RGB without transparency, that need not
    be turned. Pipes and devices are left untouched, since they can be read only once.

    Args:
        path: of the file.
        keep: which metadata to keep, out of `METADATA_KINDS`. Without "exif", pictures that it says
            to turn cannot be read by rows.
        least: pixels that the picture must have; None for smaller ones, too.

    Raises:
        OSError: the file cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        yield None
        return
    with path.open("rb") as file:
        source = open_netpbm(file) or _open_scanlines(path, file, keep, least)
        if source is None or source.height * source.width < least:
            yield None
            return
        with closing(source):
            yield source


def open_netpbm(file: BinaryIO) -> NetpbmSource | None:
    """The picture in a file that can seek; None if it is no raw PPM or PGM of 8 or 16 bits."""
    file.seek(0)
    head = _NETPBM_HEAD.match(file.read(_NETPBM_HEAD_BYTES))
    if head is None:
        return None
    kind, width, height, largest = head.groups()
    if int(largest) not in (255, 65535) or not int(width) or not int(height):
        return None
    size, sixteen_bit = (int(height), int(width)), int(largest) == 65535
    return NetpbmSource(file, size, gray=kind == b"5", sixteen_bit=sixteen_bit, start=head.end())


def _open_scanlines(
    path: Path, file: BinaryIO, keep: Collection[str], least: int
) -> ScanlineSource | None:
    """The PNG or TIFF at a path, which is open as `file` too; None if it does not suit."""
    file.seek(0)
    signature = file.read(len(png_chunks.SIGNATURE))
    file.seek(0)
    try:
        if signature == png_chunks.SIGNATURE:
            head = _png_head(file, keep, least)
        elif signature.startswith(SIGNATURES):
            head = _tiff_head(file, keep)
        else:
            return None
    except (*DAMAGE, OSError):  # who reads all at once says what is wrong
        return None
    if head is None or head.width * head.height < least:
        return None
    vips = load_vips()
    suits = vips is not None and vips.at_least_libvips(8, 13)
    return ScanlineSource(path, head) if suits else None


def _png_head(file: BinaryIO, keep: Collection[str], least: int) -> _Head | None:
    """What a PNG says before its pixels; None if they, or what is behind them, do not suit."""
    before: list[tuple[bytes, bytes]] = []
    total, in_pixels = 0, False
    for kind, size in png_chunks.walk_chunks(file):
        in_pixels |= kind == b"IDAT"
        if kind in _PNG_UNSUITED or (in_pixels and kind in _PNG_LATE):
            return None
        if in_pixels:
            continue
        total += size
        if total > DEFAULT_LIMITS.metadata_bytes or len(before) >= DEFAULT_LIMITS.metadata_chunks:
            return None
        payload = file.read(size)
        if zlib.crc32(payload, zlib.crc32(kind)) != int.from_bytes(file.read(4), "big"):
            return None
        before.append((kind, payload))
        width, height = png_chunks.HEAD.unpack(before[0][1])[:2]
        if width * height < least:
            return None
    width, height, depth, colour, _, _, interlace = png_chunks.HEAD.unpack(before[0][1])
    if not in_pixels or depth != 8 or interlace:
        return None
    if colour not in (png_chunks.GRAY, png_chunks.RGB):
        return None
    from aecodec.picture.png import png_metadata

    gray = colour == png_chunks.GRAY
    metadata, losses = png_metadata(before[1:], Wishes(keep), gray=gray)
    return _plain_head((width, height), metadata, losses, keep, gray=gray)


def _plain_head(
    size: tuple[int, int], metadata: Metadata, losses: list[str], keep: Collection[str], *,
    gray: bool,
) -> _Head | None:  # fmt: skip
    """The head of a picture that is kept whole; None if it must be turned, or something is lost.

    Those are read at once, by whoever tells of the losses.
    """
    from aecodec.picture.decoding import fitted

    pixel = np.zeros((2, 1) if gray else (2, 1, 3), np.uint8)
    reading = fitted(Reading(pixel, metadata, tuple(losses if keep else ())), Wishes(keep))
    turned = orientation_in(metadata) != UPRIGHT and exif_orientation(reading.metadata.exif) in (
        None,
        UPRIGHT,
    )
    if reading.losses or turned:
        return None
    return _Head(*size, gray, reading.metadata)


def _tiff_head(file: BinaryIO, keep: Collection[str]) -> _Head | None:
    """What a TIFF says; None if its pixels do not suit, or if they must be turned."""
    from aecodec.picture.tiff import BLACK_IS_ZERO, RGB, refuse_raw, tiff_metadata
    from aecodec.picture.tiff_segments import BYTE_COMPRESSIONS, layout_of

    with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        directories = Directories(data)
        pages = list(directories.chain())
        first = pages[0]
        refuse_raw(data, directories, pages)
        layout = layout_of(first)
        meaning = first.integer(PHOTOMETRIC, -1)
        samples = {BLACK_IS_ZERO: 1, RGB: 3}.get(meaning)
        plain = layout.samples == samples and layout.compression in (*BYTE_COMPRESSIONS, _TIFF_JPEG)
        eight_bit = layout.bits == 8 and layout.form == 1 and not layout.planes
        turned = first.integer(ORIENTATION, UPRIGHT) != UPRIGHT or layout.reversed_bits
        if not plain or not eight_bit or turned or len(pages) > 1:
            return None
        metadata, losses = tiff_metadata(directories, first)
        size = (layout.width, layout.height)
        return _plain_head(size, metadata, losses, keep, gray=meaning == BLACK_IS_ZERO)
