"""Feature vectors: from pixels and files, and as a step of scikit-learn."""

import pickle
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import aecodec
from aecodec.applications.features import (
    CELLS,
    SHADES,
    TEXTURES,
    VectorMaker,
    features,
    pooled,
)
from aecodec.applications.latent_maps import LatentReader
from aecodec.applications.sklearn_transformer import AecFeatures
from aecodec.codec import Codec
from aecodec.errors import InputError

LENGTH = CELLS**2 * (SHADES + 16) + 16
"""Of the tiny model, which has 16 channels."""


def noisy(shade: int, seed: int) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(shade, 20, (48, 40, 3)), 0, 255).astype(np.uint8)


def test_every_size_has_the_same_length(tiny_codec: Codec) -> None:
    pictures = [make_picture(*size) for size in ((1, 1), (20, 300), (75, 110))]
    found = features(pictures, codec=tiny_codec)
    assert found.shape == (3, LENGTH)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_a_picture_and_its_file_have_the_same_vector(
    tiny_codec: Codec, tmp_path: Path, picture: npt.NDArray[np.uint8]
) -> None:
    path = tmp_path / "a.aec"
    path.write_bytes(tiny_codec.compress(picture, 75, lossless_tiles=False))
    own, stored = features([picture, path], codec=tiny_codec)
    assert np.array_equal(own, stored)


def test_files_of_other_qualities_are_nearer_than_other_pictures(tiny_codec: Codec) -> None:
    pictures = [make_picture(96, 96, seed=seed) for seed in range(4)]
    files = [tiny_codec.compress(each, 60, lossless_tiles=False) for each in pictures]
    own, stored = features(pictures, codec=tiny_codec), features(files, codec=tiny_codec)
    distances = np.linalg.norm(own[:, None] - stored[None], axis=2)
    assert (distances.argmin(1) == np.arange(4)).all()


def test_cells_follow_the_picture(tiny_codec: Codec) -> None:
    y = np.zeros((8, 8, 16), np.float32)
    y[:2, 6:, 3] = 5
    order = np.array([3, *(n for n in range(16) if n != 3)])
    vector = pooled(y, order)
    shades = vector[: CELLS**2 * SHADES].reshape(CELLS, CELLS, SHADES)
    assert shades[0, 3, 0] == 5
    assert np.count_nonzero(shades) == 1
    assert len(vector) == CELLS**2 * (SHADES + min(TEXTURES, 16)) + 16


def test_the_public_function_uses_the_default_model() -> None:
    found = aecodec.features([make_picture(64, 64)])
    assert found.shape == (1, 960)


def test_bad_input_is_refused(tiny_codec: Codec, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures"):
        features([], codec=tiny_codec)
    with pytest.raises(InputError, match="list of pictures"):
        features("picture.png", codec=tiny_codec)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    with pytest.raises(InputError, match=r"broken\.png"):
        features([broken], codec=tiny_codec)
    with pytest.raises(FileNotFoundError):
        features([tmp_path / "none.png"], codec=tiny_codec)


def test_files_of_other_models_are_pictures(tiny_codec: Codec) -> None:
    other = Codec().compress(make_picture(64, 64), 75, lossless_tiles=False)
    shown = Codec().decompress_array(other)
    found, expected = (
        features([make_picture(64, 64), each], codec=tiny_codec) for each in (other, shown)
    )
    np.testing.assert_array_equal(found, expected)


def test_latents_of_models_are_not_mixed(tiny_codec: Codec) -> None:
    maker = VectorMaker(tiny_codec)
    maker.vector(LatentReader(tiny_codec).of_pixels(make_picture(64, 64)))
    other = Codec("aec-1")
    with pytest.raises(InputError, match="cannot be compared"):
        maker.vector(LatentReader(other).of_pixels(make_picture(64, 64)))


def test_the_transformer_is_a_step_of_a_pipeline(tiny_weights: Path) -> None:
    pictures = [noisy(shade, seed) for seed in range(6) for shade in (60, 190)]
    labels = [0, 1] * 6
    steps = make_pipeline(AecFeatures(model=str(tiny_weights)), LogisticRegression())
    steps.fit(pictures, labels)
    assert steps.score([noisy(60, 50), noisy(190, 51)], [0, 1]) == 1
    again = pickle.loads(pickle.dumps(steps))  # noqa: S301  # made here
    assert (again.predict(pictures) == steps.predict(pictures)).all()


def test_the_transformer_can_be_cloned_and_set(tiny_weights: Path) -> None:
    first = AecFeatures(model=str(tiny_weights), quality=50, side=64)
    copy = clone(first)
    assert copy.get_params() == {"model": str(tiny_weights), "quality": 50, "side": 64}
    assert copy.set_params(side=None).side is None
    digits = np.random.default_rng(0).integers(0, 255, (3, 8, 8)).astype(np.uint8)
    assert first.fit_transform(digits).shape == (3, LENGTH)
    assert not np.allclose(first.transform(digits), copy.transform(digits))


def test_small_pictures_are_enlarged_and_files_are_not(
    tiny_codec: Codec, tiny_weights: Path, tmp_path: Path
) -> None:
    pixels = make_picture(20, 30)
    path = tmp_path / "a.aec"
    path.write_bytes(tiny_codec.compress(pixels, 75, lossless_tiles=False))
    large = Image.fromarray(pixels).resize((96, 64), Image.Resampling.BICUBIC)
    maker = AecFeatures(model=str(tiny_weights), side=64)
    found = maker.transform([pixels, path])
    assert np.array_equal(found[0], features([large], codec=tiny_codec)[0])
    assert np.array_equal(found[1], features([path], codec=tiny_codec)[0])


@pytest.mark.parametrize("side", [0, 5000])
def test_a_side_out_of_range_is_refused(side: int) -> None:
    with pytest.raises(InputError, match="side"):
        AecFeatures(side=side).fit([make_picture(8, 8)])


def test_no_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="no pictures"):
        AecFeatures().transform([])
