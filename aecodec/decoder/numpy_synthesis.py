"""The exact synthesis in NumPy: integer arithmetic from latents to pixels.

SPECIFICATION.md, section 11, defines it, and section 14 smaller pictures. The stream is carried by
float32; gains and the linear layers run in float64, below 2**53.
"""

import numpy as np

from aecodec.decoder.bounds import LINEAR_BIAS_LIMIT, SHIFT_MAX
from aecodec.decoder.gains import Gains, multiply, round_to_stream
from aecodec.decoder.networks import YHat
from aecodec.decoder.numpy_block import ExactBlock, exact_blocks
from aecodec.decoder.numpy_exit import Exit, Sampling
from aecodec.decoder.numpy_layers import Rows, chunks
from aecodec.decoder.work_sharing import Crew, Floats
from aecodec.errors import WeightsError
from aecodec.format.quality_map import Quality, doubled
from aecodec.models.weights import TensorTree
from aecodec.picture.pixels import Pixels


class NumpySynthesis:
    """`networks.SynthesisNetwork` by NumPy."""

    def __init__(self, tensors: TensorTree, crew: Crew) -> None:
        """Builds the networks of the part `synthesis` of a weights file.

        Raises:
            WeightsError: something would not be exact.
        """
        self._crew = crew
        self._outer = Gains(tensors.array("outer_gain"))
        self._inner = Gains(tensors.array("inner_gain"))
        self._first, self._last = (ExactBlock(tensors[name]) for name in ("first", "last"))
        self._coarse, self._blocks = (exact_blocks(tensors, name) for name in ("coarse", "blocks"))
        self._up = _Up(tensors["up"])
        self._exit = Exit(tensors["exit"])

    def pixels(
        self, y_hat: YHat, quality: Quality, *, scale: int, inside: tuple[int, int],
        sixteen_bit: bool, gray: bool,
    ) -> Pixels:  # fmt: skip
        """See `networks.SynthesisNetwork`."""
        crew = self._crew
        stream = np.empty(y_hat.shape, np.float32)
        self._scale(y_hat, self._outer, quality, stream)
        self._first(stream, crew)
        for block in self._coarse:
            block(stream, crew)
        stream = self._up(stream, crew)
        for block in self._blocks:
            block(stream, crew)
        self._scale(stream, self._inner, doubled(quality), stream)
        self._last(stream, crew)
        samples = self._exit.samples(stream, Sampling(scale, sixteen_bit, gray), inside, crew)
        return samples[:, :, 0] if gray else samples

    def _scale(self, values: YHat | Floats, gains: Gains, quality: Quality, stream: Floats) -> None:
        """Multiplies `(h, w, C)` with gains into a stream, which may be the same array."""
        factors = gains.of_rows(quality)

        def scaled(rows: Rows) -> None:
            part = values[slice(*rows)]
            product = self._crew.scratch.doubles("product", *part.shape)
            multiply(part, factors(rows), product)
            stream[slice(*rows)] = product

        self._crew.share(scaled, chunks(len(stream), 2 * stream[0].size))


class _Up:
    """The linear layer that makes 2x2 places out of each."""

    def __init__(self, tensors: TensorTree) -> None:
        """Takes `weight` `(I, 4 * O)`, `bias` and `shift` `(4 * O,)`.

        Raises:
            WeightsError: something would not be exact.
        """
        weight, bias, shift = (tensors.array(name) for name in ("weight", "bias", "shift"))
        if not 1 <= shift.min() <= shift.max() <= SHIFT_MAX:
            raise WeightsError(f"a shift of the exact synthesis lies outside 1 to {SHIFT_MAX}")
        if np.abs(bias.astype(np.int64)).max() > LINEAR_BIAS_LIMIT:
            raise WeightsError("a bias of the exact synthesis is too large")
        factor = np.exp2(-shift.astype(np.float64))
        self._weight = weight.astype(np.float64) * factor
        self._bias = bias.astype(np.float64) * factor

    def __call__(self, stream: Floats, crew: Crew) -> Floats:
        """`(h, w, I)` to `(2h, 2w, O)`."""
        height, width, inputs = stream.shape
        outputs = len(self._bias) // 4
        found = np.empty((height, 2, width, 2, outputs), np.float32)

        def doubled(rows: Rows) -> None:
            part = stream[slice(*rows)].reshape(-1, inputs)
            places = crew.scratch.doubles("places", *part.shape)
            places[:] = part
            sums = crew.scratch.doubles("sums", len(part), 4 * outputs)
            np.matmul(places, self._weight, out=sums)
            np.add(sums, self._bias, out=sums)
            round_to_stream(sums)
            cells = sums.reshape(-1, width, 2, 2, outputs)
            found[slice(*rows)] = cells.transpose(0, 2, 1, 3, 4)

        crew.share(doubled, chunks(height, 8 * width * outputs))
        return found.reshape(2 * height, 2 * width, outputs)
