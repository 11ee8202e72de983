"""Seeded mutations of valid files, and what every decoder must do with them.

A mutation works on chunks, and most results get right checksums again, so that they come as far as
the code behind the checks. Running the networks takes a hundred times as long as everything else,
so most inputs come from files of lossless tiles alone, see `LEARNED_PART`. Input `number` of `seed`
is always the same, given the same tiny model. `tests/mutate_files.py` runs millions of them,
`tests/test_mutation.py` a few, and all files in `tests/data/mutated`.
"""

import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO

import numpy as np
from conftest import make_picture
from mapped_files import any_offsets, with_map
from PIL import Image

from aecodec.codec import Codec
from aecodec.coding.lossless import encode_pixels, encode_png
from aecodec.coding.residual_tables import newest_tables
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.residual_fit import encode_residual
from aecodec.errors import AecError, ChecksumError
from aecodec.format.chunks import Header, Layer, LayerHead, Limits, Tile
from aecodec.format.constants import STRIDE
from aecodec.format.container import SIGNATURE, Stream, chunk_table, parse, serialize
from aecodec.format.quality import QUALITY_MAP_FLAG
from aecodec.format.quality_map import LIMIT, Quality, cell_qualities, spread
from aecodec.format.tiling import Region, tile_box
from aecodec.info import quality_range, read_info
from aecodec.picture.metadata import Metadata, metadata_of, turned
from aecodec.picture.pixels import DAMAGE, Pixels

LIMITS = Limits(pixels=2**16, file_bytes=2**20, metadata_bytes=2**14)
"""Of the codecs under test: low, so that few inputs take long."""
LEARNED_PART = 0.02
"""Of the inputs come from files with learned tiles."""
_CHUNK = struct.Struct("<I4s")
_HEAD = struct.Struct("<IIBBH4s")
_ODD = (0, 1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 255, 256, 257, 2**15, 2**16, 2**31 - 1, 2**32 - 1)
_OPTIONAL = (b"iccp", b"exif", b"xmpd", b"phys", b"text", b"csum", b"note")
_TYPES = (b"HEAD", b"TILE", b"PIXL", b"ALPH", b"LAYR", b"RESI", b"DONE", *_OPTIONAL)
_CODED = (b"TILE", b"PIXL", b"ALPH", b"RESI")
"""Chunks that begin with the checksum of what they decode to."""

Piece = tuple[bytes, bytes]
"""Type and payload of a chunk."""


def seeds(codec: Codec) -> list[bytes]:
    """Small valid files with everything that the format knows."""
    small = codec.compress(make_picture(16, 16), 90, lossless_tiles=False, variance_boost=0)
    files = [
        small,
        codec.compress(make_picture(1, 1), 0, lossless_tiles=False, variance_boost=0),
        codec.compress(make_picture(33, 20)[:, :, 0], 50, lossless_tiles=False, variance_boost=0),
        codec.compress(
            make_picture(40, 70), 100, tile_exponent=6, lossless_tiles=False, variance_boost=0
        ),
    ]
    noise = np.random.default_rng(5).integers(0, 256, (20, 70, 3), np.uint8)
    flat = np.zeros((20, 70, 3), np.uint8)
    for pixels, encode in ((noise, encode_png), (flat, encode_pixels), (flat[..., 0], encode_png)):
        learned = codec.compress(
            np.ascontiguousarray(pixels),
            60,
            tile_exponent=6,
            lossless_tiles=False,
            variance_boost=0,
        )
        part = parse(learned)
        left, right = (encode(np.ascontiguousarray(p)) for p in (pixels[:, :64], pixels[:, 64:]))
        files.append(serialize(replace(part, tiles=(part.tiles[0], right))))
        files.append(serialize(replace(part, tiles=(left, right))))
    alone = (encode_pixels(np.ascontiguousarray(flat[:1, :1])), encode_png(make_picture(9, 7)))
    for tile, (height, width) in zip(alone, ((1, 1), (9, 7)), strict=True):
        header = replace(parse(small).header, height=height, width=width)
        alone_file = serialize(Stream(header, (tile,)))
        files.append(alone_file)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8769] = 6, "Camera", {0x9003: "2024:01:01 00:00:00"}
    described = Metadata(
        bytes(range(128)), exif.tobytes().removeprefix(b"Exif\0\0"), b"<x/>", (72.0, 300.0),
        (("Comment", b"a"), ("Titel", "ä".encode())),
    )  # fmt: skip
    rgba = np.dstack([make_picture(20, 70), np.arange(1400, dtype=np.uint8).reshape(20, 70)])
    wide = make_picture(20, 70).astype(np.uint16) * 257
    files += [
        codec.compress(
            np.ascontiguousarray(pixels),
            40,
            tile_exponent=6,
            lossless_tiles=False,
            variance_boost=0,
        )
        for pixels in (rgba, wide, wide[..., 0])
    ]
    files += [
        codec.compress(np.ascontiguousarray(pixels), 40)
        for pixels in (np.zeros((9, 40, 4), np.uint8), np.full((9, 40), 777, np.uint16))
    ]
    beside_lossless = files[4]
    assert isinstance(parse(beside_lossless).tiles[0], Tile)
    files += [layered(codec, noise, beside_lossless, 0)]
    files += [layered(codec, make_picture(33, 20)[..., 0], files[2], 3)]
    files += [
        codec.compress(
            make_picture(12, 20), 30, lossless_tiles=False, variance_boost=0, checksum=True
        )
    ]
    cells = codec.compress(make_picture(70, 130), 60, lossless_tiles=False, variance_boost=0)
    files += [with_map(codec, data, any_offsets(data, 9)) for data in (cells, *files[2:5])]
    files += [with_map(codec, small, any_offsets(small)), layered(codec, noise, files[-1], 0)]
    described_files = [
        serialize(replace(parse(data), ancillary=described.chunks()))
        for data in (small, alone_file)
    ]
    return files + described_files


def layered(codec: Codec, pixels: Pixels, data: bytes, bound: int) -> bytes:
    """A file of these 8-bit pixels, without alpha, with a residual for each learned tile."""
    stream, tables, decoded = parse(data), newest_tables(), codec.decompress_array(data)
    parts = [
        tile_box(stream.header, number).slices(STRIDE)
        for number, tile in enumerate(stream.tiles)
        if isinstance(tile, Tile)
    ]
    residuals = [encode_residual(pixels[p], decoded[p], tables, bound=bound) for p in parts]
    layer = Layer(LayerHead(tables.tables_id, bound), tuple(residuals))
    return serialize(replace(stream, layer=layer))


@lru_cache(maxsize=64)
def _split(data: bytes) -> tuple[Piece, ...]:
    return tuple(
        (data[offset + 4 : offset + 8], data[offset + 8 : offset + 8 + size])
        for _, offset, size in chunk_table(data)
    )


def split(data: bytes) -> list[Piece]:
    """The chunks of a valid file."""
    return list(_split(data))


def join(pieces: list[Piece]) -> bytes:
    """A file of chunks, with right checksums."""
    chunks = (
        _CHUNK.pack(len(payload), kind) + payload + struct.pack("<I", zlib.crc32(kind + payload))
        for kind, payload in pieces
    )
    return SIGNATURE + b"".join(chunks)


def with_model(data: bytes, model_id: bytes) -> bytes:
    """The same file for another model, if its first chunk is a HEAD; with that chunk's checksum."""
    start, end = len(SIGNATURE) + 8, len(SIGNATURE) + 24
    if len(data) < end + 4 or data[start - 8 : start] != _CHUNK.pack(16, b"HEAD"):
        return data
    head = b"HEAD" + data[start : end - 4] + model_id
    sealed = zlib.crc32(b"HEAD" + data[start:end]) == int.from_bytes(data[end : end + 4], "little")
    crc = struct.pack("<I", zlib.crc32(head)) if sealed else data[end : end + 4]
    return data[: start - 4] + head + crc + data[end + 4 :]


@dataclass(frozen=True)
class Mutator:
    """Makes input after input.

    Attributes:
        codec: the decoder's model, of which some inputs have tiles with extreme latents.
        files: what to mutate.
        seed: of all draws.
    """

    codec: Codec
    files: list[bytes]
    seed: int

    def input(self, number: int) -> bytes:
        """One input."""
        draw = random.Random(f"{self.seed}:{number}")
        learned = draw.random() < LEARNED_PART
        files = [data for data in self.files if (b"TILE" in data) == learned]
        data = draw.choice(files)
        if draw.random() < 0.2:
            return raw(draw, data, draw.choice(files))
        pieces = split(data)
        for _ in range(draw.choice((1, 1, 1, 2, 3, 6))):
            draw.choice(MUTATIONS)(draw, pieces)
        if learned and draw.random() < 0.3:
            self._extreme(draw, pieces)
        data = join(pieces)
        if draw.random() < 0.08:
            data = data[: draw.randrange(len(data) + 1)]
        if draw.random() < 0.04:
            data = raw(draw, data, data)
        return data

    def _extreme(self, draw: random.Random, pieces: list[Piece]) -> None:
        """Puts a valid tile whose latents lie anywhere in place of one."""
        places = [i for i, (kind, _) in enumerate(pieces) if kind == b"TILE"]
        if not places or pieces[0][0] != b"HEAD" or len(pieces[0][1]) != 16:
            return
        width, height, _, exponent, field, _ = _HEAD.unpack(pieces[0][1])
        has_map, index = divmod(field, QUALITY_MAP_FLAG)
        if not (width * height <= LIMITS.pixels and 6 <= exponent <= 14 and index <= 400):
            return
        model = self.codec.encoder.decoder
        noise = np.random.default_rng(draw.randrange(2**32))
        side = 1 << exponent
        rows, columns = (-(-min(n, side) // 16) for n in (height, width))
        if not rows or not columns:
            return
        size = 10.0 ** draw.uniform(0, 5)
        y = noise.normal(0, size, (rows, columns, model.config.latent_channels))
        hyper = (-(-rows // 4), -(-columns // 4), model.config.hyper_channels)
        z = noise.normal(0, draw.choice((1, 30, 600)), hyper)
        quality: Quality = index
        if has_map:
            offsets = noise.integers(-LIMIT, LIMIT + 1, hyper[:2]).astype(np.int32)
            quality = spread(cell_qualities(index, offsets), rows, columns)
        tile, _ = encode_latents(
            model.prior, y.astype(np.float32), z.astype(np.float32), quality,
            map_index=index if has_map else None,
        )  # fmt: skip
        pieces[places[0]] = (b"TILE", struct.pack("<I", tile.checksum) + tile.words)


def raw(draw: random.Random, data: bytes, other: bytes) -> bytes:
    """Mutates bytes, checksums as they come."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5, 20))):
        place = draw.randrange(len(changed) + 1)
        kind = draw.randrange(6)
        if kind == 0:
            return bytes(changed[:place])
        if kind == 1:
            changed[place:place] = draw.randbytes(draw.randrange(1, 20))
        elif kind == 2:
            del changed[place : place + draw.randrange(1, 40)]
        elif kind == 3:
            start = draw.randrange(len(other) + 1)
            changed[place:] = other[start:]
        elif place < len(changed):
            changed[place] = changed[place] ^ 1 << draw.randrange(8) if kind == 4 else draw.choice(
                (0, 1, 127, 128, 255)
            )  # fmt: skip
        if not changed:
            break
    return bytes(changed)


def _payload(draw: random.Random, pieces: list[Piece]) -> None:
    """Changes bytes of one payload."""
    place = draw.randrange(len(pieces))
    kind, payload = pieces[place]
    pieces[place] = (kind, raw(draw, payload, draw.choice(pieces)[1]))


def _tile(draw: random.Random, pieces: list[Piece]) -> None:
    """Changes a tile and keeps its form: whole words, or a PIXL's coder."""
    places = [i for i, (kind, _) in enumerate(pieces) if kind in _CODED]
    if not places:
        return
    place = draw.choice(places)
    kind, payload = pieces[place]
    words = kind in (b"TILE", b"RESI")
    start = 4 if words else 5
    body = bytearray(raw(draw, payload[start:], draw.choice(pieces)[1]))
    if words:
        body = body[: len(body) // 4 * 4]
    pieces[place] = (kind, payload[:start] + bytes(body))


def _header(draw: random.Random, pieces: list[Piece]) -> None:
    """Sets a field of HEAD to an odd value."""
    if len(pieces[0][1]) != 16:
        return
    fields = list(_HEAD.unpack(pieces[0][1]))
    place = draw.choice((0, 0, 1, 1, 2, 3, 4, 4, 5))
    if place == 5:
        fields[5] = draw.randbytes(4)
    else:
        limit = (2**32, 2**32, 256, 256, 2**16)[place]
        likely = draw.choice((_ODD, range(1, 300), range(402)))
        fields[place] = draw.choice(likely) % limit
        if place == 4 and draw.random() < 0.3:
            fields[place] ^= QUALITY_MAP_FLAG
    pieces[0] = (pieces[0][0], _HEAD.pack(*fields))


def _move(draw: random.Random, pieces: list[Piece]) -> None:
    """Repeats, drops, swaps or renames chunks."""
    here, there = draw.randrange(len(pieces)), draw.randrange(len(pieces))
    kind = draw.randrange(4)
    if kind == 0:
        pieces.insert(here, pieces[there])
    elif kind == 1 and len(pieces) > 1:
        del pieces[here]
    elif kind == 2:
        pieces[here], pieces[there] = pieces[there], pieces[here]
    else:
        pieces[here] = (draw.choice(_TYPES), pieces[here][1])


def _describe(draw: random.Random, pieces: list[Piece]) -> None:
    """Adds metadata, sound or not."""
    kind = draw.choice(_OPTIONAL)
    payload = draw.choice(
        (b"", draw.randbytes(16), struct.pack("<2d", draw.uniform(-1, 400), 1e300), b"\0" * 9,
         b"key\0" + draw.randbytes(9), b"II*\0\x08\0\0\0" + draw.randbytes(30),
         b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + draw.randbytes(8))
    )  # fmt: skip
    pieces.insert(min(1, len(pieces)), (kind, payload))


MUTATIONS: tuple[Callable[[random.Random, list[Piece]], None], ...] = (
    _payload, _tile, _tile, _tile, _header, _header, _move, _describe,
)  # fmt: skip


def repaired_checksum(codec: Codec, data: bytes) -> bytes | None:
    """The file with the checksum that a tile's content asks for; None if that is not its fault."""
    try:
        codec.decompress_array(data)
    except ChecksumError as exc:
        if not exc.what.startswith("decoded "):
            return None
        stored, computed = (bytes.fromhex(each)[::-1] for each in (exc.stored, exc.computed))
        pieces = split(data)
        found = [
            i for i, (kind, body) in enumerate(pieces) if kind in _CODED and body[:4] == stored
        ]
        kind, payload = pieces[found[0]]
        pieces[found[0]] = (kind, computed + payload[4:])
        return join(pieces)
    except AecError:
        return None
    return None


def exercise(codec: Codec, data: bytes, draw: random.Random) -> str:
    """Reads a file in the ways of the library; returns what came of the strict one.

    Raises:
        AssertionError: readings contradict each other.
        Exception: anything but `AecError` is a finding as well.
    """
    outcome = _attempt(lambda: codec.decompress_array(data))
    if draw.randrange(4) == 0:
        _attempt(lambda: read_info(data, LIMITS))
        _attempt(lambda: quality_range(parse(data, LIMITS)))
    name = "decoded" if isinstance(outcome, np.ndarray) else type(outcome).__name__
    complete = isinstance(outcome, np.ndarray)
    choice = draw.randrange(12 if complete else 150)  # what is missing of a file takes the networks
    if choice == 0:
        loose = _attempt(lambda: codec.decompress_array(data, allow_truncated=True))
        if isinstance(outcome, np.ndarray):
            same = isinstance(loose, np.ndarray) and np.array_equal(loose, outcome)
            assert same, "tolerant reading differs"
    elif choice == 1:
        _repair(codec, data)
    elif choice == 2:
        _parts(codec, data, outcome, draw)
    elif choice == 3:
        _describe_and_save(codec, data, outcome)
    elif choice < 110 and isinstance(outcome, ChecksumError):
        changed = repaired_checksum(codec, data)
        if changed is not None:
            _attempt(lambda: codec.decompress_array(changed))
    return name


def _attempt(read: Callable[[], object]) -> object:
    """What a reading gives, or the `AecError` that it raises."""
    try:
        return read()
    except AecError as exc:
        return exc


def _repair(codec: Codec, data: bytes) -> None:
    done = _attempt(lambda: codec.repair(data))
    if isinstance(done, AecError):
        return
    assert isinstance(done, tuple)
    again = _attempt(lambda: codec.decompress_array(done[0]))
    # A tile with a right CRC-32 is copied as it is, even where its content contradicts itself.
    assert not isinstance(again, AecError) or not isinstance(
        _attempt(lambda: codec.decompress_array(data, allow_truncated=True)), np.ndarray
    ), "a repaired file does not decode"


def _parts(codec: Codec, data: bytes, outcome: object, draw: random.Random) -> None:
    header = _attempt(lambda: read_info(data, LIMITS))
    if not isinstance(header, Header):
        return
    left, top = draw.randrange(header.width), draw.randrange(header.height)
    region = Region(
        left, top, draw.randint(1, header.width - left), draw.randint(1, header.height - top)
    )
    part = _attempt(lambda: codec.decompress_array(BytesIO(data), region=region))
    if isinstance(outcome, np.ndarray) and isinstance(part, np.ndarray):
        error = outcome[region.slices()].astype(int) - part
        assert np.abs(error).max() <= 1, "a region differs"
    scale = draw.choice((2, 4, 8))
    _attempt(lambda: codec.decompress_array(data, scale=scale))
    _attempt(lambda: _bands(codec, data))


def _bands(codec: Codec, data: bytes) -> None:
    with codec.open_rows(data) as (bands, _):
        for _ in bands:
            pass


def _describe_and_save(codec: Codec, data: bytes, outcome: object) -> None:
    """What the command line does with the metadata of a file."""
    if not isinstance(outcome, np.ndarray) or outcome.size > 2**14:
        return
    image = codec.decompress(data, depth=8)  # Pillow has no modes for most deeper ones
    metadata = metadata_of(image)
    turned(np.asarray(image), metadata.orientation)
    for kind in ("PNG", "JPEG", "TIFF"):
        try:
            image.save(BytesIO(), kind, **metadata.save_options(kind))
        except (*DAMAGE, OSError):  # which the command line turns into its own error
            continue
