"""The exact decoder once more, as SPECIFICATION.md says, in plain int64: a slow reference.

All that it shares with the package are the tensors of a weights file.
"""

from functools import lru_cache
from math import isqrt

import numpy as np
import numpy.typing as npt
from ans_reference import ReferenceWords

from aecodec.decoder.latents import Grid
from aecodec.models.weights import TensorTree

Ints = npt.NDArray[np.int64]
PASS_POSITION = ((0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (1, 0, 3, 2))


def tensor_of(tensors: TensorTree, name: str) -> Ints:
    """A tensor by its dotted name below a part."""
    *above, last = name.split(".")
    for each in above:
        tensors = tensors[each]
    return tensors.array(last).astype(np.int64)


def convolved(weight: Ints, bias: Ints, shift: Ints, x: Ints) -> Ints:
    """Section 10.1 without the clip: `(C, h, w)` to `(O, h, w)`, zeros around the picture."""
    size = weight.shape[-1]
    pad, (channels, h, w) = size // 2, x.shape
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    depthwise = weight.shape[1] == 1 < channels
    total = np.zeros((len(weight), h, w), np.int64)
    for row in range(size):
        for column in range(size):
            part = padded[:, row : row + h, column : column + w]
            tap = weight[:, :, row, column]
            total += tap[:, :, None] * part if depthwise else np.einsum("oc,chw->ohw", tap, part)
    y: Ints = (total + bias[:, None, None]) >> shift[:, None, None]
    return y


class SynthesisReference:
    """Latents to pixels, section 11."""

    def __init__(self, tensors: TensorTree) -> None:
        self.tensors = tensors

    def __getitem__(self, name: str) -> Ints:
        """A tensor of the part `synthesis` by its dotted name."""
        return tensor_of(self.tensors, name)

    def gains_at(self, name: str, quality: int | Ints) -> Ints:
        """The gain of each channel, `(C, 1, 1)`, or `(C, h, w)` for `(h, w)` qualities."""
        if isinstance(quality, int):
            return self.gains(name, quality)
        rows = [[self.gains(name, int(q))[:, 0, 0] for q in row] for row in quality]
        return np.array(rows).transpose(2, 0, 1)

    @lru_cache(maxsize=1024)  # noqa: B019  # references live as long as the tests that make them
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
        block, _, layer = f".{name}".rpartition(".")
        if layer != "mix_out":  # whose inputs are sums, already shifted
            s = self[f"{block}.{layer}.input_shift".lstrip(".")][:, None, None]
            x = np.where(s > 0, (x + (1 << s >> 1)) >> s, x)
        return convolved(weight, bias, shift, x.clip(-1024, 1023))

    def hswish(self, v: Ints, fraction: int) -> Ints:
        """The activation."""
        limit, knee = 1 << (20 - fraction), 1 << (fraction + 2)
        v = v.clip(-limit, limit - 1)
        found: Ints = v * (v.clip(-knee, knee) + knee)
        return found

    def block(self, name: str, stream: Ints) -> Ints:
        """One block, whose name ends in a dot; no name where the tensors are those of a block."""
        f = {k: int(self[f"{name}{k}.fraction"]) for k in ("mix_in", "expand")}
        v = self.hswish(self.conv(f"{name}mix_in", stream), f["mix_in"])
        branch = self.conv(f"{name}mix_out", self.conv(f"{name}depthwise", v))
        stream = self.clipped(stream + branch)
        v = self.hswish(self.conv(f"{name}expand", stream), f["expand"])
        return self.clipped(stream + self.conv(f"{name}contract", v))

    def sums(self, y_hat: Ints, quality: int | Ints) -> Ints:
        """P of section 11.2, `(16h, 16w, 3)`, of `(M, h, w)` latents."""
        stream = self.scaled(y_hat, self.gains_at("outer_gain", quality))
        stream = self.block("first.", stream)
        for number in range(len(self.tensors.parts.get("coarse", TensorTree()).parts)):
            stream = self.block(f"coarse.{number}.", stream)
        _, h, w = stream.shape
        shift = self["up.shift"]
        wide = np.einsum("ihw,io->ohw", stream, self["up.weight"]) + self["up.bias"][:, None, None]
        wide = (wide + (1 << shift >> 1)[:, None, None]) >> shift[:, None, None]
        stream = np.zeros((len(wide) // 4, 2 * h, 2 * w), np.int64)
        for position, part in enumerate(np.split(self.clipped(wide), 4)):
            stream[:, position // 2 :: 2, position % 2 :: 2] = part
        for number in range(len(self.tensors.parts.get("blocks", TensorTree()).parts)):
            stream = self.block(f"blocks.{number}.", stream)
        places = quality if isinstance(quality, int) else np.kron(quality, np.ones((2, 2), int))
        stream = self.block("last.", self.scaled(stream, self.gains_at("inner_gain", places)))
        p = np.einsum("chw,co->ohw", stream, self["exit.weight"]) + self["exit.bias"][:, None, None]
        cells: Ints = p.reshape(3, 8, 8, 2 * h, 2 * w).transpose(3, 1, 4, 2, 0)
        return cells.reshape(16 * h, 16 * w, 3)

    def decode(self, y_hat: Ints, quality: int | Ints, maximum: int, *, gray: bool) -> Ints:
        """Samples `(16h, 16w, 3 or 1)`, section 11.3."""
        return self.means(self.sums(y_hat, quality), 1, maximum, gray=gray)

    def means(self, sums: Ints, scale: int, maximum: int, *, gray: bool) -> Ints:
        """Samples of a smaller picture, section 14.2, of sums where the picture is."""
        if gray:
            sums = sums.sum(2, keepdims=True)
        rows, columns = (range(0, side, scale) for side in sums.shape[:2])
        squares = [[sums[r : r + scale, c : c + scale] for c in columns] for r in rows]
        total = np.array([[square.sum((0, 1)) for square in row] for row in squares])
        n = np.array([[square[:, :, 0].size for square in row] for row in squares])[:, :, None]
        q, f = 3 if gray else 1, 14 + int(self["exit.shift"])
        half = n * q << f - 1
        values = 2 * (total.clip(-half, half) + half) * (maximum // q) + (n << f)
        found: Ints = values // (2 * n << f)
        return found


class PriorReference(ReferenceWords):
    """Decodes one tile, sections 8 to 10."""

    def __init__(self, tensors: TensorTree, words: bytes) -> None:
        self.tensors = tensors
        super().__init__(words)

    def tensor(self, name: str) -> Ints:
        """A tensor of the part `prior` by its dotted name."""
        return tensor_of(self.tensors, name)

    def conv(self, name: str, x: Ints, *, relu: bool = False, head: bool = False) -> Ints:
        """`(C, h, w)` to `(O, h, w)`."""
        weight, bias, shift = (self.tensor(f"{name}.{k}") for k in ("weight", "bias", "shift"))
        y = convolved(weight, bias, shift, x)
        return y if head else y.clip(0 if relu else -512, 511)

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

    def map(self, grid: Grid, index: int) -> Ints:
        """The quality of each position of the padded grid, section 9.6."""
        rows, columns = -(-grid.height // 4), -(-grid.width // 4)
        counts = [2**23 if k == 0 else 2 ** (22 - abs(k)) for k in range(-20, 21)]
        r = self.group(np.zeros(rows * columns, np.int64), [(-20, [*counts, 8])])
        d = r.reshape(rows, columns).copy()
        for i in range(rows):
            for j in range(columns):
                if i and j:
                    a, b, c = d[i, j - 1], d[i - 1, j], d[i - 1, j - 1]
                    d[i, j] += sorted((a, b, a + b - c))[1]
                elif i or j:
                    d[i, j] += d[i - 1, 0] if i else d[0, j - 1]
        assert np.abs(d).max() <= 50
        qualities: Ints = np.kron((index + 8 * d).clip(0, 400), np.ones((4, 4), np.int64))
        return qualities

    def features(self, z: Ints, quality: int | Ints) -> Ints:
        """`(Z, h/4, w/4)` to `(H, h, w)`."""
        h = self.block("hyper_synthesis.first", shuffle(self.conv("hyper_synthesis.entry", z)))
        h = self.block("hyper_synthesis.second", shuffle(self.conv("hyper_synthesis.up", h)))
        rate_features = self.tensor("tables.rate_features")[quality]
        found: Ints = (h + of_channels(rate_features)).clip(-512, 511)
        return found

    def corrections(self, k: int, known: Ints, features: Ints) -> Ints:
        """`(2M, h, w)`, what pass k, counted from 0, adds."""
        name = f"passes.{k - 1}"
        h = self.conv(f"{name}.entry", np.concatenate((known, features)))
        h = self.block(f"{name}.second", self.block(f"{name}.first", h))
        return self.conv(f"{name}.head", h, head=True)

    def decode(self, grid: Grid, quality: int | Ints) -> Ints:
        """`y_hat` `(h, w, M)` over the coded grid.

        The quality is one for all, or that of each position of the padded grid.
        """
        hyper, scales = self.tables()
        norms, reciprocals = self.tensor("tables.norms"), self.tensor("tables.reciprocals")
        rows, columns = -(-grid.height // 4), -(-grid.width // 4)
        z = self.group(np.tile(np.arange(len(hyper)), rows * columns), hyper)
        features = self.features(z.reshape(rows, columns, -1).transpose(2, 0, 1), quality)
        first = self.conv("hyper_synthesis.head", features, head=True)
        base = of_channels(self.tensor("tables.base")[quality])
        channels = len(base)
        y_hat = np.zeros((channels, 4 * rows, 4 * columns), np.int64)
        known = np.zeros_like(y_hat)
        for k in range(4):
            prediction = first + self.corrections(k, known, features) if k else first
            places = self.places(k, grid, y_hat.shape)
            everywhere = self.places(k, Grid(4 * rows, 4 * columns), y_hat.shape)
            level = np.clip((base + prediction[:channels] + 8) >> 4, 0, 63)
            mean = (prediction[channels:] * norms[base + 1024] + 2048) >> 12
            symbols = np.zeros_like(y_hat)
            symbols[places] = self.group(level[places], scales)
            decoded = np.clip(16 * symbols + mean, -(2**15), 2**15 - 1)
            y_hat[everywhere] = decoded[everywhere]
            read = np.clip((decoded * reciprocals[base + 1024] + 2**19) >> 20, -512, 511)
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


def of_channels(rows: Ints) -> Ints:
    """`(C,)` or `(h, w, C)` to `(C, 1, 1)` or `(C, h, w)`."""
    return rows[:, None, None] if rows.ndim == 1 else rows.transpose(2, 0, 1)


def shuffle(x: Ints) -> Ints:
    """Pixel shuffle by 2."""
    channels, h, w = x.shape
    cells = x.reshape(channels // 4, 2, 2, h, w).transpose(0, 3, 1, 4, 2)
    return cells.reshape(channels // 4, 2 * h, 2 * w)
