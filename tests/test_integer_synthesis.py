"""The exact synthesis: a scalar reference in integers, carriers, threads, windows, bounds."""

from math import isqrt

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import TINY, make_tiny_model

from aecodec.decoder.integer_layers import (
    ACCUMULATOR_LIMIT,
    INPUT_LIMIT,
    ExactConv2d,
    ExactHswish,
    exact_bounds,
)
from aecodec.decoder.integer_synthesis import ExactSynthesis, power_of_two
from aecodec.encoder.networks import CodecModel
from aecodec.errors import WeightsError
from aecodec.models.weights import TensorDict, below

Ints = npt.NDArray[np.int64]


class Reference:
    """Latents to pixels as the text of integer_synthesis.py says, in NumPy's int64."""

    def __init__(self, tensors: TensorDict) -> None:
        self.tensors = {k: v.numpy().astype(np.int64) for k, v in tensors.items()}

    def gains(self, name: str, quality_index: int) -> Ints:
        """The gain of each channel."""
        k = self.tensors[name]
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
        weight, bias, shift = (self.tensors[f"{name}.{k}"] for k in ("weight", "bias", "shift"))
        if f"{name}.input_shift" in self.tensors:
            s = self.tensors[f"{name}.input_shift"][:, None, None]
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
        f = {k: int(self.tensors[f"{name}.{k}.fraction"]) for k in ("mix_in", "expand")}
        v = self.hswish(self.conv(f"{name}.mix_in", stream), f["mix_in"])
        branch = self.conv(f"{name}.mix_out", self.conv(f"{name}.depthwise", v))
        stream = self.clipped(stream + branch)
        v = self.hswish(self.conv(f"{name}.expand", stream), f["expand"])
        return self.clipped(stream + self.conv(f"{name}.contract", v))

    def decode(self, y_hat: Ints, quality_index: int, maximum: int, *, gray: bool) -> Ints:
        """Samples `(16h, 16w, 3 or 1)`."""
        t = self.tensors
        stream = self.scaled(y_hat, self.gains("outer_gain", quality_index))
        stream = self.block("first", stream)
        _, h, w = stream.shape
        shift = t["up.shift"]
        wide = np.einsum("ihw,io->ohw", stream, t["up.weight"]) + t["up.bias"][:, None, None]
        wide = (wide + (1 << shift >> 1)[:, None, None]) >> shift[:, None, None]
        stream = np.zeros((len(wide) // 4, 2 * h, 2 * w), np.int64)
        for position, part in enumerate(np.split(self.clipped(wide), 4)):
            stream[:, position // 2 :: 2, position % 2 :: 2] = part
        for number in range(TINY.synthesis_blocks - 1):
            stream = self.block(f"blocks.{number}", stream)
        stream = self.block("last", self.scaled(stream, self.gains("inner_gain", quality_index)))
        p = np.einsum("chw,co->ohw", stream, t["exit.weight"]) + t["exit.bias"][:, None, None]
        p = p.reshape(3, 8, 8, 2 * h, 2 * w).transpose(3, 1, 4, 2, 0).reshape(16 * h, 16 * w, 3)
        if gray:
            p = p.sum(2, keepdims=True)
        n, f = 3 if gray else 1, 14 + int(t["exit.shift"])
        p = (p.clip(-n << f, n << f) + (n << f >> 1)) * (maximum // n)
        found: Ints = ((p + (1 << f >> 1)) >> f).clip(0, maximum)
        return found


def latents(height: int, width: int, spread: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (1, TINY.latent_channels, height, width)
    return torch.randint(-spread, spread, shape, generator=generator)


@pytest.mark.parametrize("spread", [1, 60, 1000, 2**15])
@pytest.mark.parametrize(("maximum", "gray"), [(255, False), (65535, False), (255, True)])
@pytest.mark.parametrize("quality_index", [0, 57, 211, 400])
def test_the_reference_agrees(
    tiny_coder: CodecModel, quality_index: int, maximum: int, gray: bool, spread: int
) -> None:
    """Also on latents of every possible size, where everything is clipped."""
    y = latents(3, 4, spread)
    with torch.inference_mode():
        found = tiny_coder.synthesis(y, quality_index, maximum=maximum, gray=gray)
    reference = Reference(tiny_coder.rounded)
    expected = reference.decode(y[0].numpy(), quality_index, maximum, gray=gray)
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("spread", [60, 2**15])
def test_carriers_layouts_and_threads_agree(tiny_coder: CodecModel, spread: int) -> None:
    y = latents(9, 12, spread)
    plain = ExactSynthesis(tiny_coder.rounded)
    wide = ExactSynthesis(tiny_coder.rounded).double()
    before = torch.get_num_threads()
    with torch.inference_mode():
        expected = tiny_coder.synthesis(y, 300)
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            for synthesis in (plain, wide):
                for layout in (torch.contiguous_format, torch.channels_last):
                    found = synthesis(y.contiguous(memory_format=layout), 300)
                    assert torch.equal(found, expected)
    torch.set_num_threads(before)


def test_windows_give_the_same_pixels(tiny_coder: CodecModel) -> None:
    """Far enough from the border of a window, pixels are those of the whole picture."""
    y = latents(20, 20, 60)
    with torch.inference_mode():
        whole = tiny_coder.synthesis(y, 300)
        part = tiny_coder.synthesis(y[:, :, 4:16, 5:17], 300)
    assert torch.equal(part[64:-64, 64:-64], whole[128 : 4 * 16 + 128, 144 : 4 * 16 + 144])


def test_it_is_near_the_real_synthesis(tiny_coder: CodecModel) -> None:
    y, q = latents(6, 6, 60), torch.tensor([0.75])
    model = make_tiny_model()
    with torch.inference_mode():
        found = tiny_coder.synthesis(y, 300) / 255
        real = model.synthesis(y / 16, q)[0].permute(1, 2, 0).clamp(0, 1)
    assert float((found - real).abs().mean()) < 0.01


def test_powers_of_two() -> None:
    logs = np.arange(-12 << 16, 12 << 16, 4321)
    np.testing.assert_allclose(power_of_two(logs), 2.0 ** (16 + logs / 65536), rtol=1e-7, atol=0.5)
    whole = np.arange(-12, 13)
    np.testing.assert_array_equal(power_of_two(whole << 16), 2 ** (16 + whole))


def test_every_layer_keeps_its_bound(tiny_coder: CodecModel) -> None:
    layers = {k.removesuffix(".weight") for k in tiny_coder.rounded if k.endswith(".weight")}
    for layer in layers - {"up", "exit"}:
        part = below(tiny_coder.rounded, layer)
        assert int(exact_bounds(part["weight"], part["bias"]).max()) < ACCUMULATOR_LIMIT


def test_layers_beyond_the_bound_are_refused() -> None:
    tensors = {
        "weight": torch.full((1, 16, 1, 1), ACCUMULATOR_LIMIT // INPUT_LIMIT // 16).short(),
        "bias": torch.tensor([-1], dtype=torch.int32),
        "shift": torch.tensor([3], dtype=torch.int8),
    }
    with pytest.raises(WeightsError, match="may reach"):
        ExactConv2d(tensors)
    tensors["weight"][0, 0] -= 1
    ExactConv2d(tensors)
    with pytest.raises(WeightsError, match="shift"):
        ExactConv2d(tensors | {"shift": torch.tensor([25], dtype=torch.int8)})


@pytest.mark.parametrize("fraction", [6, 13])
def test_fractions_beyond_their_range_are_refused(fraction: int) -> None:
    with pytest.raises(WeightsError, match="fraction"):
        ExactHswish(fraction, torch.ones(4, 1, 1))


@pytest.mark.parametrize(
    ("name", "value"),
    [("outer_gain", 12 * 2**16 + 1), ("up.shift", 0), ("exit.shift", 17), ("up.bias", 2**45)],
)
def test_tables_beyond_their_range_are_refused(
    tiny_coder: CodecModel, name: str, value: int
) -> None:
    tensors = {k: v.clone() for k, v in tiny_coder.rounded.items()}
    tensors[name].view(-1)[0] = value
    with pytest.raises(WeightsError):
        ExactSynthesis(tensors)
