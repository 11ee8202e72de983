"""Models of any size with random weights that reach every bound of the format."""

import numpy as np
import numpy.typing as npt

from aecodec.format.constants import LOG_LIMIT, NORM_OFFSET, NORM_SIZE, SCALE_LEVELS
from aecodec.models.config import ModelConfig, SearchSettings
from aecodec.models.schema import signature
from aecodec.models.weights import Array, TensorTree, Weights

LIMIT = 2**24
WIDE_SUM = 2**20 - 4


def random_weights(config: ModelConfig, seed: int) -> Weights:
    """A model whose every sum may come near its bound.

    Args:
        config: its sizes.
        seed: odd ones have shifts of every size; every second pair has moderate gains.
    """
    rng = np.random.default_rng(seed)
    tensors: dict[str, Array] = {}
    shapes = signature(config)
    names = [name.rpartition(".")[0] for name in shapes if name.endswith(".weight")]
    for layer in names:
        kind, shape = shapes[f"{layer}.weight"]
        whole = tuple(side or 1 for side in shape)
        if len(whole) == 2:
            tensors |= _linear(rng, layer, whole, shapes[f"{layer}.shift"][1] == ())
        else:
            tensors |= _convolution(rng, layer, kind, whole, wild=bool(seed % 2))
    for name, (kind, shape) in shapes.items():
        if name not in tensors:
            tensors[name] = _other(rng, name, kind, tuple(side or 1 for side in shape))
            if name.endswith("_gain") and seed % 4 >= 2:
                tensors[name] = tensors[name] // 16
    tensors |= _counts(rng, config)
    return Weights(b"rand", config, SearchSettings(), TensorTree.of(tensors))


def _convolution(
    rng: np.random.Generator, layer: str, kind: str, shape: tuple[int, ...], *, wild: bool
) -> dict[str, Array]:
    """`(O, I, k, k)`; each output has small weights everywhere, or few large ones."""
    prior = kind == "int8"
    room = (LIMIT - 1) // (512 if prior else 1024)
    rows = []
    for _ in range(shape[0]):
        count = int(np.prod(shape[1:]))
        most = min(room // count, 127 if prior else 2**15 - 1)
        row = rng.integers(-most, most + 1, count)
        if rng.random() < 0.3 and not prior:
            row[:] = 0
            row[rng.integers(count)] = rng.choice([-1, 1]) * room
        rows.append(row)
    weight = np.array(rows)
    left = LIMIT - 1 - np.abs(weight).sum(1) * (512 if prior else 1024)
    bias = (left * rng.choice([-1, 1, 0.3, 0, 0], len(left))).astype(np.int32)
    shift = rng.integers(0 if wild else 6, 25 if wild else 14, shape[0], np.int8)
    name = "int8" if prior else "int16"
    return {
        f"{layer}.weight": weight.reshape(shape).astype(name),
        f"{layer}.bias": bias,
        f"{layer}.shift": shift,
    }


def _linear(
    rng: np.random.Generator, layer: str, shape: tuple[int, ...], one_shift: bool
) -> dict[str, Array]:
    """`(I, O)`, at the largest sums, half of them of one sign."""
    most = min(WIDE_SUM // shape[0], 2**15 - 1)
    weight = rng.integers(-most, most + 1, shape)
    weight[:, ::3] = most
    decoding = layer.startswith("synthesis")
    bias = rng.integers(-(2**38), 2**38, shape[1], endpoint=True)
    shift = rng.integers(1 if decoding else 12, 25, shape[1], np.int8)
    return {
        f"{layer}.weight": weight.astype(np.int16),
        f"{layer}.bias": bias // rng.choice([1, 2**8, 2**16], shape[1]),
        f"{layer}.shift": np.array(rng.integers(0, 17), np.int8) if one_shift else shift,
    }


def _other(rng: np.random.Generator, name: str, kind: str, shape: tuple[int, ...]) -> Array:
    low, high = {
        "input_shift": (0, 24), "fraction": (7, 12), "inner_gain": (-LOG_LIMIT, LOG_LIMIT),
        "outer_gain": (-LOG_LIMIT, LOG_LIMIT), "norms": (-(2**17), 2**17),
        "base": (NORM_OFFSET, NORM_OFFSET + NORM_SIZE - 1),
        "rate_features": (-(2**15), 2**15 - 1), "reciprocals": (0, 2**30),
    }.get(name.rpartition(".")[2], (-1, 1))  # fmt: skip
    if kind.startswith("float"):
        return rng.normal(size=shape).astype(kind)
    return rng.integers(low, high, shape, endpoint=True).astype(kind)


def _counts(rng: np.random.Generator, config: ModelConfig) -> dict[str, Array]:
    sizes = rng.integers(2, 300, SCALE_LEVELS)
    sizes[:3] = 2, 3, 12_000
    return {
        "prior.tables.scale_sizes": sizes.astype(np.int32),
        "prior.tables.scale_counts": np.concatenate([_table(rng, n) for n in sizes]),
        "prior.tables.hyper_counts": np.array(
            [_table(rng, 82) for _ in range(config.hyper_channels)]
        ),
    }


def _table(rng: np.random.Generator, size: int) -> npt.NDArray[np.int32]:
    """Counts that sum to 2**24, of which some are 1."""
    cuts = np.sort(rng.choice(rng.integers(1, 2**24, 4 * size), size - 1, replace=False))
    edges = np.concatenate([[0], cuts, [2**24 - size]]).clip(0, 2**24 - size)
    return (np.diff(np.sort(edges)) + 1).astype(np.int32)


def random_pixels(
    rng: np.random.Generator, rows: int, columns: int, *, deep: bool, gray: bool
) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Noise of `16 * rows` by `16 * columns` pixels, or only the ends of the range."""
    shape = (16 * rows, 16 * columns) if gray else (16 * rows, 16 * columns, 3)
    most = 65535 if deep else 255
    values = rng.integers(0, most, shape, endpoint=True)
    if rng.random() < 0.5:
        values = np.where(values > most // 2, most, 0)
    return values.astype(np.uint16) if deep else values.astype(np.uint8)
