"""Pictures that are transparent around a disc, for tests of alpha."""

import numpy as np
import numpy.typing as npt
from conftest import make_picture


def make_alpha(height: int, width: int) -> npt.NDArray[np.uint8]:
    """A disc with a soft edge: transparent, opaque and everything between."""
    rows, columns = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    distance = np.sqrt(rows**2 + columns**2)
    soft: npt.NDArray[np.float64] = np.clip((0.8 - distance) * 900, 0, 255)
    return soft.astype(np.uint8)


def cut_out(height: int, width: int) -> npt.NDArray[np.uint8]:
    """`(height, width, 4)`, a picture that is transparent around a disc."""
    return np.dstack((make_picture(height, width), make_alpha(height, width)))
