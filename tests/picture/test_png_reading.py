"""PNG: pixels of every kind as libvips reads them, and what its chunks say."""

import struct
import sys
import zlib
from io import BytesIO
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture
from PIL import Image, ImageCms

from aecodec.errors import InputError, LimitError
from aecodec.format.chunks import Limits
from aecodec.picture import png_chunks
from aecodec.picture.color_description import cicp_of, profile_space
from aecodec.picture.decoding import read_picture
from aecodec.picture.png_chunks import HEAD, build_chunk, build_png
from aecodec.picture.reading import Reading, Wishes

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
KINDS = [(colour, depth) for colour, depths in DEPTHS.items() for depth in depths]
HEIGHT, WIDTH = 11, 19


def read(data: bytes, wishes: Wishes | None = None) -> Reading:
    return read_picture(data, wishes or Wishes())


def make_png(colour: int, depth: int, *, key: bool = False, seed: int = 0) -> bytes:
    """A PNG of random samples, its rows not filtered; `key` adds a tRNS that some pixels have."""
    rng = np.random.default_rng(seed)
    channels = CHANNELS[colour]
    values = rng.integers(0, 2**depth, (HEIGHT, WIDTH, channels)).astype(np.uint16)
    if depth == 16:
        rows = values.astype(">u2").reshape(HEIGHT, -1).view(np.uint8)
    elif depth == 8:
        rows = values.astype(np.uint8).reshape(HEIGHT, -1)
    else:
        shifts = np.arange(depth - 1, -1, -1)
        bits = (values[..., None] >> shifts & 1).astype(np.uint8)
        rows = np.packbits(bits.reshape(HEIGHT, -1), axis=1)
    lines = np.concatenate([np.zeros((HEIGHT, 1), np.uint8), rows], axis=1)
    chunks = [(b"IHDR", HEAD.pack(WIDTH, HEIGHT, depth, colour, 0, 0, 0))]
    if colour == 3:
        palette: npt.NDArray[np.uint8] = rng.integers(0, 256, 3 * 2**depth).astype(np.uint8)
        chunks.append((b"PLTE", palette.tobytes()))
    if key:
        shown = values[0, 0].astype(">u2").tobytes()
        chunks.append((b"tRNS", bytes([0, 100, 200][: 2**depth]) if colour == 3 else shown))
    chunks += [(b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b"")]
    return build_png(chunks)


def with_chunks(*chunks: bytes, image: Image.Image | None = None) -> bytes:
    """A PNG with further chunks behind IHDR."""
    file = BytesIO()
    (image or Image.fromarray(make_picture(8, 10))).save(file, "PNG")
    data = file.getvalue()
    return data[:33] + b"".join(chunks) + data[33:]


@pytest.mark.parametrize(("kind", "key", "seed"), [*product(KINDS, (False, True), range(3))])
def test_pixels_are_those_of_libvips(kind: tuple[int, int], key: bool, seed: int) -> None:
    pyvips = pytest.importorskip("pyvips", exc_type=ImportError)
    colour, depth = kind
    data = make_png(colour, depth, key=key and colour < 4, seed=seed)  # no key beside alpha
    theirs = pyvips.Image.new_from_buffer(data, "").numpy()
    ours = read(data).pixels
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours.reshape(theirs.shape), theirs)


@pytest.mark.parametrize("colour", CHANNELS)
@pytest.mark.parametrize("interlaced", [0, 1])
def test_missing_samples_are_damage_and_not_black(colour: int, interlaced: int) -> None:
    for width, height in ((8, 8), (1, 1), (5, 3)):
        bits = 8 * CHANNELS[colour]
        sizes = [(width, height)]
        if interlaced:
            steps = [(8, 8, 0, 0), (8, 8, 4, 0), (4, 8, 0, 4), (4, 4, 2, 0), (2, 4, 0, 2),
                     (2, 2, 1, 0), (1, 2, 0, 1)]  # fmt: skip
            sizes = [(len(range(x, width, a)), len(range(y, height, d))) for a, d, x, y in steps]
        size = sum(rows * (1 + columns * bits // 8) for columns, rows in sizes if columns)
        for missing in (0, 1):
            head = HEAD.pack(width, height, 8, colour, 0, 0, interlaced)
            data = build_png([
                (b"IHDR", head), (b"PLTE", bytes(768)),
                (b"IDAT", zlib.compress(bytes(size - missing))), (b"IEND", b""),
            ])  # fmt: skip
            if missing:
                with pytest.raises(InputError, match="1 bytes of its samples are missing"):
                    read(data)
            else:
                assert read(data).pixels.shape[:2] == (height, width)


def test_16_bits_in_colour_need_pyvips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with pytest.raises(InputError, match=r"needs pyvips: pip install 'aecodec\[vips\]'"):
        read(make_png(2, 16))
    assert read(make_png(0, 16)).pixels.dtype == np.uint16


def test_a_wrong_checksum_matters_only_where_the_pixels_need_the_chunk() -> None:
    wrong = build_chunk(b"pHYs", struct.pack(">IIB", 2835, 2835, 1))[:-4] + b"oops"
    reading = read(with_chunks(wrong))
    assert reading.losses == ("the checksum of the chunk pHYs is wrong: it is left out",)
    assert reading.metadata.resolution is None
    data = with_chunks()
    place = data.index(b"IDAT")
    damaged = data[: place + 6] + bytes([data[place + 6] ^ 1]) + data[place + 7 :]
    with pytest.raises(InputError, match="damaged picture: the checksum of the chunk IDAT"):
        read(damaged)
    with pytest.raises(InputError, match="damaged picture: it ends within the chunk IDAT"):
        read(data[: place + 20])


def test_what_lies_behind_the_end_is_named() -> None:
    assert read(with_chunks() + b"secret").losses == ("6 bytes behind the picture are left out",)
    assert read(with_chunks()[:-12]).losses == ("the file ends without the chunk IEND",)


def test_comments_of_any_size_and_kind() -> None:
    large = b"abcd" * 700_000
    international = b"Title\0\1\0de\0Titel\0" + zlib.compress("Möwe".encode())
    data = with_chunks(
        build_chunk(b"zTXt", b"workflow\0\0" + zlib.compress(large)),
        build_chunk(b"iTXt", international),
        build_chunk(b"tEXt", b"Author\0M\xf6we"),
        build_chunk(b"zTXt", b"broken\0\0no zlib"),
    )
    reading = read(data)
    expected = (("workflow", large), ("Title", "Möwe".encode()), ("Author", "Möwe".encode()))
    assert reading.metadata.text == expected
    assert reading.losses == ("the comment 'broken' cannot be read and is left out",)
    small = read(data, Wishes(limits=Limits(metadata_bytes=1000)))
    assert small.metadata.text == expected[1:]
    assert read(data, Wishes(keep=())).losses == ()


def raw_profile(kind: str, content: bytes) -> bytes:
    digits = content.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\n{kind}\n{len(content):8}\n{lines}\n"
    return build_chunk(
        b"zTXt", f"Raw profile type {kind}\0\0".encode() + zlib.compress(text.encode())
    )


def test_raw_profiles_are_what_they_hold() -> None:
    exif, xmp, iptc = b"II*\0\x08\0\0\0\0\0\0\0\0\0", b"<x:xmpmeta/>", b"\x1c\x02\x50\0\x03Ann"
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    for chunks in (
        [("exif", b"Exif\0\0" + exif), ("xmp", xmp), ("iptc", resource), ("icc", ICC)],
        [("APP1", b"Exif\0\0" + exif), ("APP1", b"http://ns.adobe.com/xap/1.0/\0" + xmp),
         ("8bim", resource), ("icm", ICC)],
        [("exif", exif), ("xmp", xmp), ("iptc", iptc), ("icc", ICC)],
    ):  # fmt: skip
        reading = read(with_chunks(*(raw_profile(*each) for each in chunks)))
        found = reading.metadata
        assert (found.exif, found.xmp, found.iptc, found.icc) == (exif, xmp, iptc, ICC)
        assert found.text == ()
        assert reading.losses == ()
    broken = build_chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 5\nffff\n")
    assert "'Raw profile type exif' cannot be read" in read(with_chunks(broken)).losses[0]


def chrm(*numbers: float) -> bytes:
    return build_chunk(b"cHRM", struct.pack(">8I", *(round(100000 * each) for each in numbers)))


SRGB_POINTS = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
WIDE_POINTS = (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046)


@pytest.mark.parametrize(
    ("chunks", "profile"),
    [
        ([build_chunk(b"gAMA", struct.pack(">I", 45455)), chrm(*SRGB_POINTS)], False),
        ([build_chunk(b"gAMA", struct.pack(">I", 45455))], False),
        ([build_chunk(b"gAMA", struct.pack(">I", 100000))], True),
        ([build_chunk(b"gAMA", struct.pack(">I", 45455)), chrm(*WIDE_POINTS)], True),
        ([chrm(*WIDE_POINTS)], True),
        ([build_chunk(b"sRGB", b"\0"), build_chunk(b"gAMA", struct.pack(">I", 100000))], False),
        ([build_chunk(b"cICP", bytes([1, 13, 0, 1]))], False),
        ([build_chunk(b"cICP", bytes([12, 13, 0, 1]))], True),
        ([build_chunk(b"cICP", bytes([9, 16, 0, 1]))], True),
        ([chrm(*(0.0,) * 8)], False),
        ([build_chunk(b"gAMA", bytes(4))], False),
    ],
)
def test_descriptions_of_colours_become_profiles(chunks: list[bytes], profile: bool) -> None:
    reading = read(with_chunks(*chunks))
    assert (reading.metadata.icc is not None) == profile
    assert read(with_chunks(*chunks), Wishes(keep=("exif",))).metadata.icc is None
    if reading.metadata.icc:
        assert profile_space(reading.metadata.icc) == "RGB"
        loaded = ImageCms.ImageCmsProfile(BytesIO(reading.metadata.icc))
        ImageCms.buildTransform(loaded, ImageCms.createProfile("sRGB"), "RGB", "RGB")


def test_hdr_is_kept_and_said() -> None:
    chunks = [
        build_chunk(b"cICP", bytes([9, 16, 0, 1])), build_chunk(b"mDCV", bytes(24)),
        build_chunk(b"cLLI", bytes(8)),
    ]  # fmt: skip
    reading = read(with_chunks(*chunks))
    assert reading.metadata.icc is not None
    assert cicp_of(reading.metadata.icc) == (9, 16, 0, 1)
    assert [line for line in reading.losses if "HDR (PQ)" in line]
    assert len(reading.losses) == 3


def test_a_damaged_profile_is_left_out_with_a_line() -> None:
    reading = read(with_chunks(build_chunk(b"iCCP", b"name\0\0damaged")))
    assert reading.losses == ("the colour profile cannot be read and is left out",)


def test_more_pixels_than_the_limits_allow_are_refused_before_they_are_decoded() -> None:
    head = HEAD.pack(20000, 20000, 8, 2, 0, 0, 0)
    data = png_chunks.SIGNATURE + build_chunk(b"IHDR", head)
    with pytest.raises(LimitError, match="20000 x 20000"):
        read(data)
    with pytest.raises(InputError):
        read(data, Wishes(limits=Limits(pixels=10**9)))


@pytest.mark.parametrize(("depth", "colour"), [(3, 0), (16, 3), (8, 5), (4, 2)])
def test_kinds_that_png_does_not_have_are_damage(depth: int, colour: int) -> None:
    head = HEAD.pack(2, 2, depth, colour, 0, 0, 0)
    with pytest.raises(InputError, match="damaged picture: a PNG of"):
        read(build_png([(b"IHDR", head), (b"IEND", b"")]))


def test_pixels_that_are_not_square_are_named() -> None:
    shape = build_chunk(b"pHYs", struct.pack(">IIB", 1, 2, 0))
    assert "not square" in read(with_chunks(shape)).losses[0]
    dpi = read(with_chunks(build_chunk(b"pHYs", struct.pack(">IIB", 2835, 5669, 1)))).metadata
    assert dpi.resolution == pytest.approx((72, 144), abs=0.1)
