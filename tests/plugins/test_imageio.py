"""`.aec` files through imageio's own functions."""

from pathlib import Path
from typing import cast

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import make_picture, make_sixteen_bit

from aecodec import Codec, InputError, Region, TruncatedError, read_info

pytestmark = pytest.mark.usefixtures("plugged")
PIXELS = make_picture(20, 30)


def test_files_and_bytes(tmp_path: Path, plugged: Codec) -> None:
    path = tmp_path / "a.aec"
    iio.imwrite(path, PIXELS, quality=40, effort=0)
    assert path.read_bytes() == plugged.compress(PIXELS, 40, effort=0)
    np.testing.assert_array_equal(iio.imread(path), plugged.decompress_array(path))
    data = iio.imwrite("<bytes>", PIXELS, extension=".aec", lossless=True)
    np.testing.assert_array_equal(iio.imread(data, extension=".aec"), PIXELS)
    np.testing.assert_array_equal(iio.imread(data), PIXELS)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("deep", [False, True], ids=["8", "16"])
def test_arrays_come_back(channels: int, deep: bool) -> None:
    pixels = make_sixteen_bit(20, 30, channels)
    pixels = pixels if deep else (pixels >> 8).astype(np.uint8)
    if channels in (2, 4):
        pixels[..., -1] |= 1
    data = iio.imwrite("<bytes>", pixels, extension=".aec", lossless=True)
    found = iio.imread(data)
    assert found.dtype == pixels.dtype
    np.testing.assert_array_equal(found, pixels)
    told = iio.improps(data)
    assert (told.shape, told.dtype, told.is_batch) == (pixels.shape, pixels.dtype, False)


def test_an_axis_of_pictures(plugged: Codec) -> None:
    data = iio.imwrite("<bytes>", PIXELS[None], extension=".aec", is_batch=True)
    assert data == iio.imwrite("<bytes>", [PIXELS], extension=".aec")
    assert iio.imread(data, index=cast("int", ...)).shape == (1, 20, 30, 3)
    assert iio.improps(data, index=cast("int", ...)).shape == (1, 20, 30, 3)
    assert [each.shape for each in iio.imiter(data)] == [(20, 30, 3)]
    with pytest.raises(ValueError, match="one picture"):
        iio.imread(data, index=1)
    with pytest.raises(InputError, match="one picture, not 2"):
        iio.imwrite("<bytes>", [PIXELS, PIXELS], extension=".aec")


def test_wishes_reach_the_decoder(plugged: Codec) -> None:
    data = plugged.compress(PIXELS)
    small = iio.imread(data, scale=2, region=Region(0, 0, 20, 10))
    np.testing.assert_array_equal(
        small, plugged.decompress_array(data, scale=2, region=Region(0, 0, 20, 10))
    )


def test_properties_and_metadata_need_no_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugged: Codec
) -> None:
    from PIL import Image

    Image.fromarray(PIXELS).save(tmp_path / "a.aec", xmp=b"<x/>", dpi=(300, 300))
    monkeypatch.setattr(Codec, "decode", None)
    assert iio.improps(tmp_path / "a.aec").shape == (20, 30, 3)
    assert iio.immeta(tmp_path / "a.aec") == {"xmp": b"<x/>", "dpi": (300, 300)}
    assert read_info(tmp_path / "a.aec").width == 30


def test_other_files_are_left_to_others(tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "a.png", PIXELS)
    (tmp_path / "a.png").rename(tmp_path / "a.aec")
    np.testing.assert_array_equal(iio.imread(tmp_path / "a.aec"), PIXELS)
    with pytest.raises(OSError, match="can not handle"):
        iio.imread(tmp_path / "a.aec", plugin="aecodec")
    with pytest.raises(OSError, match="can not handle"):
        iio.imwrite(tmp_path / "b.png", PIXELS, plugin="aecodec")


def test_damage_is_told(plugged: Codec) -> None:
    data = plugged.compress(PIXELS)
    with pytest.raises(TruncatedError):
        iio.imread(data[:-9])
    with pytest.raises(TypeError, match="colour"):
        iio.imwrite("<bytes>", PIXELS, extension=".aec", colour=1)
    with pytest.raises(InputError, match="quality"):
        iio.imwrite("<bytes>", PIXELS, extension=".aec", quality=101)
