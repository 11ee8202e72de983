"""The exact synthesis: a scalar reference in integers, carriers, threads, windows, bounds."""

from copy import deepcopy
from math import isqrt

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import TINY, make_tiny_model

from aecodec.decoder.carriers import ACCUMULATOR_LIMIT
from aecodec.decoder.integer_synthesis import ExactSynthesis, power_of_two
from aecodec.decoder.networks import YHat
from aecodec.decoder.synthesis_layers import (
    INPUT_LIMIT,
    ExactConv2d,
    ExactHswish,
    exact_bounds,
)
from aecodec.encoder.networks import EncoderModel
from aecodec.errors import WeightsError
from aecodec.models.weights import TensorTree
from aecodec.picture.pixels import Pixels

Ints = npt.NDArray[np.int64]


class Reference:
    """Latents to pixels as SPECIFICATION.md, section 11, says, in NumPy's int64."""

    def __init__(self, tensors: TensorTree) -> None:
        self.tensors = tensors

    def __getitem__(self, name: str) -> Ints:
        """A tensor of the part `synthesis` by its dotted name."""
        *above, last = name.split(".")
        part = self.tensors
        for each in above:
            part = part[each]
        return part.array(last).astype(np.int64)

    def gains(self, name: str, quality_index: int) -> Ints:
        """The gain of each channel."""
        k = self[name]
        i, j = (6, 400) if quality_index == 400 else divmod(7 * quality_index, 400)
        logs = (2 * (k[i] * (400 - j) + k[i + 1] * j) + 400) // 800
        roots = {16: 2**31}
        for bit in range(15, -1, -1):
            roots[bit] = isqrt(roots[bit + 1] << 30)
        found = []
        for value in logs.tolist():
            whole, p = value >> 16, 2**30
            for bit in range(15, -1, -1):
                if value >> bit & 1:
                    p = (p * roots[bit] + 2**29) >> 30
            found.append((p + (1 << (13 - whole))) >> (14 - whole))
        return np.array(found)[:, None, None]

    def scaled(self, x: Ints, gains: Ints) -> Ints:
        """A rounded product with gains."""
        return self.clipped((x * gains + 2**15) >> 16)

    def clipped(self, stream: Ints) -> Ints:
        """Within the range of the stream."""
        found: Ints = stream.clip(-(2**22), 2**22 - 1)
        return found

    def conv(self, name: str, x: Ints) -> Ints:
        """One convolution of a block."""
        weight, bias, shift = (self[f"{name}.{k}"] for k in ("weight", "bias", "shift"))
        block, _, layer = name.rpartition(".")
        if layer != "mix_out":  # whose inputs are sums, already shifted
            s = self[f"{block}.{layer}.input_shift"][:, None, None]
            x = np.where(s > 0, (x + (1 << s >> 1)) >> s, x)
        x = x.clip(-1024, 1023)
        if weight.shape[-1] == 1:
            total = np.einsum("oi,ihw->ohw", weight[:, :, 0, 0], x)
        else:
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
            _, h, w = x.shape
            total = np.zeros_like(x)
            for row in range(3):
                for column in range(3):
                    tap = weight[:, 0, row, column][:, None, None]
                    total += tap * padded[:, row : row + h, column : column + w]
        y: Ints = (total + bias[:, None, None]) >> shift[:, None, None]
        return y

    def hswish(self, v: Ints, fraction: int) -> Ints:
        """The activation."""
        limit, knee = 1 << (20 - fraction), 1 << (fraction + 2)
        v = v.clip(-limit, limit - 1)
        found: Ints = v * (v.clip(-knee, knee) + knee)
        return found

    def block(self, name: str, stream: Ints) -> Ints:
        """One block."""
        f = {k: int(self[f"{name}.{k}.fraction"]) for k in ("mix_in", "expand")}
        v = self.hswish(self.conv(f"{name}.mix_in", stream), f["mix_in"])
        branch = self.conv(f"{name}.mix_out", self.conv(f"{name}.depthwise", v))
        stream = self.clipped(stream + branch)
        v = self.hswish(self.conv(f"{name}.expand", stream), f["expand"])
        return self.clipped(stream + self.conv(f"{name}.contract", v))

    def decode(self, y_hat: Ints, quality_index: int, maximum: int, *, gray: bool) -> Ints:
        """Samples `(16h, 16w, 3 or 1)`."""
        stream = self.scaled(y_hat, self.gains("outer_gain", quality_index))
        stream = self.block("first", stream)
        _, h, w = stream.shape
        shift = self["up.shift"]
        wide = np.einsum("ihw,io->ohw", stream, self["up.weight"]) + self["up.bias"][:, None, None]
        wide = (wide + (1 << shift >> 1)[:, None, None]) >> shift[:, None, None]
        stream = np.zeros((len(wide) // 4, 2 * h, 2 * w), np.int64)
        for position, part in enumerate(np.split(self.clipped(wide), 4)):
            stream[:, position // 2 :: 2, position % 2 :: 2] = part
        for number in range(TINY.synthesis_blocks - 1):
            stream = self.block(f"blocks.{number}", stream)
        stream = self.block("last", self.scaled(stream, self.gains("inner_gain", quality_index)))
        p = np.einsum("chw,co->ohw", stream, self["exit.weight"]) + self["exit.bias"][:, None, None]
        p = p.reshape(3, 8, 8, 2 * h, 2 * w).transpose(3, 1, 4, 2, 0).reshape(16 * h, 16 * w, 3)
        if gray:
            p = p.sum(2, keepdims=True)
        n, f = 3 if gray else 1, 14 + int(self["exit.shift"])
        p = (p.clip(-n << f, n << f) + (n << f >> 1)) * (maximum // n)
        found: Ints = ((p + (1 << f >> 1)) >> f).clip(0, maximum)
        return found


def latents(height: int, width: int, spread: int, seed: int = 0) -> YHat:
    rng = np.random.default_rng(seed)
    shape = (height, width, TINY.latent_channels)
    return rng.integers(-spread, spread, shape, np.int16)


def pixels(
    model: EncoderModel, y: YHat, index: int, *, deep: bool = False, gray: bool = False
) -> Pixels:
    """What the decoder gives, which is asked for as it is asked for tiles."""
    inside = 16 * y.shape[0], 16 * y.shape[1]
    return model.decoder.synthesis.pixels(
        y, index, scale=1, inside=inside, sixteen_bit=deep, gray=gray
    )


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
    reference = Reference(tiny_coder.weights.tensors["synthesis"])
    expected = reference.decode(
        y.transpose(2, 0, 1).astype(np.int64),
        quality_index,
        65535 if sixteen_bit else 255,
        gray=gray,
    )
    np.testing.assert_array_equal(found, expected[:, :, 0] if gray else expected)


@pytest.mark.parametrize("spread", [60, 2**15])
def test_carriers_layouts_and_threads_agree(tiny_coder: EncoderModel, spread: int) -> None:
    y = latents(9, 12, spread)
    batch = torch.from_numpy(y).permute(2, 0, 1)[None]
    tensors = tiny_coder.weights.tensors["synthesis"]
    plain, wide = ExactSynthesis(tensors), ExactSynthesis(tensors).double()
    expected = pixels(tiny_coder, y, 300)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            for synthesis in (plain, wide):
                for layout in (torch.contiguous_format, torch.channels_last):
                    with torch.inference_mode():
                        found = synthesis(batch.contiguous(memory_format=layout), 300)
                    np.testing.assert_array_equal(found, expected)
    finally:
        torch.set_num_threads(before)


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


def test_every_layer_keeps_its_bound(tiny_coder: EncoderModel) -> None:
    synthesis = tiny_coder.weights.tensors["synthesis"]
    blocks = [synthesis["first"], *synthesis["blocks"].parts.values(), synthesis["last"]]
    assert len(blocks) == TINY.synthesis_blocks + 1
    for layer in (layer for block in blocks for layer in block.parts.values()):
        weight, bias = (torch.tensor(layer.array(name)) for name in ("weight", "bias"))
        assert int(exact_bounds(weight, bias).max()) < ACCUMULATOR_LIMIT


def test_layers_beyond_the_bound_are_refused() -> None:
    tensors = TensorTree(
        {
            "weight": np.full((1, 16, 1, 1), ACCUMULATOR_LIMIT // INPUT_LIMIT // 16, np.int16),
            "bias": np.array([-1], np.int32),
            "shift": np.array([3], np.int8),
        }
    )
    with pytest.raises(WeightsError, match="may reach"):
        ExactConv2d(tensors)
    tensors.array("weight")[0, 0] = ACCUMULATOR_LIMIT // INPUT_LIMIT // 16 - 1
    ExactConv2d(tensors)
    tensors.arrays["shift"] = np.array([25], np.int8)
    with pytest.raises(WeightsError, match="shift"):
        ExactConv2d(tensors)


@pytest.mark.parametrize("fraction", [6, 13])
def test_fractions_beyond_their_range_are_refused(fraction: int) -> None:
    with pytest.raises(WeightsError, match="fraction"):
        ExactHswish(fraction, torch.ones(4, 1, 1))


@pytest.mark.parametrize(
    ("name", "value"),
    [("outer_gain", 12 * 2**16 + 1), ("up.shift", 0), ("exit.shift", 17), ("up.bias", 2**45)],
)
def test_tables_beyond_their_range_are_refused(
    tiny_coder: EncoderModel, name: str, value: int
) -> None:
    tensors = deepcopy(tiny_coder.weights.tensors["synthesis"])
    *above, last = name.split(".")
    part = tensors[above[0]] if above else tensors
    part.array(last).reshape(-1)[0] = value
    with pytest.raises(WeightsError):
        ExactSynthesis(tensors)
