"""The exact path: a second decoder in plain NumPy integers, carriers, threads, layouts."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from ans_reference import ReferenceWords
from conftest import make_picture

from aecodec.codec import Codec
from aecodec.decoder.carriers import ACCUMULATOR_LIMIT, Carried
from aecodec.decoder.integer_prior import IntegerPrior, TorchPrior
from aecodec.decoder.latents import Grid, decode_latents
from aecodec.decoder.networks import Prior
from aecodec.decoder.prior_layers import IntegerConv2d, accumulator_bounds
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.networks import EncoderModel
from aecodec.errors import WeightsError
from aecodec.format.chunks import Tile
from aecodec.format.container import parse
from aecodec.models.weights import TensorTree

Ints = npt.NDArray[np.int64]
PASS_POSITION = ((0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (1, 0, 3, 2))


class ReferenceDecoder(ReferenceWords):
    """Decodes one tile as SPECIFICATION.md, sections 8 to 10, says, in int64.

    All that it shares with the package are the tensors of the weights file.
    """

    def __init__(self, tensors: TensorTree, words: bytes) -> None:
        self.tensors = tensors
        super().__init__(words)

    def tensor(self, name: str) -> Ints:
        """A tensor of the part `prior` by its dotted name."""
        *above, last = name.split(".")
        part = self.tensors
        for each in above:
            part = part[each]
        return part.array(last).astype(np.int64)

    def conv(self, name: str, x: Ints, *, relu: bool = False, head: bool = False) -> Ints:
        """`(C, h, w)` to `(O, h, w)`; depthwise when the kernel reads one channel of many."""
        weight, bias, shift = (self.tensor(f"{name}.{k}") for k in ("weight", "bias", "shift"))
        size = weight.shape[-1]
        pad, (_, h, w) = size // 2, x.shape
        padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
        total = np.zeros((len(weight), h, w), np.int64)
        for row in range(size):
            for column in range(size):
                part = padded[:, row : row + h, column : column + w]
                tap = weight[:, :, row, column]
                if "depthwise" in name:
                    total += tap[:, :, None] * part
                else:
                    total += np.einsum("oc,chw->ohw", tap, part)
        y: Ints = (total + bias[:, None, None]) >> shift[:, None, None]
        if head:
            return y
        clipped: Ints = y.clip(0 if relu else -512, 511)
        return clipped

    def block(self, name: str, x: Ints) -> Ints:
        """A context block."""
        y = self.conv(f"{name}.mix_in", x, relu=True)
        y = self.conv(f"{name}.depthwise", y, relu=True)
        total: Ints = (x + self.conv(f"{name}.mix_out", y)).clip(-512, 511)
        return total

    def tables(self) -> tuple[list[tuple[int, list[int]]], list[tuple[int, list[int]]]]:
        """Smallest symbol and counts of each table, of hyper-latents and of latents."""
        hyper = [(-40, counts) for counts in self.tensor("tables.hyper_counts").tolist()]
        counts, scales = self.tensor("tables.scale_counts").tolist(), []
        for size in self.tensor("tables.scale_sizes").tolist():
            scales.append((-((size - 2) // 2), counts[:size]))
            counts = counts[size:]
        return hyper, scales

    def decode(self, grid: Grid, quality_index: int) -> Ints:
        """`y_hat` `(h, w, M)` over the coded grid."""
        hyper, scales = self.tables()
        norms, reciprocals = self.tensor("tables.norms"), self.tensor("tables.reciprocals")
        rows, columns = -(-grid.height // 4), -(-grid.width // 4)
        z = self.group(np.tile(np.arange(len(hyper)), rows * columns), hyper)
        h = z.reshape(rows, columns, -1).transpose(2, 0, 1)
        h = self.block("hyper_synthesis.first", shuffle(self.conv("hyper_synthesis.entry", h)))
        h = self.block("hyper_synthesis.second", shuffle(self.conv("hyper_synthesis.up", h)))
        rate_features = self.tensor("tables.rate_features")[quality_index]
        features = np.clip(h + rate_features[:, None, None], -512, 511)
        first = self.conv("hyper_synthesis.head", features, head=True)
        base = self.tensor("tables.base")[quality_index]
        channels = len(base)
        y_hat = np.zeros((channels, 4 * rows, 4 * columns), np.int64)
        known = np.zeros_like(y_hat)
        for k in range(4):
            prediction = first
            if k:
                name = f"passes.{k - 1}"
                h = self.conv(f"{name}.entry", np.concatenate((known, features)))
                h = self.block(f"{name}.second", self.block(f"{name}.first", h))
                prediction = first + self.conv(f"{name}.head", h, head=True)
            places = self.places(k, grid, y_hat.shape)
            everywhere = self.places(k, Grid(4 * rows, 4 * columns), y_hat.shape)
            level = np.clip((base[:, None, None] + prediction[:channels] + 8) >> 4, 0, 63)
            norm = norms[base + 1024][:, None, None]
            mean = (prediction[channels:] * norm + 2048) >> 12
            symbols = np.zeros_like(y_hat)
            symbols[places] = self.group(level[places], scales)
            decoded = np.clip(16 * symbols + mean, -(2**15), 2**15 - 1)
            reciprocal = reciprocals[base + 1024][:, None, None]
            y_hat[everywhere] = decoded[everywhere]
            read = np.clip((decoded * reciprocal + 2**19) >> 20, -512, 511)
            known[everywhere] = read[everywhere]
        assert not self.words
        assert self.state == 0
        return y_hat.transpose(1, 2, 0)[: grid.height, : grid.width]

    @staticmethod
    def places(k: int, grid: Grid, shape: tuple[int, ...]) -> tuple[Ints, Ints, Ints]:
        """Index arrays of the latents of pass k inside `grid`, in coding order."""
        found = [
            (quarter * shape[0] // 4 + channel, 2 * row + p // 2, 2 * column + p % 2)
            for quarter, p in enumerate(PASS_POSITION[k])
            for row in range(shape[1] // 2)
            for column in range(shape[2] // 2)
            for channel in range(shape[0] // 4)
            if 2 * row + p // 2 < grid.height and 2 * column + p % 2 < grid.width
        ]
        c, r, s = np.array(found, np.int64).reshape(-1, 3).T
        return c, r, s


def shuffle(x: Ints) -> Ints:
    """Pixel shuffle by 2."""
    channels, h, w = x.shape
    cells = x.reshape(channels // 4, 2, 2, h, w).transpose(0, 3, 1, 4, 2)
    return cells.reshape(channels // 4, 2 * h, 2 * w)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (90, 50), (1, 1), (130, 70)])
@pytest.mark.parametrize("quality", [0, 55, 100])
def test_a_second_decoder_agrees_symbol_for_symbol(
    tiny_codec: Codec, height: int, width: int, quality: int
) -> None:
    data = tiny_codec.compress(make_picture(height, width), quality, lossless_tiles=False)
    stream = parse(data)
    (tile,) = stream.tiles
    assert isinstance(tile, Tile)
    grid = Grid(-(-height // 16), -(-width // 16))
    index = stream.header.quality_index
    tensors = tiny_codec.encoder.weights.tensors["prior"]
    reference = ReferenceDecoder(tensors, tile.words).decode(grid, index)
    decoded = decode_latents(tiny_codec.encoder.decoder.prior, tile, grid, index)
    np.testing.assert_array_equal(reference, decoded)


def extreme_latents(seed: int, shape: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    """Latents with outliers far beyond every table, so that escapes and clips take part."""
    rng = np.random.default_rng(seed)
    y = rng.normal(0, 3, shape) * rng.choice([1, 30, 4000], shape, p=[0.9, 0.08, 0.02])
    extreme: npt.NDArray[np.float32] = y.astype(np.float32)
    return extreme


def test_extreme_latents_survive_both_decoders(tiny_coder: EncoderModel) -> None:
    prior = tiny_coder.decoder.prior
    y = extreme_latents(3, (6, 5, 16))
    z = extreme_latents(4, (2, 2, 4))
    tile, y_hat = encode_latents(prior, y, z, 333)
    np.testing.assert_array_equal(decode_latents(prior, tile, Grid(6, 5), 333), y_hat)
    decoder = ReferenceDecoder(tiny_coder.weights.tensors["prior"], tile.words)
    np.testing.assert_array_equal(decoder.decode(Grid(6, 5), 333), y_hat)
    assert np.abs(y_hat).max() >= 2**15 - 1


def test_carriers_layouts_and_threads_give_the_same_words(tiny_coder: EncoderModel) -> None:
    y, z = extreme_latents(5, (12, 9, 16)), extreme_latents(6, (3, 3, 4))
    tensors = tiny_coder.weights.tensors["prior"]
    networks = TorchPrior(tensors)
    prior = Prior(tiny_coder.decoder.prior.tables, networks)
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            for dtype in (torch.float32, torch.float64):
                for layout in (torch.contiguous_format, torch.channels_last):
                    torch.set_num_threads(threads)
                    copy = IntegerPrior(tensors).to(dtype)
                    networks.carried = Carried(copy.to(memory_format=layout))
                    results.append(encode_latents(prior, y, z, 100))
    finally:
        torch.set_num_threads(before)
    for tile, y_hat in results[1:]:
        assert tile == results[0][0]
        np.testing.assert_array_equal(y_hat, results[0][1])


def tree(**tensors: torch.Tensor) -> TensorTree:
    return TensorTree({name: tensor.numpy() for name, tensor in tensors.items()})


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("depthwise", [False, True])
def test_float_convolution_equals_integers_at_the_bound(size: int, depthwise: bool) -> None:
    """Weights as large as the bound allows, inputs at both ends of their range."""
    generator = torch.Generator().manual_seed(size)
    channels, inputs = 24, 1 if depthwise else 24
    weight = torch.randint(-127, 128, (channels, inputs, size, size), generator=generator)
    budget = ACCUMULATOR_LIMIT // 512 - 2
    total = weight.abs().sum((1, 2, 3), keepdim=True).clamp_min(1)
    weight = (weight * torch.clamp(budget / total, max=1.0)).to(torch.int8)
    bias = torch.randint(-500, 500, (channels,), generator=generator, dtype=torch.int32)
    shift = torch.full((channels,), 9, dtype=torch.int8)
    tensors = tree(weight=weight, bias=bias, shift=shift)
    conv = IntegerConv2d(tensors, relu=False, head=True, depthwise=depthwise)
    for x in (
        torch.randint(-512, 512, (1, channels, 9, 11), generator=generator),
        torch.full((1, channels, 9, 11), -512),
        torch.full((1, channels, 9, 11), 511),
    ):
        exact = torch.nn.functional.conv2d(
            x, weight.long(), bias.long(), padding=size // 2, groups=conv.groups
        ) >> 9  # fmt: skip
        assert torch.equal(conv(x.float()).long(), exact)


def test_a_layer_that_could_overflow_is_refused() -> None:
    weight = torch.full((1, 300, 1, 1), 127, dtype=torch.int8)
    bias, shift = torch.zeros(1, dtype=torch.int32), torch.zeros(1, dtype=torch.int8)
    assert int(accumulator_bounds(weight, bias)) >= ACCUMULATOR_LIMIT
    with pytest.raises(WeightsError, match=r"2\*\*24"):
        IntegerConv2d(
            tree(weight=weight, bias=bias, shift=shift), relu=False, head=False, depthwise=False
        )
