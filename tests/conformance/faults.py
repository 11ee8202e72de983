"""Files that every decoder must refuse, each with the error that says why."""

import struct
import zlib
from dataclasses import replace
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from aecodec.codec import Codec
from aecodec.coding.ans import SymbolEncoder
from aecodec.coding.lossless import encode_pixels, encode_png
from aecodec.format.chunks import DEFAULT_LIMITS, LosslessTile, PixelCoder, Tile
from aecodec.format.container import SIGNATURE, chunk_table, parse, serialize

Pixels = npt.NDArray[np.uint8]
Piece = tuple[bytes, bytes]
"""Type and payload of a chunk."""
Fault = tuple[str, bytes, *tuple[str, ...]]
"""What it is, the file, and the errors of which any may be reported."""
_RIFF = struct.Struct("<4sI4s4sI")


def drawing(height: int, width: int) -> Pixels:
    """Lines and flat fields, which lossless coding makes cheaper, `(height, width, 3)`."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[::9, :, :2] = 0
    pixels[:, ::13] = (20, 90, 200)
    return pixels


def webp(pixels: Pixels) -> LosslessTile:
    """Pixels, `(h, w, 3)` or `(h, w)`, as WebP, whether that is smaller than PNG or not."""
    file = BytesIO()
    Image.fromarray(pixels).convert("RGB").save(file, "WEBP", lossless=True)
    *_, size = _RIFF.unpack_from(file.getvalue())
    data = file.getvalue()[_RIFF.size : _RIFF.size + size]
    return LosslessTile(zlib.crc32(np.ascontiguousarray(pixels).tobytes()), PixelCoder.WEBP, data)


def split(data: bytes) -> list[Piece]:
    """The chunks of a valid file."""
    return [
        (data[offset + 4 : offset + 8], data[offset + 8 : offset + 8 + size])
        for _, offset, size in chunk_table(data)
    ]


def join(*pieces: Piece) -> bytes:
    """A file of chunks, with right checksums."""
    return SIGNATURE + b"".join(
        struct.pack("<I4s", len(body), kind) + body + struct.pack("<I", zlib.crc32(kind + body))
        for kind, body in pieces
    )


def head(source: bytes, **fields: int | bytes) -> bytes:
    """The payload of a HEAD with some fields changed."""
    names = ("width", "height", "form", "exponent", "quality", "model")
    values = dict(zip(names, struct.unpack("<IIBBH4s", source), strict=True)) | fields
    return struct.pack("<IIBBH4s", *(values[name] for name in names))


def broken_bytes(data: bytes, tile_end: int) -> dict[str, Fault]:
    """Faults of signature, lengths and checksums of a file of one TILE."""
    flipped = bytearray(data)
    flipped[tile_end - 10] ^= 4
    wrong = bytearray(data)
    wrong[-1] ^= 1
    long = data[:36] + struct.pack("<I", 2**31) + data[40:]
    odd = data[:40] + b"T1LE" + data[44:]
    return {
        "empty": ("no bytes at all", b"", "TruncatedError"),
        "signature-other": (
            "the signature of PNG",
            b"\x89PNG\r\n\x1a\n" + data[8:],
            "SignatureError",
        ),
        "signature-text": ("a line end converted", data[:5] + data[6:], "SignatureError"),
        "version-0": ("version 0", data[:4] + b"\0" + data[5:], "HeaderError"),
        "version-255": ("version 255", data[:4] + b"\xff" + data[5:], "UnsupportedError"),
        "cut-signature": ("cut off in the signature", data[:7], "TruncatedError"),
        "cut-head": ("cut off in HEAD", data[:30], "TruncatedError"),
        "cut-tile": ("cut off in a TILE", data[: tile_end - 6], "TruncatedError"),
        "cut-before-done": ("no DONE", data[:tile_end], "TruncatedError"),
        "cut-last-byte": ("the last byte is missing", data[:-1], "TruncatedError"),
        "bit-flipped": ("one bit of a TILE flipped", bytes(flipped), "ChecksumError"),
        "crc-wrong": ("one bit of DONE's crc flipped", bytes(wrong), "ChecksumError"),
        "length-too-large": ("a chunk of 2^31 bytes", long, "HeaderError"),
        "type-not-letters": ("a type that is not four letters", odd, "HeaderError"),
        "trailing-byte": ("a byte after DONE", data + b"\0", "HeaderError"),
    }


def broken_chunks(data: bytes, tiles: bytes) -> dict[str, Fault]:
    """Faults of chunks with right checksums; `tiles` is a file of two or more TILEs."""
    (_, top), tile, done = split(data)
    several = split(tiles)
    pixl = (b"PIXL", tile[1][:4] + b"\0")

    def with_head(payload: bytes) -> bytes:
        return join((b"HEAD", payload), tile, done)

    def between(*pieces: Piece) -> bytes:
        return join((b"HEAD", top), *pieces, done)

    header, unsupported = "HeaderError", "UnsupportedError"
    return {
        "head-missing": ("no HEAD", join(tile, done), header),
        "head-repeated": ("a second HEAD", between((b"HEAD", top), tile), header),
        "head-short": ("a HEAD of 15 bytes", with_head(top[:15]), header),
        "head-long": ("a HEAD of 17 bytes", with_head(top + b"\0"), header),
        "width-0": ("width 0", with_head(head(top, width=0)), header),
        "height-too-large": ("height 2^31", with_head(head(top, height=2**31)), header),
        "exponent-5": ("tile exponent 5", with_head(head(top, exponent=5)), header),
        "exponent-15": ("tile exponent 15", with_head(head(top, exponent=15)), header),
        "quality-401": ("quality index 401", with_head(head(top, quality=401)), header),
        "pixel-format": ("pixel format 255", with_head(head(top, form=255)), unsupported),
        "model-unknown": ("an unknown model", with_head(head(top, model=b"none")), unsupported),
        "critical-unknown": (
            "an unknown critical chunk",
            between((b"Zzzz", b""), tile),
            unsupported,
        ),
        "optional-late": ("an optional chunk after a tile", between(tile, (b"note", b"")), header),
        "optional-endless": (
            "more optional chunks than a decoder must accept, and then the file is cut off",
            join((b"HEAD", top), *[(b"note", b"")] * (DEFAULT_LIMITS.metadata_chunks + 1)),
            "LimitError",
            "TruncatedError",
        ),
        "tile-empty": ("a TILE of 0 bytes", between((b"TILE", b"")), header),
        "tile-odd": ("a TILE of 10 bytes", between((b"TILE", b"\0" * 10)), header),
        "pixl-short": ("a PIXL of 4 bytes", between((b"PIXL", b"\0" * 4)), header),
        "pixl-coder": (
            "a PIXL with coder 255",
            between((b"PIXL", pixl[1][:4] + b"\xff")),
            unsupported,
        ),
        "done-full": ("a DONE of 1 byte", join((b"HEAD", top), tile, (b"DONE", b"\0")), header),
        "tiles-few": ("a tile is missing", join(*several[:-2], several[-1]), header),
        "tiles-many": ("a tile too many", between(tile, tile), header),
        "no-tiles": ("no tiles", between(), header),
        "empty-tile": ("a TILE without words", between((b"TILE", tile[1][:4])), "ChecksumError"),
    }


def broken_tiles(codec: Codec, data: bytes) -> dict[str, Fault]:
    """Faults inside tiles with right crcs."""
    stream = parse(data)
    (tile,) = stream.tiles
    assert isinstance(tile, Tile)

    def of(other: Tile | LosslessTile) -> bytes:
        return serialize(replace(stream, tiles=(other,)))

    tables = codec.encoder.decoder.prior.tables.hyper_tables
    encoder = SymbolEncoder()
    numbers = np.arange(len(tables), dtype=np.uint8)
    encoder.add(np.full(len(numbers), 600, np.int32), numbers, tables)
    pixels = drawing(stream.header.height, stream.header.width)
    png, vp8l = encode_png(pixels), webp(pixels)
    flat = encode_pixels(np.zeros_like(pixels))
    alpha, version = bytearray(vp8l.data), bytearray(vp8l.data)
    alpha[4] |= 0x10
    version[4] |= 0x20
    payload = "PayloadError"
    return {
        "latents-checksum": (
            "latents contradict their checksum",
            of(replace(tile, checksum=tile.checksum ^ 1)),
            "ChecksumError",
        ),
        "words-left": (
            "a word too many",
            of(replace(tile, words=tile.words + b"\1\0\0\0")),
            payload,
        ),
        "words-zero": ("the first word is 0", of(replace(tile, words=b"\0" * 4)), payload),
        "hyper-range": ("a hyper-latent of 600", of(Tile(0, encoder.words())), payload),
        "pixels-checksum": (
            "pixels contradict their checksum",
            of(replace(png, checksum=png.checksum ^ 1)),
            "ChecksumError",
        ),
        "png-size": ("a row of PNG too few", of(encode_png(pixels[:-1])), payload),
        "png-trailing": (
            "a byte after the zlib stream",
            of(replace(png, data=png.data + b"\0")),
            payload,
        ),
        "png-cut": ("half a zlib stream", of(replace(png, data=png.data[:20])), payload),
        "png-filter": ("filter type 9", of(replace(png, data=bad_filter(pixels))), payload),
        "png-empty": ("no PNG data", of(replace(png, data=b"")), payload),
        "webp-size": ("a row of WebP too few", of(webp(pixels[:-1])), payload),
        "webp-alpha": ("WebP with alpha", of(replace(vp8l, data=bytes(alpha))), payload),
        "webp-version": ("version 1 of VP8L", of(replace(vp8l, data=bytes(version))), payload),
        "webp-signature": (
            "another signature",
            of(replace(vp8l, data=b"." + vp8l.data[1:])),
            payload,
        ),
        "webp-cut": (
            "half of the WebP data",
            of(replace(vp8l, data=vp8l.data[: len(vp8l.data) // 2])),
            payload,
        ),
        "flat-long": ("two pixels of a flat tile", of(replace(flat, data=2 * flat.data)), payload),
        "webp-empty": ("no WebP data", of(replace(vp8l, data=b"")), payload),
    }


def broken_layer(data: bytes) -> dict[str, Fault]:
    """Faults of the residual layer of a file of one TILE."""
    top, layer, tile, residual, done = split(data)
    wrong = (b"RESI", bytes([residual[1][0] ^ 1]) + residual[1][1:])
    cut, odd = (b"RESI", residual[1][:-4]), (b"RESI", residual[1] + b"\0")
    sixteen_bit = (b"HEAD", head(top[1], form=3))
    header = "HeaderError"
    return {
        "layr-late": ("a LAYR after a tile", join(top, tile, layer, residual, done), header),
        "layr-short": (
            "a LAYR of 4 bytes",
            join(top, (b"LAYR", layer[1][:4]), tile, residual, done),
            header,
        ),
        "layr-sixteen_bit": (
            "a LAYR in a 16-bit picture",
            join(sixteen_bit, layer, tile, residual, done),
            header,
        ),
        "layr-tables": (
            "unknown residual tables",
            join(top, (b"LAYR", b"none\0"), tile, residual, done),
            "UnsupportedError",
        ),
        "resi-alone": ("a RESI without a LAYR", join(top, tile, residual, done), header),
        "resi-missing": ("a LAYR without a RESI", join(top, layer, tile, done), header),
        "resi-twice": (
            "two RESIs of one tile",
            join(top, layer, tile, residual, residual, done),
            header,
        ),
        "resi-early": ("a RESI before its tile", join(top, layer, residual, tile, done), header),
        "resi-odd": ("a RESI of an odd size", join(top, layer, tile, odd, done), header),
        "resi-cut": (
            "a RESI without its last word",
            join(top, layer, tile, cut, done),
            "PayloadError",
        ),
        "resi-checksum": (
            "final pixels contradict their checksum",
            join(top, layer, tile, wrong, done),
            "ChecksumError",
        ),
    }


def broken_alpha(data: bytes) -> dict[str, Fault]:
    """Faults of alpha in a gray picture with it, of one tile."""
    top, alpha, tile, done = split(data)
    wrong = (b"ALPH", bytes([alpha[1][0] ^ 1]) + alpha[1][1:])
    plain = (b"HEAD", head(top[1], form=0))
    header = "HeaderError"
    return {
        "alpha-missing": ("no ALPH in a picture with alpha", join(top, tile, done), header),
        "alpha-late": ("an ALPH after its tile", join(top, tile, alpha, done), header),
        "alpha-twice": ("two ALPH of one tile", join(top, alpha, alpha, tile, done), header),
        "alpha-superfluous": ("alpha in a gray picture", join(plain, alpha, tile, done), header),
        "alpha-checksum": (
            "alpha contradicts its checksum",
            join(top, wrong, tile, done),
            "ChecksumError",
        ),
        "alpha-coder": (
            "an ALPH with coder 255",
            join(top, (b"ALPH", alpha[1][:4] + b"\xff" + alpha[1][5:]), tile, done),
            "UnsupportedError",
        ),
    }


def bad_filter(pixels: Pixels) -> bytes:
    """A zlib stream whose rows name a filter that PNG does not have."""
    rows = pixels.reshape(len(pixels), -1)
    return zlib.compress(np.pad(rows, ((0, 0), (1, 0)), constant_values=9).tobytes())
