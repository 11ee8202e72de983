"""PNG files: exact in every kind of pixel, small for graphics, fast for photographs."""

import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture, make_sixteen_bit
from PIL import Image, ImageDraw

from aecodec.picture.metadata import Metadata
from aecodec.picture.picture import decode_picture
from aecodec.picture.pixels import Pixels
from aecodec.picture.png_chunks import read_chunks
from aecodec.picture.png_filters import AVERAGE, NONE, PAETH, SUB, UP, filtered
from aecodec.picture.png_writing import write_png
from aecodec.picture.writers import encode

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def png(pixels: Pixels, level: int | None = None, cuts: tuple[int, ...] = ()) -> bytes:
    file = BytesIO()
    height, width = pixels.shape[:2]
    write_png(file, (height, width), np.split(pixels, cuts), level=level)
    return file.getvalue()


def by_pillow(pixels: Pixels) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def drawing(height: int = 500, width: int = 700) -> npt.NDArray[np.uint8]:
    """Boxes, lines and words."""
    image, rng = Image.new("RGB", (width, height), "white"), np.random.default_rng(2)
    draw = ImageDraw.Draw(image)
    for number in range(60):
        x, y, wide, high = rng.integers(1, width // 2, 4).tolist()
        colour = tuple(rng.integers(0, 256, 3).tolist())
        draw.rectangle((x, y, x + wide, y + high), fill=colour if number % 3 else None, outline=0)
        draw.text((x, y), f"File {number} Edit View Window Help", fill=0)
        draw.line((y, x, 3 * x, y), fill=colour)
    return np.array(image)


def predicted(kind: int, left: int, up: int, corner: int) -> int:
    """The formulas of the PNG specification."""
    if kind == PAETH:
        estimate = left + up - corner
        return min((left, up, corner), key=lambda each: abs(estimate - each))
    return {NONE: 0, SUB: left, UP: up, AVERAGE: (left + up) // 2}[kind]


@pytest.mark.parametrize("kind", [NONE, SUB, UP, AVERAGE, PAETH])
@pytest.mark.parametrize("step", [1, 3, 8])
def test_filters_are_those_of_the_specification(kind: int, step: int) -> None:
    rng = np.random.default_rng(kind)
    rows = rng.choice(np.array([0, 1, 5, 6, 127, 128, 250, 255], np.uint8), (9, 6 * step))
    found = filtered(rows[1:], rows[:1], (kind,), step)
    assert (found[:, 0] == kind).all()
    wide = np.pad(rows.astype(int), ((0, 0), (step, 0)))
    for y, x in np.ndindex(8, 6 * step):
        left, up, corner = int(wide[y + 1, x]), int(wide[y, x + step]), int(wide[y, x])
        expected = (wide[y + 1, x + step] - predicted(kind, left, up, corner)) % 256
        assert found[y, 1 + x] == expected


def test_each_row_has_the_filter_that_leaves_least() -> None:
    rows = np.array([[9] * 8, [40] * 8, [40] * 8, [0, 200, 0, 200, 0, 200, 0, 200]], np.uint8)
    found = filtered(rows, np.zeros((1, 8), np.uint8), (SUB, UP), 1)
    assert found[:, 0].tolist() == [SUB, SUB, UP, SUB]
    assert found[2, 1:].tolist() == [0] * 8


@pytest.mark.parametrize("level", [None, 0, 1, 6, 9])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("cuts", [(), (1, 90, 91)])
def test_pixels_are_exact(
    level: int | None, channels: int, deep: bool, cuts: tuple[int, ...]
) -> None:
    wide = make_sixteen_bit(150, 67, channels)
    pixels: Pixels = wide if deep else (wide >> 8).astype(np.uint8)
    np.testing.assert_array_equal(decode_picture(png(pixels, level, cuts)).whole, pixels)


def both_kinds() -> npt.NDArray[np.uint8]:
    """Noise between two drawings, each larger than a block."""
    return np.concatenate([drawing(), make_picture(500, 700), drawing()])


@pytest.fixture
def spent(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """The bytes that were given to each of zlib's levels."""
    found: dict[int, int] = {}
    real = zlib.compressobj

    class Noted:
        def __init__(
            self, level: int = -1, method: int = zlib.DEFLATED, wbits: int = 15, memory: int = 8,
            strategy: int = zlib.Z_DEFAULT_STRATEGY,
        ) -> None:  # fmt: skip
            self._level, self._real = level, real(level, method, wbits, memory, strategy)
            self.flush = self._real.flush

        def compress(self, data: memoryview) -> bytes:
            found[self._level] = found.get(self._level, 0) + len(data.tobytes())
            return self._real.compress(data)

    monkeypatch.setattr(zlib, "compressobj", Noted)
    return found


def test_ways_change_within_one_stream(spent: dict[int, int]) -> None:
    data = png(both_kinds())
    assert min(spent[6], spent[1] + spent.get(2, 0)) > 500 * 2100
    body = b"".join(payload for kind, payload in read_chunks(data) if kind == b"IDAT")
    assert len(zlib.decompress(body)) == 1500 * (1 + 3 * 700)  # which checks its Adler-32, too
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(data))), both_kinds())
    assert len(data) < 1.04 * len(by_pillow(both_kinds()))


@pytest.mark.parametrize("kind", ["drawing", "gray", "alpha", "gradient", "dots", "small"])
def test_graphics_stay_small(kind: str) -> None:
    pixels = drawing(100, 90) if kind == "small" else drawing()
    if kind == "gray":
        pixels = pixels[:, :, 0].copy()
    elif kind == "alpha":
        pixels = np.dstack([pixels, pixels[:, :, :1] // 2])
    elif kind == "gradient":
        y, x = np.mgrid[:500, :700]
        pixels = np.stack([x // 3, y // 2, (x + y) // 5], 2).astype(np.uint8)
    elif kind == "dots":
        pixels = np.array(Image.fromarray(make_picture(500, 700)).convert("1").convert("L"))
    assert len(png(pixels)) <= 1.02 * len(by_pillow(pixels))


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_photographs_are_compressed_fast(name: str, spent: dict[int, int]) -> None:
    pixels = np.array(Image.open(SAMPLES / f"{name}.png").convert("RGB"))
    assert len(png(pixels)) <= 1.04 * len(by_pillow(pixels))
    assert spent[6] < 0.2 * pixels.nbytes


def test_a_level_is_heeded(spent: dict[int, int]) -> None:
    pixels = make_picture(300, 400)
    sizes = [len(png(pixels, level)) for level in (0, 1, 9)]
    assert set(spent) == {0, 1, 9}
    assert sizes[0] > pixels.nbytes > sizes[1] > sizes[2]


def chunks_by_pillow(metadata: Metadata) -> list[tuple[bytes, bytes]]:
    file = BytesIO()
    Image.new("RGB", (1, 1)).save(file, "PNG", **metadata.save_options("PNG"))
    return [each for each in read_chunks(file.getvalue()) if each[0] not in (b"IDAT", b"IEND")][1:]


@pytest.mark.parametrize(
    "metadata",
    [
        Metadata(),
        Metadata(icc=b"profile", resolution=(72.0, 71.9836)),
        Metadata(exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0", resolution=(65535.0, 0.01)),
        Metadata(xmp="<x>Möwe 鷗</x>".encode(), iptc=b"\x1c\2\5\0\1a" * 30),
        Metadata(text=(("Title", "Möwe".encode()), ("Comment", b"M\xf6we"), ("鷗", b"no keyword"))),
        Metadata(
            icc=b"i" * 5000, text=(("Title", "鷗".encode()), ("Title", b""), ("a" * 80, b"b"))
        ),
    ],
)
def test_metadata_are_the_chunks_that_pillow_writes(metadata: Metadata) -> None:
    data = encode(make_picture(20, 30), "PNG", metadata)
    kinds = [kind for kind, _ in read_chunks(data)]
    assert (kinds[0], kinds[-2:]) == (b"IHDR", [b"IDAT", b"IEND"])
    assert list(read_chunks(data))[1:-2] == chunks_by_pillow(metadata)
