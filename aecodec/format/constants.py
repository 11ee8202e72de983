"""Numbers that the format fixes for every model; SPECIFICATION.md says what they are for."""

STRIDE = 16
"""Pixels per latent along one side."""
GROUP = 4
"""Latents per hyper-latent along one side."""
PATCH = 8
"""Pixels along one side of the patch that becomes channels."""
PATCH_CHANNELS = 3 * PATCH * PATCH
KNOTS = 8
"""Rates at which gains are stored; between them they interpolate."""

PASSES = 4
PASS_POSITION = ((0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (1, 0, 3, 2))
"""`PASS_POSITION[pass][g]`: which of the 2x2 positions (2 * row + column) of each group of
latents channel quarter g codes in that pass. After DCVC-DC (Li et al. 2023, section 3.3)."""

HYPER_KERNEL, CONTEXT_KERNEL = 3, 5
"""Sides of the depthwise kernels in the hyper-synthesis and in the passes."""
ACTIVATION_BITS = 10
"""Signed width of the prior's activations: integers in [-512, 511], in units of 1/32."""
ACTIVATION_MAX = 2 ** (ACTIVATION_BITS - 1)
MEAN_FRACTION = 16
"""Steps of a mean, and of a decoded latent, in one quantization step."""
SCALE_LEVELS = 64
"""Tables of latents, from the narrowest to the widest."""
SCALE_FRACTION = 16
"""Steps of a scale in one level."""
NORM_OFFSET, NORM_SIZE = -1024, 2560
"""First base scale, in 1/16 level, in the table of norms, and the table's length."""
NORM_FRACTION = 64
"""Steps of a norm in one quantization step."""
NORM_SHIFT, RECIPROCAL_SHIFT = 12, 20
HYPER_RADIUS = 40
"""Largest hyper-latent with a count of its own."""
HYPER_TABLE_SIZE = 2 * HYPER_RADIUS + 2

STREAM_FRACTION = 14
"""Binary places of the synthesis' stream, of which 1 is the range of a pixel."""
LOG_FRACTION = 16
"""Binary places of the logarithms of gains."""
LOG_LIMIT = 12 << LOG_FRACTION
EXIT_SHIFT_MAX = 16

LATENT_FRACTION = 10
"""Binary places of the latents that the analysis gives, of which 1 is a quantization step."""
NORMED_SHIFT = 17
"""What brings such a latent times its reciprocal into units of the stream."""
LINEAR_SHIFTS = range(12, 25)
"""Shifts of the analysis' linear layers."""
LINEAR_SUM_MAX, LINEAR_BIAS_MAX = 2**20 - 4, 2**38
"""Largest sum of the absolute weights of one of their outputs, and largest bias."""
