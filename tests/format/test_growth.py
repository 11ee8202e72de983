"""Reading takes time in proportion to the size of a file, whatever it is made of."""

import gc
import struct
import time
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_files import chunk

from aecodec.errors import LimitError
from aecodec.format.chunks import DEFAULT_LIMITS, Limits
from aecodec.format.container import SIGNATURE, chunk_table, parse, serialize
from aecodec.format.reader import FileReader, TileState
from aecodec.format.recovery import encode_flat, rescue
from aecodec.picture.metadata import metadata_in
from aecodec.picture.row_readers import open_rows

FEW, TIMES = 2000, 4
GROWTH = 9
"""Of the time for `TIMES` as much: twice what is linear, far from the 16 of what is quadratic."""
ENOUGH = 0.05
"""Seconds; what is as fast as that for many is fast enough, and too short to be compared."""
BOUNDLESS = Limits(metadata_chunks=2**62)


def head(tiles: int, pixel_format: int = 0) -> bytes:
    fields = struct.pack("<IIBBH4s", 64 * tiles, 64, pixel_format, 6, 200, b"demo")
    return SIGNATURE + chunk(b"HEAD", fields)


FLAT = encode_flat(255, 64, 64, sixteen_bit=False)
PIXELS = struct.pack("<IB", FLAT.checksum, FLAT.coder) + FLAT.data
TILE, PIXL, ALPH = chunk(b"TILE", bytes(4)), chunk(b"PIXL", PIXELS), chunk(b"ALPH", PIXELS)
NOTE, RESI, DONE = chunk(b"note"), chunk(b"RESI", bytes(4)), chunk(b"DONE")
DAMAGED = TILE[:-1] + bytes([TILE[-1] ^ 1])


def texts(count: int) -> bytes:
    comments = (chunk(b"text", b"%d\0comment" % number) for number in range(count))
    return head(1) + b"".join(comments) + TILE + DONE


def liars(count: int) -> bytes:
    """Between sound tiles, starts of chunks that claim all that follows."""
    rest = (20 + len(TILE)) * count
    parts = []
    for _ in range(count):
        rest -= 20 + len(TILE)
        parts.append(struct.pack("<I12s4x", rest + len(TILE), b"Liar") + TILE)
    return head(2 * count) + b"".join(parts)


SOUND: dict[str, Callable[[int], bytes]] = {
    "optional": lambda n: head(1) + NOTE * n + TILE + DONE,
    "text": texts,
    "tiles": lambda n: head(n) + TILE * n + DONE,
    "stored": lambda n: head(n) + PIXL * n + DONE,
    "alpha": lambda n: head(n, 4) + (ALPH + PIXL) * n + DONE,
    "residuals": lambda n: head(n) + chunk(b"LAYR", b"demo\0") + TILE * n + RESI * n + DONE,
}
BROKEN: dict[str, Callable[[int], bytes]] = {
    "cut": lambda n: head(1) + NOTE * n,
    "behind an unknown": lambda n: head(1) + chunk(b"Zzzz") + NOTE * n,
    "every other tile": lambda n: head(n) + (TILE + DAMAGED) * (n // 2) + DONE,
    "landmarks": lambda n: head(n) + DAMAGED + b"\0\0\0\0TILE" * n,
    "liars": liars,
    "no tile": lambda n: head(n, 4),
}


def seconds(work: Callable[[], object]) -> float:
    """The shortest of three runs, of this thread alone and without the collection of garbage."""
    found = []
    gc.disable()
    try:
        for _ in range(3):
            start = time.thread_time()
            work()
            found.append(time.thread_time() - start)
    finally:
        gc.enable()
    return min(found)


def check_growth(work: Callable[[bytes], object], make: Callable[[int], bytes]) -> None:
    few, many = make(FEW), make(TIMES * FEW)
    long = seconds(lambda: work(many))
    assert long < ENOUGH or long < GROWTH * seconds(lambda: work(few))


def table(data: bytes) -> None:
    file = FileReader(BytesIO(data), BOUNDLESS)
    metadata_in(file)
    file.table()


READERS: dict[str, Callable[[bytes], object]] = {
    "parse": lambda data: metadata_in(parse(data, BOUNDLESS)),
    "serialize": lambda data: serialize(parse(data, BOUNDLESS)),
    "chunks": chunk_table,
    "parts": table,
    "rescue": lambda data: rescue(data, BOUNDLESS),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", SOUND)
def test_sound_files(kind: str, reader: str) -> None:
    check_growth(READERS[reader], SOUND[kind])


@pytest.mark.parametrize("wrap", [bytes, bytearray])
@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_left_of_broken_files(kind: str, wrap: Callable[[bytes], bytes]) -> None:
    check_growth(lambda data: rescue(wrap(data), BOUNDLESS), BROKEN[kind])


def test_the_effort_of_a_rescue_is_not_spent_on_a_few_damaged_tiles() -> None:
    states = rescue(BROKEN["every other tile"](1000)).states
    assert states.count(TileState.WHOLE) == 500


def test_a_file_above_the_limit_is_refused_at_once() -> None:
    data = SOUND["optional"](100_000)
    for read in (parse, rescue, lambda d: FileReader(BytesIO(d)).table()):
        with pytest.raises(LimitError, match=r"^4097 optional chunks, the limit is 4096$"):
            read(data)


def test_chunks_of_a_png(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyvips", exc_type=ImportError)
    file = BytesIO()
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(file, "PNG")
    data, kind = file.getvalue(), b"noTe"
    start = data.index(b"IDAT") - 4
    note = bytes(4) + kind + struct.pack(">I", zlib.crc32(kind))
    monkeypatch.setattr("aecodec.picture.row_readers.DEFAULT_LIMITS", BOUNDLESS)

    def make(count: int) -> bytes:
        return data[:start] + note * count + data[start:]

    def read(png: bytes) -> None:
        (tmp_path / "a.png").write_bytes(png)
        with open_rows(tmp_path / "a.png") as source:
            assert source is not None

    check_growth(read, make)
    assert DEFAULT_LIMITS.metadata_chunks < FEW * TIMES
