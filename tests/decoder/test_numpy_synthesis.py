"""The synthesis in NumPy: a scalar reference in integers, windows, smaller pictures, bounds."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from conftest import make_tiny_model
from exact_reference import SynthesisReference

from aecodec.decoder.bounds import LINEAR_BIAS_LIMIT
from aecodec.decoder.gains import power_of_two
from aecodec.decoder.networks import YHat
from aecodec.decoder.numpy_synthesis import NumpySynthesis
from aecodec.decoder.work_sharing import Crew
from aecodec.encoder.networks import EncoderModel
from aecodec.errors import WeightsError
from aecodec.models.weights import TensorTree
from aecodec.picture.pixels import Pixels


def latents(height: int, width: int, spread: int, seed: int = 0) -> YHat:
    rng = np.random.default_rng(seed)
    return rng.integers(-spread, spread, (height, width, 16), np.int16)


def pixels(
    model: EncoderModel, y: YHat, index: int, *, deep: bool = False, gray: bool = False
) -> Pixels:
    """What the decoder gives, which is asked for as it is asked for tiles."""
    inside = 16 * y.shape[0], 16 * y.shape[1]
    return model.decoder.synthesis.pixels(
        y, index, scale=1, inside=inside, sixteen_bit=deep, gray=gray
    )


@pytest.fixture(scope="module")
def tensors(tiny_coder: EncoderModel) -> TensorTree:
    """The synthesis of a tiny model."""
    return tiny_coder.weights.tensors["synthesis"]


@pytest.mark.parametrize("spread", [1, 60, 1000, 2**15])
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("sixteen_bit", [False, True])
@pytest.mark.parametrize("quality_index", [0, 57, 211, 400])
def test_the_reference_agrees(
    tiny_coder: EncoderModel, quality_index: int, sixteen_bit: bool, gray: bool, spread: int
) -> None:
    """Also on latents of every possible size, where everything is clipped."""
    y = latents(3, 4, spread)
    found = pixels(tiny_coder, y, quality_index, deep=sixteen_bit, gray=gray)
    expected = SynthesisReference(tiny_coder.weights.tensors["synthesis"]).decode(
        y.transpose(2, 0, 1).astype(np.int64), quality_index, 65535 if sixteen_bit else 255,
        gray=gray,
    )  # fmt: skip
    assert found.dtype == (np.uint16 if sixteen_bit else np.uint8)
    np.testing.assert_array_equal(found, expected[:, :, 0] if gray else expected)


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("inside", [(64, 48), (63, 41), (50, 48), (49, 33), (1, 1), (200, 300)])
def test_smaller_pictures_are_means(
    tiny_coder: EncoderModel, scale: int, inside: tuple[int, int], gray: bool
) -> None:
    """Means of the whole picture's sums within its borders, rounded once."""
    for spread, maximum in ((48, 255), (3000, 65535)):
        y = latents(4, 3, spread, seed=3)
        reference = SynthesisReference(tiny_coder.weights.tensors["synthesis"])
        sums = reference.sums(y.transpose(2, 0, 1).astype(np.int64), 200)
        part = sums[: inside[0], : inside[1]]
        expected = reference.means(part, scale, maximum, gray=gray)
        found = tiny_coder.decoder.synthesis.pixels(
            y, 200, scale=scale, inside=inside, sixteen_bit=maximum > 255, gray=gray
        )
        assert found.shape[:2] == (64 // scale, 48 // scale)
        found = found[: expected.shape[0], : expected.shape[1]]
        np.testing.assert_array_equal(found, expected[:, :, 0] if gray else expected)


@pytest.mark.parametrize("spread", [60, 2**15])
def test_threads_agree(tensors: TensorTree, tiny_coder: EncoderModel, spread: int) -> None:
    """Of a picture that is wide enough for many parts."""
    y = latents(40, 130, spread)
    networks = [NumpySynthesis(tensors, Crew(threads)) for threads in (1, 2, 3)]
    for scale in (1, 4):
        alone, *shared = (
            network.pixels(
                y, 300, scale=scale, inside=(639, 2071), sixteen_bit=False, gray=False
            )[: 640 // scale, : 2072 // scale]
            for network in networks
        )  # fmt: skip
        for found in shared:
            np.testing.assert_array_equal(found, alone)
    np.testing.assert_array_equal(
        pixels(tiny_coder, y, 300)[:639, :2071],
        networks[2].pixels(
            y, 300, scale=1, inside=(640, 2080), sixteen_bit=False, gray=False
        )[:639, :2071],
    )  # fmt: skip


def test_windows_give_the_same_pixels(tiny_coder: EncoderModel) -> None:
    """Far enough from the border of a window, pixels are those of the whole picture."""
    y = latents(20, 20, 60)
    whole, part = pixels(tiny_coder, y, 300), pixels(tiny_coder, y[4:16, 5:17], 300)
    halo = 16 * tiny_coder.decoder.config.synthesis_halo
    np.testing.assert_array_equal(
        part[halo:-halo, halo:-halo],
        whole[64 + halo : 256 - halo, 80 + halo : 272 - halo],
    )


def test_it_is_near_the_real_synthesis(tiny_coder: EncoderModel) -> None:
    y, q = latents(6, 6, 60), torch.tensor([0.75])
    model = make_tiny_model()
    batch = torch.from_numpy(y).permute(2, 0, 1)[None]
    with torch.inference_mode():
        real = model.synthesis(batch / 16, q)[0].permute(1, 2, 0).clamp(0, 1).numpy()
    assert np.abs(pixels(tiny_coder, y, 300) / 255 - real).mean() < 0.01


def test_powers_of_two() -> None:
    logs = np.arange(-12 << 16, 12 << 16, 4321)
    np.testing.assert_allclose(power_of_two(logs), 2.0 ** (16 + logs / 65536), rtol=1e-7, atol=0.5)
    whole = np.arange(-12, 13)
    np.testing.assert_array_equal(power_of_two(whole << 16), 2 ** (16 + whole))
    examples = {0: 65536, 32768: 92682, 12345: 74677, -1: 65535, -65536: 32768}
    assert power_of_two(np.array([*examples])).tolist() == [*examples.values()]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("outer_gain", 12 * 2**16 + 1),
        ("inner_gain", -12 * 2**16 - 1),
        ("up.shift", 0),
        ("up.shift", 25),
        ("up.bias", LINEAR_BIAS_LIMIT + 1),
        ("exit.shift", 17),
        ("exit.shift", -1),
        ("exit.bias", -LINEAR_BIAS_LIMIT - 1),
        ("first.mix_in.shift", 25),
        ("last.contract.input_shift", -1),
        ("blocks.0.expand.fraction", 13),
        ("blocks.0.mix_out.bias", 2**24),
    ],
)
def test_values_beyond_their_range_are_refused(tensors: TensorTree, name: str, value: int) -> None:
    changed = deepcopy(tensors)
    *above, last = name.split(".")
    part = changed
    for each in above:
        part = part[each]
    part.arrays[last] = np.array(part.array(last))
    part.array(last).reshape(-1)[0] = value
    with pytest.raises(WeightsError):
        NumpySynthesis(changed, Crew(1))


def test_sums_that_float64_does_not_hold_are_refused(tensors: TensorTree) -> None:
    changed = deepcopy(tensors)
    changed["exit"].arrays["weight"] = np.full((4096, 192), 2**14, np.int16)
    with pytest.raises(WeightsError, match=r"2\*\*53"):
        NumpySynthesis(changed, Crew(1))


@pytest.mark.parametrize("name", ["up", "exit", "first", "last"])
def test_a_missing_part_is_refused(tensors: TensorTree, name: str) -> None:
    changed = deepcopy(tensors)
    del changed.parts[name]
    with pytest.raises(WeightsError, match=name):
        NumpySynthesis(changed, Crew(1))
