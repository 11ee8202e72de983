"""Which part of a picture, and how small: as callers may say it."""

from fractions import Fraction
from typing import Any

import pytest

from aecodec.errors import InputError
from aecodec.options import scale_of


@pytest.mark.parametrize(
    ("value", "scale"),
    [(1, 1), (2, 2), (8, 8), (0.5, 2), (0.125, 8), (Fraction(1, 4), 4), (Fraction(4), 4)],
)
def test_scales_have_two_names(value: Any, scale: int) -> None:  # noqa: ANN401  # several types
    assert scale_of(value) == scale


@pytest.mark.parametrize("value", [0, 3, 16, -2, 0.3, True, "1/2", None, float("nan")])
def test_other_scales_are_refused(value: Any) -> None:  # noqa: ANN401  # wrong on purpose
    with pytest.raises(InputError, match="scale must be"):
        scale_of(value)
