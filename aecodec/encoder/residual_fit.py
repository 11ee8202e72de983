"""Encoder of the residual layer: fits each plane's predictors to the very tile.

Least squares, weighted by the inverse square of the expected error, alternate between feature
weights by class and activity weights, drawn to the stored expectations. Weights are rounded to
steps that cost least in all; each level of activity then takes the table that costs least.
An encoder may fit otherwise; `residual.py` says what decoders do.
"""

import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np

from aecodec.coding.ans import SymbolEncoder
from aecodec.coding.gptq import error_factor, round_jointly
from aecodec.coding.residual import (
    CLASSES_MAX,
    CODE_TABLE,
    MAP_LEVEL,
    SHIFT_LEVELS,
    table_numbers,
    table_of,
)
from aecodec.coding.residual_context import (
    PAD,
    PREDICTION_MAX,
    WEIGHT_ONE,
    Floats,
    Ints,
    PlaneModel,
    ResidualContext,
)
from aecodec.coding.residual_planes import PlaneSite, plane_sites
from aecodec.coding.residual_tables import FRACTIONS, LEVELS, PlanePrior, ResidualTables
from aecodec.format.chunks import ResidualTile
from aecodec.picture.pixels import Pixels

ROUNDS = 2
"""Alternations of both fits."""

CLASS_SAMPLES = 8000
"""Samples for which a class is worth its weights."""

CLASSES = 12

FIT_SAMPLES = 2**18
"""Samples of a plane that a fit reads at most."""

ERROR_SQUARE = 1.6
"""Expected square of an error over its expected magnitude."""

SHIFTS_TRIED = range(1, 11)
"""Steps of 1/2048 to 1/4."""

ACTIVITY_ONE = 512

ACTIVITY_MAX = 2**14

SMALLEST = 0.15
"""Smallest expected error, in samples."""

Observer = Callable[[PlaneSite, PlaneModel, Ints, Ints], None]


def encode_residual(
    pixels: Pixels, x_hat: Pixels, tables: ResidualTables, *, bound: int = 0,
    observe: Observer | None = None,
) -> ResidualTile:  # fmt: skip
    """Codes what a lossy tile lacks.

    Args:
        pixels: `(H, W, 3)` or `(H, W)` uint8, the original tile.
        x_hat: the lossy tile, of the same shape.
        tables: what to code with.
        bound: largest error of a decoded sample, 0 to 255.
        observe: called with each plane, its model, and its scales and errors in quarters.

    Returns:
        The chunk.
    """
    context = ResidualContext(x_hat, bound)
    original = pixels[:, :, None] if pixels.ndim == 2 else pixels
    lossy = x_hat[:, :, None] if x_hat.ndim == 2 else x_hat
    whole = ResidualContext(x_hat, bound)
    for c in range(context.channels):
        t = (original[:, :, c].astype(np.int32) - lossy[:, :, c] + bound) // whole.step
        whole.samples[c][PAD:-PAD, PAD:-PAD] = t
    encoder = SymbolEncoder()
    for site in plane_sites(context.channels):
        if 0 in site.rows_and_columns(context.height, context.width):
            continue
        rows = slice(0, site.rows_and_columns(context.height, context.width)[0])
        samples: Ints = whole.view(whole.samples, site.channel, site, rows, (0, 0)).astype(np.int64)
        samples = samples.reshape(-1)
        model = _fit(context, site, samples, tables)
        levels, predictions = context.predict(site, model, tables)
        model = _mapped(model, levels, 4 * samples - predictions, tables)
        _write_model(encoder, site, model, tables)
        symbols = (samples - (predictions >> 2)).astype(np.int32)
        encoder.add(symbols, table_numbers(levels, predictions, model), tables.symbols)
        if observe is not None:
            observe(site, model, model.tables[levels], 4 * samples - predictions)
        context.put(site, samples, predictions)
    checksum = zlib.crc32(context.pixels().tobytes())
    return ResidualTile(checksum, encoder.words())


def _fit(
    context: ResidualContext, site: PlaneSite, samples: Ints, tables: ResidualTables
) -> PlaneModel:
    """Weights and classes; the map of levels stays empty."""
    strips = list(context.strips(site))
    width = site.rows_and_columns(context.height, context.width)[1]
    share = max(len(strips) * (strips[0].stop * width) // FIT_SAMPLES, 1)
    strips = strips[::share]
    features = np.concatenate([context.features(site, rows) for rows in strips], 1)
    activities = np.concatenate([context.activities(site, rows) for rows in strips], 1)
    step = context.step
    target = step * np.concatenate(
        [samples[rows.start * width : rows.stop * width] for rows in strips]
    ).astype(np.float64)
    count = min(max(len(target) // CLASS_SAMPLES, 1), CLASSES, CLASSES_MAX)
    prior = tables.priors[site.index]
    activity = prior.activity
    expected = _expected(activities, activity)
    for _ in range(ROUNDS):
        classes = _classes(expected, count)
        errors = np.empty_like(target)
        weights: Floats = prior.features / WEIGHT_ONE
        for k in range(count):
            own = np.flatnonzero(classes == k)
            inputs = features.take(own, 1)
            weights = _solve(
                *_normal(inputs, target[own], step * expected[own]), weights, _spread(prior, k)
            )
            errors[own] = np.abs(target[own] - weights @ inputs)
        gram, moment = _normal(activities, errors / step, expected)
        spread = _sizes(prior.activity_levels) / ACTIVITY_ONE
        activity = _rounded(_solve(gram, moment, prior.activity / ACTIVITY_ONE, spread))
        expected = _expected(activities, activity)
    levels = np.searchsorted(tables.thresholds, activity @ activities, side="right")
    cuts = np.quantile(levels, np.arange(1, count) / count, method="lower").astype(np.int64)
    classes = np.searchsorted(cuts, levels, side="right")
    final = np.zeros((count, len(features)), np.int64)
    shifts = np.zeros(count, np.int64)
    base = prior.features
    for k in range(count):
        own = np.flatnonzero(classes == k)
        normal = _normal(features.take(own, 1), target[own], step * expected[own])
        base, shifts[k] = _coded(normal, base, prior, k, tables)
        final[k] = base
    return PlaneModel(activity, cuts, final, shifts, np.full(LEVELS, -1, np.int64))


def _expected(activities: Floats, activity: Ints) -> Floats:
    """Expected error of each sample, in samples."""
    sums: Floats = activity.astype(np.float64) @ activities
    return np.maximum(sums / ACTIVITY_ONE, SMALLEST)


def _classes(expected: Floats, count: int) -> Ints:
    cuts = np.quantile(expected, np.arange(1, count) / count)
    return np.searchsorted(cuts, expected, side="right")


def _sizes(levels: Ints) -> Floats:
    """Root mean square of numbers that tables of some levels expect."""
    sizes: Floats = 0.125 * 2.0 ** (levels / SHIFT_LEVELS)
    return sizes


def _spread(prior: PlanePrior, number: int) -> Floats:
    """Expected size of the differences of a class's weights."""
    return _sizes(prior.step_levels if number else prior.feature_levels) / WEIGHT_ONE


def _normal(inputs: Floats, target: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Matrix and right side of weighted least squares."""
    scaled = inputs / expected
    return scaled @ scaled.T, scaled @ (target / expected)


def _solve(gram: Floats, moment: Floats, prior: Floats, spread: Floats) -> Floats:
    """The most probable weights."""
    solved: Floats = prior + np.linalg.solve(
        gram + np.diag(ERROR_SQUARE / spread**2), moment - gram @ prior
    )
    return solved


def _coded(
    normal: tuple[Floats, Floats], base: Ints, prior: PlanePrior, number: int,
    tables: ResidualTables,
) -> tuple[Ints, int]:  # fmt: skip
    """Rounded weights of a class and their shift: what costs least."""
    spread = _spread(prior, number)
    levels = prior.step_levels if number else prior.feature_levels
    wanted = _solve(*normal, base / WEIGHT_ONE, spread) - base / WEIGHT_ONE
    steps = np.exp2(np.array(SHIFTS_TRIED)) / WEIGHT_ONE
    factor = error_factor(normal[0] + np.diag(ERROR_SQUARE / spread**2))
    rounded, losses = round_jointly(wanted / steps[:, None], factor)
    costs = _costs(tables)
    best = (np.inf, base, 0)
    for shift, row, loss in zip(
        SHIFTS_TRIED, rounded.astype(np.int64), losses * steps**2, strict=True
    ):
        own = (levels - SHIFT_LEVELS * shift).clip(0, LEVELS - 1)
        inside = (FRACTIONS * row).clip(-PREDICTION_MAX, PREDICTION_MAX) + PREDICTION_MAX
        bits = float(costs[own, inside].sum()) + loss / (2 * np.log(2) * ERROR_SQUARE)
        if bits < best[0]:
            best = (bits, base + (row << shift), shift)
    return best[1], best[2]


def _rounded(weights: Floats) -> Ints:
    whole = np.floor(ACTIVITY_ONE * weights + 0.5)
    return whole.clip(-ACTIVITY_MAX, ACTIVITY_MAX).astype(np.int64)


def _mapped(model: PlaneModel, levels: Ints, errors: Ints, tables: ResidualTables) -> PlaneModel:
    """Gives each level the table that costs least."""
    reach = PREDICTION_MAX
    bounded = errors.clip(-reach, reach) + reach
    costs = _costs(tables)
    scales = np.full(LEVELS, -1, np.int64)
    first, last = int(levels.min()), int(levels.max())
    for level in range(first, last + 1):
        seen = np.bincount(bounded[levels == level], minlength=2 * reach + 1)
        scales[level] = level if not seen.any() else int((costs @ seen).argmin())
    return replace(model, tables=scales)


@cache
def _costs(tables: ResidualTables) -> Floats:
    """Bits of each error in quarters under each scale, `(LEVELS, 2 * PREDICTION_MAX + 1)`."""
    errors = np.arange(-PREDICTION_MAX, PREDICTION_MAX + 1)
    fractions = -errors % FRACTIONS
    symbols = (errors + fractions) // FRACTIONS
    costs = np.empty((LEVELS, len(errors)))
    for number, table in enumerate(tables.symbols):
        scale, fraction = divmod(number, FRACTIONS)
        own = fractions == fraction
        costs[scale, own] = table.bits(symbols[own].astype(np.int32))
    return costs


def _write_model(
    encoder: SymbolEncoder, site: PlaneSite, model: PlaneModel, tables: ResidualTables
) -> None:
    prior = tables.priors[site.index]
    used = np.flatnonzero(model.tables >= 0)
    first, last = int(used[0]), int(used[-1])
    for values in ([len(model.cuts), first, last - first], model.cuts, model.shifts):
        encoder.add(np.array(values, np.int32), np.zeros(len(values), np.uint8), [CODE_TABLE])
    parts = [(model.activity - prior.activity, prior.activity_levels)]
    base = prior.features
    for number, (weights, shift) in enumerate(zip(model.features, model.shifts, strict=True)):
        levels = prior.step_levels if number else prior.feature_levels
        parts.append(((weights - base) >> shift, levels - SHIFT_LEVELS * shift))
        base = weights
    parts.append((model.tables[used] - used, np.full(len(used), MAP_LEVEL)))
    for numbers, levels in parts:
        encoder.add(numbers.astype(np.int32), table_of(levels), tables.symbols)
