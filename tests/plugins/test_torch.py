"""`.aec` files as tensors, beside torchvision's own functions."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_picture, make_sixteen_bit
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.io import ImageReadMode  # type: ignore[import-untyped]
from torchvision.io import decode_image as decode_other
from torchvision.transforms.v2 import Resize  # type: ignore[import-untyped]

from aecodec import Codec, InputError, Region, SignatureError
from aecodec.plugins.torch import AecFolder, decode_image

pytestmark = pytest.mark.usefixtures("plugged")
PIXELS = make_picture(20, 30)
ALPHA = np.arange(600, dtype=np.uint8).reshape(20, 30, 1) | 1
KINDS = {
    "L": PIXELS[:, :, 0],
    "LA": np.dstack((PIXELS[:, :, 0], ALPHA)),
    "RGB": PIXELS,
    "RGBA": np.dstack((PIXELS, ALPHA)),
}


@pytest.mark.filterwarnings(
    "ignore:The image decoding:DeprecationWarning"
)  # since torchvision 0.29
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["UNCHANGED", "GRAY", "GRAY_ALPHA", "RGB", "RGB_ALPHA"])
def test_modes_are_those_of_torchvision(
    kind: str, mode: str, plugged: Codec, tmp_path: Path
) -> None:
    Image.fromarray(KINDS[kind]).save(tmp_path / "a.png")
    expected = decode_other(str(tmp_path / "a.png"), ImageReadMode[mode])
    data = plugged.compress(KINDS[kind], lossless=True)
    found = decode_image(data, mode)
    assert found.dtype == torch.uint8
    assert found.is_contiguous()
    # libpng weighs red, green and blue a little differently.
    step = 1 if mode.startswith("GRAY") and kind.startswith("RGB") else 0
    assert found.shape == expected.shape
    assert (found.int() - expected.int()).abs().max() <= step
    torch.testing.assert_close(decode_image(data, ImageReadMode[mode]), found, rtol=0, atol=0)


def test_sources_and_wishes(plugged: Codec, tmp_path: Path) -> None:
    data = plugged.compress(PIXELS)
    (tmp_path / "a.aec").write_bytes(data)
    expected = torch.from_numpy(plugged.decompress_array(data)).permute(2, 0, 1)
    as_tensor = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    for source in (data, as_tensor, tmp_path / "a.aec", str(tmp_path / "a.aec")):
        assert torch.equal(decode_image(source), expected)
    part = decode_image(data, scale=2, region=Region(0, 0, 20, 10))
    assert part.shape == (3, 5, 10)


def test_sixteen_bits(plugged: Codec) -> None:
    pixels = make_sixteen_bit(20, 30, 3)
    data = plugged.compress(pixels, lossless=True)
    found = decode_image(data)
    assert found.dtype == torch.uint16
    np.testing.assert_array_equal(found.numpy(), pixels.transpose(2, 0, 1))
    assert decode_image(data, "RGB_ALPHA")[3].to(torch.int32).min() == 65535
    assert decode_image(data, depth=8).dtype == torch.uint8
    luma = (make_sixteen_bit(20, 30, 3) @ np.array([0.299, 0.587, 0.114])).round()
    assert np.abs(decode_image(data, "GRAY")[0].numpy() - luma).max() <= 1


def test_pictures_are_turned_on_request(plugged: Codec) -> None:
    image = Image.fromarray(PIXELS)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.info["exif"] = exif.tobytes()
    data = plugged.compress(image, lossless=True)
    assert decode_image(data).shape == (3, 20, 30)
    turned = decode_image(data, apply_exif_orientation=True)
    np.testing.assert_array_equal(turned.numpy(), np.rot90(PIXELS, -1).transpose(2, 0, 1))


def test_what_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="mode must be"):
        decode_image(b"", "CMYK")
    with pytest.raises(InputError, match="one-dimensional"):
        decode_image(torch.zeros(3, 4))
    with pytest.raises(SignatureError):
        decode_image(torch.zeros(300, dtype=torch.uint8))


@pytest.fixture
def folder(tmp_path: Path, plugged: Codec) -> Path:
    for number in range(5):
        below = tmp_path / ("cat" if number % 2 else "dog")
        below.mkdir(exist_ok=True)
        pixels = make_picture(24, 32, seed=number)
        (below / f"{number}.aec").write_bytes(plugged.compress(pixels))
    (tmp_path / "notes.txt").write_text("none")
    return tmp_path


def test_a_folder_is_a_dataset(folder: Path, plugged: Codec) -> None:
    pictures = AecFolder(folder, scale=2, transform=Resize((8, 8)), label=lambda p: p.parent.name)
    assert [path.name for path in pictures.paths] == ["1.aec", "3.aec", "0.aec", "2.aec", "4.aec"]
    assert len(pictures) == 5
    found, label = pictures[0]
    assert (tuple(found.shape), label) == ((3, 8, 8), "cat")
    small = plugged.decompress_array(pictures.paths[0], scale=2)
    assert torch.equal(found, Resize((8, 8))(torch.from_numpy(small.transpose(2, 0, 1).copy())))


@pytest.mark.parametrize(
    ("workers", "context"), [(0, None), (2, "fork"), (1, "spawn")], ids=["none", "fork", "spawn"]
)
def test_workers_decode(
    folder: Path, tiny_weights: Path, workers: int, context: str | None, plugged: Codec
) -> None:
    pictures = AecFolder(folder, model=tiny_weights)
    expected = torch.stack([pictures[number] for number in range(5)])
    loader = DataLoader(
        pictures, batch_size=2, num_workers=workers, multiprocessing_context=context
    )
    assert torch.equal(torch.cat(list(loader)), expected)
    one = plugged.decompress_array(pictures.paths[0])
    np.testing.assert_array_equal(expected[0].numpy(), one.transpose(2, 0, 1))


def test_codecs_are_not_pickled(folder: Path, tiny_weights: Path) -> None:
    pictures = AecFolder(folder, model=tiny_weights)
    first = pictures[0]
    assert torch.equal(pickle.loads(pickle.dumps(pictures))[0], first)  # noqa: S301  # made here


def test_errors_name_the_file(folder: Path) -> None:
    path = folder / "cat" / "1.aec"
    path.write_bytes(path.read_bytes()[:-9])
    pictures = AecFolder(folder)
    with pytest.raises(InputError, match=r"1\.aec: truncated"):
        pictures[0]
    with pytest.raises(InputError, match=r"1\.aec: truncated"):
        list(DataLoader(pictures, num_workers=1, multiprocessing_context="fork"))
    with pytest.raises(InputError, match=r"no \.aec files"):
        AecFolder(folder / "none")
    with pytest.raises(InputError, match="scale"):
        AecFolder(folder, scale=3)
