"""SPECIFICATION.md, section 19, word for word in integers of 64 bits, and weights to try it on."""

import numpy as np
import numpy.typing as npt

from aecodec.decoder.gains import power_of_two
from aecodec.format.quality_map import Quality
from aecodec.models.config import ModelConfig
from aecodec.models.schema import signature
from aecodec.models.weights import Array, TensorTree
from aecodec.picture.pixels import Pixels

Ints = npt.NDArray[np.int64]
STREAM = 2**22


def rounded(v: Ints, shift: Ints | int) -> Ints:
    shift = np.asarray(shift, np.int64)
    result: Ints = (v + (np.int64(1) << shift >> 1)) >> shift
    return result


def stream_clip(v: Ints) -> Ints:
    return v.clip(-STREAM, STREAM - 1)


def read(tensors: TensorTree, name: str) -> Ints:
    return tensors.array(name).astype(np.int64)


def conv(x: Ints, tensors: TensorTree) -> Ints:
    """`(h, w, I)` to `(h, w, O)`: 1x1, or depthwise 3x3."""
    weight, bias, shift = (read(tensors, name) for name in ("weight", "bias", "shift"))
    if weight.shape[-1] == 1:
        found: Ints = (x @ weight[:, :, 0, 0].T + bias) >> shift
        return found
    height, width = x.shape[:2]
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    sums = np.zeros_like(x) + bias
    for p in range(3):
        for q in range(3):
            sums += padded[p : p + height, q : q + width] * weight[:, 0, p, q]
    return sums >> shift


def hswish(v: Ints, fraction: int) -> Ints:
    u = v.clip(-(2 ** (20 - fraction)), 2 ** (20 - fraction) - 1)
    knee = 2 ** (fraction + 2)
    found: Ints = u * (u.clip(-knee, knee) + knee)
    return found


def block(stream: Ints, tensors: TensorTree) -> Ints:
    for name, middle, last in (("mix_in", "depthwise", "mix_out"), ("expand", "contract", "")):
        x = rounded(stream, read(tensors[name], "input_shift")).clip(-1024, 1023)
        v = hswish(conv(x, tensors[name]), int(tensors[name].array("fraction")))
        v = conv(
            rounded(v, read(tensors[middle], "input_shift")).clip(-1024, 1023), tensors[middle]
        )
        if last:
            v = conv(v.clip(-1024, 1023), tensors[last])
        stream = stream_clip(stream + v)
    return stream


def linear(x: Ints, tensors: TensorTree) -> Ints:
    sums = x @ read(tensors, "weight") + read(tensors, "bias")
    return stream_clip(rounded(sums, read(tensors, "shift")))


def places(x: Ints) -> Ints:
    """`(2h, 2w, C)` to `(h, w, 4C)`."""
    return np.concatenate([x[i::2, j::2] for i in (0, 1) for j in (0, 1)], axis=2)


def place_gains(knots: Ints, index: Quality, side: int) -> Ints:
    """`(C,)`, or by a map `(h, w)` those of each place `(side * h, side * w, C)`."""
    if isinstance(index, int):
        return gains(knots, index)
    height, width = index.shape
    found = np.zeros((side * height, side * width, knots.shape[1]), np.int64)
    for y in range(side * height):
        for x in range(side * width):
            found[y, x] = gains(knots, int(index[y // side, x // side]))
    return found


def gains(knots: Ints, index: int) -> Ints:
    i, j = (6, 400) if index == 400 else divmod(7 * index, 400)
    v = knots[i] * (400 - j) + knots[i + 1] * j
    return power_of_two((2 * v + 400) // 800)


def analyze(pixels: Pixels, tree: TensorTree, config: ModelConfig, index: Quality) -> Ints:
    """Latents in 1/1024 step."""
    part = tree["analysis"]
    samples = pixels.astype(np.int64) * (257 if pixels.dtype == np.uint8 else 1)
    if samples.ndim == 2:
        samples = samples[:, :, None].repeat(3, axis=2)
    columns = [samples[i::8, j::8, t] for t in range(3) for i in range(8) for j in range(8)]
    stream = block(linear(np.stack(columns, axis=2), part["entry"]), part["first"])
    stream = stream_clip(rounded(stream * place_gains(read(part, "inner_gain"), index, 2), 16))
    for number in range(config.analysis_blocks - 1):
        stream = block(stream, part["blocks"][str(number)])
    stream = linear(places(stream), part["down"])
    for number in range(config.analysis_coarse_blocks - 1):
        stream = block(stream, part["coarse"][str(number)])
    stream = block(stream, part["last"])
    return stream_clip(rounded(stream * place_gains(read(part, "outer_gain"), index, 1), 16))


def hyper_analyze(y: Ints, tree: TensorTree, index: Quality) -> Ints:
    """Hyper-latents in 2**-14, of latents in 1/1024 step."""
    part, tables = tree["hyper_analysis"], tree["prior"]["tables"]
    reciprocals = read(tables, "reciprocals")[read(tables, "base")[index] + 1024]
    height, width = y.shape[:2]
    normed = stream_clip(rounded(y * reciprocals, 17))
    stream = np.pad(normed, ((0, -height % 4), (0, -width % 4), (0, 0)))
    stream = block(linear(stream, part["entry"]), part["first"])
    stream = block(linear(places(stream), part["down"]), part["second"])
    return linear(places(stream), part["exit"])


def random_tensors(config: ModelConfig, seed: int) -> dict[str, Array]:
    """Tensors of an analysis up to their bounds, so that everything is clipped somewhere."""
    rng = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for name, (kind, shape) in signature(config).items():
        if not name.startswith(("analysis.", "hyper_analysis.")):
            continue
        sides = tuple(side or 0 for side in shape)
        last = name.rsplit(".", 1)[1]
        if last == "weight":
            linear = len(sides) == 2
            terms = sides[0] if linear else int(np.prod(sides[1:]))
            most = min((2**20 - 4) // terms if linear else 2**13 // terms, 2**15 - 1)
            values = rng.integers(-most, most + 1, sides)
        elif last == "shift":
            linear = found[name.removesuffix("shift") + "weight"].ndim == 2
            values = rng.integers(*((12, 25) if linear else (0, 16)), sides)
        elif last == "bias":
            most = 2**38 if found[name.removesuffix("bias") + "weight"].ndim == 2 else 2**22
            values = rng.integers(-most, most + 1, sides)
        elif last == "input_shift":
            values = rng.integers(0, 25, sides)
        elif last == "fraction":
            values = rng.integers(7, 13, sides)
        else:
            values = rng.integers(-12 * 2**16, 12 * 2**16 + 1, sides)
        found[name] = np.asarray(values).astype(kind)
    return found
