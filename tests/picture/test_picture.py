"""Pictures in every form that callers have."""

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import make_picture
from PIL import Image

from aecodec.errors import InputError, LimitError
from aecodec.format.chunks import METADATA_KINDS
from aecodec.picture.picture import decode_picture, to_picture, to_pil

Pixels = npt.NDArray[np.uint8 | np.uint16]


def pixels_of(picture: object) -> Pixels:
    return to_picture(picture).pixels  # type: ignore[arg-type]  # some are wrong on purpose


def decoded(data: bytes) -> Pixels:
    return decode_picture(data, keep=()).pixels


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """The start of a PNG that says it is RGB, with the right CRC and no pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I4s", 100, b"IDAT")


@pytest.mark.parametrize("shape", [(7, 9, 3), (7, 9), (1, 1, 3)])
def test_all_forms_give_the_same_pixels(shape: tuple[int, ...], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    image = Image.fromarray(pixels)
    path = tmp_path / "picture.png"
    image.save(path)
    tensor = torch.from_numpy(pixels)
    tensor = tensor[None] if pixels.ndim == 2 else tensor.permute(2, 0, 1)
    for form in (path, str(path), image, pixels, tensor):
        result = pixels_of(form)
        assert result.dtype == np.uint8
        assert result.flags.c_contiguous
        np.testing.assert_array_equal(result, pixels)
    np.testing.assert_array_equal(decoded(path.read_bytes()), pixels)
    np.testing.assert_array_equal(np.asarray(to_pil(pixels)), pixels)


def test_views_are_taken_as_they_look() -> None:
    pixels = make_picture(8, 10)
    view = pixels[::-1, ::2]
    result = pixels_of(view)
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, view)


def test_half_precision_tensors_are_accepted() -> None:
    values = torch.tensor([0.0, 0.5, 1.0]).reshape(1, 1, 3)
    for dtype in (torch.float16, torch.bfloat16):
        assert pixels_of(values.to(dtype)).tolist() == [[0, 32768, 65535]]


def test_tensors_that_need_gradients_are_accepted() -> None:
    assert pixels_of(torch.ones(3, 2, 2, requires_grad=True)).min() == 65535


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floating_pictures_are_16_bit_ones_rounded_half_up(kind: type, channels: int) -> None:
    values: npt.NDArray[Any] = np.random.default_rng(0).random((5, 7, channels)).astype(kind)
    expected = np.floor(values.astype(np.float64) * 65535 + 0.5).astype(np.uint16)
    tensor = torch.from_numpy(values).permute(2, 0, 1)
    array = values[:, :, 0] if channels == 1 else values
    for form in (array, tensor):
        picture = to_picture(form)
        visible = slice(None) if picture.alpha is None else picture.alpha > 0
        assert picture.whole.dtype == np.uint16
        whole = expected[:, :, 0] if channels == 1 else expected
        np.testing.assert_array_equal(picture.whole[visible], whole[visible])


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_16_bit_arrays_are_taken_in_any_byte_order(order: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (4, 5, 3)).astype(np.uint16)
    result = pixels_of(pixels.astype(order))
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, pixels)
    np.testing.assert_array_equal(pixels_of(torch.from_numpy(pixels).permute(2, 0, 1)), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_files_is_applied(orientation: int) -> None:
    pixels = make_picture(4, 6)
    exif = Image.Exif()
    exif[0x0112] = orientation
    result = decoded(encoded(Image.fromarray(pixels), "PNG", exif=exif))
    corners = {tuple(pixels[row, column].tolist()) for row in (0, -1) for column in (0, -1)}
    assert result.shape == ((4, 6, 3) if orientation < 5 else (6, 4, 3))
    assert {tuple(result[r, c].tolist()) for r in (0, -1) for c in (0, -1)} == corners
    assert np.array_equal(result, pixels) == (orientation == 1)


@pytest.mark.parametrize(
    ("mode", "kind"), [("P", "PNG"), ("1", "TIFF"), ("RGBA", "PNG"), ("CMYK", "JPEG")]
)
@pytest.mark.parametrize("keep", [METADATA_KINDS, ()])
def test_converted_modes_are_turned_once(mode: str, kind: str, keep: tuple[str, ...]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(make_picture(4, 6)).convert(mode), kind, exif=exif)
    picture = decode_picture(data, keep)
    kept = picture.metadata.exif is not None
    assert kept == (bool(keep) and kind != "TIFF")  # Pillow turns TIFF itself
    assert picture.pixels.shape[:2] == ((4, 6) if kept else (6, 4))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (Image.new("RGB", (0, 4)), "no pixels"),
        (np.zeros((4, 0, 3), np.uint8), "no pixels"),
        (np.zeros((4, 4, 1), np.uint8), r"\(H, W, 3\)"),
        (np.full((4, 4), 1.01, np.float32), r"floating arrays must be finite and lie in \[0, 1\]"),
        (np.full((4, 4, 4), np.nan, np.float16), r"floating arrays must be finite"),
        (np.full((4, 4), -1e-3), r"floating arrays must be finite and lie in \[0, 1\]"),
        (np.zeros((4, 4), np.int16), "not int16"),
        (np.zeros((4, 4), np.uint32), "not uint32"),
        (np.zeros((4, 4, 5), np.uint16), r"\(H, W, 2\) or \(H, W, 4\)"),
        (np.zeros((4, 4), bool), "bool"),
        (torch.zeros(3, 0, 4), "no pixels"),
        (torch.zeros(5, 4, 3), "tensors must be"),
        (torch.zeros(3, 4, 4, dtype=torch.int32), "int32"),
        (torch.full((3, 2, 2), -0.01), r"lie in \[0, 1\]"),
        (torch.full((3, 2, 2), float("inf")), "finite"),
        (b"bytes", "bytes"),
        (None, "NoneType"),
    ],
)
def test_other_forms_are_refused(picture: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pixels_of(picture)


def test_files_that_cannot_be_opened_are_os_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pixels_of(tmp_path / "none.png")
    with pytest.raises(IsADirectoryError):
        pixels_of(tmp_path)


@pytest.mark.parametrize("data", [b"", b"hello, this is text\n", b"\x89PNG\r\n\x1a\n"])
def test_files_of_another_kind_are_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        decoded(data)


def test_decompression_bombs_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(LimitError, match="65536 x 65536 = 4294967296 pixels, the limit is"):
        decoded(png_header(2**16, 2**16))


def test_errors_inside_pillow_are_input_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its AVIF decoder says RuntimeError of damaged files; others have said more."""
    data = encoded(Image.new("RGB", (4, 4)), "PNG")
    for error in (RuntimeError, SyntaxError, IndexError, struct.error, EOFError):

        def fail(*_: object, error: type[Exception] = error) -> None:
            raise error("cause")

        monkeypatch.setattr(Image.Image, "load", fail)
        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
        with pytest.raises(InputError, match="damaged picture: cause"):
            decoded(data)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::RuntimeWarning:PIL")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM"])
def test_damaged_files_give_pixels_or_a_named_error(kind: str) -> None:
    """Nothing but InputError, LimitError and OSError escapes from Pillow."""
    rng = np.random.default_rng(5)
    pixels = make_picture(12, 10)
    data = encoded(Image.fromarray(pixels[:, :, 0] if kind == "GIF" else pixels), kind)
    for _ in range(60):
        damaged = bytearray(data[: rng.integers(1, len(data) + 1)])
        for place in rng.integers(0, min(len(damaged), 200), 3):
            damaged[place] = rng.integers(256)
        try:
            result = decoded(bytes(damaged))
        except (InputError, LimitError, OSError):
            continue
        assert result.ndim in (2, 3)
