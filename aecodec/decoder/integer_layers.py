"""Blocks of the exact synthesis, on float carriers; `integer_synthesis.py` defines them."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from aecodec.errors import WeightsError
from aecodec.format.constants import ACTIVATION_BITS
from aecodec.models.weights import TensorDict, below

STREAM_LIMIT = 2**22

INPUT_LIMIT = 1024

FRACTIONS = range(7, 13)
"""Of activations: more bits behind the point are fewer before it."""

SHIFT_MAX = 24

ACTIVATION_MAX = 2 ** (ACTIVATION_BITS - 1)

ACCUMULATOR_LIMIT = 2**24

SHIFT_MAX = 24

Ints = npt.NDArray[np.int64]

_LAYOUT = torch.channels_last


class ExactConv2d(nn.Module):
    """A convolution of a block, on float carriers; see the text of `integer_synthesis.py`."""

    def __init__(self, tensors: TensorDict, *, depthwise: bool = False) -> None:
        """Builds the carriers and proves that they are exact.

        Args:
            tensors: `weight` `(O, I, k, k)` int16, `bias` `(O,)` int32, `shift` `(O,)` int8 and
                `input_shift` int8, one for each input channel; none for inputs that are sums.
            depthwise: each output channel reads one input channel.

        Raises:
            WeightsError: a shift is out of range, or the bound does not hold.
        """
        super().__init__()
        weight, bias, shift = (tensors[name] for name in ("weight", "bias", "shift"))
        for shifts in (shift, tensors.get("input_shift", shift)):
            if int(shifts.min()) < 0 or int(shifts.max()) > SHIFT_MAX:
                raise WeightsError("a shift of the exact synthesis lies outside 0 to 24")
        largest = int(exact_bounds(weight, bias).max())
        if largest >= ACCUMULATOR_LIMIT:
            raise WeightsError(f"a layer of the exact synthesis may reach {largest}")
        factor = torch.exp2(-shift.float())
        carried = weight.float() * factor[:, None, None, None]
        self.register_buffer("weight", carried.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", bias.float() * factor)
        self.groups = len(weight) if depthwise else 1
        self.padding = weight.shape[-1] // 2
        if "input_shift" in tensors:
            factor = torch.exp2(-tensors["input_shift"].float())
            self.register_buffer("factor", factor[:, None, None])
            self.register_buffer("one_half", torch.tensor(0.5))

    weight: Tensor
    bias: Tensor
    factor: Tensor
    one_half: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """`(1, I, h, w)`, not yet shifted, to integers `(1, O, h, w)`."""
        return self.sums(_clipped(torch.addcmul(self.one_half, x, self.factor).floor_()))

    def sums(self, a: Tensor) -> Tensor:
        """The same for inputs that are integers of the right size already."""
        y = functional.conv2d(a, self.weight, self.bias, padding=self.padding, groups=self.groups)
        return y.floor_()


class ExactBlock(nn.Module):
    """A block of the exact synthesis."""

    def __init__(self, tensors: TensorDict) -> None:
        super().__init__()
        self.mix_in = ExactConv2d(below(tensors, "mix_in"))
        self.depthwise = ExactConv2d(below(tensors, "depthwise"), depthwise=True)
        self.mix_out = ExactConv2d(below(tensors, "mix_out"))
        self.expand = ExactConv2d(below(tensors, "expand"))
        self.contract = ExactConv2d(below(tensors, "contract"))
        self.inner = ExactHswish(int(tensors["mix_in.fraction"]), self.depthwise.factor)
        self.outer = ExactHswish(int(tensors["expand.fraction"]), self.contract.factor)

    def forward(self, stream: Tensor) -> Tensor:
        """`(1, C, h, w)`; works in place."""
        a = self.depthwise.sums(self.inner(self.mix_in(stream)))
        add_to_stream(stream, self.mix_out.sums(_clipped(a)))
        return add_to_stream(stream, self.contract.sums(self.outer(self.expand(stream))))


class ExactHswish(nn.Module):
    """The activation as the next layer reads it, see the text of `integer_synthesis.py`."""

    def __init__(self, fraction: int, factor: Tensor) -> None:
        """Makes the activation of one layer.

        Args:
            fraction: of that text.
            factor: `(C, 1, 1)`, of the inputs of the layer that reads it.

        Raises:
            WeightsError: the fraction is out of range.
        """
        super().__init__()
        if fraction not in FRACTIONS:
            raise WeightsError("a fraction of the exact synthesis lies outside 7 to 12")
        self.limit = 1 << (20 - fraction)
        self.knee = 4 << fraction
        self.register_buffer("one_half", torch.tensor(0.5))
        self.register_buffer("factor", factor)
        self.register_buffer("offset", factor * self.knee)

    one_half: Tensor
    factor: Tensor
    offset: Tensor

    def forward(self, v: Tensor) -> Tensor:
        """`(1, C, h, w)`; works in place."""
        v.clamp_(-self.limit, self.limit - 1)
        slope = v.clamp(-self.knee, self.knee)
        slope = torch.addcmul(self.offset, slope, self.factor, out=slope)  # (slope + knee) * factor
        return _clipped(torch.addcmul(self.one_half, v, slope, out=v).floor_())


def add_to_stream(stream: Tensor, branch: Tensor) -> Tensor:
    """Adds, and clips to the range of the stream, in place."""
    return stream.add_(branch).clamp_(-STREAM_LIMIT, STREAM_LIMIT - 1)


def _clipped(a: Tensor) -> Tensor:
    """Clips to the range of what convolutions read, in place."""
    return a.clamp_(-INPUT_LIMIT, INPUT_LIMIT - 1)


def exact_bounds(weight: Tensor, bias: Tensor) -> Tensor:
    """`(O,)`, the largest magnitude that a partial sum of a block's convolution can reach."""
    bounds: Tensor = weight.long().abs().sum((1, 2, 3)) * INPUT_LIMIT + bias.long().abs()
    return bounds


class IntegerConv2d(nn.Module):
    """One convolution of the exact path, on float carriers.

    Attributes:
        clip: smallest and largest output, or None for heads.
    """

    def __init__(self, tensors: TensorDict, *, relu: bool, head: bool, depthwise: bool) -> None:
        """Builds the carriers and proves that they are exact.

        Args:
            tensors: `weight` `(O, I, k, k)` int8, `bias` `(O,)` int32, `shift` `(O,)` int8.
            relu: outputs are at least 0.
            head: outputs are not clipped.
            depthwise: each output channel reads one input channel.

        Raises:
            WeightsError: a tensor is missing or of the wrong kind, or the bound does not hold.
        """
        super().__init__()
        weight, bias, shift = (tensors.get(name) for name in ("weight", "bias", "shift"))
        if weight is None or bias is None or shift is None:
            raise WeightsError("an integer layer lacks weight, bias or shift")
        if (weight.dtype, bias.dtype, shift.dtype) != (torch.int8, torch.int32, torch.int8):
            raise WeightsError("integer layers hold int8 weights, int32 biases and int8 shifts")
        if weight.ndim != 4 or not bias.shape == shift.shape == weight.shape[:1]:
            raise WeightsError("an integer layer's weight, bias and shift do not fit together")
        if int(shift.min()) < 0 or int(shift.max()) > SHIFT_MAX:
            raise WeightsError("an integer layer's shift lies outside 0 to 24")
        largest = int(accumulator_bounds(weight, bias).max())
        if largest >= ACCUMULATOR_LIMIT:
            raise WeightsError(f"an integer layer may reach {largest}, not below 2**24")
        self.groups = len(weight) if depthwise else 1
        self.padding = weight.shape[-1] // 2
        self.clip = None if head else (0 if relu else -ACTIVATION_MAX, ACTIVATION_MAX - 1)
        factor = torch.exp2(-shift.float())
        scaled = weight.float() * factor[:, None, None, None]
        self.register_buffer("weight", scaled.contiguous(memory_format=_LAYOUT))
        self.register_buffer("bias", bias.float() * factor)

    weight: Tensor
    bias: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """`(1, I, h, w)` integers to `(1, O, h, w)` integers, on carriers of x's dtype."""
        y = functional.conv2d(x, self.weight, self.bias, padding=self.padding, groups=self.groups)
        y.floor_()
        return y if self.clip is None else y.clamp_(*self.clip)


class IntegerBlock(nn.Module):
    """`x + conv(depthwise(conv(x)))`, clipped."""

    def __init__(self, tensors: TensorDict) -> None:
        super().__init__()
        self.mix_in = _conv(tensors, "mix_in", relu=True)
        self.depthwise = _conv(tensors, "depthwise", relu=True, depthwise=True)
        self.mix_out = _conv(tensors, "mix_out")

    def forward(self, x: Tensor) -> Tensor:
        """`(1, C, h, w)` to the same shape."""
        y: Tensor = self.mix_out(self.depthwise(self.mix_in(x)))
        return y.add_(x).clamp_(-ACTIVATION_MAX, ACTIVATION_MAX - 1)


class IntegerEntry(nn.Module):
    """A 1x1 convolution of two inputs, as if concatenated: sums of integers may be split."""

    def __init__(self, tensors: TensorDict, split: int) -> None:
        """Takes the layer apart.

        Args:
            tensors: as `IntegerConv2d` takes them, which also checks them.
            split: channels of the first input.

        Raises:
            WeightsError: see `IntegerConv2d`.
        """
        super().__init__()
        whole = IntegerConv2d(tensors, relu=False, head=False, depthwise=False)
        for name, part in (
            ("known_weight", whole.weight[:, :split]),
            ("features_weight", whole.weight[:, split:]),
        ):
            self.register_buffer(name, part.contiguous(memory_format=_LAYOUT))
        self.register_buffer("bias", whole.bias)

    known_weight: Tensor
    features_weight: Tensor
    bias: Tensor

    def forward(self, known: Tensor, features: Tensor) -> Tensor:
        """`(1, M, h, w)` and `(1, H, h, w)` to `(1, H, h, w)`."""
        y = functional.conv2d(known, self.known_weight, self.bias)
        y = y.add_(functional.conv2d(features, self.features_weight))
        return y.floor_().clamp_(-ACTIVATION_MAX, ACTIVATION_MAX - 1)


class QuarterHead(nn.Module):
    """The head of one of passes 2 to 4, computed only where the pass codes.

    Each quarter of the channels is coded at one of the four positions of each 2x2 group, so
    three quarters of a full convolution's outputs would never be read.
    """

    def __init__(self, tensors: TensorDict, positions: tuple[int, ...]) -> None:
        """Takes the layer apart.

        Args:
            tensors: as `IntegerConv2d` takes them, which also checks them.
            positions: for each quarter of the channels its position, 2 * row + column.

        Raises:
            WeightsError: see `IntegerConv2d`.
        """
        super().__init__()
        whole = IntegerConv2d(tensors, relu=False, head=True, depthwise=False)
        self.positions = positions
        quarters = len(positions)
        weight, bias = (
            part.reshape(2, quarters, -1, columns).transpose(0, 1).flatten(1, 2)
            for part, columns in (
                (whole.weight[:, :, 0, 0], whole.weight.shape[1]),
                (whole.bias, 1),
            )
        )
        self.register_buffer("weight", weight.transpose(1, 2).contiguous())
        self.register_buffer("bias", bias.transpose(1, 2).contiguous())

    weight: Tensor
    bias: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """`(1, H, h, w)` to corrections `(4, h/2, w/2, M/2)`: scales, then means."""
        _, channels, height, width = x.shape
        cells = x[0].permute(1, 2, 0).reshape(height // 2, 2, width // 2, 2, channels)
        taken = torch.stack([cells[:, p >> 1, :, p & 1] for p in self.positions])
        y = torch.baddbmm(self.bias, taken.reshape(len(taken), -1, channels), self.weight)
        return y.floor_().reshape(*taken.shape[:3], -1)


class IntegerPass(nn.Module):
    """The network of one of passes 2 to 4."""

    def __init__(
        self, tensors: TensorDict, positions: tuple[int, ...], latent_channels: int
    ) -> None:
        super().__init__()
        self.entry = IntegerEntry(below(tensors, "entry"), latent_channels)
        self.first = IntegerBlock(below(tensors, "first"))
        self.second = IntegerBlock(below(tensors, "second"))
        self.head = QuarterHead(below(tensors, "head"), positions)

    def forward(self, known: Tensor, features: Tensor) -> Tensor:
        """`(1, M, h, w)` and `(1, H, h, w)` to corrections `(4, h/2, w/2, M/2)`."""
        y: Tensor = self.head(self.second(self.first(self.entry(known, features))))
        return y


def accumulator_bounds(weight: Tensor, bias: Tensor) -> Tensor:
    """`(O,)`, the largest magnitude that any partial sum can reach."""
    bounds: Tensor = weight.long().abs().sum((1, 2, 3)) * ACTIVATION_MAX + bias.long().abs()
    return bounds


def _conv(
    tensors: TensorDict, name: str, *, relu: bool = False, head: bool = False,
    depthwise: bool = False,
) -> IntegerConv2d:  # fmt: skip
    return IntegerConv2d(below(tensors, name), relu=relu, head=head, depthwise=depthwise)
