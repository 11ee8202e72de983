"""AVIF and HEIC: depth, colours, turning, what is left out, and what is to be installed."""

import struct
import sys
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture
from PIL import Image

from aecodec.errors import AecError, InputError, LimitError
from aecodec.format.chunks import Limits
from aecodec.picture.color_description import cicp_of
from aecodec.picture.decoding import read_picture
from aecodec.picture.iso_boxes import heif_facts
from aecodec.picture.orientation import orientation_in
from aecodec.picture.pixels import rescaled
from aecodec.picture.reading import Reading, Wishes

PIXELS = make_picture(32, 48)
EXIF = Image.Exif()
EXIF[274] = 6
EXIF[271] = "Maker"


def read(data: bytes, wishes: Wishes | None = None) -> Reading:
    return read_picture(data, wishes or Wishes())


def reason_against(data: bytes) -> str:
    """The message with which a file is refused; empty if it is read."""
    try:
        read(data)
    except AecError as exc:
        return str(exc)
    return ""


def make_avif(image: Image.Image | None = None, **options: object) -> bytes:
    file = BytesIO()
    (image or Image.fromarray(PIXELS)).save(file, "AVIF", quality=100, **options)
    return file.getvalue()


def make_heic(pixels: npt.NDArray[Any], mode: str = "RGB", **options: object) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif", exc_type=ImportError)
    file = BytesIO()
    size = (pixels.shape[1], pixels.shape[0])
    made = pillow_heif.from_bytes(mode, size, pixels.tobytes())
    made.save(file, quality=-1, chroma=444, matrix_coefficients=0, **options)
    return file.getvalue()


def deep_avif(bits: int, pixels: npt.NDArray[np.uint16]) -> bytes:
    pyvips = pytest.importorskip("pyvips", exc_type=ImportError)
    kind = "rgb16" if pixels.shape[2] > 2 else "grey16"
    image = pyvips.Image.new_from_array(pixels, interpretation=kind)
    data: bytes = image.heifsave_buffer(compression="av1", bitdepth=bits, lossless=True)
    return data


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("channels", [3, 4])
def test_avif_of_more_bits_is_not_cut(bits: int, channels: int) -> None:
    pixels = np.random.default_rng(bits).integers(0, 65536, (16, 20, channels)).astype(np.uint16)
    data = deep_avif(bits, pixels)
    facts = heif_facts(data)
    assert facts is not None
    assert (facts.bits, facts.size) == (bits, (20, 16))
    reading = read(data)
    np.testing.assert_array_equal(reading.pixels, rescaled(pixels >> (16 - bits), 2**bits - 1))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_avif_of_8_bits_is_that_of_pillow(mode: str) -> None:
    image = Image.fromarray(PIXELS).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(PIXELS[:, :, 0]))
    data = make_avif(image, exif=EXIF.tobytes())
    with Image.open(BytesIO(data)) as opened:
        np.testing.assert_array_equal(read(data).pixels, np.asarray(opened))
    reading = read(data)
    assert orientation_in(reading.metadata) == 6
    assert (reading.losses, reading.metadata.icc) == ((), None)
    assert read(data, Wishes(keep=())).pixels.shape[:2] == (48, 32)


@pytest.mark.parametrize(
    ("code", "told"), [((1, 13), False), ((9, 16), True), ((12, 13), False), ((9, 18), True)]
)
def test_colours_of_nclx_become_a_profile(code: tuple[int, int], told: bool) -> None:
    data = make_avif()
    place = data.index(b"colrnclx") + 8
    reading = read(data[:place] + struct.pack(">HH", *code) + data[place + 4 :])
    assert bool(reading.losses) == told
    icc = reading.metadata.icc
    assert (icc and cicp_of(icc)) == (None if code == (1, 13) else (*code, 0, 1))


def test_sequences_are_named() -> None:
    image = Image.fromarray(PIXELS)
    reading = read(make_avif(save_all=True, append_images=[image.rotate(180)]))
    assert reading.losses == ("only the first of 2 frames is kept",)


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("RGBA", 4)])
def test_heic(mode: str, channels: int) -> None:
    pixels = np.dstack((PIXELS, PIXELS[:, :, 0]))[:, :, :channels]
    reading = read(make_heic(np.ascontiguousarray(pixels), mode))
    assert np.abs(reading.pixels.astype(int) - pixels).max() <= 2
    assert reading.losses == ()
    turned = read(make_heic(np.ascontiguousarray(pixels), mode, exif=EXIF.tobytes()))
    assert turned.pixels.shape == (48, 32, channels)
    assert orientation_in(turned.metadata) == 1
    assert turned.metadata.exif is not None
    assert b"Maker" in turned.metadata.exif


def test_heic_of_10_bits_has_16() -> None:
    deep = (PIXELS.astype(np.uint16) * 257) & 0xFFC0
    data = make_heic(deep, "RGB;16")
    reading = read(data)
    assert reading.pixels.dtype == np.uint16
    steps = reading.pixels.astype(np.float64) * 1023 / 65535
    assert np.abs(steps - np.round(steps)).max() < 0.02
    assert np.abs(reading.pixels.astype(int) - rescaled(deep >> 6, 1023)).max() <= 200


def test_further_pictures_of_heic_are_named() -> None:
    pillow_heif = pytest.importorskip("pillow_heif", exc_type=ImportError)
    made = pillow_heif.from_bytes("RGB", (48, 32), PIXELS.tobytes())
    made.add_frombytes("RGB", (48, 32), PIXELS.tobytes())
    file = BytesIO()
    made.save(file)
    assert read(file.getvalue()).losses == ("only the first of 2 frames is kept",)


def test_what_is_missing_can_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    heic = make_heic(PIXELS)
    avif = deep_avif(10, np.zeros((16, 20, 3), np.uint16))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with pytest.raises(InputError, match=r"HEIC needs pillow-heif: pip install 'aecodec\[heif\]'"):
        read(heic)
    with pytest.raises(InputError, match=r"10 bits a sample needs pyvips: pip install"):
        read(avif)


def test_limits_and_damage() -> None:
    data = make_avif()
    with pytest.raises(LimitError):
        read(data, Wishes(limits=Limits(pixels=1000)))
    with pytest.raises(InputError, match="damaged picture"):
        read(data[: len(data) // 2])
    for whole in (data, make_heic(PIXELS)):
        rng = np.random.default_rng(0)
        for _ in range(60):
            damaged = bytearray(whole)
            for place in rng.integers(0, 500, 3):
                damaged[place] = rng.integers(256)
            assert "\n" not in reason_against(bytes(damaged))


def test_other_files_have_no_facts() -> None:
    assert heif_facts(b"something else that is no box") is None
    facts = heif_facts(b"\0\0\0\x10ftypavif\0\0\0\0")
    assert facts is not None
    assert facts.bits == 8
