"""Numbers that the format fixes for every model."""

STREAM_FRACTION = 14

LOG_FRACTION = 16

LOG_LIMIT = 12 << LOG_FRACTION

EXIT_SHIFT_MAX = 16

GROUP = 4
"""Latents per hyper-latent along one side."""

ACTIVATION_BITS = 10
"""Signed width of those activations: integers in [-512, 511], reals in [-16, 16)."""

KNOTS = 8
"""Number of rates at which gains and prior tables are stored; between them they interpolate."""

SCALE_LEVELS = 64

SCALE_FRACTION = 16
"""Fixed-point steps per scale level."""

MEAN_FRACTION = 16
"""Fixed-point steps of a mean (and of y_hat) per quantization step."""

PASSES = 4

PASS_POSITION = ((0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (1, 0, 3, 2))
"""`PASS_POSITION[pass][g]`: which of the 2x2 positions (2 * row + column) of each group of
latents channel quarter g codes in that pass. After DCVC-DC (Li et al. 2023, section 3.3)."""

PATCH = 8
"""Pixels along one side of the patch that becomes channels."""

PATCH_CHANNELS = 3 * PATCH * PATCH

STRIDE = 16
"""Pixels per latent along one side."""
