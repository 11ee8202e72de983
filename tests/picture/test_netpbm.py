"""PBM, PGM, PPM and PAM with any largest sample, raw and as text."""

from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from aecodec.errors import InputError
from aecodec.picture.decoding import read_picture
from aecodec.picture.pixels import rescaled
from aecodec.picture.reading import Reading, Wishes

Samples = npt.NDArray[np.uint16]
LARGEST = [1, 2, 3, 7, 15, 63, 100, 127, 254, 255, 256, 511, 1000, 1023, 4095, 32767, 65534, 65535]


def read(data: bytes) -> Reading:
    return read_picture(data, Wishes())


def samples_up_to(largest: int, channels: int) -> Samples:
    rng = np.random.default_rng(largest)
    return rng.integers(0, largest + 1, (9, 7, channels)).astype(np.uint16)


def raw(samples: Samples, largest: int) -> bytes:
    return samples.astype(np.uint8 if largest < 256 else ">u2").tobytes()


@pytest.mark.parametrize("largest", LARGEST)
@pytest.mark.parametrize("channels", [1, 3])
def test_raw_and_text_fill_the_range(largest: int, channels: int) -> None:
    samples = samples_up_to(largest, channels)
    expected = rescaled(samples, largest)
    kind = 5 if channels == 1 else 6
    head = b"7 9\n# made by\n%d\n" % largest
    words = b" ".join(b"%d" % value for value in samples.ravel())
    for data in (
        b"P%d %s" % (kind, head) + raw(samples, largest),
        b"P%d %s" % (kind - 3, head) + words,
    ):
        found = read(data)
        assert found.pixels.dtype == (np.uint8 if largest < 256 else np.uint16)
        np.testing.assert_array_equal(found.pixels.reshape(samples.shape), expected)
        assert found.losses == ()
    peak = 255 if largest < 256 else 65535
    back = (expected.astype(np.uint64) * largest * 2 + peak) // (2 * peak)
    np.testing.assert_array_equal(back, samples)  # so that lossless files hold every sample


@given(st.integers(1, 65535))
def test_scaling_keeps_different_samples_apart(largest: int) -> None:
    scaled = rescaled(np.arange(largest + 1), largest)
    assert scaled[0] == 0
    assert scaled[-1] == (255 if largest < 256 else 65535)
    assert (np.diff(scaled.astype(int)) > 0).all()


@pytest.mark.parametrize("largest", [1, 15, 255, 1023, 65535])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pam(largest: int, channels: int) -> None:
    samples = samples_up_to(largest, channels)
    kind = ("GRAYSCALE", "GRAYSCALE_ALPHA", "RGB", "RGB_ALPHA")[channels - 1]
    sizes = f"WIDTH 7\nHEIGHT 9\nDEPTH {channels}\nMAXVAL {largest}"
    head = f"P7\n# made\n{sizes}\nTUPLTYPE {kind}\nENDHDR\n"
    found = read(head.encode() + raw(samples, largest))
    np.testing.assert_array_equal(found.pixels.reshape(samples.shape), rescaled(samples, largest))


@pytest.mark.parametrize("width", [1, 7, 8, 9, 16])
def test_bitmaps_have_black_ones(width: int) -> None:
    bits = np.random.default_rng(width).random((5, width)) < 0.5
    file = BytesIO()
    Image.fromarray(bits).save(file, "PPM")
    expected = np.where(bits, 255, 0)
    np.testing.assert_array_equal(read(file.getvalue()).pixels, expected)
    digits = "\n".join("".join("01"[not each] for each in row) for row in bits)
    np.testing.assert_array_equal(read(f"P1\n{width} 5\n{digits}\n".encode()).pixels, expected)


def test_8_and_16_bits_are_those_of_pillow() -> None:
    gray = samples_up_to(65535, 1)[:, :, 0]
    data = b"P5 7 9 65535\n" + gray.astype(">u2").tobytes()
    with Image.open(BytesIO(data)) as image:
        np.testing.assert_array_equal(read(data).pixels, np.asarray(image))


def test_further_pictures_are_counted() -> None:
    one = b"P5 2 2 255\n" + bytes(4)
    assert read(one * 3).losses == ("only the first of 3 frames is kept",)
    assert read(one + b"P").losses == ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"P5 2 2 7\n\1\2\3\x08", "a sample of 8, above the largest, 7"),
        (b"P2 2 1 7 1 8", "above the largest"),
        (b"P5 2 2 65536\n" + bytes(8), "up to 65536"),
        (b"P5 2 2 0\n" + bytes(8), "up to 0"),
        (b"P6 0 2 255\n", "0 x 2 pixels"),
        (b"P6 2 2 255\n" + bytes(11), "ends before row 2"),
        (b"P3 1 1 255 1 2", "ends before row 1"),
        (b"P3 1 1 255 1 2 x", "no number"),
        (b"P1 2 1 1 2", "no number"),
        (b"P6 2", "head of a PNM"),
        (b"P7\nWIDTH 2\n", "head of a PAM"),
        (b"P7\nWIDTH 2\nHEIGHT 2\nDEPTH 5\nMAXVAL 255\nENDHDR\n" + bytes(20), "5 samples"),
        (b"P7\nWIDTH 2\nHEIGHT 2\nDEPTH 3\nMAXVAL 255\nTUPLTYPE CMYK\nENDHDR\n", "CMYK"),
    ],
)
def test_damage_is_named(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(data)
