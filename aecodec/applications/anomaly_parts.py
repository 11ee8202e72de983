"""How far each place of a picture is from normal ones: the parts of an anomaly score.

The channels of the largest norms hold colours and shades, in which stains and missing parts show;
scratches and wrong textures show in what a place costs. Where normal pictures have the same thing
at the same place, each place has its own mean and variance, once light and the camera's place are
taken out. Elsewhere the shades of a place are compared with their nearest neighbours among all
normal places, over how far these are from theirs, and all channels with one Gaussian.

Source of the neighbours: Roth et al., "Towards Total Recall in Industrial Anomaly Detection",
arXiv:2106.08265; of the relative distance: Breunig et al., "LOF: Identifying Density-Based Local
Outliers".
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from aecodec.applications.latent_maps import LatentMap
from aecodec.decoder.latents import Floats

Arrays = dict[str, npt.NDArray[np.float32]]
"""What a part has learned, by name."""
Distances = npt.NDArray[np.float64]
"""`(h, w)`, of each place."""
Fit = Callable[[Sequence[LatentMap], "Channels"], Arrays]
Measure = Callable[[LatentMap, "Channels", Mapping[str, npt.NDArray[np.float32]]], Distances]
Channels = npt.NDArray[np.intp]
"""Numbers of the channels with colours and shades."""

SHADES = 8
"""How many channels are taken for colours and shades."""
COMPONENTS = 8
"""Most principal components that normal pictures are freed of."""
NEIGHBOURS = 3
MEMORY = 8192
"""Normal places that are kept."""
_SEED = 0
_ROWS = 256
"""Places whose neighbours are looked for at a time."""
_PICTURES_EACH = 3
"""Normal pictures that it takes for each component."""
_OWN = 0.9
"""Weight of a place's own variance, against that of all places."""
_FLOOR = 0.01
"""Part of the variance of all places that every place has at least."""
_SPARSE = 0.1
"""Part of the mean density that every neighbour has at least."""
_RIDGE = 0.05
"""Part of the mean variance that every direction has at least."""


def shades_of(latents: LatentMap, channels: Channels) -> Floats:
    """`(h, w, 2c)`: the channels themselves, and their mean magnitude in 3x3 places."""
    y = latents.y[:, :, channels]
    return np.concatenate([y, _around(np.abs(y))], axis=2)


def fit_placed_shades(maps: Sequence[LatentMap], channels: Channels) -> Arrays:
    """Mean and variance of the shades of each place, of maps of equal size.

    What normal pictures have in common as wholes, such as light and the camera's place, is taken
    out first, as principal components; the variance is that of the rest.
    """
    x = np.stack([shades_of(each, channels) for each in maps])
    mean = x.mean(0)
    deviation = np.sqrt(x.var((0, 1, 2)) + 1e-4)
    flat = ((x - mean) / deviation).reshape(len(x), -1)
    count = min(COMPONENTS, len(maps) // _PICTURES_EACH)
    components = np.linalg.svd(flat, full_matrices=False)[2][:count]
    rest = (flat - (flat @ components.T) @ components).reshape(x.shape)
    variance = np.square(rest).mean(0)
    everywhere = variance.mean((0, 1))
    mixed = _OWN * variance + (1 - _OWN + _FLOOR) * everywhere + 1e-3
    return {
        "mean": mean, "deviation": deviation, "variance": _around(mixed),
        "components": np.ascontiguousarray(components.reshape(count, *mean.shape)),
    }  # fmt: skip


def measure_placed_shades(
    latents: LatentMap, channels: Channels, of: Mapping[str, npt.NDArray[np.float32]]
) -> Distances:
    """Mean squared deviation of the shades, in variances of the place."""
    x = (shades_of(latents, channels).astype(np.float64) - of["mean"]) / of["deviation"]
    components = of["components"].reshape(len(of["components"]), -1)
    rest = x.reshape(-1) - (components @ x.reshape(-1)) @ components
    distances: Distances = (rest.reshape(x.shape) ** 2 / of["variance"]).mean(2)
    return distances


def fit_placed_bits(maps: Sequence[LatentMap], _channels: Channels) -> Arrays:
    """Mean and deviation of what each place costs, of maps of equal size."""
    bits = np.stack([each.bits for each in maps])
    own, everywhere = bits.var(0), bits.var(0).mean()
    deviation = np.sqrt((own + everywhere) / 2 + 1e-3)
    return {"mean": bits.mean(0), "deviation": deviation.astype(np.float32)}


def fit_free_bits(maps: Sequence[LatentMap], _channels: Channels) -> Arrays:
    """The same for all places together."""
    bits = np.concatenate([each.bits.reshape(-1) for each in maps])
    deviation = np.sqrt(bits.var() + 1e-3)
    return {"mean": _scalar(bits.mean()), "deviation": _scalar(deviation)}


def measure_bits(
    latents: LatentMap, _channels: Channels, of: Mapping[str, npt.NDArray[np.float32]]
) -> Distances:
    """Deviation of what each place costs, either way."""
    distances: Distances = np.abs(latents.bits.astype(np.float64) - of["mean"]) / of["deviation"]
    return distances


def fit_free_latents(maps: Sequence[LatentMap], _channels: Channels) -> Arrays:
    """Mean and variance of each channel."""
    y = np.concatenate([each.y.reshape(-1, each.y.shape[2]) for each in maps])
    variance = y.var(0)
    return {"mean": y.mean(0), "variance": variance + _FLOOR * variance.mean() + 1e-4}


def measure_free_latents(
    latents: LatentMap, _channels: Channels, of: Mapping[str, npt.NDArray[np.float32]]
) -> Distances:
    """Mean squared deviation of all channels, in their variances."""
    distances: Distances = ((latents.y - of["mean"]) ** 2 / of["variance"]).mean(2, np.float64)
    return distances


def fit_free_shades(maps: Sequence[LatentMap], channels: Channels) -> Arrays:
    """The shades of normal places, whitened, and how far each is from its nearest ones."""
    shades = [shades_of(each, channels) for each in maps]
    x = np.concatenate([each.reshape(-1, each.shape[2]) for each in shades]).astype(np.float64)
    mean = x.mean(0)
    values, vectors = np.linalg.eigh(np.cov((x - mean).T))
    whitening = vectors / np.sqrt(values + _RIDGE * values.mean() + 1e-6)
    kept = np.random.default_rng(_SEED).permutation(len(x))[:MEMORY]
    memory = (x[kept] - mean) @ whitening
    spread = _nearest(memory, memory, NEIGHBOURS + 1)[0][:, 1:].mean(1)  # each is its own nearest
    return {
        "mean": mean.astype(np.float32), "whitening": whitening.astype(np.float32),
        "memory": memory.astype(np.float32), "spread": spread.astype(np.float32),
    }  # fmt: skip


def measure_free_shades(
    latents: LatentMap, channels: Channels, of: Mapping[str, npt.NDArray[np.float32]]
) -> Distances:
    """Distance to the nearest normal places, over how far these are from theirs."""
    x = shades_of(latents, channels).astype(np.float64)
    flat = (x.reshape(-1, x.shape[2]) - of["mean"]) @ of["whitening"].astype(np.float64)
    found, places = _nearest(flat, of["memory"].astype(np.float64), NEIGHBOURS)
    spread = of["spread"][places].mean(1) + _SPARSE * of["spread"].mean() + 1e-6
    distances: Distances = (found.mean(1) / spread).reshape(x.shape[:2])
    return distances


def _nearest(
    x: npt.NDArray[np.float64], memory: npt.NDArray[np.float64], count: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Distances to the nearest vectors in rising order, and their numbers, both `(n, count)`."""
    count = min(count, len(memory))
    squares = (memory**2).sum(1)
    distances = np.empty((len(x), count))
    places = np.empty((len(x), count), np.intp)
    for start in range(0, len(x), _ROWS):
        part = x[start : start + _ROWS]
        all_of = (part**2).sum(1)[:, None] + squares - 2 * (part @ memory.T)
        near = np.argpartition(all_of, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(all_of, near, 1)
        order = np.argsort(values, axis=1)
        rows = slice(start, start + len(part))
        places[rows] = np.take_along_axis(near, order, 1)
        distances[rows] = np.sqrt(np.take_along_axis(values, order, 1).clip(0))
    return distances, places


def _around(x: Floats) -> Floats:
    """Means over 3x3 places, `(h, w, c)`; the border repeats."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    mean: Floats = ((rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9).astype(np.float32)
    return mean


def _scalar(value: "np.floating[npt.NBitBase]") -> npt.NDArray[np.float32]:
    return np.array([value], np.float32)
