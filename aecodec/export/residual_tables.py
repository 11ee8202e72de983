"""Makes the tables of the residual layer from training pictures.

    python -m aecodec.export.residual_tables TILES.npy -o TABLES.safetensors

The tiles are those that the training of a model left in its folder. Some get noise, some become
gray. Each is compressed at one of a few qualities, and its residual layer coded with logistic
tables and no idea of the weights; what errors each scale then saw gives mixtures of logistic
distributions, and the weights give expected ones; and so once more. Seeded: the same tiles give
the same tables.
"""

import argparse
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from aecodec.codec import Codec
from aecodec.coding.ans import frequency_counts
from aecodec.coding.residual_context import PREDICTION_MAX, PlaneModel, ResidualContext
from aecodec.coding.residual_planes import PlaneSite, plane_sites
from aecodec.coding.residual_tables import (
    FRACTIONS,
    LEVELS,
    PLANES,
    PlanePrior,
    ResidualTables,
    Stored,
    make_tables,
    store_tables,
)
from aecodec.encoder.residual_fit import encode_residual
from aecodec.picture.pixels import Pixels
from aecodec.storage.files import write_bytes
from aecodec.training.data import open_tiles

PICTURES = 20
ROUNDS = 2
QUALITIES = (10, 20, 25, 30)
NOISY, NOISE_MAX = 0.4, 2.5
"""How many pictures get noise, and its largest deviation."""
GRAY_EVERY = 5
SMALLEST_DEVIATION = 2.0
SCALE_MIN = 0.1
"""Mean error of scale 0, in samples."""
SCALES_PER_OCTAVE = 5
ACTIVITY_UNIT = 512
"""Weights count 1/512, so that an expected error of 1 has this sum."""
RATIOS = (0.4, 0.65, 1.0, 1.6, 2.6, 5.0)
"""Widths of a mixture's parts."""
PRIOR_SAMPLES = 400.0
"""How many observed errors the logistic distribution counts for."""
MEAN_OVER_WIDTH = 2 * math.log(2)
"""Mean absolute value of a logistic distribution over its parameter."""
RADIUS_OVER_MEAN, RADIUS_MIN, RADIUS_MAX = 10, 6, 512
ESCAPE = 2**4
EM_ROUNDS = 30
"""Rounds of expectation-maximization."""

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

logger = logging.getLogger(__name__)


def scale_means() -> Floats:
    """`(LEVELS,)`, mean error of each scale."""
    return SCALE_MIN * 2.0 ** (np.arange(LEVELS) / SCALES_PER_OCTAVE)


def build_stored(mixtures: Floats, priors: Sequence[PlanePrior]) -> Stored:
    """What `make_tables` takes.

    Args:
        mixtures: `(LEVELS, len(RATIOS))`, the share of each part.
        priors: of all planes.
    """
    means = scale_means()
    borders = np.sqrt(means[1:] * means[:-1]) * ACTIVITY_UNIT
    sizes, counts = [], []
    for mean, shares in zip(means, mixtures, strict=True):
        radius = min(math.ceil(RADIUS_OVER_MEAN * mean) + RADIUS_MIN, RADIUS_MAX)
        for fraction in range(FRACTIONS):
            errors = FRACTIONS * np.arange(-radius, radius + 1) - fraction
            row = frequency_counts(shares @ _parts(mean, errors), ESCAPE)
            sizes.append(len(row))
            counts.append(row)
    weights = [part for prior in priors for part in astuple(prior)]
    stored = {
        "thresholds": np.floor(borders + 0.5),
        "sizes": np.array(sizes),
        "counts": np.concatenate(counts),
        "lengths": np.array([len(part) for part in weights]),
        "weights": np.concatenate(weights),
    }
    return {name: values.astype(np.int32) for name, values in stored.items()}


def fit_mixtures(observed: Counts) -> Floats:
    """Shares of the parts by expectation-maximization.

    Args:
        observed: `(LEVELS, 2 * PREDICTION_MAX + 1)`, how often each error in quarters occurred.
    """
    errors = np.arange(-PREDICTION_MAX, PREDICTION_MAX + 1)
    mixtures = np.empty((LEVELS, len(RATIOS)))
    plain = RATIOS.index(1.0)
    for level, mean in enumerate(scale_means()):
        own = observed[level] + observed[level][::-1]
        seen = np.flatnonzero(own)
        parts = _parts(mean, errors[seen])
        shares = np.full(len(RATIOS), 1 / len(RATIOS))
        for _ in range(EM_ROUNDS):
            joint = shares[:, None] * parts
            expected = (joint / joint.sum(0) * own[seen]).sum(1)
            expected[plain] += PRIOR_SAMPLES
            shares = expected / expected.sum()
        mixtures[level] = shares
    return mixtures


def logistic_tables() -> Floats:
    """Mixtures of one part."""
    mixtures = np.zeros((LEVELS, len(RATIOS)))
    mixtures[:, RATIOS.index(1.0)] = 1
    return mixtures


class Observations:
    """What encoders did with some pictures."""

    def __init__(self) -> None:
        """Begins with nothing."""
        self.errors = np.zeros((LEVELS, 2 * PREDICTION_MAX + 1), np.int64)
        self.models: list[list[PlaneModel]] = [[] for _ in range(PLANES)]

    def add(self, site: PlaneSite, model: PlaneModel, scales: Counts, errors: Counts) -> None:
        """Takes note of one plane, as `encode_residual` tells of it."""
        bounded = errors.clip(-PREDICTION_MAX, PREDICTION_MAX) + PREDICTION_MAX
        np.add.at(self.errors, (scales, bounded), 1)
        self.models[site.index].append(model)

    def priors(self) -> list[PlanePrior]:
        """Means of the weights, and the levels whose tables expect their deviations."""
        return [_prior(models) for models in self.models]


def neutral_priors() -> list[PlanePrior]:
    """What one expects of weights before any was seen."""
    priors = []
    for channels in (1, 3):
        context = ResidualContext(np.zeros((4, 4, 3) if channels == 3 else (4, 4), np.uint8), 0)
        for site in plane_sites(channels):
            row = slice(0, 1)
            n = len(context.activities(site, row))
            priors.append(_neutral(n, len(context.features(site, row))))
    return priors


def observe(pictures: Sequence[tuple[Pixels, Pixels]], tables: ResidualTables) -> Observations:
    """Codes pictures, each with its lossy version."""
    observations = Observations()
    for number, (pixels, x_hat) in enumerate(pictures):
        encode_residual(pixels, x_hat, tables, observe=observations.add)
        logger.info("picture %d of %d", number + 1, len(pictures))
    return observations


def training_pictures(
    tiles: Pixels, codec: Codec, rng: np.random.Generator
) -> Iterator[tuple[Pixels, Pixels]]:
    """Some tiles and their lossy versions, `(h, w, 3)` or `(h, w)` uint8."""
    for place, number in enumerate(rng.permutation(len(tiles))[:PICTURES].tolist()):
        part = tiles[number].astype(np.float64)
        if rng.random() < NOISY:
            noise = rng.normal(size=(*part.shape[:2], 1)) + 0.5 * rng.normal(size=part.shape)
            part = part + rng.uniform(0, NOISE_MAX) * noise
        pixels = np.floor(part.clip(0, 255) + 0.5).astype(np.uint8)
        if place % GRAY_EVERY == 0:
            pixels = np.ascontiguousarray(pixels[:, :, 1])
        data = codec.compress(pixels, float(rng.choice(QUALITIES)), lossless_tiles=False)
        yield pixels, codec.decompress_array(data)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description="Make the tables of the residual layer.")
    parser.add_argument("tiles", type=Path)
    parser.add_argument("-o", "--output", required=True, type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    rng = np.random.default_rng(arguments.seed)
    pictures = list(training_pictures(open_tiles(arguments.tiles), Codec(), rng))
    stored = build_stored(logistic_tables(), neutral_priors())
    for number in range(ROUNDS):
        found = observe(pictures, make_tables(stored))
        stored = build_stored(fit_mixtures(found.errors), found.priors())
        logger.info("round %d: %d errors", number + 1, found.errors.sum())
        write_bytes(str(arguments.output), store_tables(stored))
    logger.info("%s: id %s", arguments.output, make_tables(stored).tables_id.hex())


def _neutral(activities: int, features: int) -> PlanePrior:
    return PlanePrior(
        np.full(activities, ACTIVITY_UNIT // activities),
        np.full(activities, _level(100.0)),
        np.zeros(features, np.int64),
        np.full(features, _level(500.0)),
        np.full(features, _level(300.0)),
    )


def _prior(models: list[PlaneModel]) -> PlanePrior:
    activity = np.stack([model.activity for model in models])
    first = np.stack([model.features[0] for model in models])
    several = [np.diff(model.features, axis=0) for model in models]
    means = [np.floor(np.median(each, 0) + 0.5).astype(np.int64) for each in (activity, first)]
    return PlanePrior(
        means[0],
        _level(np.abs(activity - means[0]).mean(0)),
        means[1],
        _level(np.abs(first - means[1]).mean(0)),
        _level(np.abs(np.concatenate(several)).mean(0)),
    )


def _level(deviations: npt.ArrayLike) -> Counts:
    """The level, perhaps above all tables, whose mean is nearest."""
    least = np.maximum(np.asarray(deviations, np.float64), SMALLEST_DEVIATION)
    levels = SCALES_PER_OCTAVE * np.log2(least / SCALE_MIN)
    return np.floor(levels + 0.5).astype(np.int64)


def _parts(mean: float, errors: npt.NDArray[np.int64]) -> Floats:
    """Probability of each error in quarters under each part, `(len(RATIOS), n)`."""
    widths = np.array(RATIOS)[:, None] * mean / MEAN_OVER_WIDTH
    cumulative = partial(_logistic, widths=widths)
    whole: Floats = cumulative((errors + FRACTIONS / 2) / FRACTIONS)
    return whole - cumulative((errors - FRACTIONS / 2) / FRACTIONS) + 1e-12


def _logistic(values: Floats, widths: Floats) -> Floats:
    result: Floats = 0.5 * (1 + np.tanh(values / (2 * widths)))
    return result


if __name__ == "__main__":
    main()
