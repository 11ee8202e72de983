"""Wide-gamut pictures look the same after a round trip: their numbers and their profile stay."""

from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms
from profiles import ADOBE_RGB, DISPLAY_P3, RgbSpace, make_profile

import aecodec
from aecodec.cli import main

SPACES = (DISPLAY_P3, ADOBE_RGB)
COLORANTS = {
    DISPLAY_P3: [(0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189),
                 (0.15710, 0.06657, 0.78407)],
    ADOBE_RGB: [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087),
                (0.14919, 0.06322, 0.74457)],
}  # fmt: skip
"""As the published profiles state them."""
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
cases = [pytest.param(space, v, id=f"{space.name} v{v}") for space in SPACES for v in (2, 4)]


def vivid(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Smooth and saturated colours up to the corners of the space, with a little noise."""
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    channels = [0.5 + 0.6 * np.sin(6 * x + p) * np.cos(4 * y - p) for p in (0.0, 1.6, 3.2)]
    noise = np.random.default_rng(1).normal(0, 1.5, (height, width, 3))
    picture: npt.NDArray[np.uint8] = np.clip(np.stack(channels, -1) * 255 + noise, 0, 255).astype(
        np.uint8
    )
    return picture


def look(image: Image.Image, profile: bytes) -> npt.NDArray[np.float64]:
    """What the numbers mean: CIE L*, a*, b*, `(H, W, 3)`."""
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    lab = ImageCms.profileToProfile(image, source, LAB, outputMode="LAB")
    assert lab is not None
    bytes_ = np.frombuffer(lab.tobytes(), np.uint8).reshape(image.height, image.width, 3)
    signed = bytes_[..., 1:].view(np.int8).astype(float)
    return np.concatenate([bytes_[..., :1] * (100 / 255), signed], axis=-1)


def difference(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Mean distance in CIE Lab (delta E of 1976)."""
    return float(np.sqrt(np.square(first - second).sum(-1)).mean())


@pytest.mark.parametrize(("space", "version"), cases)
def test_the_profiles_are_what_they_say(space: RgbSpace, version: int) -> None:
    profile = make_profile(space, version)
    opened = ImageCms.ImageCmsProfile(BytesIO(profile))
    assert ImageCms.getProfileDescription(opened).strip() == space.name
    np.testing.assert_allclose(space.colorants().T, COLORANTS[space], atol=0.0005)
    white = look(Image.new("RGB", (1, 1), "white"), profile)
    np.testing.assert_allclose(white[0, 0], (100, 0, 0), atol=1)
    red = Image.new("RGB", (1, 1), (255, 0, 0))
    assert look(red, profile)[0, 0, 1] > look(red, SRGB)[0, 0, 1] + 5


@pytest.mark.parametrize(("space", "version"), cases)
def test_the_look_stays_within_the_codecs_error(space: RgbSpace, version: int) -> None:
    source = Image.fromarray(vivid(96, 128))
    source.info["icc_profile"] = profile = make_profile(space, version)
    result = aecodec.decompress(aecodec.compress(source, 95))
    assert result.info["icc_profile"] == profile
    before, after = look(source, profile), look(result, result.info["icc_profile"])
    unprofiled = look(result, SRGB)
    assert difference(before, after) < 2.0
    assert difference(before, unprofiled) > 2 * difference(before, after) + 3


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_files_that_are_written_look_the_same(tmp_path: Path, suffix: str) -> None:
    source = Image.fromarray(vivid(64, 80))
    profile = make_profile(DISPLAY_P3, 4)
    source.save(tmp_path / "a.png", icc_profile=profile)
    output = tmp_path / f"b.{suffix}"
    for arguments in (
        ["compress", str(tmp_path / "a.png"), "-q", "95"],
        ["decompress", str(tmp_path / "a.aec"), "-o", str(output)],
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert not ended.value.code
    with Image.open(output) as result:
        assert result.info["icc_profile"] == profile
        limit = 2.5 if suffix in ("png", "tiff") else 6.0  # JPEG and WebP lose on their own
        assert difference(look(source, profile), look(result.convert("RGB"), profile)) < limit
