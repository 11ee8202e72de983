"""TIFF, PNG and PNM files in many variants, each with the samples that were written into it.

The TIFF writer here knows nothing of how Pillow and libvips lay out samples: it follows TIFF 6.0.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[Any]
HEIGHT, WIDTH = 13, 21


def make_samples(kind: str, channels: int, bits: int = 0, seed: int = 0) -> Samples:
    """Random samples `(H, W, channels)`; floating ones lie in [0, 1], `bits` bounds integers."""
    rng = np.random.default_rng(seed)
    shape = (HEIGHT, WIDTH, channels)
    if np.dtype(kind).kind == "f":
        return rng.random(shape).astype(kind)
    top = 2 ** (bits or 8 * np.dtype(kind).itemsize)
    return rng.integers(0, top, shape).astype(kind)


@dataclass(frozen=True)
class TiffForm:
    """How a TIFF is to store its samples; `tags` replace or add to those that follow from it."""

    photometric: int
    bits: int = 8
    form: int = 1
    planes: bool = False
    compression: int = 1
    predictor: int = 1
    big_endian: bool = False
    big_tiff: bool = False
    reversed_bits: bool = False
    part: tuple[int, int] = (HEIGHT, WIDTH)
    tiled: bool = False
    extra: tuple[int, ...] = ()
    tags: dict[int, tuple[int, tuple[int, ...]]] = field(default_factory=dict)


def write_tiff(samples: Samples, form: TiffForm) -> bytes:
    """A TIFF with these samples `(H, W, c)`."""
    height, width, channels = samples.shape
    groups = [samples[:, :, c : c + 1] for c in range(channels)] if form.planes else [samples]
    high, wide = form.part
    parts = []
    for group in groups:
        for top in range(0, height, high):
            for left in range(0, width, wide):
                piece = group[top : top + high, left : left + wide]
                if form.tiled:
                    rows, columns = high - piece.shape[0], wide - piece.shape[1]
                    piece = np.pad(piece, ((0, rows), (0, columns), (0, 0)))
                parts.append(_stored(piece, form))
    tags: dict[int, tuple[int, tuple[int, ...]]] = {
        256: (4, (width,)), 257: (4, (height,)), 258: (3, (form.bits,) * channels),
        259: (3, (form.compression,)), 262: (3, (form.photometric,)), 277: (3, (channels,)),
        284: (3, (2 if form.planes else 1,)), 339: (3, (form.form,) * channels),
    }  # fmt: skip
    if form.predictor > 1:
        tags[317] = (3, (form.predictor,))
    if form.reversed_bits:
        tags[266] = (3, (2,))
    if form.extra:
        tags[338] = (3, form.extra)
    if form.tiled:
        tags |= {322: (4, (wide,)), 323: (4, (high,))}
    else:
        tags[278] = (4, (high,))
    places = (324, 325) if form.tiled else (273, 279)
    return assemble_tiff(
        tags | form.tags, parts, places, big_endian=form.big_endian, big_tiff=form.big_tiff
    )


def _stored(piece: Samples, form: TiffForm) -> bytes:
    """The bytes of a strip or tile."""
    order: Literal["<", ">"] = ">" if form.big_endian else "<"
    rows, _, channels = piece.shape
    if form.predictor == 2:
        plain = piece.view(f"u{piece.itemsize}")
        piece = np.diff(plain, axis=1, prepend=np.zeros_like(plain[:, :1])).astype(plain.dtype)
    if form.predictor == 3:
        weights = piece.astype(f">f{piece.itemsize}").view(np.uint8)
        planes = (
            weights.reshape(rows, -1, piece.itemsize).swapaxes(1, 2).reshape(rows, -1, channels)
        )
        data = np.diff(planes, axis=1, prepend=np.zeros_like(planes[:, :1])).tobytes()
    elif form.bits in (8, 16, 32, 64):
        data = piece.astype(piece.dtype.newbyteorder(order)).tobytes()
    else:
        shifts = np.arange(form.bits - 1, -1, -1)
        bits = (piece[..., None].astype(np.uint32) >> shifts & 1).astype(np.uint8)
        data = np.packbits(bits.reshape(rows, -1), axis=1).tobytes()
    packed = {
        1: lambda: data, 8: lambda: zlib.compress(data), 32946: lambda: zlib.compress(data),
        32773: lambda: _packbits(data, -(-len(data) // rows)), 5: lambda: _lzw(data),
    }[form.compression]()  # fmt: skip
    if form.reversed_bits:
        bits = np.unpackbits(np.frombuffer(packed, np.uint8)[:, None], axis=1)[:, ::-1]
        packed = np.packbits(bits, axis=1).tobytes()
    return packed


def _packbits(data: bytes, row: int) -> bytes:
    """Rows apart, in literal runs, but for a repeated first byte."""
    packed = bytearray()
    for start in range(0, len(data), row):
        line = data[start : start + row]
        run = len(line) - len(line.lstrip(line[:1]))
        if 2 <= run <= 128:
            packed += bytes([257 - run]) + line[:1]
            line = line[run:]
        for at in range(0, len(line), 128):
            piece = line[at : at + 128]
            packed += bytes([len(piece) - 1]) + piece
    return bytes(packed)


def _lzw(data: bytes) -> bytes:
    """Codes of single bytes only, each after a clear code often enough to stay at 9 bits."""
    codes = []
    for start in range(0, len(data), 200):
        codes += [256, *data[start : start + 200]]
    bits = np.unpackbits(
        np.array([*codes, 257], ">u2").view(np.uint8).reshape(-1, 2), axis=1
    )[:, 7:]  # fmt: skip
    return np.packbits(bits.ravel()).tobytes()


def assemble_tiff(
    tags: dict[int, tuple[int, tuple[int, ...]]], parts: list[bytes], places: tuple[int, int],
    *, big_endian: bool = False, big_tiff: bool = False,
) -> bytes:  # fmt: skip
    """A TIFF of one directory behind its strips or tiles, whose places it fills in."""
    order, letter = ">" if big_endian else "<", "Q" if big_tiff else "I"
    wide = 8 if big_tiff else 4
    body = bytearray(bytes(16 if big_tiff else 8))
    offsets = []
    for part in parts:
        offsets.append(len(body))
        body += part + bytes(len(part) % 2)
    kind = 16 if big_tiff else 4
    tags = tags | {places[0]: (kind, tuple(offsets)), places[1]: (kind, tuple(map(len, parts)))}
    sizes = {1: "B", 3: "H", 4: "I", 5: "I", 7: "B", 16: "Q"}
    table = b""
    for tag, (type_, values) in sorted(tags.items()):
        data = struct.pack(f"{order}{len(values)}{sizes[type_]}", *values)
        count = len(values) // 2 if type_ == 5 else len(values)
        if len(data) > wide:
            place, data = len(body), data + bytes(len(data) % 2)
            body += data
            data = struct.pack(order + letter, place)
        table += struct.pack(f"{order}HH{letter}", tag, type_, count) + data.ljust(wide, b"\0")
    start = len(body)
    length = struct.pack(order + ("Q" if big_tiff else "H"), len(tags))
    mark = b"MM" if big_endian else b"II"
    head = mark + struct.pack(order + "H", 43 if big_tiff else 42)
    head += struct.pack(order + "HH", 8, 0) if big_tiff else b""
    body[:8] = b""
    rest = bytes(body[8:]) if big_tiff else bytes(body)
    return head + struct.pack(order + letter, start) + rest + length + table + bytes(wide)


STORAGE: list[dict[str, Any]] = [
    {}, {"big_endian": True}, {"big_tiff": True}, {"part": (5, WIDTH)},
    {"part": (16, 16), "tiled": True}, {"compression": 8}, {"compression": 5, "part": (4, WIDTH)},
    {"compression": 32773}, {"compression": 8, "predictor": 2, "big_endian": True},
    {"compression": 5, "predictor": 2, "part": (16, 16), "tiled": True},
    {"compression": 32946, "big_tiff": True, "big_endian": True, "part": (6, WIDTH)},
]  # fmt: skip
"""Ways of storing the same samples."""


def tiff_forms() -> Iterator[tuple[str, Samples, TiffForm]]:
    """Yields a name, samples and a form of each variant that keeps all of its samples."""
    meanings = [
        ("white", 0, 1, ()), ("black", 1, 1, ()), ("black+alpha", 1, 2, (2,)),
        ("white+alpha", 0, 2, (2,)), ("rgb", 2, 3, ()), ("rgb+alpha", 2, 4, (2,)),
        ("rgb+multiplied", 2, 4, (1,)), ("black+multiplied", 1, 2, (1,)),
        ("rgb+infrared", 2, 4, (0,)), ("rgb+alpha+more", 2, 5, (2, 0)),
    ]  # fmt: skip
    for name, photometric, channels, extra in meanings:
        for kind, bits, form in (("u1", 8, 1), ("u2", 16, 1), ("f4", 32, 3)):
            if form == 3 and photometric == 0:
                continue
            for number, storage in enumerate(STORAGE):
                for planes in (False, True)[: min(channels, 2)]:
                    made = TiffForm(photometric, bits, form, planes=planes, extra=extra, **storage)
                    yield f"{name}-{kind}-{number}-{planes}", make_samples(kind, channels), made
    for bits in (1, 2, 4):
        for photometric in (0, 1):
            for number, storage in enumerate(STORAGE):
                if "predictor" not in storage:
                    made = TiffForm(photometric, bits, **storage)
                    name = f"gray{bits}-{photometric}-{number}"
                    yield name, make_samples("u1", 1, bits), made
    plain = TiffForm(2, 16, reversed_bits=True)
    yield "reversed", make_samples("u2", 3), plain
    yield "reversed-lzw", make_samples("u1", 3), replace(plain, bits=8, compression=5)
