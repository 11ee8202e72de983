"""libvips, by the package pyvips of the extra `vips`: it reads what Pillow would round or misread.

Of the libraries that can do all of it, it is the smallest, and it carries profiles. Its messages,
and those of the libraries below it, come as exceptions and never reach standard error.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.errors import InputError
from aecodec.picture.pixels import damaged

_NOT_BUILT = "not configured"


class NotBuiltError(InputError):
    """This build of libvips lacks what a file needs."""


def load_vips() -> Any | None:  # noqa: ANN401  # a module without types
    """The module pyvips; None if it, or the library that it needs, is not installed."""
    try:
        import pyvips
    except (ImportError, OSError):  # OSError: libvips itself is missing
        return None
    return pyvips


def needed_vips(purpose: str) -> Any:  # noqa: ANN401  # a module without types
    """The module pyvips.

    Raises:
        InputError: it is not installed; the message says what needs it, and how to install it.
    """
    module = load_vips()
    if module is None:
        raise InputError(f"{purpose} needs pyvips: pip install 'aecodec[vips]'")
    return module


def read_by_vips(data: bytes, purpose: str) -> npt.NDArray[Any]:
    """The samples of a picture file; see `read_with_pages`."""
    return read_with_pages(data, purpose)[0]


def read_with_pages(data: bytes, purpose: str) -> tuple[npt.NDArray[Any], int]:
    """The samples of a picture file as libvips reads them, and how many pages it counts.

    Args:
        data: the file.
        purpose: what is read, for the message that pyvips is needed.

    Returns:
        `(H, W)` or `(H, W, c)`, not turned.

    Raises:
        NotBuiltError: this libvips lacks what the file needs.
        InputError: pyvips is not installed, or libvips cannot read the file.
    """
    vips = needed_vips(purpose)
    try:
        image = vips.Image.new_from_buffer(data, "", fail_on="error")
        samples: npt.NDArray[Any] = image.numpy()
        pages = int(image.get("n-pages")) if "n-pages" in image.get_fields() else 1
    except vips.Error as exc:
        raise damage(exc) from exc
    return np.ascontiguousarray(samples), pages


def _is_telling(line: str) -> bool:
    return bool(line.strip()) and "bad seek" not in line


def damage(exc: Exception) -> InputError:
    """The error that says in one line why libvips cannot read a file."""
    lines = str(getattr(exc, "detail", "") or exc).strip().splitlines()
    lacking = next((line for line in lines if _NOT_BUILT in line), None)
    if lacking is not None:
        return NotBuiltError(f"this libvips cannot read it: {lacking.strip()}")
    return damaged(ValueError(next(filter(_is_telling, lines), "")))
