"""Encoder of the residual layer: fits each plane's predictors to the very tile.

Least squares, weighted by the inverse square of the expected error, alternate between feature
weights by class and activity weights; each level of activity then takes the table that costs least.
An encoder may fit otherwise; `residual.py` says what decoders do.
"""

import zlib
from collections.abc import Callable
from functools import cache

import numpy as np

from aecodec.container import ResidualTile
from aecodec.entropy import SYMBOL_MAX, SymbolEncoder
from aecodec.images import Pixels
from aecodec.residual import (
    CLASSES_MAX,
    CODE_TABLE,
    MAP_LEVEL,
    PAD,
    PREDICTION_MAX,
    Canvas,
    Floats,
    Ints,
    PlaneModel,
    Site,
    sites,
    table_numbers,
)
from aecodec.residual_tables import FRACTIONS, LEVELS, ResidualTables

ROUNDS = 3
"""Alternations of both fits."""
CLASS_SAMPLES = 4000
"""Samples for which a class is worth its weights."""
CLASSES = 12
FIT_SAMPLES = 2**18
"""Samples of a plane that a fit reads at most."""
RIDGE = 20.0
"""Samples that a class counts its neighbour's weights for."""
ACTIVITY_ONE = 512
FEATURE_ONE = 64
WEIGHT_MAX = 2**14
SMALLEST = 0.15
"""Smallest expected error, in samples."""

Observer = Callable[[Ints, Ints], None]


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
        observe: called with scales and errors in quarters of each plane.

    Returns:
        The chunk.
    """
    canvas = Canvas(x_hat)
    original = pixels[:, :, None] if pixels.ndim == 2 else pixels
    lossy = x_hat[:, :, None] if x_hat.ndim == 2 else x_hat
    step = 2 * bound + 1
    whole = Canvas(x_hat)
    for c in range(canvas.channels):
        t = (original[:, :, c].astype(np.int32) - lossy[:, :, c] + bound) // step
        whole.samples[c][PAD:-PAD, PAD:-PAD] = t
    encoder = SymbolEncoder()
    for site in sites(canvas.channels):
        if 0 in site.rows_and_columns(canvas.height, canvas.width):
            continue
        rows = slice(0, site.rows_and_columns(canvas.height, canvas.width)[0])
        samples: Ints = whole.view(whole.samples, site.channel, site, rows, (0, 0)).astype(np.int64)
        samples = samples.reshape(-1)
        model = _fit(canvas, site, samples, tables)
        levels, predictions = canvas.predict(site, model, tables)
        model = _mapped(model, levels, 4 * samples - predictions, tables)
        _write_model(encoder, model, tables)
        symbols = (samples - (predictions >> 2)).astype(np.int32)
        encoder.add(symbols, table_numbers(levels, predictions, model), tables.symbols)
        if observe is not None:
            observe(model.tables[levels], 4 * samples - predictions)
        canvas.put(site, samples, predictions)
    checksum = zlib.crc32(canvas.pixels(bound).tobytes())
    return ResidualTile(checksum, encoder.words())


def _fit(canvas: Canvas, site: Site, samples: Ints, tables: ResidualTables) -> PlaneModel:
    """Weights and classes; the map of levels stays empty."""
    strips = list(canvas.strips(site))
    width = site.rows_and_columns(canvas.height, canvas.width)[1]
    share = max(len(strips) * (strips[0].stop * width) // FIT_SAMPLES, 1)
    strips = strips[::share]
    features = np.concatenate([canvas.features(site, rows) for rows in strips])
    activities = np.concatenate([canvas.activities(site, rows) for rows in strips])
    target = np.concatenate(
        [samples[rows.start * width : rows.stop * width] for rows in strips]
    ).astype(np.float64)
    count = min(max(len(target) // CLASS_SAMPLES, 1), CLASSES, CLASSES_MAX)
    nothing = np.full(LEVELS, -1, np.int64)
    expected: Floats = np.ones(len(target))
    activity = np.zeros(activities.shape[1], np.int64)
    for _ in range(ROUNDS):
        classes = _classes(expected, count)
        errors = np.empty_like(target)
        weights: Floats = np.zeros(features.shape[1])
        for k in range(count):
            own = classes == k
            weights = _solve(features[own], target[own], expected[own], weights)
            errors[own] = np.abs(target[own] - features[own] @ weights)
        solved = _solve(activities, errors, expected, np.zeros(activities.shape[1]))
        activity = _rounded(solved * ACTIVITY_ONE)
        sums: Floats = activities @ activity.astype(np.float64)
        expected = np.maximum(sums / ACTIVITY_ONE, SMALLEST)
    levels = np.searchsorted(tables.thresholds, activities @ activity, side="right")
    cuts = np.quantile(levels, np.arange(1, count) / count, method="lower").astype(np.int64)
    classes = np.searchsorted(cuts, levels, side="right")
    final = np.zeros((count, features.shape[1]), np.int64)
    weights = np.zeros(features.shape[1])
    for k in range(count):
        own = classes == k
        weights = _solve(features[own], target[own], expected[own], weights)
        final[k] = _rounded(weights * FEATURE_ONE)
    return PlaneModel(activity, cuts, final, nothing)


def _classes(expected: Floats, count: int) -> Ints:
    cuts = np.quantile(expected, np.arange(1, count) / count)
    return np.searchsorted(cuts, expected, side="right")


def _solve(inputs: Floats, target: Floats, expected: Floats, prior: Floats) -> Floats:
    """Weighted least squares, drawn to `prior`."""
    if not len(target):
        return prior
    weight = 1 / expected**2
    scaled = inputs * weight[:, None]
    gram: Floats = scaled.T @ inputs
    gram[np.diag_indices(len(gram))] += RIDGE * weight.mean()
    solved: Floats = prior + np.linalg.solve(gram, scaled.T @ (target - inputs @ prior))
    return solved


def _rounded(weights: Floats) -> Ints:
    return np.floor(weights + 0.5).clip(-WEIGHT_MAX, WEIGHT_MAX).astype(np.int64)


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
    return PlaneModel(model.activity, model.cuts, model.features, scales)


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
        positions = table.positions(symbols[own].astype(np.int32))
        bits = 24 - np.log2(table.counts[positions]) + 16 * (positions == table.escape)
        costs[scale, own] = bits
    return costs


def _write_model(encoder: SymbolEncoder, model: PlaneModel, tables: ResidualTables) -> None:
    used = np.flatnonzero(model.tables >= 0)
    first, last = int(used[0]), int(used[-1])
    steps = np.diff(
        model.features, axis=0, prepend=np.zeros((1, model.features.shape[1]), np.int64)
    )
    more = len(model.cuts)
    codes = [_code(step) for step in steps]
    activity_code = _code(model.activity)
    for values in ([more, activity_code, first, last - first], [*model.cuts.tolist(), *codes]):
        encoder.add(np.array(values, np.int32), np.zeros(len(values), np.uint8), [CODE_TABLE])
    offsets = model.tables[used] - used
    parts = [(model.activity, activity_code), *zip(steps, codes, strict=True), (offsets, MAP_LEVEL)]
    for numbers, code in parts:
        symbols = numbers.clip(-SYMBOL_MAX, SYMBOL_MAX).astype(np.int32)
        encoder.add(symbols, np.full(len(symbols), FRACTIONS * code, np.uint8), tables.symbols)


def _code(numbers: Ints) -> int:
    """Level whose table fits some numbers."""
    mean = float(np.abs(numbers).mean())
    return int(np.clip(np.round(5 * np.log2(max(mean, 0.01) / 0.1)), 0, LEVELS - 1))
