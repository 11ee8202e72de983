"""Tiles that keep their pixels: two lossless coders, and when they are worth trying.

This text specifies the data of a PIXL chunk (`aecodec/container.py`). They hold exactly the pixels
that the tile covers, without what the containers of the two formats repeat, so that they can state
no other size or kind of picture:

- coder 0, WebP: a VP8L bitstream (RFC 9649, section 3) that begins with its signature 2F, states
  the width and height of the tile (at most 16383 each), alpha_is_used 0 and version 0. In a gray
  picture the green component is the pixel; encoders make the other two equal to it.
- coder 1, PNG: the zlib stream that the IDAT chunks of a PNG without interlacing hold together, for
  bit depth 8, colour type 0 in a gray picture and 2 in an RGB one; nothing follows it.

The checksum is the CRC-32 of the pixels in the order row, column, channel. A decoder must reject
data that break these rules or the checksum.

An encoder may choose as it likes which tiles are stored so; `aecodec/selection.py` says how this
one does.
"""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import SUPPORTED as HAS_WEBP
from PIL.WebPImagePlugin import WebPImageFile

from aecodec.container import LosslessTile, PixelCoder
from aecodec.errors import AecError, ChecksumError, LimitError, PayloadError, UnsupportedError
from aecodec.images import DAMAGE, Pixels

WEBP_SIDE_MAX = 16383
"""Pixels; VP8L has 14 bits for a side."""
WEBP_METHOD, WEBP_EFFORT = 4, 75
"""libwebp's speed settings; 6 and 100 take 30 times as long for 1 to 3 % of the bits."""
PNG_GAIN = 1.5
"""What `optimize=True` gains over level 6 is less, but takes ten times as long on some noise."""
PNG_QUICK = 2**16
"""Bytes; smaller PNGs are optimized in any case."""
STRIP_PIXELS = 2**16 // 3
"""Pixels of one sample; in RGB twice as far as PNG looks back, so it finds what that does."""
LIKELY_BPP = 2.5
"""Lossless bits per pixel that photographs do not reach."""
LEARNED_RATIO = 2.0
"""Lossless over learned bytes; photographs have 3.5 or more at any quality."""
FLAT = 0.6
"""Part of the pixels that equal their left neighbour; Kodak has 0.02 to 0.4."""
ROUGH = 400.0
"""Mean square of the finest diagonal detail, in 8-bit steps; photographs have 5 to 200."""

_RIFF = struct.Struct("<4sI4s4sI")
_VP8L_SIGNATURE = 0x2F
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_HEAD = struct.Struct(">IIBBBBB")
_PNG_GRAY, _PNG_RGB = 0, 2


def encode_pixels(pixels: Pixels) -> LosslessTile:
    """The smaller of both coders' results.

    Args:
        pixels: `(h, w, 3)` or `(h, w)` uint8.
    """
    if not HAS_WEBP or max(pixels.shape[:2]) > WEBP_SIDE_MAX:
        return encode_png(pixels)
    data = _webp_data(pixels, WEBP_METHOD, WEBP_EFFORT)
    stored = _tile(pixels, PixelCoder.WEBP, data)
    quick = len(_png_data(pixels, compress_level=6))
    if quick > max(PNG_GAIN * len(data), PNG_QUICK):
        return stored
    return min(stored, encode_png(pixels), key=lambda tile: len(tile.data))


def encode_png(pixels: Pixels) -> LosslessTile:
    """Pixels as Pillow's PNG encoder compresses them with `optimize=True`."""
    return _tile(pixels, PixelCoder.PNG, _png_data(pixels, optimize=True))


def decode_pixels(tile: LosslessTile, height: int, width: int, *, gray: bool) -> Pixels:
    """Pixels of a tile, `(height, width, 3)` or `(height, width)`; memory follows that size.

    Raises:
        PayloadError: the data break the rules above.
        ChecksumError: the pixels are not those that were encoded.
        UnsupportedError: Pillow was built without WebP.
    """
    decode = _decode_webp if tile.coder == PixelCoder.WEBP else _decode_png
    try:
        pixels = decode(tile.data, height, width, gray)
    except AecError:
        raise
    except (*DAMAGE, OSError) as exc:
        raise PayloadError(f"damaged {tile.coder.name} data of a tile: {exc}") from exc
    except Image.DecompressionBombError as exc:
        raise LimitError(str(exc)) from exc
    computed = zlib.crc32(pixels.tobytes())
    if computed != tile.checksum:
        raise ChecksumError("decoded pixels", stored=tile.checksum, computed=computed)
    return pixels


def estimate_bytes(pixels: Pixels) -> int:
    """About what lossless coding takes, from a sample of at most 43,690 pixels."""
    if not HAS_WEBP:
        return 0
    part = _sample(pixels)
    data = _webp_data(part, 0, 0)
    return round(len(data) * pixels.size / part.size)


def is_unusual(pixels: Pixels, estimate: int, learned_bytes: int) -> bool:
    """Whether a tile is so unlike photographs that lossless coding must be tried.

    Args:
        pixels: `(h, w, 3)` or `(h, w)` uint8, the tile's.
        estimate: what `estimate_bytes` says of them.
        learned_bytes: size of the learned tile.
    """
    area = pixels.shape[0] * pixels.shape[1]
    if estimate <= max(LIKELY_BPP * area / 8, LEARNED_RATIO * learned_bytes):
        return True
    sample = _sample(pixels)
    return roughness(sample) > ROUGH or flatness(sample) > FLAT


def roughness(pixels: Pixels) -> float:
    """Mean square of the diagonal Haar coefficients of 2x2 pixels, in 8-bit steps."""
    height, width = (side & ~1 for side in pixels.shape[:2])
    if not height or not width:
        return 0.0
    x = pixels[:height, :width].astype(np.int32)
    rows = x[::2] - x[1::2]
    detail = rows[:, ::2] - rows[:, 1::2]
    return float(np.vdot(detail, detail)) / 4 / detail.size


def flatness(pixels: Pixels) -> float:
    """Part of the pixels, 0 to 1, that equal their left neighbour."""
    if pixels.shape[1] < 2:
        return 0.0
    equal = pixels[:, 1:] == pixels[:, :-1]
    return float(np.mean(equal if pixels.ndim == 2 else equal.all(axis=2)))


def _sample(pixels: Pixels) -> Pixels:
    """Two strips of whole rows, at one and three quarters of the height; all of a small tile."""
    height, width = pixels.shape[:2]
    rows = max(2, STRIP_PIXELS // width)
    if height <= 2 * rows:
        return pixels
    starts = (height // 4 - rows // 2, 3 * height // 4 - rows // 2)
    return np.concatenate([pixels[max(start, 0) :][:rows] for start in starts])


def _tile(pixels: Pixels, coder: PixelCoder, data: bytes) -> LosslessTile:
    return LosslessTile(zlib.crc32(np.ascontiguousarray(pixels).tobytes()), coder, data)


def _webp_data(pixels: Pixels, method: int, effort: int) -> bytes:
    image = Image.fromarray(pixels).convert("RGB")
    file = BytesIO()
    image.save(file, "WEBP", lossless=True, method=method, quality=effort)
    data = file.getvalue()
    *_, size = _RIFF.unpack_from(data)
    return data[_RIFF.size : _RIFF.size + size]


def _decode_webp(data: bytes, height: int, width: int, gray: bool) -> Pixels:
    if not HAS_WEBP:
        raise UnsupportedError("the file has tiles in WebP, which this build of Pillow lacks")
    fields = int.from_bytes(data[1:5], "little")
    if len(data) < 5 or data[0] != _VP8L_SIGNATURE or fields >> 28:
        raise PayloadError("the WebP data of a tile are not VP8L without alpha")
    stated = ((fields & 0x3FFF) + 1, (fields >> 14 & 0x3FFF) + 1)
    if stated != (width, height):
        raise PayloadError(f"{stated[0]} x {stated[1]} WebP pixels in a tile {width} x {height}")
    padded = data + bytes(len(data) % 2)
    file = _RIFF.pack(b"RIFF", len(padded) + 12, b"WEBP", b"VP8L", len(data)) + padded
    with WebPImageFile(BytesIO(file)) as image:
        pixels = np.asarray(image.convert("RGB"))
    return np.ascontiguousarray(pixels[:, :, 1]) if gray else pixels


def _png_data(pixels: Pixels, **options: int) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    data = file.getvalue()
    parts = []
    offset = len(_PNG_SIGNATURE)
    while offset < len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        if kind == b"IDAT":
            parts.append(data[offset + 8 : offset + 8 + length])
        offset += 12 + length
    return b"".join(parts)


def _decode_png(data: bytes, height: int, width: int, gray: bool) -> Pixels:
    inflater = zlib.decompressobj()
    expected = height * (1 + width * (1 if gray else 3))
    try:
        found = len(inflater.decompress(data, expected + 1))
    except zlib.error as exc:
        raise PayloadError(f"damaged PNG data of a tile: {exc}") from exc
    if found != expected or not inflater.eof or inflater.unused_data:
        raise PayloadError(f"the PNG data of a tile do not hold {width} x {height} pixels")
    head = _PNG_HEAD.pack(width, height, 8, _PNG_GRAY if gray else _PNG_RGB, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", data), (b"IEND", b"")]
    file = _PNG_SIGNATURE + b"".join(_png_chunk(*chunk) for chunk in chunks)
    with PngImageFile(BytesIO(file)) as image:
        return np.asarray(image)


def _png_chunk(kind: bytes, payload: bytes) -> bytes:
    crc = zlib.crc32(payload, zlib.crc32(kind))
    return struct.pack(">I4s", len(payload), kind) + payload + struct.pack(">I", crc)
