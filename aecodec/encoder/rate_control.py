"""Finds the quality at which a picture meets a target of size or fidelity.

Bits and the measures of fidelity change with quality, and their relation to it is nearly straight
once bits, errors and 1 - MS-SSIM are taken as logarithms; so a secant that never leaves its bracket
needs few evaluations. In tiny pictures they jump; there the neighbours of the nearest follow.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from aecodec.encoder.noise import settled
from aecodec.encoder.tile_view import BegunTiles
from aecodec.options import EncodeOptions, Found, Target
from aecodec.picture.metrics import measure
from aecodec.picture.picture import Picture
from aecodec.picture.pixels import Pixels, split
from aecodec.picture.row_readers import PictureRows

EVALUATIONS = 8
"""Most compressions that a search may take."""
QUALITY_STEP = 0.25
KEPT_BYTES = 2**28
"""What a search may keep between its tries: enough for 33 megapixels."""


def search_file(
    target: Target, picture: Picture, options: EncodeOptions,
    encode: Callable[..., Iterable[bytes]], decode: Callable[[bytes], Pixels],
) -> tuple[bytes, Found]:  # fmt: skip
    """Searches the file that comes nearest to a target.

    Args:
        target: the wish.
        picture: what is compressed.
        options: how, apart from the quality.
        encode: `Codec.compress_rows`, which gives the pieces of a file.
        decode: gives the pixels of a file, for targets of fidelity.
    """
    area: int = picture.pixels.shape[0] * picture.pixels.shape[1]
    source, begun = PictureRows(picture), BegunTiles(KEPT_BYTES)
    options = settled(options, source)
    files: dict[float, bytes] = {}

    def measured(quality: float) -> float:
        at = replace(options, target=None, quality=quality)
        files[quality] = data = b"".join(encode(source, at, begun=begun))
        if target.kind == "size":
            return float(len(data))
        if target.kind == "bpp":
            return 8.0 * len(data) / area
        colours, _ = split(decode(data))
        return float(measure(target.kind, picture.pixels, colours, picture.alpha))

    found = search_quality(target, measured)
    return files[found.quality], found


def search_quality(target: Target, measured: Callable[[float], float]) -> Found:
    """Searches the quality that comes nearest to a target.

    Args:
        target: the wish.
        measured: what the target speaks of, at a quality that is a multiple of 0.25 in [0, 100];
            nearly monotonic.

    Returns:
        The nearest of all evaluations, at most `EVALUATIONS` of them.
    """
    seen: dict[float, float] = {}
    wish = target.coordinate(target.value)

    def at(quality: float) -> float:
        if quality not in seen:
            seen[quality] = measured(quality)
        return target.coordinate(seen[quality]) - wish

    low, high = 0.0, 100.0
    middle: float | None = 50.0
    while middle is not None and len(seen) < EVALUATIONS:
        value = at(middle)
        if target.is_met(seen[middle]):
            break
        if value < 0:
            low = middle
        else:
            high = middle
        middle = _next(low, high, seen, at)
        if middle is None and at(low) < 0 < at(high):  # it is not out of reach
            middle = _beside(min(seen, key=lambda each: target.distance(seen[each])), seen)
    quality = min(seen, key=lambda each: target.distance(seen[each]))
    value = seen[quality]
    return Found(quality, value, target.is_met(value), len(seen))


def _beside(quality: float, seen: dict[float, float]) -> float | None:
    """The next quality beside the nearest one, where what is measured jumps up and down."""
    around = (
        quality + sign * steps * QUALITY_STEP for steps in range(1, EVALUATIONS) for sign in (-1, 1)
    )
    return next((each for each in around if 0 <= each <= 100 and each not in seen), None)


def _next(
    low: float, high: float, seen: dict[float, float], at: Callable[[float], float]
) -> float | None:
    """The next quality to try between the ends of the bracket; None when there is none."""
    if low in seen and high in seen:
        below, above = at(low), at(high)
        guess = low + (high - low) * below / (below - above) if above > below else (low + high) / 2
    elif low in seen:
        guess = 100.0 if high - low <= 30.0 else (low + high) / 2
    else:
        guess = 0.0 if high - low <= 30.0 else (low + high) / 2
    on_grid = round(guess / QUALITY_STEP) * QUALITY_STEP
    inside = min(max(on_grid, low + QUALITY_STEP), high - QUALITY_STEP)
    candidates = (inside, low, high)
    return next((c for c in candidates if low <= c <= high and c not in seen), None)
