"""The strips and tiles of a TIFF: their bytes decompressed, predictions undone, samples unpacked.

Compressions of plain bytes are undone here, whatever the samples mean: Deflate and LZMA by Python,
PackBits by a loop, LZW and Zstandard by libtiff, which is given each strip as a gray picture whose
samples are the bytes. So no reader's view of the pixel layout comes into it.

Source: TIFF 6.0, sections 3, 9, 13 to 15; Adobe Photoshop TIFF Technical Note 3 (predictor 3).
"""

import lzma
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL.TiffImagePlugin import TiffImageFile

from aecodec.errors import InputError
from aecodec.picture.pixels import DAMAGE, damaged
from aecodec.picture.tiff_tags import Directory
from aecodec.picture.vips import NotBuiltError, load_vips, read_by_vips

NONE, LZW, DEFLATE, PACKBITS, OLD_DEFLATE = 1, 5, 8, 32773, 32946
_LZMA, _ZSTD = 34925, 50000
BYTE_COMPRESSIONS = {NONE, LZW, DEFLATE, PACKBITS, OLD_DEFLATE, _LZMA, _ZSTD}
"""Compressions that do not know what a sample is."""
_PREDICTED = BYTE_COMPRESSIONS - {NONE, PACKBITS}
_SAMPLES_MAX = 64
_FLOATING = 3
_DIFFERENCES, _FLOATING_DIFFERENCES = 2, 3
_REVERSED = np.packbits(
    np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1
).tobytes()
"""Each byte with its bits in reversed order."""


@dataclass(frozen=True)
class Layout:
    """How a TIFF stores its samples; see `layout_of`.

    Attributes:
        width: pixels.
        height: pixels.
        bits: of each sample.
        samples: of each pixel.
        form: 1 for unsigned integers, 2 for signed ones, 3 for floating numbers, 4 if unknown.
        planes: whether each sample of all pixels lies apart from the others.
        compression: the number that TIFF gives it.
        predictor: 1 for none, 2 for differences, 3 for those of floating numbers.
        reversed_bits: whether the first pixel is in the lowest bit of a byte.
        part: height and width of a strip or tile.
        tiled: whether parts are tiles, which are whole at the borders of the picture too.
        offsets: where each part begins.
        counts: the bytes of each part.
        order: `<` or `>`, the byte order.
    """

    width: int
    height: int
    bits: int
    samples: int
    form: int
    planes: bool
    compression: int
    predictor: int
    reversed_bits: bool
    part: tuple[int, int]
    tiled: bool
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    order: str

    @property
    def samples_together(self) -> int:
        """How many samples of a pixel lie together."""
        return 1 if self.planes else self.samples

    def row_bytes(self, width: int) -> int:
        """The bytes of so many pixels in a row."""
        return -(-width * self.samples_together * self.bits // 8)


def layout_of(tags: Directory) -> Layout:
    """How the picture of a directory is stored.

    Raises:
        InputError: tags contradict one another, or bits differ between samples.
    """
    width, height, samples = (tags.integer(tag, 0) for tag in (256, 257, 277))
    samples = samples or 1
    bits = set(tags.integers(258)[:samples] or (1,))
    forms = set(tags.integers(339)[:samples] or (1,))
    if len(bits) > 1 or len(forms) > 1:
        raise InputError("TIFF whose samples differ in type is not supported")
    if not width or not height:
        raise InputError("damaged picture: a TIFF without a size")
    if samples > _SAMPLES_MAX:
        raise InputError(f"TIFF of {samples} samples a pixel is not supported")
    tiled = 324 in tags.entries
    if tiled:
        part = tags.integer(323, 0), tags.integer(322, 0)
    else:
        part = min(tags.integer(278, height) or height, height), width
    if not all(part):
        raise InputError("damaged picture: tiles of a TIFF without a size")
    return Layout(
        width, height, min(bits), samples, min(forms), samples > 1 and tags.integer(284, 1) == 2,
        tags.integer(259, 1), tags.integer(317, 1), tags.integer(266, 1) == 2, part, tiled,
        tags.integers(324 if tiled else 273), tags.integers(325 if tiled else 279),
        tags.order,
    )  # fmt: skip


def read_samples(data: bytes, layout: Layout) -> npt.NDArray[Any]:
    """All samples of a TIFF under one of `BYTE_COMPRESSIONS`.

    Returns:
        `(H, W, samples)`; unsigned or signed integers of up to 16 bits as uint8, uint16, int8 or
        int16, others as uint32, int32, float16, float32 or float64, in the machine's byte order.

    Raises:
        InputError: the file is damaged, or the type of the samples is not supported.
    """
    kind = _type_of(layout)
    whole = np.empty((layout.height, layout.width, layout.samples), kind.newbyteorder("="))
    high, wide = layout.part
    count = -(-layout.height // high) * -(-layout.width // wide)
    count *= layout.samples if layout.planes else 1
    if len(layout.offsets) < count:
        raise InputError(f"damaged picture: {len(layout.offsets)} of {count} parts of a TIFF")
    spots = [
        (channel, top, left)
        for channel in range(layout.samples if layout.planes else 1)
        for top in range(0, layout.height, high)
        for left in range(0, layout.width, wide)
    ]
    heights = [high if layout.tiled else min(high, layout.height - top) for _, top, _ in spots]
    for (channel, top, left), rows, packed in zip(
        spots, heights, _parts(data, layout, heights), strict=True
    ):
        part = _unpacked(packed, layout, kind, rows)
        target = whole[top : top + rows, left : left + wide]
        if layout.planes:
            target = target[:, :, channel : channel + 1]
        target[:] = part[: target.shape[0], : target.shape[1]]
    return whole


def _type_of(layout: Layout) -> np.dtype[Any]:
    """The type of samples once they are unpacked, in the byte order of the file."""
    if layout.form == _FLOATING and layout.bits in (16, 32, 64):
        return np.dtype(f"{layout.order}f{layout.bits // 8}")
    if layout.form in (1, 2, 4) and layout.bits in (8, 16, 32):
        return np.dtype(f"{layout.order}{'i' if layout.form == 2 else 'u'}{layout.bits // 8}")
    if layout.form in (1, 4) and layout.bits < 16:
        return np.dtype(np.uint8 if layout.bits < 8 else np.uint16)
    names = {2: "signed", 3: "floating"}
    raise InputError(
        f"TIFF of {layout.bits} bits a sample {names.get(layout.form, '')} is not supported: "
        "convert it to 8 or 16 bits".replace("  ", " ")
    )


def _parts(data: bytes, layout: Layout, heights: list[int]) -> Iterator[bytes]:
    """Yields the bytes of each part, decompressed and of the right size."""
    packed: list[bytes] = []
    for index in range(len(heights)):
        start = layout.offsets[index]
        size = layout.counts[index] if index < len(layout.counts) else None
        if size == 0 and layout.compression == NONE:  # some writers leave it out so
            size = None
        piece = data[start:] if size is None else data[start : start + size]
        if size is not None and len(piece) < size:
            raise InputError(f"damaged picture: it ends within part {index + 1} of {len(heights)}")
        packed.append(piece.translate(_REVERSED) if layout.reversed_bits else piece)
    wide = layout.row_bytes(layout.part[1])
    if layout.compression in (LZW, _ZSTD):
        yield from _by_libtiff(packed, layout.compression, wide, heights)
        return
    for index, (piece, rows) in enumerate(zip(packed, heights, strict=True)):
        try:
            found = _decompressed(piece, layout.compression, rows * wide)
        except (zlib.error, lzma.LZMAError, EOFError) as exc:
            raise InputError(f"damaged picture: part {index + 1} of a TIFF: {exc}") from exc
        if len(found) < rows * wide:
            raise InputError(f"damaged picture: part {index + 1} of a TIFF is too short")
        yield found[: rows * wide]


def _decompressed(piece: bytes, compression: int, size: int) -> bytes:
    if compression in (DEFLATE, OLD_DEFLATE):
        return zlib.decompressobj().decompress(piece, size)
    if compression == _LZMA:
        return lzma.LZMADecompressor().decompress(piece, size)
    return _undo_packbits(piece, size) if compression == PACKBITS else piece


def _undo_packbits(piece: bytes, size: int) -> bytes:
    found, at = bytearray(), 0
    while at < len(piece) and len(found) < size:
        count = piece[at]
        if count < 128:
            found += piece[at + 1 : at + 2 + count]
            at += 2 + count
        else:
            if count > 128:
                found += piece[at + 1 : at + 2] * (257 - count)
            at += 2 if count > 128 else 1
    return bytes(found)


def _by_libtiff(
    packed: list[bytes], compression: int, wide: int, heights: list[int]
) -> Iterator[bytes]:
    """Yields what libtiff makes of each part, several equally high ones at a time."""
    first = 0
    while first < len(packed):
        rows, last = heights[first], first + 1
        while last < len(packed) and heights[last] == rows and last - first < 1024:
            last += 1
        found = _gray_bytes(_gray_tiff(packed[first:last], compression, wide, rows))
        if found.shape != (rows * (last - first), wide):
            raise InputError("damaged picture: a part of a TIFF has another size")
        data, size = found.tobytes(), rows * wide
        yield from (data[at : at + size] for at in range(0, len(data), size))
        first = last


def _gray_tiff(parts: list[bytes], compression: int, wide: int, rows: int) -> bytes:
    """A TIFF of 8-bit gray whose strips are given."""
    count, body = len(parts), b"".join(parts)
    offsets, at = [], 8
    for part in parts:
        offsets.append(at)
        at += len(part)
    table = 8 + len(body) + len(body) % 2
    values = table + 2 + 12 * 10 + 4
    lists = (offsets, [len(part) for part in parts])
    places = [values, values + 4 * count] if count > 1 else [items[0] for items in lists]
    tags = [
        (256, 4, 1, wide), (257, 4, 1, rows * count), (258, 3, 1, 8), (259, 3, 1, compression),
        (262, 3, 1, 1), (273, 4, count, places[0]), (277, 3, 1, 1), (278, 4, 1, rows),
        (279, 4, count, places[1]), (284, 3, 1, 1),
    ]  # fmt: skip
    directory = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II*\0" + struct.pack("<I", table) + body + bytes(len(body) % 2)
    ending = b"".join(struct.pack(f"<{count}I", *items) for items in lists)
    return head + struct.pack("<H", len(tags)) + directory + bytes(4) + ending


def _gray_bytes(tiff: bytes) -> npt.NDArray[Any]:
    """The samples of a TIFF of 8-bit gray; by libvips, which keeps quiet, if it is installed."""
    if load_vips() is not None:
        with suppress(NotBuiltError):  # the libtiff in Pillow may know it
            samples = read_by_vips(tiff, "reading compressed TIFF")
            return samples.reshape(samples.shape[:2])
    try:
        with TiffImageFile(BytesIO(tiff)) as image:
            return np.asarray(image)
    except (*DAMAGE, OSError) as exc:
        raise damaged(exc) from exc


def _unpacked(packed: bytes, layout: Layout, kind: np.dtype[Any], rows: int) -> npt.NDArray[Any]:
    """The samples of a part, `(rows, width, samples together)`."""
    width, depth = layout.part[1], layout.samples_together
    predictor = layout.predictor if layout.compression in _PREDICTED else 1
    if predictor == _FLOATING_DIFFERENCES and layout.form == _FLOATING:
        return _undo_floating(packed, kind, (rows, width, depth))
    if layout.bits in (8, 16, 32, 64):
        samples = np.frombuffer(packed, kind).reshape(rows, width, depth)
        samples = samples.astype(kind.newbyteorder("="))
        if predictor == _DIFFERENCES:
            plain = samples.view(f"u{kind.itemsize}")
            samples = np.cumsum(plain, axis=1, dtype=plain.dtype).view(samples.dtype)
        elif predictor != 1:
            raise InputError(f"TIFF with predictor {predictor} is not supported")
        return samples
    if predictor != 1:
        raise InputError(f"TIFF of {layout.bits} bits a sample with predictor is not supported")
    line = np.frombuffer(packed, np.uint8).reshape(rows, -1)
    bits = np.unpackbits(line, axis=1)[:, : width * depth * layout.bits]
    weights = (1 << np.arange(layout.bits - 1, -1, -1)).astype(np.uint16)
    values = bits.reshape(rows, width, depth, layout.bits) @ weights
    return values.astype(kind)


def _undo_floating(
    packed: bytes, kind: np.dtype[Any], shape: tuple[int, int, int]
) -> npt.NDArray[Any]:
    """Floating numbers whose bytes were sorted by weight and stored as differences."""
    rows, width, depth = shape
    line = np.frombuffer(packed, np.uint8).reshape(rows, -1, depth)
    sums = np.cumsum(line, axis=1, dtype=np.uint8)
    planes = sums.reshape(rows, kind.itemsize, width * depth)
    numbers = np.ascontiguousarray(planes.swapaxes(1, 2))
    found = numbers.view(f">f{kind.itemsize}").reshape(shape)
    return found.astype(kind.newbyteorder("="))
