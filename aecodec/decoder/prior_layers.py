"""Layers of the exact prior on float carriers; SPECIFICATION.md, section 10."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from aecodec.decoder.carriers import ACCUMULATOR_LIMIT, SHIFT_MAX, tensor_of
from aecodec.errors import WeightsError
from aecodec.format.constants import ACTIVATION_MAX
from aecodec.models.weights import TensorTree

_LAYOUT = torch.channels_last


class IntegerConv2d(nn.Module):
    """One convolution of the exact path, on float carriers.

    Attributes:
        clip: smallest and largest output, or None for heads.
    """

    def __init__(self, tensors: TensorTree, *, relu: bool, head: bool, depthwise: bool) -> None:
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
        weight, bias, shift = (tensor_of(tensors, name) for name in ("weight", "bias", "shift"))
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

    def __init__(self, tensors: TensorTree) -> None:
        super().__init__()
        self.mix_in = integer_conv(tensors, "mix_in", relu=True)
        self.depthwise = integer_conv(tensors, "depthwise", relu=True, depthwise=True)
        self.mix_out = integer_conv(tensors, "mix_out")

    def forward(self, x: Tensor) -> Tensor:
        """`(1, C, h, w)` to the same shape."""
        y: Tensor = self.mix_out(self.depthwise(self.mix_in(x)))
        return y.add_(x).clamp_(-ACTIVATION_MAX, ACTIVATION_MAX - 1)


class IntegerEntry(nn.Module):
    """A 1x1 convolution of two inputs, as if concatenated: sums of integers may be split."""

    def __init__(self, tensors: TensorTree, split: int) -> None:
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

    def __init__(self, tensors: TensorTree, positions: tuple[int, ...]) -> None:
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
        self, tensors: TensorTree, positions: tuple[int, ...], latent_channels: int
    ) -> None:
        super().__init__()
        self.entry = IntegerEntry(tensors["entry"], latent_channels)
        self.first = IntegerBlock(tensors["first"])
        self.second = IntegerBlock(tensors["second"])
        self.head = QuarterHead(tensors["head"], positions)

    def forward(self, known: Tensor, features: Tensor) -> Tensor:
        """`(1, M, h, w)` and `(1, H, h, w)` to corrections `(4, h/2, w/2, M/2)`."""
        y: Tensor = self.head(self.second(self.first(self.entry(known, features))))
        return y


def accumulator_bounds(weight: Tensor, bias: Tensor) -> Tensor:
    """`(O,)`, the largest magnitude that any partial sum can reach."""
    bounds: Tensor = weight.long().abs().sum((1, 2, 3)) * ACTIVATION_MAX + bias.long().abs()
    return bounds


def integer_conv(
    tensors: TensorTree, name: str, *, relu: bool = False, head: bool = False,
    depthwise: bool = False,
) -> IntegerConv2d:  # fmt: skip
    """One convolution of a part, see `IntegerConv2d`."""
    return IntegerConv2d(tensors[name], relu=relu, head=head, depthwise=depthwise)
