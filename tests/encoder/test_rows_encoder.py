"""Rows of a stream give the bytes that a picture in memory gives, and few of them are held."""

from collections.abc import Iterator
from io import BytesIO
from itertools import product

import numpy as np
import pytest
import torch
from alpha_pictures import cut_out
from conftest import make_picture, make_sixteen_bit
from PIL import Image

from aecodec.codec import Codec
from aecodec.errors import InputError, LimitError
from aecodec.format.chunks import Limits, LosslessTile, Tile
from aecodec.format.container import parse
from aecodec.options import EncodeOptions
from aecodec.picture.picture import Picture, to_picture
from aecodec.picture.pixels import Pixels
from aecodec.picture.row_readers import NetpbmSource, PictureRows, open_netpbm

SIDE = 64


class Stream:
    """Rows of a picture as a stream has them: what was forgotten is gone.

    Attributes:
        held: the most rows that lay between a forgotten one and the newest.
    """

    picture: None = None

    def __init__(self, picture: Picture) -> None:
        self._rows = PictureRows(picture)
        self.height, self.width = self._rows.height, self._rows.width
        self.gray, self.sixteen_bit = self._rows.gray, self._rows.sixteen_bit
        self.metadata = picture.metadata
        self.forgotten = self.newest = self.held = 0

    def rows(self, top: int, bottom: int) -> Pixels:
        """See `RowSource`."""
        self._note(top, bottom)
        return self._rows.rows(top, bottom)

    def alpha(self, top: int, bottom: int) -> Pixels | None:
        """See `RowSource`."""
        self._note(top, bottom)
        return self._rows.alpha(top, bottom)

    def forget(self, top: int) -> None:
        """See `RowSource`."""
        assert top >= self.forgotten
        self.forgotten = top

    def _note(self, top: int, bottom: int) -> None:
        assert self.forgotten <= top < bottom <= self.height
        self.newest = max(self.newest, bottom)
        self.held = max(self.held, self.newest - self.forgotten)


def mixed(height: int, width: int) -> Pixels:
    """Learned tiles beside those that are stored losslessly, also at the end."""
    pixels = make_picture(height, width)
    pixels[64:128, 64:128] = 40
    pixels[-70:, -50:] = np.indices((70, 50)).sum(0)[:, :, None] % 2 * 255
    return pixels


def with_alpha() -> Pixels:
    pixels = cut_out(200, 140)
    pixels[64:128, 64:128] = 9, 90, 200, 100
    return pixels


PICTURES: dict[str, Pixels] = {
    "rgb": mixed(290, 130),
    "gray": np.ascontiguousarray(mixed(201, 143)[:, :, 0]),
    "one tile": make_picture(64, 64),
    "alpha": with_alpha(),
    "gray alpha": with_alpha()[:, :, 2:].copy(),
    "16 bits": make_sixteen_bit(130, 70, 3),
    "16 bits alpha": make_sixteen_bit(130, 70, 4),
}
OPTIONS = {
    "lossy": EncodeOptions(quality=80, tile_exponent=6),
    "lossless": EncodeOptions(lossless=True, tile_exponent=6),
    "bounded": EncodeOptions(max_error=2, tile_exponent=6),
    "checksum": EncodeOptions(quality=80, tile_exponent=6, checksum=True),
    "corrected": EncodeOptions(quality=40, tile_exponent=6, effort=2),
    "searched": EncodeOptions(quality=40, tile_exponent=6, effort=3),
}
SLOW = {("bounded", kind) for kind in PICTURES if kind not in ("rgb", "gray")}


@pytest.mark.slow
@pytest.mark.parametrize(("wish", "kind"), sorted({*product(OPTIONS, PICTURES)} - SLOW))
def test_bytes_are_those_of_a_picture_in_memory(tiny_codec: Codec, kind: str, wish: str) -> None:
    picture, options = to_picture(PICTURES[kind]), OPTIONS[wish]
    expected = tiny_codec.compress(picture, options=options)
    done: list[float] = []
    source = Stream(picture)
    assert b"".join(tiny_codec.compress_rows(source, options, progress=done.append)) == expected
    assert source.newest == source.height
    assert done == sorted(done)
    assert done[-1] == 1.0


def test_the_pictures_are_of_both_kinds_of_tiles(tiny_codec: Codec) -> None:
    for kind in ("rgb", "gray", "alpha"):
        data = tiny_codec.compress(PICTURES[kind], options=OPTIONS["lossy"])
        assert {type(tile) for tile in parse(data).tiles} == {Tile, LosslessTile}


@pytest.mark.slow
@pytest.mark.parametrize(("wish", "rows"), [("lossy", 3), ("bounded", 5), ("checksum", 3)])
def test_rows_that_are_held_do_not_grow_with_the_height(
    tiny_codec: Codec, wish: str, rows: int
) -> None:
    for height in (384, 640):
        source = Stream(to_picture(mixed(height, 70)))
        for _ in tiny_codec.compress_rows(source, OPTIONS[wish]):
            pass
        assert source.held <= rows * SIDE


def test_pieces_come_while_rows_are_read(tiny_codec: Codec) -> None:
    source = Stream(to_picture(make_picture(640, 70)))
    seen = [source.newest for _ in tiny_codec.compress_rows(source, OPTIONS["lossy"])]
    assert seen[0] <= 1  # whether there is alpha
    assert all(newest <= (number + 3) * SIDE for number, newest in enumerate(seen[1:-1]))


def test_consumers_run_as_they_did(tiny_codec: Codec) -> None:
    """Neither between pieces nor between rows are gradients off or autocast changed."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        source = Stream(to_picture(PICTURES["rgb"]))
        pieces = list(checked(tiny_codec.compress_rows(source, OPTIONS["searched"])))
        with tiny_codec.open_rows(BytesIO(b"".join(pieces))) as (rows, _):
            assert len(list(checked(iter(rows)))) == 5


def checked(pieces: Iterator[bytes] | Iterator[Pixels]) -> Iterator[bytes]:
    for piece in pieces:
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()
        assert torch.is_autocast_enabled("cpu")
        assert torch.ones(1, requires_grad=True).exp().requires_grad
        yield bytes(piece)


def ppm(pixels: Pixels) -> BytesIO:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PPM")
    return file


def opened(file: BytesIO) -> NetpbmSource:
    found = open_netpbm(file)
    assert found is not None
    return found


def test_faults_are_named(tiny_codec: Codec) -> None:
    data = ppm(make_picture(100, 90)).getvalue()
    options = EncodeOptions(quality=50)
    with pytest.raises(InputError, match="ends before row"):
        list(tiny_codec.compress_rows(opened(BytesIO(data[:-1])), options))
    with pytest.raises(LimitError):
        list(Codec(limits=Limits(pixels=99)).compress_rows(opened(BytesIO(data)), options))
