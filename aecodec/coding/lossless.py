"""Coders of the pixels of PIXL and ALPH chunks; SPECIFICATION.md, section 12.

The data lack what the containers of WebP and PNG repeat, so that they can state no other size or
kind of picture than the tile's. Decoders put it back and leave the rest to libwebp, zlib and
Pillow.
"""

import struct
import zlib
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import SUPPORTED as HAS_WEBP
from PIL.WebPImagePlugin import WebPImageFile

from aecodec.errors import AecError, LimitError, PayloadError, UnsupportedError
from aecodec.format.chunks import LosslessTile, PixelCoder, check_crc
from aecodec.picture.pixels import DAMAGE, Pixels, exact_eight_bit, little_endian, to_sixteen_bit

WEBP_SIDE_MAX = 16383
"""Longest side of a WebP picture in pixels; VP8L has 14 bits for it."""
WEBP_METHOD, WEBP_EFFORT = 4, 75
"""libwebp's speed settings; higher ones take many times as long for few of the bits."""
WEBP_THOROUGH = 6, 100
"""The slowest speed settings."""

PNG_GAIN = 1.5
"""`optimize=True` gains less than this factor over level 6, but is far slower on some noise."""
PNG_QUICK = 2**16
"""Size in bytes up to which PNGs are optimized in any case."""

_RIFF = struct.Struct("<4sI4s4sI")
_VP8L_SIGNATURE = 0x2F

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_HEAD = struct.Struct(">IIBBBBB")
_PNG_GRAY, _PNG_RGB = 0, 2


def encode_pixels(pixels: Pixels, *, thorough: bool = False) -> LosslessTile:
    """The smallest of the coders' results.

    Args:
        pixels: `(h, w, 3)` or `(h, w)`, uint8 or uint16.
        thorough: takes WebP's slowest settings.
    """
    if (pixels == pixels[0, 0]).all():
        return _tile(pixels, PixelCoder.FLAT, little_endian(pixels[0, 0]).tobytes())
    eight_bit = exact_eight_bit(pixels)
    if eight_bit is None or not HAS_WEBP or max(pixels.shape[:2]) > WEBP_SIDE_MAX:
        return encode_png(pixels)
    data = webp_data(eight_bit, *(WEBP_THOROUGH if thorough else (WEBP_METHOD, WEBP_EFFORT)))
    stored = _tile(pixels, PixelCoder.WEBP, data)
    quick = len(_png_data(pixels, compress_level=6))
    if quick > max(PNG_GAIN * len(data), PNG_QUICK):
        return stored
    return min(stored, encode_png(pixels), key=lambda tile: len(tile.data))


def encode_png(pixels: Pixels) -> LosslessTile:
    """Pixels as Pillow's PNG encoder compresses them with `optimize=True`."""
    return _tile(pixels, PixelCoder.PNG, _png_data(pixels, optimize=True))


def decode_pixels(
    tile: LosslessTile, height: int, width: int, *, gray: bool, sixteen_bit: bool = False
) -> Pixels:
    """Pixels of a tile; memory follows its size.

    Returns:
        `(height, width, 3)`, or `(height, width)` if `gray`; uint16 if `sixteen_bit`, else uint8.

    Raises:
        PayloadError: the data break the rules of SPECIFICATION.md, section 12.
        ChecksumError: the pixels are not those that were encoded.
        UnsupportedError: Pillow was built without WebP.
    """
    decode = _DECODERS[tile.coder]
    try:
        pixels = decode(tile.data, height, width, gray, sixteen_bit)
    except AecError:
        raise
    except (*DAMAGE, OSError) as exc:
        raise PayloadError(f"damaged {tile.coder.name} data of a tile: {exc}") from exc
    except Image.DecompressionBombError as exc:
        raise LimitError(str(exc)) from exc
    check_crc("decoded pixels", tile.checksum, zlib.crc32(little_endian(pixels).tobytes()))
    return pixels


def quick_size(pixels: npt.NDArray[np.uint8]) -> int:
    """Bytes that WebP's fastest lossless setting takes; 0 where Pillow has no WebP."""
    return len(webp_data(pixels, 0, 0)) if HAS_WEBP else 0


def _tile(pixels: Pixels, coder: PixelCoder, data: bytes) -> LosslessTile:
    return LosslessTile(zlib.crc32(little_endian(pixels).tobytes()), coder, data)


def webp_data(pixels: npt.NDArray[np.uint8], method: int, effort: int) -> bytes:
    """A VP8L bitstream.

    Args:
        pixels: `(h, w, 3)` or `(h, w)`, no side longer than `WEBP_SIDE_MAX`.
        method: libwebp's, 0 to 6.
        effort: libwebp's quality of lossless pictures, 0 to 100.
    """
    image = Image.fromarray(pixels).convert("RGB")
    file = BytesIO()
    image.save(file, "WEBP", lossless=True, method=method, quality=effort)
    data = file.getvalue()
    *_, size = _RIFF.unpack_from(data)
    return data[_RIFF.size : _RIFF.size + size]


def _decode_flat(data: bytes, height: int, width: int, gray: bool, sixteen_bit: bool) -> Pixels:
    shape = (height, width) if gray else (height, width, 3)
    if len(data) != (1 if gray else 3) * (2 if sixteen_bit else 1):
        raise PayloadError(f"the flat data of a tile have {len(data)} bytes, which is no pixel")
    pixel = np.frombuffer(data, "<u2" if sixteen_bit else np.uint8)
    pixels = np.empty(shape, np.uint16 if sixteen_bit else np.uint8)
    pixels[:] = pixel[0] if gray else pixel
    return pixels


def _decode_webp(data: bytes, height: int, width: int, gray: bool, sixteen_bit: bool) -> Pixels:
    if not HAS_WEBP:
        raise UnsupportedError("the file has tiles in WebP, which this build of Pillow lacks")
    fields = int.from_bytes(data[1:5], "little")
    if len(data) < 5 or data[0] != _VP8L_SIGNATURE or fields >> 28:
        raise PayloadError("the WebP data of a tile are not VP8L without alpha")
    stated = ((fields & 0x3FFF) + 1, (fields >> 14 & 0x3FFF) + 1)
    if stated != (width, height):
        raise PayloadError(f"{stated[0]} x {stated[1]} WebP pixels in a tile {width} x {height}")
    # Bytes behind the bitstream go unnoticed: libwebp does not say where it ended.
    padded = data + bytes(len(data) % 2)
    file = _RIFF.pack(b"RIFF", len(padded) + 12, b"WEBP", b"VP8L", len(data)) + padded
    with WebPImageFile(BytesIO(file)) as image:
        pixels = np.asarray(image.convert("RGB"))
    pixels = np.ascontiguousarray(pixels[:, :, 1]) if gray else pixels
    return to_sixteen_bit(pixels) if sixteen_bit else pixels


def _stacked(pixels: Pixels) -> Pixels:
    """16-bit RGB as the gray picture that coder 1 holds; others as they are."""
    if pixels.ndim == 2 or pixels.dtype == np.uint8:
        return pixels
    red, green, blue = pixels.transpose(2, 0, 1)
    return np.concatenate([green, red - green, blue - green])


def _unstacked(planes: Pixels) -> Pixels:
    green, red, blue = np.split(planes, 3)
    return np.stack([red + green, green, blue + green], axis=2)


def _png_data(pixels: Pixels, **options: int) -> bytes:
    file = BytesIO()
    Image.fromarray(_stacked(pixels)).save(file, "PNG", **options)
    data = file.getvalue()
    parts = []
    offset = len(_PNG_SIGNATURE)
    while offset < len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        if kind == b"IDAT":
            parts.append(data[offset + 8 : offset + 8 + length])
        offset += 12 + length
    return b"".join(parts)


def _decode_png(data: bytes, height: int, width: int, gray: bool, sixteen_bit: bool) -> Pixels:
    if sixteen_bit and not gray:
        return _unstacked(_decode_png(data, 3 * height, width, gray=True, sixteen_bit=True))
    inflater = zlib.decompressobj()
    expected = height * (1 + width * (1 if gray else 3) * (2 if sixteen_bit else 1))
    try:
        found = len(inflater.decompress(data, expected + 1))
    except zlib.error as exc:
        raise PayloadError(f"damaged PNG data of a tile: {exc}") from exc
    if found != expected or not inflater.eof or inflater.unused_data:
        raise PayloadError(f"the PNG data of a tile do not hold {width} x {height} pixels")
    head = _PNG_HEAD.pack(
        width, height, 16 if sixteen_bit else 8, _PNG_GRAY if gray else _PNG_RGB, 0, 0, 0
    )
    chunks = [(b"IHDR", head), (b"IDAT", data), (b"IEND", b"")]
    file = _PNG_SIGNATURE + b"".join(_png_chunk(*chunk) for chunk in chunks)
    with PngImageFile(BytesIO(file)) as image:
        return np.asarray(image).astype(np.uint16 if sixteen_bit else np.uint8, copy=False)


_DECODERS = {
    PixelCoder.WEBP: _decode_webp,
    PixelCoder.PNG: _decode_png,
    PixelCoder.FLAT: _decode_flat,
}


def _png_chunk(kind: bytes, payload: bytes) -> bytes:
    crc = zlib.crc32(payload, zlib.crc32(kind))
    return struct.pack(">I4s", len(payload), kind) + payload + struct.pack(">I", crc)
