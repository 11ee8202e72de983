"""Layers of the exact synthesis on float carriers; SPECIFICATION.md, section 11."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from aecodec.decoder.carriers import ACCUMULATOR_LIMIT, SHIFT_MAX, tensor_of
from aecodec.errors import WeightsError
from aecodec.models.weights import TensorTree

STREAM_LIMIT = 2**22
INPUT_LIMIT = 1024
FRACTIONS = range(7, 13)
"""Binary places that activations may have: more behind the point are fewer before it."""


class ExactConv2d(nn.Module):
    """A convolution of a block, on float carriers."""

    def __init__(self, tensors: TensorTree, *, depthwise: bool = False) -> None:
        """Builds the carriers and proves that they are exact.

        Args:
            tensors: `weight` `(O, I, k, k)` int16, `bias` `(O,)` int32, `shift` `(O,)` int8 and
                `input_shift` int8, one for each input channel; none for inputs that are sums.
            depthwise: each output channel reads one input channel.

        Raises:
            WeightsError: a shift is out of range, or the bound does not hold.
        """
        super().__init__()
        weight, bias, shift = (tensor_of(tensors, name) for name in ("weight", "bias", "shift"))
        shifted = "input_shift" in tensors.arrays
        read = tensor_of(tensors, "input_shift") if shifted else shift
        for shifts in (shift, read):
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
        if shifted:
            factor = torch.exp2(-read.float())
            self.register_buffer("factor", factor[:, None, None])
            self.register_buffer("one_half", torch.tensor(0.5, dtype=torch.float32))

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

    def __init__(self, tensors: TensorTree) -> None:
        super().__init__()
        self.mix_in = ExactConv2d(tensors["mix_in"])
        self.depthwise = ExactConv2d(tensors["depthwise"], depthwise=True)
        self.mix_out = ExactConv2d(tensors["mix_out"])
        self.expand = ExactConv2d(tensors["expand"])
        self.contract = ExactConv2d(tensors["contract"])
        self.inner = ExactHswish(int(tensors["mix_in"].array("fraction")), self.depthwise.factor)
        self.outer = ExactHswish(int(tensors["expand"].array("fraction")), self.contract.factor)

    def forward(self, stream: Tensor) -> Tensor:
        """`(1, C, h, w)`; works in place."""
        a = self.depthwise.sums(self.inner(self.mix_in(stream)))
        add_to_stream(stream, self.mix_out.sums(_clipped(a)))
        return add_to_stream(stream, self.contract.sums(self.outer(self.expand(stream))))


class ExactHswish(nn.Module):
    """The activation as the next layer reads it."""

    def __init__(self, fraction: int, factor: Tensor) -> None:
        """Makes the activation of one layer.

        Args:
            fraction: binary places of what it reads.
            factor: `(C, 1, 1)`, of the inputs of the layer that reads it.

        Raises:
            WeightsError: the fraction is out of range.
        """
        super().__init__()
        if fraction not in FRACTIONS:
            raise WeightsError("a fraction of the exact synthesis lies outside 7 to 12")
        self.limit = 1 << (20 - fraction)
        self.knee = 4 << fraction
        self.register_buffer("one_half", torch.tensor(0.5, dtype=torch.float32))
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
