"""Makes the tables of the residual layer from training pictures.

    python -m aecodec.training.residual FOLDER... -o TABLES.safetensors

Pictures are halved, so that old compression artifacts vanish, and some get noise. Each is
compressed at one of a few qualities, and its residual layer coded with logistic tables; what
errors each scale then saw gives mixtures of logistic distributions, and so once more. Seeded: the
same pictures give the same tables.
"""

import argparse
import logging
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from aecodec.codec import Codec
from aecodec.entropy import frequency_counts
from aecodec.files import write_bytes
from aecodec.images import Pixels
from aecodec.residual import PREDICTION_MAX
from aecodec.residual_fit import encode_residual
from aecodec.residual_tables import FRACTIONS, LEVELS, ResidualTables, make_tables, store_tables
from aecodec.training.data import find_pictures, split

PICTURES = 40
ROUNDS = 2
SIDE = 256
"""Pixels a side of the halved pictures' middle."""
QUALITIES = (10, 20, 35, 50)
NOISE_MAX = 2.5
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

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Parts = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]

logger = logging.getLogger(__name__)


def scale_means() -> Floats:
    """`(LEVELS,)`, mean error of each scale."""
    return SCALE_MIN * 2.0 ** (np.arange(LEVELS) / SCALES_PER_OCTAVE)


def build_parts(mixtures: Floats) -> Parts:
    """Thresholds, sizes and counts, as `make_tables` takes them.

    Args:
        mixtures: `(LEVELS, len(RATIOS))`, the share of each part.
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
    return (
        np.floor(borders + 0.5).astype(np.int32),
        np.array(sizes, np.int32),
        np.concatenate(counts).astype(np.int32),
    )


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


def observe_errors(
    pictures: Iterator[Pixels], codec: Codec, tables: ResidualTables, rng: np.random.Generator
) -> Counts:
    """How often each error occurred under each scale, as `fit_mixtures` takes it."""
    observed = np.zeros((LEVELS, 2 * PREDICTION_MAX + 1), np.int64)

    def observe(scales: Counts, errors: Counts) -> None:
        bounded = errors.clip(-PREDICTION_MAX, PREDICTION_MAX) + PREDICTION_MAX
        np.add.at(observed, (scales, bounded), 1)

    for number, pixels in enumerate(pictures):
        quality = float(rng.choice(QUALITIES))
        data = codec.compress(pixels, quality, lossless_tiles=False)
        encode_residual(pixels, codec.decompress_array(data), tables, observe=observe)
        logger.info("picture %d of %d", number + 1, PICTURES)
    return observed


def training_pictures(paths: list[Path], rng: np.random.Generator) -> Iterator[Pixels]:
    """Halved middles of pictures, some with noise, `(h, w, 3)` uint8."""
    for number in rng.permutation(len(paths))[:PICTURES].tolist():
        with Image.open(paths[number]) as image:
            whole = image.convert("RGB")
        kind = Image.Resampling.BOX if rng.random() < 0.5 else Image.Resampling.LANCZOS
        half = whole.resize((max(whole.width // 2, 1), max(whole.height // 2, 1)), kind)
        left, top = (max(side - SIDE, 0) // 2 for side in half.size)
        part = np.asarray(half.crop((left, top, min(left + SIDE, half.width),
                                     min(top + SIDE, half.height))), np.float64)  # fmt: skip
        if rng.random() < 0.5:
            noise = rng.normal(size=(*part.shape[:2], 1)) + 0.5 * rng.normal(size=part.shape)
            part = part + rng.uniform(0, NOISE_MAX) * noise
        yield np.floor(part.clip(0, 255) + 0.5).astype(np.uint8)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description="Make the tables of the residual layer.")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("-o", "--output", required=True, type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    paths, _ = split(find_pictures(arguments.folders))
    codec = Codec()
    mixtures = logistic_tables()
    for number in range(ROUNDS):
        rng = np.random.default_rng(arguments.seed)
        tables = make_tables(*build_parts(mixtures))
        observed = observe_errors(training_pictures(paths, rng), codec, tables, rng)
        mixtures = fit_mixtures(observed)
        logger.info("round %d: %d errors", number + 1, observed.sum())
    parts = build_parts(mixtures)
    write_bytes(str(arguments.output), store_tables(*parts))
    logger.info("%s: id %s", arguments.output, make_tables(*parts).tables_id.hex())


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
