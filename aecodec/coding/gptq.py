"""Rounds weights in their turn, so that each makes up for the errors of those before it.

Source: Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers", section 3. Encoders and export use it; decoders need nothing of this.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def error_factor(moments: Floats) -> Floats:
    """How errors are passed on: the upper Cholesky factor of the inverse of `(n, n)` moments."""
    inverse = np.linalg.inv(moments)
    factor: Floats = np.linalg.cholesky((inverse + inverse.T) / 2).T.astype(np.float64)
    return factor


def round_jointly(wanted: Floats, factor: Floats) -> tuple[Floats, Floats]:
    """Whole numbers near real ones that give nearly the same products with the inputs.

    Args:
        wanted: `(rows, n)`; each row by itself.
        factor: `(n, n)`, see `error_factor`.

    Returns:
        `(rows, n)` whole numbers, and `(rows,)` squared errors of the products.
    """
    left = wanted.copy()
    rounded = np.empty_like(left)
    losses = np.zeros(len(left))
    for i in range(left.shape[1]):
        rounded[:, i] = np.floor(left[:, i] + 0.5)
        error = (left[:, i] - rounded[:, i]) / factor[i, i]
        losses += error**2
        left[:, i + 1 :] -= np.outer(error, factor[i, i + 1 :])
    return rounded, losses
