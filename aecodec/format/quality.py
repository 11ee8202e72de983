"""The quality grid and the lambda of each of its points; SPECIFICATION.md, section 3.1.

Lambda weights the distortion, as in CompressAI: loss = bpp + lambda * 255**2 * MSE, with MSE on
[0, 1].
"""

import math
from numbers import Real

from aecodec.errors import InputError

QUALITY_STEPS = 4
"""Points of the quality grid per unit of quality."""
QUALITY_INDEX_MAX = 100 * QUALITY_STEPS
QUALITIES = QUALITY_INDEX_MAX + 1
"""Points of the quality grid: quality = index / 4."""
QUALITY_MAP_FLAG = 2**15
"""What HEAD adds to the quality index where TILEs hold quality maps."""
LAMBDA_MIN = 0.001
LAMBDA_RATIO = 200.0


def quality_index(quality: object) -> int:
    """Nearest point of the quality grid, 0 to 400.

    Raises:
        InputError: `quality` is no number in [0, 100].
    """
    if isinstance(quality, bool) or not isinstance(quality, Real):
        raise InputError(f"quality must be a number, not {type(quality).__name__}")
    value = float(quality)
    if not 0 <= value <= 100:  # nor is a NaN
        raise InputError(f"quality must lie in [0, 100], not {value:g}")
    return math.floor(value * QUALITY_STEPS + 0.5)


def relative_quality(index: int) -> float:
    """Relative quality, 0 to 1, at a point of the quality grid."""
    return index / QUALITY_INDEX_MAX


def lmbda(q: float) -> float:
    """Lambda for relative quality q in [0, 1]: `0.001 * 200**q`."""
    return float(LAMBDA_MIN * LAMBDA_RATIO**q)
